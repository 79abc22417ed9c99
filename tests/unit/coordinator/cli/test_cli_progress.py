"""A task under way on the terminal."""

import contextlib
import io
import os
import sys

import pytest

from osbench.common.clock import NS_PER_S, ManualClock
from osbench.coordinator.cli.progress import PlainLines, Silence, bar, choose_display, figures, heading
from osbench.coordinator.progress import Phase, ProgressUpdate

S = NS_PER_S


def update(phase: Phase = Phase.RUNNING, **more: object) -> ProgressUpdate:
    values: dict[str, object] = {"task": "t", "workload": 1, "workloads": 3, "scenario": "Dummy.dummy", "phase": phase}
    return ProgressUpdate(**{**values, **more})  # type: ignore[arg-type]


LINES = [
    (update(), "0  0.00/s  in flight 0  errors 0  p95 -  0:00"),
    (
        update(ended=450, planned=1000, rate_hz=12.34, in_flight=50, failed=3, p95_us=1_234_000, elapsed_ns=42 * S),
        "450/1,000  12.3/s  in flight 50  errors 3  p95 1.234 s  0:42",
    ),
    (
        update(ended=5, rate_hz=1234.5, dropped=7, p95_us=900, elapsed_ns=3700 * S, expected_ns=7200 * S),
        "5  1,234/s  in flight 0  errors 0  dropped 7  p95 0.9 ms  1:01:40 of 2:00:00",
    ),
]


@pytest.mark.parametrize(("state", "line"), LINES)
def test_figures_fit_one_line(state: ProgressUpdate, line: str) -> None:
    assert figures(state) == line


SHARES = [
    (update(), None),
    (update(ended=5, planned=10), 0.5),
    (update(ended=5, dropped=3, planned=10), 0.8),
    (update(elapsed_ns=3 * S, expected_ns=4 * S), 0.75),
    (update(elapsed_ns=9 * S, expected_ns=4 * S), 1.0),
    (update(ended=1, planned=10, elapsed_ns=3 * S, expected_ns=4 * S), 0.1),
    (update(Phase.CLEANING, ended=1, planned=10), 1.0),
]


@pytest.mark.parametrize(("state", "share"), SHARES)
def test_the_share_that_is_done_is_by_iterations_where_they_are_counted(
    state: ProgressUpdate, share: float | None
) -> None:
    assert state.share_done == share


def test_where_nobody_watches_a_line_comes_at_each_phase_and_every_ten_seconds() -> None:
    written: list[str] = []
    clock = ManualClock()
    display = PlainLines(written.append, clock)
    for seconds in range(25):
        clock.current_ns = seconds * S
        display.show(update(Phase.PREPARING if seconds < 3 else Phase.RUNNING, ended=seconds))

    assert [line.split("  ")[0:2] for line in written] == [
        ["[1/3] Dummy.dummy: setting up"],
        ["[1/3] Dummy.dummy: running", "3"],
        ["[1/3] Dummy.dummy: running", "13"],
        ["[1/3] Dummy.dummy: running", "23"],
    ]


def test_a_warning_is_shown_once() -> None:
    written: list[str] = []
    display = Silence(written.append)
    for _ in range(3):
        display.show(update(warning="agent a is lost"))

    assert written == ["Warning: agent a is lost"]


def test_the_detail_of_a_phase_stands_in_the_heading() -> None:
    assert heading(update(Phase.PREPARING, detail="users: 2 of 4")) == "[1/3] Dummy.dummy: setting up (users: 2 of 4)"


@pytest.mark.parametrize("width", [20, 80, 200])
@pytest.mark.parametrize("state", [state for state, _ in LINES] + [update(Phase.PREPARING)])
def test_the_bar_fits_any_terminal(state: ProgressUpdate, width: int) -> None:
    from rich.console import Console

    page = io.StringIO()
    Console(file=page, width=width, force_terminal=False).print(bar(state))

    assert all(len(line) <= width for line in page.getvalue().splitlines())


def test_a_reader_that_went_away_does_not_end_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """`osbench task start … 2>&1 | head` closed the pipe, and the task crashed."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as gone:
        monkeypatch.setattr(sys, "stderr", gone)
        display = choose_display(is_terminal=False, is_quiet=False, clock=ManualClock())
        display.show(update())
        display.announce("more")
        with contextlib.suppress(BrokenPipeError):
            gone.close()
