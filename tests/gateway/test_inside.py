"""Questions from inside the process go the way of any call: pool, limits, ledger; and some are asked on the chance."""

import asyncio

from fake_wire import Says, stream

from dragoman import config
from dragoman.access.principal import Principal
from dragoman.canon import Broken, End, Message, PartDelta, Request, Text, Used
from dragoman.gateway.inside import Inside, costs

QUESTION = Request(dialect="inside", messages=[Message(role="user", parts=[Text(text="hi")])])
CALLER = Principal(id="key_1", name="caller", budget=10**12)
PRICE = config.Price(input=1, output=10)


def words(events):
    return "".join(event.text for event in events if isinstance(event, PartDelta))


async def test_an_answer_comes_as_canon_events_with_its_target_and_decision(world):
    there = world("a")
    there.wire.will("a", stream())
    asked = Inside(there.gateway, "m", surface="realtime.ga").ask(QUESTION)
    events = [event async for event in asked.events()]
    assert words(events) == "hello" and isinstance(events[-1], End)
    assert next(e for e in events if isinstance(e, Used)).usage.input == 5
    assert asked.target == "openai/x" and asked.decision == there.rows[0].decision and asked.route is not None
    assert there.rows[0].dialect == "realtime.ga" and there.rows[0].status == 200
    assert there.wire.sent[0].json["messages"] == [{"role": "user", "content": "hi"}]


async def test_a_provider_of_another_dialect_is_asked_in_its_own(world):
    there = world(config.Account(name="a", provider="anthropic", key=config.Secret("sk-x"), base_url="http://a.test"),
                  targets=["anthropic/x"])  # fmt: skip
    there.wire.will("a", Says(529, {"error": {"type": "overloaded_error", "message": "busy"}}))
    events = [event async for event in Inside(there.gateway, "m").ask(QUESTION).events()]
    assert there.wire.sent[0].target == "/v1/messages"
    assert isinstance(events[-1], Broken) and events[-1].failure.status >= 429


async def test_a_refusal_ends_the_answer_and_says_its_kind(world):
    there = world("a")
    events = [event async for event in Inside(there.gateway, "nobody").ask(QUESTION).events()]
    assert [type(event) for event in events] == [Broken]
    assert events[0].failure.kind == "unknown_model" and "nobody" in events[0].failure.message


async def test_a_failed_attempt_is_followed_by_another(world):
    there = world("a", "b")
    there.wire.will("a", Says(500, {}))
    there.wire.will("b", stream())
    events = [event async for event in Inside(there.gateway, "m").ask(QUESTION).events()]
    assert words(events) == "hello" and sorted(set(there.tried)) == sorted(there.tried)


async def test_who_stops_reading_cancels_the_upstream_call(world):
    there = world("a")
    there.wire.will("a", stream(end=b"", hangs=True))
    events = Inside(there.gateway, "m").ask(QUESTION).events()
    async for event in events:
        if isinstance(event, PartDelta):
            break
    await events.aclose()
    assert there.wire.sources[0].closed and there.rows[0].error == "client_left"


async def asked_on_the_chance(there, wanted, *, late):
    inside = Inside(there.gateway, "m", principal=CALLER)
    there.wire.will("a", stream())
    asked = inside.ask(QUESTION, speculative=True)
    if not late:
        (asked.take if wanted else asked.drop)()
    events = [event async for event in asked.events()]
    assert words(events) == "hello"
    if late:
        assert there.rows == []
        (asked.take if wanted else asked.drop)()
    return there.rows


async def test_an_answer_on_the_chance_is_the_caller_s_once_it_is_wanted(world):
    for late in (False, True):
        there = world("a", price=PRICE)
        (row,) = await asked_on_the_chance(there, True, late=late)
        assert row.key == "key_1" and row.cost and row.tags == {}
        assert there.gateway.limiter.spent(CALLER, there.gateway.leases.now()) == row.cost


async def test_an_answer_nobody_wanted_is_booked_and_not_the_caller_s_to_pay(world):
    for late in (False, True):
        there = world("a", price=PRICE)
        (row,) = await asked_on_the_chance(there, False, late=late)
        assert row.key is None and row.cost and row.tags == {"speculation": "dropped"}
        assert there.gateway.limiter.spent(CALLER, there.gateway.leases.now()) == 0


async def test_a_decision_is_made_once(world):
    there = world("a", price=PRICE)
    there.wire.will("a", stream())
    asked = Inside(there.gateway, "m", principal=CALLER).ask(QUESTION, speculative=True)
    asked.drop()
    asked.take()
    [event async for event in asked.events()]
    assert [row.tags for row in there.rows] == [{"speculation": "dropped"}]


async def test_a_slow_listener_makes_the_upstream_wait(world):
    there = world("a")
    piece = {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": {"content": "x"}}]}
    there.wire.will("a", stream([piece] * 2000))
    events = Inside(there.gateway, "m").ask(QUESTION).events()
    await anext(events)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(there.wire.sources[0].pieces) > 1000
    assert len(words([event async for event in events])) == 2000


def test_a_model_costs_unless_all_of_its_targets_are_known_to_be_free(world):
    assert costs(world("a", targets=["openai/unheard-of"]).gateway, "m")
    assert costs(world("a", targets=["openai/gpt-4o"]).gateway, "m")
    free = config.Account(name="v", provider="vllm", base_url="http://v.test/v1")
    assert not costs(world(free, targets=["vllm/x"]).gateway, "m")
    assert costs(world(free, "a", targets=["vllm/x", "openai/gpt-4o"]).gateway, "m")
    assert costs(world(free, targets=["vllm/x"]).gateway, "no such model")


async def test_a_question_on_the_chance_counts_as_a_request_once_it_is_wanted(world):
    limited = Principal(id="key_2", name="caller", rpm=1)
    for wanted, status in ((False, 200), (True, 429)):
        there = world("a")
        there.wire.will("a", stream(), stream())
        asked = Inside(there.gateway, "m", principal=limited).ask(QUESTION, speculative=True)
        (asked.take if wanted else asked.drop)()
        assert words([event async for event in asked.events()]) == "hello"
        [event async for event in Inside(there.gateway, "m", principal=limited).ask(QUESTION).events()]
        assert there.rows[-1].status == status


async def test_what_is_never_decided_is_never_booked(world):
    there = world("a")
    there.wire.will("a", stream())
    [event async for event in Inside(there.gateway, "m").ask(QUESTION, speculative=True).events()]
    assert there.rows == []
