"""What is asked of every task file on the real cloud."""

from pathlib import Path

from cloud_targets import Target
from local_osbench import Osbench


def check_passes_and_leaves_nothing(file: Path, osbench: Osbench, real_cloud: Target) -> None:
    """It passes its SLA, and the cloud and the store hold afterwards what they held before."""
    before = real_cloud.holds()

    assert osbench.finish(osbench.start("task", "start", str(file))) == 0, osbench.output()
    assert real_cloud.holds() == before

    store = osbench.store()
    try:
        assert store.resource_list() == []
    finally:
        store.close()
