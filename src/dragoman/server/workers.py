"""Several workers on one socket: forks them, passes signals on, replaces those that die.

Should the process that does this be killed, the workers drain and end: nobody would pass them a signal any more. They
see it by a line whose other end it held; the steward goes when the workers have gone, which it sees alike.
"""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine

log = logging.getLogger("dragoman")
_SOONEST = 1.0  # seconds: a worker that dies younger than this is not replaced at once


STEWARD = -1


class Line:
    """A pipe that nothing is written to. Its `end` can be read as soon as all that held it are gone, however."""

    def __init__(self) -> None:
        self.end, self._held = os.pipe()

    def let_go(self) -> None:
        os.close(self._held)


async def until_gone(line: Line, work: Coroutine[None, None, None]) -> None:
    """Does `work` until nobody holds the line."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_reader(line.end, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def supervise(
    count: int, work: Callable[[int, Line], None], steward: Callable[[bool, Line], None] | None = None
) -> int:
    """Runs `work(number, line)` in `count` forked processes until a signal ends them; and `steward`, which is told
    whether it is the first, in one more, which goes when they have gone. A worker's line is held by this process, the
    steward's by the workers too. Returns the exit status.

    Call it before any thread or event loop exists.
    """
    mine, ours = Line(), Line()
    born: dict[int, tuple[int, float]] = {}
    stopping = False
    stewards = 0

    def start(number: int) -> None:
        nonlocal stewards
        stewards += number == STEWARD
        pid = os.fork()
        if pid == 0:
            for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(name, signal.SIG_DFL)
            status = 1
            try:
                mine.let_go()
                if number != STEWARD:
                    work(number, mine)
                elif steward is not None:
                    ours.let_go()
                    steward(stewards == 1, ours)
                status = 0
            finally:
                os._exit(status)
        born[pid] = (number, time.monotonic())

    def pass_on(number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = stopping or number != signal.SIGHUP
        for pid, (name, _) in list(born.items()):
            if name != STEWARD:
                os.kill(pid, number)

    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, pass_on)
    for number in range(0 if steward is None else STEWARD, count):
        start(number)
    while born:
        pid, status = os.wait()
        number, since = born.pop(pid)
        if stopping:
            if [name for name, _ in born.values()] == [STEWARD]:
                os.kill(next(iter(born)), signal.SIGTERM)
            continue
        who = "the steward of the limits" if number == STEWARD else f"worker {number}"
        log.error("%s ended with status %d: starting another", who, status)
        if time.monotonic() - since < _SOONEST:
            time.sleep(_SOONEST)
        start(number)
    return 0
