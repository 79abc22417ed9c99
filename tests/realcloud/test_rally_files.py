"""Rally's own task files, unmodified, on the real cloud: each passes its SLA and leaves the cloud as it was."""

from pathlib import Path

import pytest
from cloud_targets import Target
from local_osbench import Osbench
from realcloud.passing import check_passes_and_leaves_nothing

pytestmark = [pytest.mark.realcloud, pytest.mark.samples, pytest.mark.slow]

#: They stand beside the checkout.
FOLDER = Path(__file__).resolve().parents[3] / "shared" / "samples"
FILES = (
    "v1/scenarios/keystone/create-and-delete-user.yaml",
    "v1/scenarios/keystone/create-and-list-users.yaml",
    "v2/scenarios/authenticate/keystone.yaml",
    "v1/scenarios/cinder/create-and-delete-volume.yaml",
    "v1/scenarios/cinder/create-and-list-volume.yaml",
)


@pytest.mark.parametrize("name", FILES)
def test_a_file_passes_unmodified_and_leaves_the_cloud_as_it_was(
    name: str, osbench: Osbench, real_cloud: Target
) -> None:
    if not (FOLDER / name).exists():
        pytest.skip(f"no {name} in {FOLDER}")

    check_passes_and_leaves_nothing(FOLDER / name, osbench, real_cloud)
