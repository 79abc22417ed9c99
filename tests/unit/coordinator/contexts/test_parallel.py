import asyncio

import pytest

from osbench.coordinator.contexts.parallel import each


def test_results_come_in_the_order_of_the_items_and_no_more_than_the_limit_run_at_once() -> None:
    running, most = 0, 0

    async def work(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(10 - item % 7):
            await asyncio.sleep(0)
        running -= 1
        return item * 2

    assert asyncio.run(each(range(50), 4, work)) == [item * 2 for item in range(50)]
    assert most == 4


def test_the_first_failure_is_raised_as_it_is_and_the_rest_is_not_begun() -> None:
    begun: list[int] = []

    async def work(item: int) -> None:
        begun.append(item)
        if item == 3:
            raise ValueError("three")
        await asyncio.sleep(0)

    with pytest.raises(ValueError, match="three"):
        asyncio.run(each(range(100), 2, work))
    assert max(begun) < 10
