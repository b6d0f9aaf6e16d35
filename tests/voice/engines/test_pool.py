"""The threads that speech engines compute in."""

import asyncio
import threading

import pytest

from dragoman.voice.engine import EngineError
from dragoman.voice.engines.pool import MOST_WAITING, Once, Pool, Urgency


class Gate:
    """Keeps a pool's one thread busy until it is opened."""

    def __init__(self, pool: Pool) -> None:
        self._open, self._begun = threading.Event(), threading.Event()
        self.job = pool.begin(Urgency.NOW, self._hold)
        assert self._begun.wait(10)

    def _hold(self) -> None:
        self._begun.set()
        assert self._open.wait(10)

    def open(self) -> None:
        self._open.set()


async def test_the_most_urgent_goes_first_and_within_an_urgency_the_first() -> None:
    pool, done = Pool(threads=1), []
    gate = Gate(pool)
    asked = [Urgency.DRAFT, Urgency.NEXT, Urgency.NOW, Urgency.NEXT, Urgency.NOW]
    jobs = [pool.begin(urgency, done.append, (urgency, at)) for at, urgency in enumerate(asked)]
    gate.open()
    await asyncio.gather(*(job.result for job in jobs))
    assert done == sorted(done)


async def test_a_waiting_job_can_be_hastened_and_runs_once() -> None:
    pool, done = Pool(threads=1), []
    gate = Gate(pool)
    draft = pool.begin(Urgency.DRAFT, done.append, "draft")
    following = pool.begin(Urgency.NEXT, done.append, "next")
    pool.hasten(draft, Urgency.NOW)
    gate.open()
    await asyncio.gather(draft.result, following.result)
    await pool.run(Urgency.DRAFT, done.append, "last")
    assert done == ["draft", "next", "last"]


async def test_what_was_given_up_is_not_run() -> None:
    pool, done = Pool(threads=1), []
    gate = Gate(pool)
    waiting = asyncio.ensure_future(pool.run(Urgency.NOW, done.append, "given up"))
    await asyncio.sleep(0)
    waiting.cancel()
    gate.open()
    await pool.run(Urgency.DRAFT, done.append, "last")
    assert done == ["last"]


async def test_an_error_is_for_who_waits_and_the_thread_lives_on() -> None:
    pool = Pool(threads=1)
    with pytest.raises(ZeroDivisionError):
        await pool.run(Urgency.NOW, lambda: 1 // 0)
    assert await pool.run(Urgency.NOW, lambda: 1) == 1


async def test_operations_run_side_by_side_in_several_threads() -> None:
    pool, meeting = Pool(threads=2), threading.Barrier(2)
    await asyncio.gather(*(pool.run(Urgency.NOW, meeting.wait, 10) for _ in range(2)))
    pool.close()


async def test_too_much_waiting_is_refused_with_a_time_to_come_back() -> None:
    pool = Pool(threads=1)
    gate = Gate(pool)
    jobs = [pool.begin(Urgency.DRAFT, int) for _ in range(MOST_WAITING)]
    with pytest.raises(EngineError) as refused:
        await pool.run(Urgency.NOW, int)
    assert refused.value.retry_after
    gate.open()
    await asyncio.gather(*(job.result for job in jobs))


async def test_a_closed_pool_refuses() -> None:
    pool = Pool()
    pool.close()
    with pytest.raises(EngineError, match="closed"):
        await pool.run(Urgency.NOW, int)


async def test_something_is_loaded_once_for_all_who_want_it() -> None:
    loads = []

    async def load() -> int:
        loads.append("load")
        await asyncio.sleep(0)
        return len(loads)

    once = Once(load)
    assert await asyncio.gather(once.get(), once.get()) == [1, 1]
    assert await once.get() == 1


async def test_one_who_leaves_does_not_end_the_loading_for_others() -> None:
    go = asyncio.Event()

    async def load() -> str:
        await go.wait()
        return "loaded"

    once = Once(load)
    impatient, patient = asyncio.ensure_future(once.get()), asyncio.ensure_future(once.get())
    await asyncio.sleep(0)
    impatient.cancel()
    go.set()
    assert await patient == "loaded"


async def test_loading_that_failed_is_tried_again() -> None:
    tries = []

    async def load() -> str:
        tries.append("try")
        if len(tries) == 1:
            raise EngineError("not yet")
        return "loaded"

    once = Once(load)
    with pytest.raises(EngineError, match="not yet"):
        await once.get()
    assert await once.get() == "loaded"
