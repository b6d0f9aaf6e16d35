"""Several workers on one steward, with real messages: in Redis, and in a process's place on a Unix socket."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable

import pytest

from access.test_limits import DOLLAR
from accounts.conftest import clock
from dragoman.access.asking import granted
from dragoman.access.limits import Limiter, Refused
from dragoman.access.principal import Principal
from dragoman.accounts.capacity import AccountSpec
from dragoman.accounts.desk import Candidate, Desk
from dragoman.accounts.lease import Lease, Outcome, Want
from dragoman.accounts.limits import Limits
from dragoman.accounts.links import Link, LinkError, RedisLink, SocketLink, serve_steward
from dragoman.accounts.queue import Ticket
from dragoman.accounts.shared import Shared
from dragoman.accounts.shares import Shares
from dragoman.accounts.steward import Reply, Report
from services import RedisServer

LIMITS = Limits(max_in_flight=3, rpm=1000, tpm=10**6, daily=200 * DOLLAR)


class Worker:
    """What the gateway does: one desk, one line to the steward."""

    def __init__(self, name: str, link: Link, *, limits: Limits = LIMITS, degrade: bool = True, count: int = 3) -> None:
        self.desk = Desk(lambda: 0.5, shared=True)
        self.limiter = Limiter(shared=True)
        self.desk.declare(AccountSpec(name="a", host="h", limits=limits), clock())
        self.roster = self.desk.roster([[Candidate("a", "m", price=(DOLLAR, 0))]])
        self.shares = Shares(name, self.desk, self.limiter, workers=count, rank=int(name))
        self.shared = Shared(self.shares, link, clock=clock, after=self.after, degrade=degrade)

    def after(self) -> None:
        for ticket in self.desk.answered():
            if isinstance(ticket.waker, asyncio.Future) and not ticket.waker.done():
                ticket.waker.set_result(ticket.answer)
        self.shared.nudge()

    async def acquire(self, tokens: int = 1) -> Lease:
        want = Want(roster=self.roster, deadline=clock() + 30, input_tokens=tokens)
        answer = self.desk.acquire(want, clock())
        self.after()
        if isinstance(answer, Ticket):
            answer.waker = asyncio.get_running_loop().create_future()
            answer = await answer.waker
        assert isinstance(answer, Lease), answer
        return answer

    def settle(self, lease: Lease, outcome: Outcome | None = None) -> None:
        self.desk.settle(lease, outcome or Outcome(tokens_in=lease.tokens, cost=lease.cost), clock())
        self.after()

    def holds(self, name: str) -> float:
        return next(share.held for share in self.shares.shown("a", clock()) if share.limit == name)


Workers = Callable[..., "contextlib.AbstractAsyncContextManager[list[Worker]]"]


@contextlib.asynccontextmanager
async def running(links: list[Link], **options: object) -> AsyncIterator[list[Worker]]:
    async with asyncio.timeout(60):
        workers = [Worker(str(i), link, count=len(links), **options) for i, link in enumerate(links)]  # type: ignore[arg-type]  # a test's own
        await asyncio.gather(*(worker.shared.start() for worker in workers))
        try:
            yield workers
        finally:
            for worker in workers:
                await worker.shared.close()


@pytest.fixture(params=["redis", "socket"])
async def links(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[list[Link]]:
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        yield [RedisLink(server.url) for _ in range(3)]
        return
    patient: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    patient.setattr("dragoman.accounts.links.PATIENCE", 30.0)  # all run in this process, however busy the machine is
    path = tmp_path_factory.mktemp("s") / "steward"
    steward = asyncio.create_task(serve_steward(path, clock, first=True))
    while not path.exists():
        await asyncio.sleep(0)
    yield [SocketLink(path) for _ in range(3)]
    steward.cancel()


async def test_no_limit_is_exceeded_and_every_worker_gets_its_turn(links: list[Link]) -> None:
    async with running(links) as workers:
        under_way, most, served = 0, 0, [0, 0, 0]

        async def call(i: int) -> None:
            nonlocal under_way, most
            lease = await workers[i].acquire()
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1
            workers[i].settle(lease)
            served[i] += 1

        await asyncio.gather(*(call(i % 3) for i in range(150)))
        assert most == 3 and served == [50, 50, 50]


async def test_who_waits_in_vain_costs_little(links: list[Link]) -> None:
    """Each look for something to say ends in `after`, which nudges: that must not make it go round and round."""
    async with running(links, limits=Limits(max_in_flight=1)) as workers:
        lease = await workers[0].acquire()
        waiting = asyncio.create_task(workers[1].acquire())
        reports, report = 0, workers[1].shares.report

        def counted(now: float, run: str) -> Report | None:
            nonlocal reports
            reports += 1
            return report(now, run)

        workers[1].shares.report = counted  # type: ignore[method-assign]
        began = clock()
        while clock() < began + 0.5:
            await workers[1].shared.answer()
        assert reports < 40
        workers[0].settle(lease)
        await waiting


async def test_one_slot_goes_round(links: list[Link]) -> None:
    async with running(links, limits=Limits(max_in_flight=1)) as workers:
        lease = await workers[0].acquire()
        others = [asyncio.create_task(worker.acquire()) for worker in workers[1:]]
        await workers[1].shared.answer()
        assert not any(other.done() for other in others)
        workers[0].settle(lease)
        done, waiting = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) == len(waiting) == 1
        first = done.pop()
        workers[1 + others.index(first)].settle(first.result())
        await waiting.pop()


async def test_a_rest_that_one_finds_is_kept_by_all_and_ends_for_all(links: list[Link]) -> None:
    async with running(links) as workers:
        lease = await workers[0].acquire()
        workers[0].settle(lease, Outcome(kind="rate_limited", retry_after=30.0))
        seats = [worker.desk.accounts["a"].seat("m") for worker in workers]
        while not all(seat.cooldown.kind == "rate_limited" for seat in seats):
            await workers[2].shared.answer()
        workers[1].desk.wake("a", clock())
        workers[1].shared.nudge()
        while any(seat.cooldown.kind for seat in seats):
            await workers[2].shared.answer()


async def test_money_is_not_overspent_by_all_together(links: list[Link]) -> None:
    async with running(links, limits=Limits(daily=10 * DOLLAR)) as workers:
        leases = await asyncio.gather(*(workers[i % 3].acquire(tokens=1) for i in range(10)))
        want = Want(roster=workers[0].roster, deadline=clock() + 30, input_tokens=1)
        for worker in workers:
            worker.desk.accounts["a"].purse.opens(0, clock())  # type: ignore[union-attr]  # it has one
            want.roster = worker.roster
            assert not isinstance(worker.desk.acquire(want, clock()), Lease)
            await worker.shared.answer()
        for i, lease in enumerate(leases):
            workers[i % 3].settle(lease)
        assert sum(worker.desk.accounts["a"].purse.today for worker in workers) == 10 * DOLLAR  # type: ignore[union-attr]


async def test_a_keys_limits_hold_for_all_together(links: list[Link]) -> None:
    who = Principal(id="k", rpm=7, budget=DOLLAR)
    async with running(links) as workers:
        outcomes: list[str] = []

        async def call(worker: Worker) -> None:
            try:
                await granted(lambda: worker.limiter.admit(who, clock()), worker.shared)
                await granted(lambda: worker.limiter.reserve(who, DOLLAR // 5, clock()), worker.shared)
            except Refused as refused:
                outcomes.append(refused.kind)
            else:
                outcomes.append("admitted")

        for i in range(12):
            await call(workers[i % 3])
        assert outcomes.count("admitted") == 5 and outcomes[:5] == ["admitted"] * 5
        admitted = sum(worker.limiter._accounts["k"].window.used(clock()) for worker in workers)  # type: ignore[union-attr]
        assert admitted <= 7


async def test_who_leaves_gives_its_share_to_the_others(links: list[Link]) -> None:
    async with running(links[:2]) as workers:
        lease = await workers[0].acquire()
        taken = [await workers[1].acquire() for _ in range(2)]
        waiting = asyncio.create_task(workers[1].acquire())
        await workers[1].shared.answer()
        assert not waiting.done()
        workers[0].settle(lease)
        await workers[0].shared.close()
        taken.append(await waiting)
        assert len(taken) == 3


async def test_redis_that_comes_back_empty_learns_what_is_held(redis_server: RedisServer) -> None:
    async with running([RedisLink(redis_server.url) for _ in range(2)]) as workers:
        leases = [await workers[0].acquire(), await workers[0].acquire(), await workers[1].acquire()]
        redis_server.stop()
        while any(worker.shared.reached for worker in workers):
            await asyncio.gather(*(worker.shared.answer() for worker in workers))
        redis_server.start()
        while not all(worker.shared.reached for worker in workers):
            await asyncio.gather(*(worker.shared.answer() for worker in workers))
        waiting = asyncio.create_task(workers[1].acquire())
        for _ in range(5):
            await workers[1].shared.answer()
        assert not waiting.done()  # all three are still in flight
        workers[0].settle(leases[0])
        await waiting


_STEWARD = """
import asyncio, sys
from pathlib import Path
from accounts.conftest import clock
from dragoman.accounts.links import serve_steward
asyncio.run(serve_steward(Path(sys.argv[1]), clock, first=sys.argv[2] == "first"))
"""


async def test_a_steward_that_is_killed_is_replaced_and_learns_what_is_held(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("s") / "steward"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    async def begin(which: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(sys.executable, "-c", _STEWARD, path, which, env=environment)

    steward = await begin("first")
    try:
        async with running([SocketLink(path) for _ in range(2)]) as workers:
            while not all(worker.shared.reached for worker in workers):
                await asyncio.gather(*(worker.shared.answer() for worker in workers))
            leases = [await workers[0].acquire() for _ in range(2)]
            steward.kill()
            await steward.wait()
            while any(worker.shared.reached for worker in workers):
                await asyncio.gather(*(worker.shared.answer() for worker in workers))
            steward = await begin("again")
            while not all(worker.shared.reached for worker in workers):
                await asyncio.gather(*(worker.shared.answer() for worker in workers))
            await workers[1].acquire()
            waiting = asyncio.create_task(workers[1].acquire())
            await workers[1].shared.answer()
            assert not waiting.done()
            workers[0].settle(leases[0])
            await waiting
    finally:
        steward.kill()
        await steward.wait()


async def test_without_redis_a_worker_goes_on_with_its_part_or_refuses(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dragoman.accounts.shared.FENCE", 0.1)
    url = redis_server.url
    redis_server.stop()
    async with running([RedisLink(url) for _ in range(2)], limits=Limits(max_in_flight=3)) as workers:
        assert not any(worker.shared.refuses for worker in workers)
        for worker in workers:
            worker.shares.away(clock() + 100, degrade=True)
        assert [worker.holds("slots") for worker in workers] == [2, 1]
        await workers[0].acquire()
    async with running([RedisLink(url)], limits=Limits(max_in_flight=3), degrade=False) as (worker,):
        assert worker.shared.refuses and worker.holds("slots") == 0


async def test_a_worker_that_does_not_reach_the_steward_at_once_uses_nothing_while_others_may_have_it_all(
    links: list[Link], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one that is late at the start exceeds a limit that the others hold."""
    first, late = links[:2]

    async def busy(worker: str, poked: Callable[[], None]) -> None:
        raise LinkError("no answer")

    monkeypatch.setattr(late, "connect", busy)
    async with running([first]) as (worker,):
        leases = [await worker.acquire() for _ in range(3)]
        other = Worker("1", late, count=2)
        starting = asyncio.create_task(other.shared.start())
        await other.shared.answer()
        assert other.desk.accounts["a"].concurrency == 0
        waiting = asyncio.create_task(other.acquire())
        monkeypatch.undo()
        worker.settle(leases[0])
        await waiting
        await starting
        await other.shared.close()


class Deaf(Link):
    """Swallows the first cancellation, as `asyncio.wait_for` may before Python 3.12."""

    run = "1"
    asked = swallowed = False

    async def connect(self, worker: str, poked: Callable[[], None]) -> None: ...

    async def exchange(self, report: Report) -> Reply:
        if not self.swallowed:
            self.asked = True
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.swallowed = True
        return Reply(1, 0, False, 0, [], [], [])

    async def close(self) -> None: ...


async def test_a_worker_ends_though_a_cancellation_is_swallowed() -> None:
    """Else it would not end on SIGTERM."""
    link = Deaf()
    async with asyncio.timeout(10) as deadline:
        worker = Worker("0", link)
        starting = asyncio.create_task(worker.shared.start())
        while not link.asked:
            await asyncio.sleep(0)
        await worker.shared.close()
        await starting
    assert link.swallowed and not deadline.expired()
