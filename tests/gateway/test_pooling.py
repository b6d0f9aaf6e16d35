"""What the pool does for calls: waiting, limits, affinity, pinning; and that every lease comes back."""

import asyncio

import pytest
from fake_wire import CHAT, Make, Recorder, Says, account, stream

from dragoman import config
from dragoman.wire.errors import BodyTruncated

PATIENT = config.Server(queue_seconds=30)


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_who_finds_all_busy_waits_and_is_served_when_a_place_is_free(world: Make):
    there = world(account("a", max_in_flight=1), server=PATIENT)
    there.wire.will("a", Says(hangs=True))
    first = asyncio.create_task(there.ask())
    await turns()
    second = asyncio.create_task(there.ask())
    await turns()
    assert not second.done()
    first.cancel()
    assert (await second).status == 200
    assert there.account("a").in_flight == 0


async def test_those_who_wait_are_served_in_the_order_of_their_coming(world: Make):
    there = world(account("a", max_in_flight=1), server=PATIENT)
    there.wire.will("a", Says(hangs=True))
    first = asyncio.create_task(there.ask())
    await turns()
    served: list[int] = []

    async def one(number: int) -> None:
        await there.ask()
        served.append(number)

    tasks = []
    for number in range(5):
        tasks.append(asyncio.create_task(one(number)))
        await turns()
    first.cancel()
    await asyncio.gather(*tasks)
    assert served == [0, 1, 2, 3, 4]


async def test_a_client_that_leaves_the_queue_holds_nothing(world: Make):
    there = world(account("a", max_in_flight=1), server=PATIENT)
    there.wire.will("a", Says(hangs=True))
    first, second = asyncio.create_task(there.ask()), asyncio.create_task(there.ask())
    await turns()
    second.cancel()
    await turns()
    first.cancel()
    assert (await there.ask()).status == 200
    assert there.account("a").in_flight == 0
    assert [row.error for row in there.rows[:2]] == ["client_left", "client_left"]


async def test_a_hopeless_wait_is_refused_at_once_with_the_true_time(world: Make):
    there = world("a", server=PATIENT)
    there.wire.will("a", Says(429, {"error": {"message": "no"}}, retry_after="60"))
    out = await asyncio.wait_for(there.ask(), 10)
    assert (out.status, out.headers["x-dragoman-error"]) == (429, "rate_limited")
    assert 59 <= int(out.headers["retry-after"]) <= 61


async def test_requests_a_minute_are_kept(world: Make):
    there = world(account("a", rpm=3))
    assert [(await there.ask()).status for _ in range(5)] == [200, 200, 200, 429, 429]
    assert len(there.tried) == 3


async def test_a_models_own_limit_leaves_the_others_alone(world: Make):
    there = world(account("a", limits={"x": config.Limits(rpm=1)}), targets=["openai/x", "openai/y"])
    targets = [(await there.ask()).headers["x-dragoman-target"] for _ in range(3)]
    assert targets == ["openai/x", "openai/y", "openai/y"]


async def test_what_the_provider_says_is_left_is_believed(world: Make):
    there = world("a")
    said = {"x_ratelimit_remaining_requests": "1", "x_ratelimit_reset_requests": "50s"}
    there.wire.will("a", Says(**said))
    assert [(await there.ask()).status for _ in range(3)] == [200, 200, 429]


async def test_money_of_a_day_is_not_overspent(world: Make):
    there = world(account("a", daily_usd=0.01), price=config.Price(input=1, output=10))
    there.wire.will("a", *[Says(body=CHAT | {"usage": {"prompt_tokens": 100, "completion_tokens": 100}})] * 20)
    statuses = [(await there.ask()).status for _ in range(20)]
    assert 429 in statuses
    assert sum(row.cost or 0 for row in there.rows) <= 0.01 * 10**12


async def test_an_account_with_a_budget_serves_nothing_without_a_price(world: Make):
    there = world(account("a", monthly_usd=1))
    out = await there.ask()
    assert (out.status, out.headers["x-dragoman-error"]) == (400, "unknown_price")


@pytest.mark.parametrize(
    "more",
    [
        {"headers": {b"x-dragoman-constraints": b"mode=cost; session=abc"}},
        {"headers": {b"session_id": b"abc"}},
        {"body": {"prompt_cache_key": "abc"}},
        {"body": {"dragoman": {"session": "abc"}}},
        {"body": {"messages": [{"role": "user", "content": "long " * 1000}]}},
    ],
)
async def test_a_conversation_stays_at_its_account(world: Make, more):
    there = world("a", "b", "c", "d")
    for _ in range(12):
        assert (await there.ask(**more)).status == 200
    assert len(set(there.tried)) == 1


async def test_conversations_spread_over_the_accounts(world: Make):
    there = world("a", "b", "c", "d")
    for number in range(60):
        await there.ask({"prompt_cache_key": f"conversation-{number}"})
    assert set(there.tried) == {"a", "b", "c", "d"}


async def test_the_cache_key_is_passed_on(world: Make):
    there = world("a")
    await there.ask({"prompt_cache_key": "abc"})
    assert there.wire.sent[0].json["prompt_cache_key"] == "abc"


async def test_a_whole_reply_that_breaks_is_asked_for_elsewhere(world: Make):
    there = world("a", "b")
    for name in ("a", "b"):
        there.wire.will(name, Says(pieces=[b'{"id": "c1"'], error=BodyTruncated("cut")), Says())
    first = await there.ask({"prompt_cache_key": "k"})
    assert first.status == 502 or first.headers["x-dragoman-attempts"] == "2"
    assert len(set(there.tried)) == 2


async def test_a_stream_that_breaks_before_its_first_byte_is_asked_for_elsewhere(world: Make):
    there = world(account("a"), account("b", "anthropic"), targets=["openai/x", "anthropic/y"])
    there.wire.will("a", Says(pieces=[], error=BodyTruncated("cut")))
    there.wire.will("a", stream(error=None))
    out = await there.ask({"stream": True})
    assert there.tried[0] == "a"
    assert out.headers["x-dragoman-attempts"] == "2"


async def test_a_stream_that_breaks_counts_against_its_account(world: Make):
    there = world("a")
    there.wire.will("a", stream(end=b"", error=BodyTruncated("cut")))
    out = await there.ask({"stream": True})
    assert b"stream_broken" in out.body
    seen = there.account("a")
    assert (seen.served, seen.failed, seen.in_flight) == (0, 1, 0)


async def test_a_client_that_leaves_is_no_fault_of_the_account(world: Make):
    there = world("a")
    there.wire.will("a", stream(hangs=True))
    out = Recorder()
    task = asyncio.create_task(there.gateway.answer(there.call({"stream": True}), out))
    await out.wrote.wait()
    task.cancel()
    await task
    seen = there.account("a")
    assert (seen.failed, seen.in_flight) == (0, 0)
    assert all(source.closed for source in there.wire.sources)


async def test_a_reload_keeps_what_is_known_of_accounts_that_did_not_change(world: Make):
    there = world("a", "b")
    there.wire.will("a", *[Says(429, {"error": {"message": "no"}}, retry_after="300")] * 3)
    while "a" not in there.tried:
        await there.ask()
    there.gateway.reload(there.settings)
    for _ in range(6):
        assert (await there.ask()).headers["x-dragoman-account"] == "b"


async def test_an_account_that_is_gone_after_a_reload_gets_nothing_more(world: Make):
    there = world("a", "b")
    fewer = config.Config(
        state=there.settings.state, accounts=[there.settings.accounts[1]], models=there.settings.models
    )
    there.gateway.reload(fewer)
    for _ in range(6):
        assert (await there.ask()).headers["x-dragoman-account"] == "b"
    assert [view.name for view in there.gateway.serving.pool.views()] == ["b"]


async def test_a_name_of_any_length_keeps_a_conversation_together_and_costs_little(world: Make):
    there = world("a", "b", "c", "d")
    for _ in range(8):
        await there.ask({"prompt_cache_key": "k" * 100_000})
    assert len(set(there.tried)) == 1
    tiers = there.gateway.serving.directory.find("m").tiers
    (tier,) = there.gateway.serving.pool.line_up(tiers).roster.tiers
    assert all(len(key) < 200 for key in tier._homes)


async def test_model_names_that_clients_make_up_leave_little_behind(world: Make):
    """Memory grows for days (litellm#12685, #27954)."""
    there = world("a")
    for i in range(2500):
        assert (await there.ask(CHAT | {"model": f"openai/made-up-{i}"})).status == 200
    assert len(there.account("a").seats) <= 1001
