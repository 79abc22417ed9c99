"""How what is left to start should lie on workers, so that all have equally long to go.

Rules: whole numbers, and only proportions: what is divided by them is exact in any case. A worker's due is its part of
all that is left, by its slots; by heads where nobody counts slots.
"""

from collections.abc import Mapping
from typing import NamedTuple

from osbench.coordinator.run_snapshot import WorkerKey


class Load(NamedTuple):
    """What a worker has: slots, 1 where nobody counts them, and indices left to start, in shares that have an end."""

    slots: int
    left: int


def lacking(loads: Mapping[WorkerKey, Load], more: int) -> dict[WorkerKey, int]:
    """In which proportion `more` indices should go to these workers: by how far each is below its due.

    Args:
        loads: of each, at least one with a slot. more: 0 for what has no end: then by slots.
    """
    slots = sum(load.slots for load in loads.values())
    total = sum(load.left for load in loads.values()) + more
    found = {key: max(total * load.slots - slots * load.left, 0) for key, load in loads.items() if load.slots}
    if more and any(found.values()):
        return found
    return {key: load.slots for key, load in loads.items()}


def spare(loads: Mapping[WorkerKey, Load], slots_of_others: int) -> dict[WorkerKey, int]:
    """How many indices each of these workers is above its due, when others have nothing, and so many slots."""
    slots = sum(load.slots for load in loads.values()) + slots_of_others
    total = sum(load.left for load in loads.values())
    return {key: max(load.left - total * load.slots // slots, 0) for key, load in loads.items()}
