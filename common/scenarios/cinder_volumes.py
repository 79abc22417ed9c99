"""CinderVolumes: volumes as load.

Rules: names, arguments and atomic actions are Rally's. A volume's name is the iteration's, so that one whose create was
never answered is found by clean-up.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict, Unpack, cast

from osbench.common.cloud.cinder import Cinder, Volume, is_available, is_gone
from osbench.common.scenarios.contract import Iteration
from osbench.common.scenarios.definition import Bounds, Image, Size, scenario, size_of
from osbench.common.scenarios.failure import ScenarioFailure
from osbench.common.scenarios.polling import wait_for

Seconds = Annotated[float, Bounds(0)]


class VolumeArguments(TypedDict, total=False):
    """What may be said of a new volume beside size and image.

    Attributes:
        description: text.
        volume_type: id or name of its type.
        availability_zone: where it is to be.
        metadata: of the volume.
        snapshot_id: the snapshot it is filled with.
    """

    description: str
    volume_type: str
    availability_zone: str
    metadata: dict[str, str]
    snapshot_id: str


def _sleep_check(arguments: Mapping[str, Any]) -> str:
    low, high = arguments.get("min_sleep", 0), arguments.get("max_sleep", 0)
    return f"min_sleep {low:g} is greater than max_sleep {high:g}" if low > high else ""


@scenario("CinderVolumes.create_and_list_volume", services=("cinder",), needs_users=True, cleanup=("volume",))
async def create_and_list_volume(
    it: Iteration,
    *,
    size: Size,
    detailed: bool = True,
    image: Image | None = None,
    **arguments: Unpack[VolumeArguments],
) -> None:
    """Make a volume and list the volumes of the user's project.

    The volumes are removed after the run, so the lists grow.

    Args:
        size: of the volume, GiB; {min, max} for a random one each time.
        detailed: all of each volume, or only ids and names.
        image: the volume is filled with it.
    """
    await create_volume(it, size, image, arguments)
    with it.action("cinder.list_volumes"):
        await cast(Cinder, it.client("cinder")).list_volumes(detailed)


@scenario(
    "CinderVolumes.create_and_delete_volume",
    services=("cinder",),
    needs_users=True,
    cleanup=("volume",),
    check=_sleep_check,
)
async def create_and_delete_volume(
    it: Iteration,
    *,
    size: Size,
    image: Image | None = None,
    min_sleep: Seconds = 0,
    max_sleep: Seconds = 0,
    **arguments: Unpack[VolumeArguments],
) -> None:
    """Make a volume, and delete it once it is available.

    Between the two it may stand for a random time, which counts as idle.

    Args:
        size: of the volume, GiB; {min, max} for a random one each time.
        image: the volume is filled with it.
        min_sleep: shortest time between, seconds.
        max_sleep: longest time between, seconds.
    """
    volume = await create_volume(it, size, image, arguments)
    if max_sleep > 0:
        await it.idle(it.random.uniform(min_sleep, max_sleep))
    await delete_volume(it, volume.id)


async def create_volume(it: Iteration, size: Size, image: Image | None, arguments: VolumeArguments) -> Volume:
    """Atomic action cinder.create_volume: create and wait until it is available.

    Returns:
        The volume, available.
    """
    cinder = cast(Cinder, it.client("cinder"))
    size_gib = size_of(size, it.random)
    given = {key: value for key, value in arguments.items() if value is not None}
    with it.action("cinder.create_volume") as action:
        asked = await cinder.create_volume(it.name(), size_gib, image=image, more=given)
        made = await wait_for(it, action, "volume_create", lambda: cinder.poll_volume(asked.id), _is_made)
    return cast(Volume, made)


async def delete_volume(it: Iteration, volume_id: str) -> None:
    """Atomic action cinder.delete_volume: ask for it and wait until it is gone."""
    cinder = cast(Cinder, it.client("cinder"))
    with it.action("cinder.delete_volume") as action:
        await cinder.delete_volume(volume_id)
        await wait_for(it, action, "volume_delete", lambda: cinder.poll_volume(volume_id), is_gone)


def _is_made(volume: Volume | None) -> bool:
    if volume is None:
        raise ScenarioFailure("volume_gone", "the volume vanished while it was made")
    return is_available(volume)
