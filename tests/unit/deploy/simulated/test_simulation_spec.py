"""The configuration of a simulated cloud: defaults, and errors that say where and how to mend."""

from pathlib import Path
from typing import Any

import pytest

from osbench.common.error import InputError
from osbench.deploy.simulated import config
from osbench.deploy.simulated.config import OPERATIONS, make_spec, read_spec


def test_an_empty_file_is_a_whole_cloud(tmp_path: Path) -> None:
    path = tmp_path / "cloud.yaml"
    path.write_text("")

    spec = read_spec(path)

    assert [flavor.name for flavor in spec.flavors] == ["m1.tiny", "m1.small", "m1.medium", "m1.nano"]
    assert set(spec.delays) == set(OPERATIONS)


def test_the_example_in_the_docstring_is_a_valid_configuration(tmp_path: Path) -> None:
    """It is the only documentation of the format: it must not rot."""
    lines = (config.__doc__ or "").splitlines()
    example = "\n".join(line[4:] for line in lines if line.startswith("    "))
    path = tmp_path / "cloud.yaml"
    path.write_text(example)

    spec = read_spec(path)

    assert [rule.name for rule in spec.faults][:1] == ["slow-lists"]
    assert len(spec.faults) == 7


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"sead": 1}, "did you mean seed"),
        ({"seed": "x"}, r"\$.seed"),
        ({"delays": {"server_bild": {"kind": "constant", "seconds": 1}}}, "did you mean server_build"),
        ({"delays": {"server_build": {"kind": "constant", "seconds": -1}}}, "delays.server_build"),
        ({"errors": {"server_build": 1.5}}, "0 … 1"),
        ({"token_lifetime_s": 0}, "above 0"),
        ({"hypervisors": 0}, "1 … 1000"),
        ({"networks": [{"name": "n", "cidr": "x"}]}, r"networks\[0\].cidr"),
        ({"faults": [{"then": {"kind": "status", "status": 99}}]}, r"faults\[0\]"),
        ([], "object"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(document: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make_spec(document)


def test_a_file_that_is_no_yaml_or_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cloud.yaml"
    path.write_text("a: [")

    with pytest.raises(InputError, match="no YAML"):
        read_spec(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_spec(tmp_path / "nothing")
