"""A second attempt beside one that is late: who answers first wins, the other is cancelled and booked."""

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pytest
from continuing import TEXT, heard, text_of, written
from fake_wire import Recorder, Says, World, account

from dragoman import config
from dragoman.accounts.capacity import AccountSpec
from dragoman.accounts.desk import Candidate, Desk
from dragoman.accounts.lease import Lease, Want
from dragoman.accounts.limits import Limits

WHOLE = written("openai-chat", TEXT)
NAMES = {"a": "x", "b": "y"}


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.cancelled = 0
        self._passes = asyncio.Event()

    async def late(self, seconds: float) -> None:
        self.asked.append(seconds)
        try:
            await self._passes.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def passes(self) -> None:
        self._passes.set()


def hedging(tmp_path: Path, *says: Says, hedge: bool = True, known: int = 20) -> tuple[World, Clock]:
    """Model `m`: account `a` first, then `b`; both have so many first tokens behind them."""
    model = config.Model(name="m", targets=["vllm/x", "vllm/y"], hedge=hedge, price=config.Price(input=1, output=10))
    accounts = [account(name, "vllm", models=[model]) for name, model in NAMES.items()]
    there = World(tmp_path, accounts, [model])
    there.gateway.serving.pool.line_up(there.gateway.serving.directory.find("m").tiers)  # type: ignore[union-attr]
    for name in NAMES:
        for _ in range(known):
            health(there, name).began(0.25)
    for name, each in zip(NAMES, says, strict=False):
        there.wire.will(name, each)
    clock = Clock()
    there.gateway.serving.attempts.late = clock.late
    return there, clock


def health(there: World, name: str) -> Any:
    return there.gateway.leases.desk.accounts[name].seat(NAMES[name]).health


async def turns(count: int = 30) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def begin(there: World, **body: Any) -> tuple[asyncio.Task[None], Recorder]:
    out = Recorder()
    out.rows = there.rows
    call = there.call({"stream": True} | body)
    task = asyncio.create_task(there.gateway.answer(call, out))
    await turns()
    return task, out


def hangs(*pieces: bytes) -> Says:
    return Says(pieces=pieces, hangs=True)


async def test_where_the_first_token_is_late_the_second_attempt_wins(tmp_path: Path) -> None:
    there, clock = hedging(tmp_path, hangs(WHOLE[:100]), Says(pieces=[WHOLE]))
    task, out = await begin(there)
    assert there.tried == ["a"] and not out.status
    assert clock.asked == [health(there, "a").p95]
    clock.passes()
    await task
    assert there.tried == ["a", "b"]
    assert text_of(heard("openai-chat", out.body)[0]) == TEXT
    assert (out.headers["x-dragoman-target"], out.headers["x-dragoman-attempts"]) == ("vllm/y", "2")
    assert there.wire.sources[0].closed
    assert [(there.account(name).in_flight, there.account(name).failed) for name in NAMES] == [(0, 0), (0, 0)]
    (row,) = there.rows
    (share,) = row.shares
    assert (row.hedged, row.target, row.account) == (True, "vllm/y", "b")
    assert (share.account, share.why, share.output, share.estimated) == ("a", "late", 0, True)
    assert share.input > 0 and row.input == share.input + 30
    assert row.cost == (row.input + row.output * 10) * 10**6


async def test_a_first_token_in_time_is_alone(tmp_path: Path) -> None:
    there, clock = hedging(tmp_path, Says(pieces=[WHOLE]))
    task, out = await begin(there, stream_options={"include_usage": True})
    await task
    assert there.tried == ["a"] and clock.cancelled == len(clock.asked)
    assert out.body == WHOLE  # relayed
    assert there.rows[0].hedged is False and there.rows[0].shares == []


async def test_the_first_may_still_win(tmp_path: Path) -> None:
    there, clock = hedging(tmp_path, hangs(), hangs())
    task, out = await begin(there)
    clock.passes()
    await turns()
    assert there.tried == ["a", "b"] and not out.status
    there.wire.sources[0].wake(WHOLE)
    await task
    assert text_of(heard("openai-chat", out.body)[0]) == TEXT
    assert out.headers["x-dragoman-account"] == there.rows[0].account == "a"
    assert there.wire.sources[1].closed and there.rows[0].shares[0].account == "b"
    assert there.account("b").in_flight == 0


async def test_the_first_fails_while_the_second_is_under_way(tmp_path: Path) -> None:
    there, clock = hedging(tmp_path, hangs(), hangs())
    task, out = await begin(there)
    clock.passes()
    await turns()
    there.wire.sources[0].wake()  # it ends before it has begun
    await turns()
    assert not out.status
    there.wire.sources[1].wake(WHOLE)
    await task
    assert out.status == 200 and out.headers["x-dragoman-account"] == "b"
    assert there.account("a").failed == 1 and there.rows[0].shares == []


async def test_when_both_fail_the_client_hears_of_it(tmp_path: Path) -> None:
    there, clock = hedging(tmp_path, hangs(), Says(429, {"error": {"message": "no"}}))
    task, out = await begin(there)
    clock.passes()
    await turns()
    there.wire.sources[0].wake()
    await task
    assert (out.status, out.headers["x-dragoman-error"]) == (429, "rate_limited")
    assert there.account("a").in_flight == there.account("b").in_flight == 0


async def test_a_client_that_leaves_cancels_both(tmp_path: Path) -> None:
    there, clock = hedging(tmp_path, hangs(), hangs(WHOLE[:60]))
    task, _ = await begin(there)
    clock.passes()
    await turns()
    task.cancel()
    await task
    assert [source.closed for source in there.wire.sources] == [True, True]
    assert there.account("a").in_flight == there.account("b").in_flight == 0
    assert there.rows[0].error == "client_left"


@pytest.mark.parametrize(
    ("options", "body"),
    [({"hedge": False}, {}), ({"known": 19}, {}), ({}, {"stream": False})],
    ids=["not asked for", "too little known", "whole replies"],
)
async def test_there_is_no_second_attempt(tmp_path: Path, options: Any, body: Any) -> None:
    there, clock = hedging(tmp_path, hangs(), **options)
    clock.passes()
    task, _ = await begin(there, **body)
    assert there.tried == ["a"] and clock.asked == []
    task.cancel()
    await task


async def test_a_seat_that_ails_is_no_second(tmp_path: Path) -> None:
    there, clock = hedging(tmp_path, hangs())
    for _ in range(3):
        health(there, "b").failed()
    clock.passes()
    task, _ = await begin(there)
    assert there.tried == ["a"] and len(clock.asked) == 1
    task.cancel()
    await task


def test_second_attempts_are_a_small_share_of_the_traffic() -> None:
    desk = Desk(Random(1).random)
    for name in "ab":
        desk.declare(AccountSpec(name=name, host=name, limits=Limits()), 0.0)
    roster = desk.roster([[Candidate(name, "m") for name in "ab"]])
    made = 0
    for _ in range(1000):
        lease = desk.acquire(Want(roster=roster, deadline=1.0), 0.0)
        assert isinstance(lease, Lease)
        second = desk.hedge(lease, 0.0)
        if second is not None:
            assert second.account != lease.account
            made += 1
    assert 50 <= made <= 55
