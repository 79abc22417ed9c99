"""Asking a task to end: from the keyboard, and through the store."""

import asyncio
import signal
from collections.abc import Callable

import pytest

from osbench.common.error import StoreError
from osbench.common.task import TaskSpec
from osbench.coordinator.interruption import (
    CANCELLED_WORDS,
    DRAINING_WORDS,
    STOPPING_WORDS,
    Interruption,
    follow_store,
    run_interruptible,
)
from osbench.coordinator.progress import RunControls
from osbench.coordinator.task_state import Task, TaskStatus


class Controls:
    """Notes what a task is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def drain(self) -> None:
        self.asked.append("drain")

    def stop(self) -> None:
        self.asked.append("stop")


class Said:
    """What the user and the task were told, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.cancelled = 0
        self.interruption = Interruption(self.lines.append, self._cancel)

    def _cancel(self) -> None:
        self.cancelled += 1


def test_once_drains_twice_stops_three_times_gives_up() -> None:
    said, controls = Said(), Controls()
    said.interruption.attach(controls)
    for _ in range(4):
        said.interruption.request()

    assert controls.asked == ["drain", "stop"]
    assert said.lines == [DRAINING_WORDS, STOPPING_WORDS, CANCELLED_WORDS]
    assert said.cancelled == 1


@pytest.mark.parametrize(("requests", "asked"), [(0, []), (1, ["drain"]), (2, ["stop"])])
def test_what_was_asked_before_the_task_could_hear_is_passed_on(requests: int, asked: list[str]) -> None:
    said, controls = Said(), Controls()
    for _ in range(requests):
        said.interruption.request()
    said.interruption.attach(controls)

    assert controls.asked == asked


def test_who_asks_for_the_stop_at_once_is_not_told_of_draining() -> None:
    said, controls = Said(), Controls()
    said.interruption.attach(controls)
    said.interruption.reach(2)
    said.interruption.reach(1)

    assert controls.asked == ["stop"]
    assert said.lines == [STOPPING_WORDS]


class Statuses:
    """A store in which the task's status is another one each time it is asked for; an error where it is None."""

    def __init__(self, *statuses: TaskStatus | None) -> None:
        self._statuses = list(statuses)

    def task_get(self, task: str) -> Task:
        status = self._statuses.pop(0)
        if status is None:
            raise StoreError("the database is away")
        spec = TaskSpec(title="", subtasks=(), format_version=2)
        return Task(id=task, deployment="d", title="", status=status, spec=spec)

    async def sleep(self, _seconds: float) -> None:
        if not self._statuses:
            raise asyncio.CancelledError


FOLLOWED = [
    ((TaskStatus.RUNNING, TaskStatus.RUNNING), []),
    ((TaskStatus.RUNNING, TaskStatus.DRAINING, TaskStatus.DRAINING), ["drain"]),
    ((TaskStatus.DRAINING, TaskStatus.ABORTING, TaskStatus.ABORTING), ["drain", "stop"]),
    ((TaskStatus.ABORTING,), ["stop"]),
    ((None, None, TaskStatus.ABORTING), ["stop"]),
    ((TaskStatus.VALIDATING, TaskStatus.ABORTED), ["drain"]),
]


@pytest.mark.parametrize(("statuses", "asked"), FOLLOWED)
def test_the_store_asks_by_the_status_of_the_task(statuses: tuple[TaskStatus | None, ...], asked: list[str]) -> None:
    store, said, controls = Statuses(*statuses), Said(), Controls()
    said.interruption.attach(controls)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(follow_store(store, "t", said.interruption, sleep=store.sleep))

    assert controls.asked == asked


def test_a_signal_reaches_the_task_and_handlers_are_given_back() -> None:
    lines: list[str] = []
    before = signal.getsignal(signal.SIGINT)

    class UntilStopped:
        def __init__(self) -> None:
            self.asked = asyncio.Event()

        def drain(self) -> None:
            signal.raise_signal(signal.SIGHUP)

        def stop(self) -> None:
            self.asked.set()

    async def run_until_stopped() -> str:
        async def task(attach: Callable[[RunControls], None]) -> str:
            controls = UntilStopped()
            attach(controls)
            signal.raise_signal(signal.SIGINT)
            await controls.asked.wait()
            return "stopped"

        return await run_interruptible(task, tasks=Statuses(), task="t", announce=lines.append)

    assert asyncio.run(run_until_stopped()) == "stopped"
    assert lines == [DRAINING_WORDS, STOPPING_WORDS]
    assert signal.getsignal(signal.SIGINT) == before


def test_under_nohup_a_closed_terminal_is_no_request() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    lines: list[str] = []

    async def task(_attach: Callable[[RunControls], None]) -> str:
        signal.raise_signal(signal.SIGHUP)
        await asyncio.sleep(0)
        return "done"

    try:
        assert asyncio.run(run_interruptible(task, tasks=Statuses(), task="t", announce=lines.append)) == "done"
    finally:
        signal.signal(signal.SIGHUP, before)
    assert lines == []
