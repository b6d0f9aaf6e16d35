"""Several workers on one socket: forks them, passes signals on, replaces those that die."""

import logging
import os
import signal
import time
from collections.abc import Callable

log = logging.getLogger("dragoman")
_SOONEST = 1.0  # seconds: a worker that dies younger than this is not replaced at once


STEWARD = -1


def supervise(count: int, work: Callable[[int], None], steward: Callable[[bool], None] | None = None) -> int:
    """Runs `work(number)` in `count` forked processes until a signal ends them; and `steward`, which is told whether it
    is the first, in one more, which goes when they have gone. Returns the exit status.

    Call it before any thread or event loop exists.
    """
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
                if number != STEWARD:
                    work(number)
                elif steward is not None:
                    steward(stewards == 1)
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
