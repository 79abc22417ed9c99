"""Watching tasks: the newest first, nothing waits for a watcher, the outcome is the last."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

from osbench.coordinator.daemon.bulletin import Bulletin
from osbench.coordinator.progress import Phase, ProgressUpdate, TaskOutcome


def update(ended: int) -> ProgressUpdate:
    return ProgressUpdate(task="t", workload=1, workloads=1, scenario="s", phase=Phase.RUNNING, ended=ended)


def test_a_watcher_is_shown_the_newest_then_each_newer_one_and_the_outcome_last() -> None:
    async def watch() -> list[object]:
        bulletin = Bulletin()
        bulletin.post(update(1))
        bulletin.post(update(2))
        shown: list[object] = []
        async for posted in bulletin.watch("t"):
            shown.append(posted)
            if len(shown) == 1:
                asyncio.get_running_loop().call_soon(bulletin.post, update(3))
            elif len(shown) == 2:
                bulletin.post(update(4))
                bulletin.post(TaskOutcome(task="t"))
        return shown

    assert asyncio.run(watch()) == [update(2), update(3), TaskOutcome(task="t")]


def test_a_watcher_may_come_before_the_first_update_and_leave_at_any_time() -> None:
    async def watch() -> object:
        bulletin = Bulletin()
        watching = cast("AsyncIterator[object]", bulletin.watch("t"))
        first = asyncio.ensure_future(anext(watching))
        await asyncio.sleep(0)
        bulletin.post(update(1))
        shown = await first
        await watching.aclose()  # type: ignore[attr-defined]
        bulletin.post(TaskOutcome(task="t"))
        bulletin.clear("t")
        assert bulletin.newest("t") is None
        return shown

    assert asyncio.run(watch()) == update(1)


def test_an_outcome_is_kept_until_the_last_who_watches_has_seen_it() -> None:
    async def watch() -> None:
        bulletin = Bulletin()
        bulletin.post(update(1))
        watching = bulletin.watch("t")
        assert await anext(watching) == update(1)
        bulletin.post(TaskOutcome(task="t"))
        bulletin.clear("t")
        assert [posted async for posted in watching] == [TaskOutcome(task="t")]
        assert bulletin.newest("t") is None

    asyncio.run(watch())
