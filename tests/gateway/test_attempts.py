"""Which attempts are made, in which order, and what the client hears of those that failed."""

import asyncio

import pytest
from fake_wire import CHAT, MESSAGE, Make, Says, account

from dragoman import config
from dragoman.wire.errors import BodyTruncated, ConnectFailed, ConnectionLost, TimedOut, TlsFailed

BOTH = {"targets": ["anthropic/a", "openai/x"]}


def error(status: int, message: str = "no", **headers: str) -> Says:
    return Says(status, {"error": {"message": message, "type": "t", "code": None}}, **headers)


async def test_targets_are_tried_in_the_order_of_preference(world: Make):
    there = world(account("first", "anthropic"), "second", **BOTH)
    there.wire.will("first", Says(500, {}))
    out = await there.ask()
    assert there.tried == ["first", "second"]
    assert (out.status, out.headers["x-dragoman-attempts"]) == (200, "2")
    assert out.headers["x-dragoman-target"] == "openai/x"
    assert out.headers["x-dragoman-account"] == "second"


async def test_equals_are_all_tried_before_the_next_tier(world: Make):
    there = world("a", "b", account("last", "anthropic"), targets=["openai/x", "anthropic/y"])
    there.wire.will("a", Says(503, {}))
    there.wire.will("b", Says(503, {}))
    there.wire.will("last", Says(body=MESSAGE))
    assert (await there.ask()).status == 200
    assert set(there.tried[:2]) == {"a", "b"}
    assert there.tried[2] == "last"


@pytest.mark.parametrize("status", [401, 402, 403, 404, 408, 429, 500, 502, 503, 504, 529])
async def test_a_failure_that_is_not_the_clients_moves_on(world: Make, status: int):
    there = world("a", "b")
    for name in ("a", "b"):
        there.wire.will(name, error(status))
    there.wire.will("a", Says())
    there.wire.will("b", Says())
    await there.ask()
    assert sorted(there.tried) == ["a", "b"]


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_the_clients_own_fault_comes_back_at_once(world: Make, status: int):
    there = world("a", "b")
    for name in ("a", "b"):
        there.wire.will(name, error(status, "you sent nonsense"))
    out = await there.ask()
    assert len(there.tried) == 1
    assert out.status == status
    assert out.json["error"]["message"] == "you sent nonsense"
    for name in ("a", "b"):
        assert not any(seat.rest for seat in there.account(name).seats)


@pytest.mark.parametrize(
    ("problem", "status", "kind"),
    [
        (ConnectFailed("refused"), 502, "upstream_error"),
        (TlsFailed("bad certificate"), 502, "upstream_error"),
        (ConnectionLost("gone"), 502, "upstream_error"),
        (TimedOut("first_byte", 15, "x"), 504, "upstream_timeout"),
    ],
)
async def test_a_broken_wire_moves_on_and_is_told_in_the_end(world: Make, problem, status: int, kind: str):
    there = world("a", "b")
    for name in ("a", "b"):
        there.wire.will(name, Says(pieces=[], error=problem))
    out = await there.ask()
    assert sorted(there.tried) == ["a", "b"]
    assert (out.status, out.headers["x-dragoman-error"]) == (status, kind)


async def test_a_whole_reply_cut_short_is_an_error_not_half_an_answer(world: Make):
    there = world("a")
    there.wire.will("a", Says(pieces=[b'{"id": "c1", "choi'], error=BodyTruncated("cut")))
    out = await there.ask()
    assert (out.status, out.headers["x-dragoman-error"]) == (502, "upstream_error")


async def test_only_an_attempt_with_an_alternative_has_a_short_first_byte(world: Make):
    there = world(account("first", "anthropic"), "second", **BOTH)
    there.wire.will("first", Says(500, {}))
    await there.ask()
    first, second = (sent.timeouts for sent in there.wire.sent)
    assert first.first_byte == 15
    assert second.first_byte == second.total == pytest.approx(600, abs=30)  # what is left
    assert first.connect == second.connect == 5


async def test_an_accounts_time_outs_win_over_the_models_and_the_servers(world: Make):
    there = world(account("a", timeouts=config.Timeouts(first_byte=3)))
    await there.ask()
    (sent,) = there.wire.sent
    assert (sent.timeouts.first_byte, sent.timeouts.idle) == (3, 120)


async def test_an_account_rests_after_its_failure_and_the_other_takes_over(world: Make):
    there = world("a", "b")
    there.wire.will("a", error(429, retry_after="30"))
    there.wire.will("b", Says(), Says(), Says(), Says(), Says())
    for _ in range(5):
        assert (await there.ask()).status == 200
    assert there.tried.count("a") <= 1


async def test_retry_after_is_the_time_until_the_first_is_back(world: Make):
    there = world("a", "b")
    there.wire.will("a", error(429, retry_after="30"))
    there.wire.will("b", error(429, retry_after="20"))
    await there.ask()
    out = await there.ask()
    assert (out.status, out.headers["x-dragoman-error"]) == (429, "rate_limited")
    assert 18 <= int(out.headers["retry-after"]) <= 21
    assert len(there.tried) == 2


async def test_when_all_are_limited_the_first_refusal_tells_when_the_first_is_back(world: Make):
    there = world("a", "b")
    there.wire.will("a", error(429, retry_after="30"))
    there.wire.will("b", error(429, retry_after="20"))
    out = await there.ask()
    assert out.status == 429
    assert int(out.headers["retry-after"]) <= 21


@pytest.mark.parametrize("value", ["nonsense", "-5", "nan", "inf", "1e400", "99999999999", ""])
async def test_a_nonsense_retry_after_is_not_passed_on(world: Make, value: str):
    there = world("a")
    there.wire.will("a", error(429, retry_after=value))
    out = await there.ask()
    assert 1 <= int(out.headers["retry-after"]) <= 60


@pytest.mark.parametrize("status", [401, 402, 403])
async def test_an_accounts_trouble_is_the_gateways_and_its_words_stay_here(world: Make, status: int):
    there = world("a")
    there.wire.will("a", error(status, "Incorrect API key provided: sk-secret-of-a-0123456789. Org org-abc"))
    out = await there.ask()
    assert (out.status, out.headers["x-dragoman-error"]) == (502, "upstream_error")
    assert b"org-abc" not in out.body
    assert b"sk-secret" not in out.body


async def test_nothing_is_occupied_when_all_is_over(world: Make):
    there = world("a", "b")
    for says in (Says(), error(500), error(400), Says(pieces=[], error=ConnectFailed("x")), Says(body=b"{")):
        there.wire.will("a", says)
        there.wire.will("b", says)
        await there.ask()
        await there.ask({"stream": True})
    assert [there.account(name).in_flight for name in ("a", "b")] == [0, 0]


async def test_a_full_account_is_passed_over(world: Make):
    there = world(account("a", max_in_flight=1), "b")
    there.wire.will("a", Says(hangs=True))
    hanging = [asyncio.create_task(there.ask()) for _ in range(9)]  # one of them, at the most, is at "a"
    for _ in range(5):
        await asyncio.sleep(0)
    assert there.tried.count("a") <= 1
    for _ in range(5):
        await there.ask()
    assert there.tried.count("a") <= 1
    for task in hanging:
        task.cancel()


async def test_every_answered_request_is_one_row_before_its_end(world: Make):
    there = world("a")
    there.wire.will("a", Says(), error(400), Says(body=b"nonsense"))
    for body in ({}, {}, {}, {"model": "nobody"}, {"messages": 7}):
        out = await there.ask(body)
        assert out.seen_rows == len(there.rows)
    assert len(there.rows) == 5
    assert [row.status for row in there.rows[:2]] == [200, 400]


async def test_a_relayed_body_is_changed_in_nothing_but_its_model(world: Make):
    there = world("a")
    await there.ask(b'{"model":"m","odd":{"b":1,"a":[1.50,2]},"messages":[{"role":"user","content":"\\u00e9"}]}')
    body = there.wire.sent[0].body
    assert b'"odd":{"b":1,"a":[1.50,2]}' in body
    assert b'"\\u00e9"' in body
    assert there.wire.sent[0].json["model"] == "x"


async def test_a_reply_in_the_clients_dialect_names_who_answered(world: Make):
    there = world("a")
    there.wire.will("a", Says(body=CHAT))
    body = {"max_tokens": 10}
    out = await there.ask(body, "anthropic")
    assert [(block["type"], block["text"]) for block in out.json["content"]] == [("text", "hello")]
    assert out.headers["x-dragoman-target"] == "openai/x"
