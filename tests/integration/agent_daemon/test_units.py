"""systemd takes the units."""

import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGING = Path(__file__).parents[3] / "packaging"
ANALYZE = shutil.which("systemd-analyze")


@pytest.mark.parametrize("name", ["osbench-agent", "osbench-coordinator"])
def test_systemd_finds_nothing_wrong_in_a_unit(name: str, tmp_path: Path) -> None:
    """A misspelt key is ignored by systemd with a line in its log, and the unit is less than it claims."""
    if ANALYZE is None:
        pytest.skip("systemd-analyze is not there")
    unit = tmp_path / f"{name}.service"
    text = (PACKAGING / f"{name}.service").read_text()
    # The unit names where the package will be, which is not on this machine.
    unit.write_text(text.replace(f"/opt/osbench/bin/{name}", "/bin/true"))

    answer = subprocess.run([ANALYZE, "verify", str(unit)], capture_output=True, text=True, timeout=60)

    if "Failed to initialize manager" in answer.stderr:
        pytest.skip(f"systemd-analyze cannot work here: {answer.stderr.strip()}")
    ours = [line for line in answer.stderr.splitlines() if name in line]
    assert (answer.returncode, ours) == (0, [])
