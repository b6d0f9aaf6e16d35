"""Several workers on one socket: forks them, passes signals on, replaces those that die."""

import logging
import os
import signal
import time
from collections.abc import Callable

log = logging.getLogger("dragoman")
_SOONEST = 1.0  # seconds: a worker that dies younger than this is not replaced at once


def supervise(count: int, work: Callable[[int], None]) -> int:
    """Runs `work(number)` in `count` forked processes until a signal ends them. Returns the exit status.

    Call it before any thread or event loop exists.
    """
    born: dict[int, tuple[int, float]] = {}
    stopping = False

    def start(number: int) -> None:
        pid = os.fork()
        if pid == 0:
            for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(name, signal.SIG_DFL)
            status = 1
            try:
                work(number)
                status = 0
            finally:
                os._exit(status)
        born[pid] = (number, time.monotonic())

    def pass_on(number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = stopping or number != signal.SIGHUP
        for pid in list(born):
            os.kill(pid, number)

    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, pass_on)
    for number in range(count):
        start(number)
    while born:
        pid, status = os.wait()
        number, since = born.pop(pid)
        if stopping:
            continue
        log.error("worker %d ended with status %d: starting another", number, status)
        if time.monotonic() - since < _SOONEST:
            time.sleep(_SOONEST)
        start(number)
    return 0
