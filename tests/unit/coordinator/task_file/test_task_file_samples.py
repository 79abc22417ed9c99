"""Real task files of Rally's users: each is read, or refused for what this release lacks and for nothing else."""

import re
from pathlib import Path

import pytest

from osbench.common.error import InputError
from osbench.coordinator.known import known_catalog
from osbench.coordinator.planner import schedule_of
from osbench.coordinator.task_file.reader import load_task, read_source

SAMPLES = Path(__file__).resolve().parents[5] / "shared" / "samples"
FILES = sorted(SAMPLES.glob("v*/**/*.yaml"))
#: What a release may lack. That the catalog knows a name and still refuses the file would be a fault of the reader.
LACKING = re.compile(r":\d+:\d+: unknown (scenario|context|sla criterion) '([\w.]+)'")

pytestmark = pytest.mark.skipif(not FILES, reason=f"the samples are not there: {SAMPLES}")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SAMPLES)))
def test_a_sample_is_read_or_refused_for_a_name_this_release_lacks(path: Path) -> None:
    catalog = known_catalog()
    try:
        task = load_task(read_source(path), {}, catalog)
        refusal = ""
    except InputError as error:
        refusal = str(error)
    lacking = [LACKING.search(line) for line in refusal.split("\n")]

    if refusal:
        assert all(lacking), refusal
        assert not {*catalog.scenarios, *catalog.contexts, *catalog.criteria} & {match[2] for match in lacking if match}
    else:
        assert all(schedule_of(workload.runner) for workload in task.spec.workloads)
