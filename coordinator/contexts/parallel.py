"""Many things at once, but no more than so many.

Rules: at most `limit` are under way. The first failure ends the rest and is raised as it is, not in a group: the caller
names it to a person.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


async def each(items: Iterable[Item], limit: int, work: Callable[[Item], Awaitable[Result]]) -> list[Result]:
    """Do `work` with each item; the results in the order of the items.

    Args:
        items: taken one by one as there is room.
        limit: how many at once, 1 or more.
        work: what to do with one.

    Raises:
        Exception: the first that `work` raised; the others under way were cancelled.
    """
    numbered = enumerate(items)
    results: dict[int, Result] = {}

    async def worker() -> None:
        for number, item in numbered:
            results[number] = await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(limit):
                group.create_task(worker())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [results[number] for number in sorted(results)]
