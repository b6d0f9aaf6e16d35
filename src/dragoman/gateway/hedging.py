"""A second attempt beside one whose first token is late: the first that answers wins, the other is cancelled."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeAlias, TypeVar

from msgspec import Struct

P = TypeVar("P")
R = TypeVar("R")
Late: TypeAlias = Callable[[float], Awaitable[None]]  # waits so many seconds


class Race(Struct, Generic[P, R]):
    """What came of attempts at `places`. `results`, in the order of their ends: the last is the winner, or none won.
    `lost`: those that were cancelled, or came too late."""

    results: list[tuple[P, R]]
    lost: list[P]


async def race(
    begin: Callable[[P], Coroutine[Any, Any, R]],
    first: P,
    after: float,
    second: Callable[[], P | None],
    *,
    late: Late,
    won: Callable[[R], bool],
    drop: Callable[[R], None],
) -> Race[P, R]:
    """Begins at `first`, and where that has no result after `after` seconds, at what `second` gives, too. `drop` is for
    a result that was good and came too late. Whoever is cancelled leaves nothing running."""
    tasks = {asyncio.ensure_future(begin(first)): first}
    timer = asyncio.ensure_future(late(after))
    ended = Race[P, R]([], [])
    try:
        await asyncio.wait((*tasks, timer), return_when=asyncio.FIRST_COMPLETED)
        if not any(task.done() for task in tasks) and (place := second()) is not None:
            tasks[asyncio.ensure_future(begin(place))] = place
        while tasks:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            task = next(task for task in tasks if task in done)
            result = task.result()
            ended.results.append((tasks.pop(task), result))
            if won(result):
                break
    finally:
        timer.cancel()
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(outcome, BaseException) and won(outcome):
                drop(outcome)
    ended.lost = list(tasks.values())
    return ended
