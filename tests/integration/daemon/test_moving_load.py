"""Load that moves between agents of a run: one joins, one is taken away, and the cloud never sees more than was asked."""

from collections.abc import Callable

import pytest
from daemon_osbench import Daemons
from local_osbench import task_file, wait_for

from osbench.common.clock import NS_PER_MS
from osbench.common.record import decode_rows
from osbench.coordinator.store.values import Event

pytestmark = pytest.mark.slow

TIMES = 3_200
CONCURRENCY = 8
#: By how much two agents' ideas of the start differ at most, on one machine.
BLUR_NS = 2 * NS_PER_MS


def stored(osbench: Daemons) -> tuple[list[tuple[str, int, int, int]], list[Event]]:
    """Agent, index, start and end of each iteration, after the start of the run; and what was noted."""
    store = osbench.store()
    try:
        run = store.run_list(store.task_list()[-1].id)[0]
        rows = [
            (batch.header.agent, row[0], row[2] - batch.header.start_ns, row[3] - batch.header.start_ns)
            for batch in store.batch_iterate(run.id)
            for row in decode_rows(batch.header, batch.body).iterations
        ]
        return rows, list(store.event_list(run.id))
    finally:
        store.close()


def peak_of(rows: list[tuple[str, int, int, int]]) -> int:
    """Most iterations in flight at once, all agents together."""
    edges = [(start + BLUR_NS, 1) for _, _, start, _ in rows] + [(end - BLUR_NS, -1) for _, _, _, end in rows]
    peak = in_flight = 0
    for _, step in sorted(edges):
        in_flight += step
        peak = max(peak, in_flight)
    return peak


def test_who_joins_a_run_gets_a_part_and_who_is_drained_gives_all_away_and_the_load_stays_what_was_asked(
    daemons: Callable[..., Daemons],
) -> None:
    osbench = daemons()
    osbench.start_coordinator()
    osbench.make_cloud()
    for name in "abc":
        osbench.join(name)
    for name in "ab":
        osbench.start_agent(name)
        osbench.wait_connected(name)
    file = task_file(osbench.folder, times=TIMES, concurrency=CONCURRENCY, sleep=0.05)
    task = osbench.start("task", "start", str(file))
    wait_for("the load", lambda: osbench.stored_count() > 0)

    osbench.start_agent("c")
    wait_for("records of c", lambda: "c" in {row[0] for row in stored(osbench)[0]})
    assert osbench.run("agent", "drain", "a").returncode == 0
    task.wait(120)

    rows, events = stored(osbench)
    noted = [event.kind for event in events]
    (drained_ns,) = [event.at_ns for event in events if event.kind == "agent_drained"]
    assert task.returncode == 0
    assert sorted(row[1] for row in rows) == list(range(TIMES))
    assert {"agent_joined", "shares_moving"} <= set(noted)
    assert max(start for agent, _, start, _ in rows if agent == "a") < drained_ns
    assert peak_of(rows) == CONCURRENCY
