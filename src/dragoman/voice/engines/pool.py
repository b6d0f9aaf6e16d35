"""The threads that speech engines compute in: few, one for each operation, the most urgent first.

More threads than cores make every session slower, and an engine's own threads would do the same, so those have one each
(`weights.opened`) and all operations of a process go through one pool.
"""

import asyncio
import functools
import heapq
import itertools
import os
import threading
from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import Any, Generic, TypeVar

from dragoman.voice.engine import EngineError

T = TypeVar("T")

MOST_THREADS = 4  # more would leave too little to the event loops
MOST_WAITING = 512  # operations; more than the pool can do within seconds
RETRY = 2.0  # seconds, where there are more


class Urgency(IntEnum):
    """The smaller, the sooner. Within one, first come, first served."""

    NOW = 0  # somebody hears silence until it is done: the final words, the first clause, the judge of a pause
    NEXT = 1  # it will be heard after what is sounding
    DRAFT = 2  # a partial result, which the next one makes obsolete


class Job(Generic[T]):
    """An operation that waits, runs, or is done; `result` tells how it ended. Who cancels that, or sets it,
    gives the rest up."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        self.result: asyncio.Future[T] = self._loop.create_future()
        self.begun = False

    def run(self) -> None:
        """In a thread. Never raises: what goes wrong is for who waits."""
        if self.begun or self.result.done():
            return
        self.begun = True
        try:
            ended = functools.partial(_settle, self.result, self._work(), None)
        except BaseException as error:
            ended = functools.partial(_settle, self.result, None, error)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(ended)


class Pool:
    """Runs functions in threads, which start when there is something to do."""

    def __init__(self, threads: int | None = None) -> None:
        self._size = threads or min(MOST_THREADS, _cores())
        self._waiting: list[tuple[int, int, Job[Any]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._idle = self._alive = 0
        self._closed = False

    async def run(self, urgency: Urgency, work: Callable[..., T], *args: Any) -> T:
        """What `work(*args)` returns or raises. Given up before its turn came, it is not run. Raises `EngineError`
        when too much is waiting."""
        return await self.begin(urgency, work, *args).result

    def begin(self, urgency: Urgency, work: Callable[..., T], *args: Any) -> Job[T]:
        """Like `run`, for who wants to hasten it later, or not to wait."""
        job = Job(functools.partial(work, *args))
        self._put(urgency, job)
        return job

    def hasten(self, job: Job[Any], urgency: Urgency) -> None:
        """Lets a job that still waits go before others."""
        if not job.begun:
            self._put(urgency, job)  # it stands there twice; the second time it has begun

    def close(self) -> None:
        """No more is run; threads end after what they are at."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def _put(self, urgency: Urgency, job: Job[Any]) -> None:
        with self._changed:
            if self._closed:
                raise EngineError("the speech engines are closed")
            if len(self._waiting) >= MOST_WAITING:
                raise EngineError("the speech engines have too much to do", RETRY)
            heapq.heappush(self._waiting, (urgency, next(self._order), job))
            if len(self._waiting) > self._idle and self._alive < self._size:
                self._alive += 1
                threading.Thread(target=self._work, name=f"voice-{self._alive}", daemon=True).start()
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._idle += 1
                    self._changed.wait()
                    self._idle -= 1
                if self._closed:
                    return
                job = heapq.heappop(self._waiting)[2]
            job.run()


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():  # given up meanwhile
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Once(Generic[T]):
    """Something that is loaded in the background when it is first wanted, by everybody together. After a failure, the
    next who wants it tries again."""

    def __init__(self, load: Callable[[], Awaitable[T]]) -> None:
        self._load = load
        self._loading: asyncio.Future[T] | None = None

    async def get(self) -> T:
        """It, loaded. Raises what loading raised."""
        loading = self._loading
        if loading is None or (loading.done() and (loading.cancelled() or loading.exception() is not None)):
            loading = self._loading = asyncio.ensure_future(self._load())
        return await asyncio.shield(loading)
