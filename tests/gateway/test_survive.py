"""A stream that breaks after its first byte goes on elsewhere, and its client sees one answer."""

import asyncio
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from continuing import TEXT, USED, beginning, breaks, calling, heard, rest, text_of, written
from fake_wire import Make, Recorder, Says, Sent, World, account
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman import config
from dragoman.canon import Broken, End, ToolCall
from dragoman.wire.errors import BodyTruncated, ConnectionLost, TimedOut

CLIENTS = ["openai-chat", "anthropic", "openai-responses", "gemini", "ollama"]
PROVIDERS = {"anthropic": "anthropic", "vllm": "openai-chat", "mistral": "openai-chat", "openai": "openai-chat"}
HOW = {"anthropic": "exact", "vllm": "exact", "mistral": "echo", "openai": "asked"}
TARGET = {name: f"{name}/m" for name in PROVIDERS}


def model(*targets: str, **more: Any) -> config.Model:
    return config.Model(name="m", targets=list(targets), on_break="resume", **more)


def survivors(folder: Path, first: str, second: str, **more: Any) -> World:
    """Accounts `a` of `first` and `b` of `second`; streams of `m` survive."""
    accounts = [account("a", first), account("b", second)]
    targets = [TARGET[first]] if first == second else [TARGET[first], TARGET[second]]
    return World(folder, accounts, [model(*targets, **more)])


def asked(dialect: str, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"stream": True, **more}
    if dialect == "openai-responses":
        body |= {"input": "hi"}
    elif dialect == "gemini":
        body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], **more}
    elif dialect == "anthropic":
        body |= {"max_tokens": 900}
    elif dialect == "openai-chat":
        body |= {"stream_options": {"include_usage": True}}
    return body


def _first(there: World, dies: Says, then: Callable[[Sent], Says]) -> Callable[[Sent], Says]:
    """The first attempt of a call, whoever makes it, ends so; the others go on."""
    return lambda sent: dies if len(there.wire.sent) == 1 else then(sent)


async def ask(there: World, dialect: str, **more: Any) -> Recorder:
    path = {"model": "m", "stream": True} if dialect == "gemini" else {}
    return await there.ask(asked(dialect, **more), dialect, **path)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("second", PROVIDERS)
@pytest.mark.parametrize("first", ["anthropic", "vllm"])
def test_wherever_it_breaks_the_client_gets_the_whole_text_once(client: str, first: str, second: str) -> None:
    whole = written(PROVIDERS[first], TEXT)

    @settings(max_examples=12, deadline=None)
    @given(st.integers(1, len(whole) - 1), st.lists(st.integers(0, 5000), max_size=5))
    def anywhere(at: int, cuts: list[int]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            there = survivors(Path(folder), first, second)
            more = rest(PROVIDERS[second], how=HOW[second], cuts=cuts)
            for name in "ab":
                there.wire.will(name, _first(there, breaks(PROVIDERS[first], at), more))
            out = asyncio.run(ask(there, client))
            reply, last = heard(client, out.body)
            assert isinstance(last, End)
            assert text_of(reply) == TEXT
            assert reply.usage is not None and reply.usage.output >= 1
            (row,) = there.rows
            assert row.error is None and row.resumed == len(there.tried) - 1 <= 1

    anywhere()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_tool_call_that_broke_is_made_anew_and_comes_once(client: str) -> None:
    whole = calling("anthropic", TEXT, "1")

    @settings(max_examples=15, deadline=None)
    @given(st.integers(1, len(whole) - 1))
    def anywhere(at: int) -> None:
        def second(sent: Sent) -> Says:
            said, _ = beginning(sent.json)
            assert TEXT.startswith(said) and "tool_calls" not in str(sent.json["messages"])
            return Says(pieces=[calling("openai-chat", TEXT[len(said) :], "2")])

        with tempfile.TemporaryDirectory() as folder:
            there = survivors(Path(folder), "anthropic", "vllm")
            there.wire.will("a", Says(pieces=[whole[:at]], error=ConnectionLost("gone")))
            there.wire.will("b", second)
            out = asyncio.run(ask(there, client))
            reply, last = heard(client, out.body)
            calls = [part for part in reply.choices[0].parts if isinstance(part, ToolCall)]
            assert isinstance(last, End)
            assert text_of(reply) == TEXT
            assert [json.loads(call.arguments) for call in calls] == [{"city": "Rome"}, {"city": "Oslo"}]
            assert reply.choices[0].finish == "tool_calls"

    anywhere()


async def test_the_account_that_broke_is_left_and_both_are_booked(tmp_path: Path) -> None:
    there = survivors(tmp_path, "anthropic", "vllm", price=config.Price(input=1, output=10))
    there.wire.will("a", breaks("anthropic", 900))
    there.wire.will("b", rest("openai-chat"))
    out = await ask(there, "openai-chat")
    assert there.tried == ["a", "b"]
    assert out.headers["x-dragoman-target"] == "anthropic/m" and out.headers["x-dragoman-attempts"] == "1"
    assert out.body.count(b": dragoman-resumed target=vllm/m\n\n") == 1
    (row,) = there.rows
    (share,) = row.shares
    assert (row.target, row.account, row.attempts, row.resumed) == ("vllm/m", "b", 2, 1)
    assert (share.target, share.account, share.why, share.estimated) == ("anthropic/m", "a", "broke", True)
    assert share.output > 1
    assert (row.input, row.output) == (share.input + USED.input, share.output + USED.output)
    reply, _ = heard("openai-chat", out.body)
    assert reply.usage is not None and reply.usage.output == row.output
    assert reply.model == "m-up"
    assert row.cost == (row.input * 1 + row.output * 10) * 10**6
    assert (there.account("a").failed, there.account("a").in_flight) == (1, 0)
    assert (there.account("b").served, there.account("b").in_flight) == (1, 0)


@pytest.mark.parametrize(
    "dies",
    [
        Says(pieces=[written("anthropic", TEXT)[:900]]),
        Says(pieces=[written("anthropic", TEXT)[:900]], error=BodyTruncated("cut")),
        Says(pieces=[written("anthropic", TEXT)[:900]], error=TimedOut("idle", 120, "x")),
        Says(pieces=[
            written("anthropic", TEXT)[:900].rpartition(b"\n\n")[0] + b"\n\n"
            b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
        ]),
    ],
)  # fmt: skip
async def test_every_way_to_die_is_survived(tmp_path: Path, dies: Says) -> None:
    there = survivors(tmp_path, "anthropic", "vllm")
    there.wire.will("a", dies)
    there.wire.will("b", rest("openai-chat"))
    reply, last = heard("anthropic", (await ask(there, "anthropic")).body)
    assert isinstance(last, End) and text_of(reply) == TEXT


async def test_it_survives_as_often_as_there_is_someone_left(tmp_path: Path) -> None:
    accounts = [account(name, "anthropic") for name in "abc"]
    there = World(tmp_path, accounts, [model("anthropic/m")])

    def staged(sent: Any) -> Says:
        return stages[len(there.wire.sent) - 1](sent)

    def next_break(sent: Any) -> Says:
        said = sent.json["messages"][-1]["content"]
        return breaks("anthropic", 700, text=TEXT[len(said) :])

    stages = [lambda sent: breaks("anthropic", 700), next_break, rest("anthropic")]
    for name in "abc":
        there.wire.will(name, staged)
    reply, last = heard("anthropic", (await ask(there, "anthropic")).body)
    assert isinstance(last, End) and text_of(reply) == TEXT
    assert sorted(there.tried) == ["a", "b", "c"]
    assert there.rows[0].resumed == 2


async def test_without_the_policy_the_stream_ends_in_an_error(world: Make) -> None:
    there = world(account("a", "anthropic"), account("b", "anthropic"), targets=["anthropic/m"])
    for name in "ab":
        there.wire.will(name, breaks("anthropic", 900))
    out = await ask(there, "anthropic")
    assert isinstance(heard("anthropic", out.body)[1], Broken) and len(there.tried) == 1
    assert out.body.startswith(written("anthropic", TEXT)[:800])  # relayed as it came


async def test_when_nobody_is_left_the_stream_ends_in_an_error(tmp_path: Path) -> None:
    there = survivors(tmp_path, "anthropic", "vllm")
    there.wire.will("a", breaks("anthropic", 900))
    there.wire.will("b", Says(500, {}))
    out = await ask(there, "anthropic")
    reply, last = heard("anthropic", out.body)
    assert isinstance(last, Broken) and TEXT.startswith(text_of(reply)) and text_of(reply)
    (row,) = there.rows
    assert (row.error, row.resumed, row.target, row.status) == ("stream_broken", 0, "anthropic/m", 200)
    assert row.output > 0
    assert there.account("a").in_flight == there.account("b").in_flight == 0


async def test_a_target_that_will_not_be_asked_so_is_passed_over(tmp_path: Path) -> None:
    accounts = [account("a", "anthropic"), account("b", "vllm"), account("c", "openai")]
    there = World(tmp_path, accounts, [model("anthropic/m", "vllm/m", "openai/m")])
    there.wire.will("a", breaks("anthropic", 900))
    there.wire.will("b", Says(400, {"error": {"message": "Cannot set `continue_final_message`"}}))
    there.wire.will("c", rest("openai-chat", how="asked"))
    reply, last = heard("anthropic", (await ask(there, "anthropic")).body)
    assert isinstance(last, End) and text_of(reply) == TEXT
    assert there.tried == ["a", "b", "c"]


async def test_a_client_that_leaves_the_second_stream_cancels_it(tmp_path: Path) -> None:
    there = survivors(tmp_path, "anthropic", "vllm")
    there.wire.will("a", breaks("anthropic", 900))
    there.wire.will("b", Says(pieces=[written("openai-chat", TEXT)[:300]], hangs=True))
    out = Recorder()
    task = asyncio.create_task(there.gateway.answer(there.call(asked("anthropic"), "anthropic"), out))
    while len(there.tried) < 2:
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()
    await task
    assert there.wire.sources[-1].closed
    assert there.account("b").in_flight == 0
    assert there.rows[0].error == "client_left" and there.rows[0].output > 0


@pytest.mark.parametrize(
    "more",
    [
        {"n": 2},
        {"logprobs": True},
        {"modalities": ["text", "audio"], "audio": {"voice": "x", "format": "wav"}},
    ],
)
async def test_what_cannot_be_gone_on_with_is_not_tried(tmp_path: Path, more: dict[str, Any]) -> None:
    there = survivors(tmp_path, "vllm", "vllm")
    for name in "ab":
        there.wire.will(name, breaks("openai-chat", 900))
    out = await ask(there, "openai-chat", **more)
    assert isinstance(heard("openai-chat", out.body)[1], Broken) and len(there.tried) == 1


async def test_an_answer_of_a_given_form_is_made_anew_only_before_it_began(tmp_path: Path) -> None:
    began = written("openai-chat", TEXT).index(b'"The s"')
    for at, tries, end in ((began - 60, 2, End), (began + 400, 1, Broken)):
        there = survivors(tmp_path / str(at), "vllm", "vllm")
        dies, whole = breaks("openai-chat", at), rest("openai-chat")
        for name in "ab":
            there.wire.will(name, _first(there, dies, whole))
        out = await ask(there, "openai-chat", response_format={"type": "json_object"})
        assert (len(there.tried), type(heard("openai-chat", out.body)[1])) == (tries, end)
        assert all("continue_final_message" not in sent.json for sent in there.wire.sent)


async def test_thinking_that_was_shown_is_not_gone_on_with(tmp_path: Path) -> None:
    there = survivors(tmp_path, "vllm", "vllm")
    chunk = b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}\n\n'
    for name in "ab":
        there.wire.will(name, Says(pieces=[chunk]))
    out = await ask(there, "anthropic")
    assert isinstance(heard("anthropic", out.body)[1], Broken) and len(there.tried) == 1
    assert b"thinking" in out.body


async def test_the_clients_own_beginning_is_gone_on_with(tmp_path: Path) -> None:
    there = survivors(tmp_path, "anthropic", "anthropic")
    own = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Well:"}]
    dies = breaks("anthropic", 900)
    for name in "ab":
        there.wire.will(name, _first(there, dies, rest("anthropic", "Well:" + TEXT)))
    reply, _ = heard("anthropic", (await ask(there, "anthropic", messages=own)).body)
    assert text_of(reply) == TEXT
    assert [message["role"] for message in there.wire.sent[1].json["messages"]] == ["user", "assistant"]
    assert there.wire.sent[1].json["max_tokens"] < 900


async def test_headers_for_the_dialects_maker_are_passed_on(tmp_path: Path) -> None:
    there = survivors(tmp_path, "anthropic", "anthropic")
    for name in "ab":
        there.wire.will(name, Says(pieces=[written("anthropic", TEXT)]))
    await there.ask(asked("anthropic"), "anthropic", headers={b"anthropic-beta": b"x-2026"})
    assert "anthropic-beta: x-2026" in there.wire.sent[0].headers


async def test_responses_that_survive_are_kept_whole(tmp_path: Path) -> None:
    there = survivors(tmp_path, "anthropic", "vllm")
    there.wire.will("a", breaks("anthropic", 900))
    there.wire.will("b", rest("openai-chat"))
    path = {"op": "respond", "own_ids": True}
    out = await there.ask(asked("openai-responses"), "openai-responses", **path)
    reply, _ = heard("openai-responses", out.body)
    assert text_of(reply) == TEXT
    kept = await there.gateway.responses.load(reply.id, None)
    assert kept is not None and TEXT in msgspec.json.encode(kept.response).decode().replace("\\n", "\n")


async def test_a_routes_own_word_holds_and_its_decision_names_every_attempt(tmp_path: Path) -> None:
    accounts = [account("a", "anthropic"), account("b", "vllm")]
    models = [
        config.Model(name=name, targets=[target], price=config.Price(input=1, output=1), quality=quality)
        for name, target, quality in (("strong", "anthropic/m", 0.9), ("weak", "vllm/m", 0.5))
    ]
    route = config.Route(name="m", models=["strong", "weak"], mode="quality", on_break="resume")
    there = World(tmp_path, accounts, models, routes=[route])
    there.wire.will("a", breaks("anthropic", 900))
    there.wire.will("b", rest("openai-chat"))
    reply, last = heard("anthropic", (await ask(there, "anthropic")).body)
    assert isinstance(last, End) and text_of(reply) == TEXT
    (row,) = there.rows
    attempts = json.loads(bytes(row.record))["attempts"]  # type: ignore[arg-type]
    assert [(attempt["target"], attempt.get("failure")) for attempt in attempts] == [
        ("anthropic/m", "stream_broken"),
        ("vllm/m", None),
    ]
