"""All agents start at the same moment, whatever their clocks say."""

import re

import msgspec
import pytest
from lab.lab import Lab
from lab.site import Site, dummy_task

from osbench.coordinator.daemon.clock_anchor import ClockAnchor
from osbench.coordinator.run_snapshot import unpack_snapshot

pytestmark = pytest.mark.slow

#: By how much the clock of each agent's host is ahead of this machine's, seconds.
SHIFTS_S = {"a": -5, "b": -4, "c": -2, "d": -1, "e": 1, "f": 3, "g": 4, "h": 5}
STARTS = 20
OFFSET = re.compile(r"clock of this life is (-?\d+) ns ahead")


def share(errors: list[float], part: float) -> float:
    """The value that this part of them do not exceed."""
    return errors[min(int(len(errors) * part), len(errors) - 1)]


def test_eight_agents_with_shifted_clocks_start_within_ten_milliseconds(lab: Lab) -> None:
    """Done when: p90 over 20 starts ≤ 10 ms, by one clock that no agent knows of."""
    site = Site(lab, start_margin_s=0.5)
    site.start_coordinator()
    for name, shift_s in SHIFTS_S.items():
        site.join(name, workers=1, shift_s=shift_s)
        site.start_agent(name, "--log-level", "DEBUG")
    site.wait_connected(*SHIFTS_S)
    runners = [{"constant": {"times": 8, "concurrency": 8}} for _ in range(STARTS)]
    task = site.start_task(dummy_task(*runners, sleep_s=0.0))
    ended = site.end_of_task(task, patience_s=200)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    anchor = msgspec.json.decode((site.home / "coordinator-clock.json").read_bytes(), type=ClockAnchor)
    ahead_ns = {}
    for name, shift_s in SHIFTS_S.items():
        found = OFFSET.search(site.agents[name].output())
        assert found is not None, site.agents[name].output()
        ahead_ns[name] = int(found[1]) + shift_s * 1_000_000_000
    errors, worst, believed = [], [], []
    for result in site.results(task):
        with site.opened() as store:
            snapshot = store.run_snapshot(result.run)
            believed += [
                fit.start_error_ns / 1e6 for fit in store.clock_fit_list(result.run) if fit.start_error_ns >= 0
            ]
        start_ns = unpack_snapshot(snapshot).start_ns - anchor.offset_ns
        rows = site.iterations(result.run)
        assert {agent for agent, _, _ in rows} == set(SHIFTS_S)
        late = [abs(row.started_ns - ahead_ns[agent] - start_ns) / 1e6 for agent, _, row in rows]
        errors += late
        worst.append(max(late))
    errors.sort()
    worst.sort()
    believed.sort()
    for what, values in (("", errors), (", worst agent of each", worst), (", as agents believe", believed)):
        told = f"p50 {share(values, 0.5):.2f} ms, p90 {share(values, 0.9):.2f} ms, max {values[-1]:.2f} ms"
        print(f"\nstart error of {len(values)} starts{what}: {told}", end="")
    print()

    assert len(errors) == STARTS * len(SHIFTS_S)
    assert share(errors, 0.9) <= 10.0
