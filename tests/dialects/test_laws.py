"""Laws 4, 6, 7 and 10 across dialects: what is said in one survives every other."""

import itertools
import json
from typing import Any

import msgspec
import pytest
from canon_strategies import refusing_replies, replies, requests, streams, usages
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman import dialects
from dragoman.canon import (
    Begin,
    Broken,
    Choice,
    End,
    Event,
    Failure,
    Finish,
    Fold,
    Media,
    Part,
    PartDelta,
    PartEnd,
    PartStart,
    Reasoning,
    Refusal,
    Reply,
    Request,
    Sequence,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    fold,
    unfold,
)
from dragoman.dialects.quirks import Quirks

CLIENTS = ("openai-chat", "openai-responses", "anthropic", "gemini", "ollama")
PAIRS = [(a, b) for a in CLIENTS for b in CLIENTS]
each_client = pytest.mark.parametrize("name", CLIENTS)
each_pair = pytest.mark.parametrize(("first", "second"), PAIRS, ids=[f"{a}:{b}" for a, b in PAIRS])
QUIRKS = Quirks(sampling_extras=True)

# what a dialect can say beside messages and tools; a pair keeps what both can
SAYS = {
    "openai-chat": {"temperature", "top_p", "top_k", "seed", "stop", "frequency_penalty", "tool_choice", "output"},
    "openai-responses": {"temperature", "top_p", "tool_choice", "output"},
    "anthropic": {"temperature", "top_p", "top_k", "stop", "tool_choice", "output"},
    "gemini": {"temperature", "top_p", "top_k", "seed", "stop", "frequency_penalty", "tool_choice", "output"},
    "ollama": {"temperature", "top_p", "top_k", "seed", "stop", "frequency_penalty", "output"},
}
# what of usage a dialect can state beside the totals
COUNTS = {
    "openai-chat": {"cached", "cache_write", "reasoning"},
    "openai-responses": {"cached", "cache_write", "reasoning"},
    "anthropic": {"cached", "cache_write", "reasoning"},
    "gemini": {"cached", "reasoning"},
    "ollama": set(),
}


def asked(name: str) -> Request:
    return Request(dialect=name, model="model-1", stream=True, include_usage=True)


def said(parts: list[Part]) -> dict[str, Any]:
    """What parts amount to, in whatever order and pieces a dialect puts them."""
    called = [part for part in parts if isinstance(part, ToolCall)]
    return {
        "text": "".join(part.text for part in parts if isinstance(part, Text)),
        "refusal": "".join(part.text for part in parts if isinstance(part, Refusal)),
        "media": [part.data for part in parts if isinstance(part, Media)],
        "calls": [(call.name, json.loads(call.arguments)) for call in called],
    }


def shown(parts: list[Part]) -> str:
    text = "".join(part.text for part in parts if isinstance(part, Reasoning))
    return "".join(c for c in text if not 0xE0000 <= ord(c) < 0xE0080)  # Ollama's seals, which nobody sees


# requests


def heard(request: Request) -> list[Any]:
    """A conversation as turns; calls and results are told apart by their order, as ids may be made anew."""
    order: dict[str, int] = {}
    turns: list[tuple[str, list[Part]]] = []
    for message in request.messages:
        role = "system" if message.role in {"system", "developer"} else message.role
        if not turns or turns[-1][0] != role:
            turns.append((role, []))
        turns[-1][1].extend(message.parts)
    turns.sort(key=lambda turn: turn[0] != "system")
    found = []
    for role, parts in turns:
        for part in parts:
            if isinstance(part, ToolCall):
                order[part.call_id if isinstance(part, ToolResult) else part.id] = len(order)
        results = [part for part in parts if isinstance(part, ToolResult)]
        answered = sorted((order[result.call_id], "".join(said(result.content)["text"].split())) for result in results)
        what = said(parts)
        what["text"] = "".join(what["text"].split())
        found.append((role, what, answered))
    return found


def settings_of(request: Request, *names: str) -> dict[str, Any]:
    kept = SAYS[names[0]].intersection(*(SAYS[name] for name in names))
    stated = {name: getattr(request, name) for name in kept}
    if stated.get("tool_choice") is not None:
        stated["tool_choice"] = stated["tool_choice"].mode
    if stated.get("tool_choice") == "auto":
        stated["tool_choice"] = None  # the default, said or not
    if stated.get("output") is not None:
        schema = set(stated["output"].schema or ()) - {"additionalProperties"}  # strict dialects add it
        stated["output"] = (stated["output"].kind, schema)
    return stated | {
        "max_output_tokens": request.max_output_tokens,
        "tools": [(tool.name, tool.description) for tool in request.tools],
    }


def through(name: str, request: Request) -> Request:
    """`request` as a server of the dialect reads what was written to it."""
    dialect = dialects.client(name)
    body = msgspec.json.decode(msgspec.json.encode(dialect.write_request(request, QUIRKS).body))
    read = dialect.read_request(body)
    read.model = request.model
    return read


@each_client
@settings(max_examples=60, deadline=None)
@given(requests())
def test_writing_a_request_twice_writes_the_same(name: str, request: Request) -> None:
    dialect = dialects.client(name)
    read = through(name, request)
    first = dialect.write_request(read, QUIRKS).body
    second = dialect.write_request(through(name, read), QUIRKS).body
    assert msgspec.json.encode(first) == msgspec.json.encode(second)


@each_pair
@settings(max_examples=40, deadline=None)
@given(requests())
def test_a_request_survives_another_dialect(first: str, second: str, request: Request) -> None:
    if first == "ollama" or second == "ollama":
        request.tool_choice = None  # `none` leaves the tools out there
    here = through(first, request)
    back = through(first, through(second, here))
    assert heard(here) == heard(request)
    assert heard(back) == heard(here)
    assert settings_of(back, first, second) == settings_of(here, first, second)


@pytest.mark.parametrize("upstream", ["bedrock", "cohere"])
@each_client
@settings(max_examples=30, deadline=None)
@given(requests())
def test_a_request_reaches_the_upstreams_that_are_no_surface(upstream: str, name: str, request: Request) -> None:
    here = through(name, request)
    body = msgspec.json.encode(dialects.upstream(upstream).write_request(here, Quirks()).body).decode()
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, ToolCall) and not (request.tool_choice and request.tool_choice.mode == "none"):
                assert f'"{part.name}"' in body
            if isinstance(part, Text):
                assert msgspec.json.encode(part.text).decode()[1:-1] in body


# whole replies


def reread(name: str, reply: Reply) -> Reply:
    """`reply` as a client of the dialect reads it."""
    dialect = dialects.client(name)
    return dialect.read_reply(dialect.write_reply(reply, asked(name)))


@each_pair
@settings(max_examples=40, deadline=None)
@given(replies())
def test_a_reply_survives_two_dialects(first: str, second: str, reply: Reply) -> None:
    back = reread(first, reread(second, reread(first, reply)))
    (choice,) = back.choices
    assert said(choice.parts) == said(reply.choices[0].parts)
    assert choice.finish == reply.choices[0].finish
    assert back.model == reply.model


@each_client
@settings(max_examples=40, deadline=None)
@given(refusing_replies())
def test_a_refusal_is_never_lost(name: str, reply: Reply) -> None:
    (choice,) = reread(name, reply).choices
    what = said(choice.parts)
    assert (what["refusal"] or what["text"]) == said(reply.choices[0].parts)["refusal"]


@each_client
@settings(max_examples=60, deadline=None)
@given(replies("openai-chat", thinks=1))
def test_visible_thinking_is_shown_in_every_dialect(name: str, reply: Reply) -> None:
    assert shown(reread(name, reply).choices[0].parts) == shown(reply.choices[0].parts)


@each_pair
@settings(max_examples=60, deadline=None)
@given(usages())
def test_totals_are_the_same_in_every_dialect(first: str, second: str, usage: Usage) -> None:
    reply = Reply(dialect="cohere", id="r", model="m", choices=[Choice(parts=[Text(text="a")])], usage=usage)
    back = reread(second, reread(first, reply)).usage
    assert back is not None
    assert (back.input, back.output) == (usage.input, usage.output)
    for name in COUNTS[first] & COUNTS[second]:
        assert getattr(back, name) == getattr(usage, name), name


@each_client
@settings(max_examples=60, deadline=None)
@given(replies())
def test_a_stream_says_what_the_whole_reply_says(name: str, reply: Reply) -> None:
    whole, streamed = (
        reread(name, reply),
        read_back(name, dialects.client(name).StreamWriter(asked(name)).write(unfold(reply))),
    )
    assert said(streamed.choices[0].parts) == said(whole.choices[0].parts)
    assert streamed.choices[0].finish == whole.choices[0].finish
    assert streamed.usage is not None
    assert whole.usage is not None
    assert (streamed.usage.input, streamed.usage.output) == (whole.usage.input, whole.usage.output)


# streams


def read_events(name: str, data: bytes, cuts: list[int] | None = None) -> list[Event]:
    reader = dialects.client(name).StreamReader()
    at = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts or [])})
    events = [event for a, b in itertools.pairwise(at) for event in reader.feed(data[a:b])]
    return events + reader.close()


def read_back(name: str, data: bytes, cuts: list[int] | None = None) -> Reply:
    events = read_events(name, data, cuts)
    assert isinstance(events[-1], End)
    return fold(events)


def batches(draw: Any, events: list[Event]) -> list[list[Event]]:
    found: list[list[Event]] = []
    rest = list(events)
    while rest:
        size = draw(st.integers(1, 4))
        found.append(rest[:size])
        rest = rest[size:]
    return found


@each_client
@settings(max_examples=120, deadline=None)
@given(st.data())
def test_any_legal_stream_reads_back_as_what_it_said(name: str, data: st.DataObject) -> None:
    reply = data.draw(replies(data.draw(st.sampled_from(["openai-chat", "anthropic", "gemini", "bedrock"]))))
    events = data.draw(streams(reply))
    writer = dialects.client(name).StreamWriter(asked(name))
    written = b"".join(writer.write(batch) for batch in batches(data.draw, events))
    back = read_back(name, written, data.draw(st.lists(st.integers(0, 10_000), max_size=5)))
    expected, found = said(reply.choices[0].parts), said(back.choices[0].parts)
    found["calls"].sort(key=repr)
    expected["calls"].sort(key=repr)
    assert found == expected
    assert back.choices[0].finish == reply.choices[0].finish
    assert back.usage is not None
    assert reply.usage is not None
    assert (back.usage.input, back.usage.output) == (reply.usage.input, reply.usage.output)


@each_client
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_stream_broken_anywhere_never_ends_cleanly(name: str, data: st.DataObject) -> None:
    events = data.draw(streams(data.draw(replies())))
    failure = Failure(kind="stream_broken", status=502, message="the provider broke off")
    for at in range(len(events)):
        writer = dialects.client(name).StreamWriter(asked(name))
        written = b"".join(writer.write([event]) for event in [*events[:at], Broken(failure=failure)])
        read = read_events(name, written)
        assert isinstance(read[-1], Broken), at
        assert "the provider broke off" in read[-1].failure.message
        assert not any(isinstance(event, End) for event in read)
        assert writer.write([]) == b""


@each_client
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_stream_cut_anywhere_is_never_read_as_whole(name: str, data: st.DataObject) -> None:
    reply = data.draw(replies())
    writer = dialects.client(name).StreamWriter(asked(name))
    pieces = [writer.write([event]) for event in unfold(reply)]
    held = [piece for piece in pieces if piece]
    cut = b"".join(held[:-1])  # without what ends it
    events = read_events(name, cut)
    assert isinstance(events[-1], Broken)


# seals


def history_of(name: str, body: Any, results: bool, drops: bool) -> list[Any]:
    """What a client of the dialect sends back of a reply, with its tools' results. `drops`: an SDK that keeps only what
    its types know."""
    match name:
        case "openai-chat":
            message = body["choices"][0]["message"]
            if drops:
                message = {key: message[key] for key in ("role", "content", "tool_calls") if key in message}
            made = message.get("tool_calls") or []
            return [message, *({"role": "tool", "tool_call_id": c["id"], "content": "r"} for c in made if results)]
        case "openai-responses":
            items = body["output"]
            made = [item for item in items if item["type"] == "function_call"]
            return [
                *items,
                *({"type": "function_call_output", "call_id": c["call_id"], "output": "r"} for c in made if results),
            ]
        case "anthropic":
            made = [block for block in body["content"] if block["type"] == "tool_use"]
            answers = [{"type": "tool_result", "tool_use_id": c["id"], "content": "r"} for c in made if results]
            back = [{"role": "assistant", "content": body["content"]}]
            return back + ([{"role": "user", "content": answers}] if answers else [])
        case "gemini":
            content = body["candidates"][0]["content"]
            made = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
            answers = [
                {"functionResponse": {"id": c.get("id"), "name": c["name"], "response": {"r": 1}}}
                for c in made
                if results
            ]
            return [content] + ([{"role": "user", "parts": answers}] if answers else [])
    message = body["message"]
    made = message.get("tool_calls") or []
    if drops:
        message = {**message, "tool_calls": [{"function": call["function"]} for call in made]}
    return [message, *({"role": "tool", "tool_name": c["function"]["name"], "content": "r"} for c in made if results)]


def next_request(name: str, history: list[Any]) -> Request:
    """The client's next request, as we read it."""
    match name:
        case "openai-responses":
            body: Any = {"model": "m", "input": [{"role": "user", "content": "q"}, *history]}
        case "gemini":
            body = {"contents": [{"role": "user", "parts": [{"text": "q"}]}, *history]}
        case _:
            body = {"model": "m", "max_tokens": 9000, "messages": [{"role": "user", "content": "q"}, *history]}
    request = dialects.client(name).read_request(json.loads(json.dumps(body)))
    request.model = request.model or "m"
    return request


def proofs(parts: list[Part]) -> list[Any]:
    """What a provider insists on getting back."""
    return [
        ("reasoning", part.text if part.signature else "", part.signature, part.encrypted, part.dialect)
        for part in parts
        if isinstance(part, Reasoning) and (part.signature or part.encrypted)
    ]


def signed_calls(parts: list[Part]) -> list[Any]:
    return [
        (part.name, part.signature, part.dialect) for part in parts if isinstance(part, ToolCall) and part.signature
    ]


@pytest.mark.parametrize("provider", ["anthropic", "openai-responses", "gemini", "bedrock"])
@pytest.mark.parametrize("drops", [False, True], ids=["keeps", "drops"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@each_client
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_signed_thinking_comes_back_to_its_provider(
    name: str, streamed: bool, drops: bool, provider: str, data: st.DataObject
) -> None:
    reply = data.draw(replies(provider, least_calls=1, thinks=1))
    dialect = dialects.client(name)
    if streamed:
        body = dialect.write_reply(read_back(name, dialect.StreamWriter(asked(name)).write(unfold(reply))), asked(name))
    else:
        body = dialect.write_reply(reply, asked(name))
    request = next_request(name, history_of(name, json.loads(body), results=True, drops=drops and provider != name))
    back = [part for message in request.messages if message.role == "assistant" for part in message.parts]
    assert proofs(back) == proofs(reply.choices[0].parts)
    if provider != name:
        assert signed_calls(back) == signed_calls(reply.choices[0].parts)
    written = json.dumps(dialects.upstream(provider).write_request(request, Quirks()).body)
    for _, _, signature, encrypted, _ in proofs(reply.choices[0].parts):
        assert (signature or encrypted) in written
    for _, signature, _ in signed_calls(reply.choices[0].parts):
        assert signature in written
    assert "DgmSeal" not in written


@each_client
@settings(max_examples=25, deadline=None)
@given(reply=replies("anthropic", least_calls=1, thinks=1))
def test_another_provider_never_sees_a_seal_nor_foreign_thinking(name: str, reply: Reply) -> None:
    dialect = dialects.client(name)
    request = next_request(name, history_of(name, json.loads(dialect.write_reply(reply, asked(name))), True, False))
    for upstream in ("openai-chat", "openai-responses", "gemini", "ollama", "cohere", "bedrock"):
        written = json.dumps(dialects.upstream(upstream).write_request(request, Quirks()).body)
        assert "DgmSeal" not in written
        for _, _, signature, encrypted, _ in proofs(reply.choices[0].parts):
            assert (signature or encrypted) not in written


# the canon's own machines


@settings(max_examples=300, deadline=None)
@given(replies())
def test_unfold_and_fold_are_inverse(reply: Reply) -> None:
    assert fold(unfold(reply)) == reply


@settings(max_examples=1000, deadline=None)
@given(st.data())
def test_a_sequence_never_interleaves_and_loses_nothing(data: st.DataObject) -> None:
    reply = data.draw(replies(data.draw(st.sampled_from(["openai-chat", "anthropic", "bedrock"]))))
    sequence, grown = Sequence(), Fold()
    now: int | None = None
    count = 0
    order: dict[type, list[str]] = {Text: [], Reasoning: [], ToolCall: []}
    spoken: dict[type, list[str]] = {Text: [], Reasoning: [], ToolCall: []}
    for event in data.draw(streams(reply)):
        if isinstance(event, PartDelta):
            spoken[type(reply.choices[0].parts[event.index])].append(event.text)
        for out in sequence.add(event):
            if isinstance(out, PartStart):
                assert now is None
                assert out.index == count
                now, count = out.index, count + 1
            elif isinstance(out, PartEnd):
                assert now == out.index
                now = None
            elif isinstance(out, PartDelta):
                assert now == out.index
                order[type(grown.reply.choices[0].parts[out.index])].append(out.text)
            grown.add(out)
    assert now is None
    assert order[Text] == spoken[Text]
    assert sorted(order[Reasoning]) == sorted(spoken[Reasoning])  # waiting parts come out one after the other
    found, expected = said(grown.reply.choices[0].parts), said(reply.choices[0].parts)
    assert sorted(found.pop("calls"), key=repr) == sorted(expected.pop("calls"), key=repr)
    assert found == expected
    assert {part.signature for part in grown.reply.choices[0].parts if isinstance(part, Reasoning)} >= {
        part.signature for part in reply.choices[0].parts if isinstance(part, Reasoning)
    }


# what these laws found


def test_text_that_goes_on_after_thinking_went_on_is_text_to_anthropics_clients() -> None:
    thought, spoken = Reasoning(dialect="openai-chat"), Text()
    events: list[Event] = [
        PartStart(index=0, part=thought),
        PartDelta(index=0, text="I think. "),
        PartStart(index=1, part=spoken),
        PartDelta(index=1, text="I say. "),
        PartDelta(index=0, text="I think more."),
        PartDelta(index=1, text="I say more."),
        PartEnd(index=0),
        PartEnd(index=1),
    ]
    for name in CLIENTS:
        whole = [Begin(id="r", model="m", dialect="openai-chat"), *events, Finish(reason="stop"), End()]
        (choice,) = read_back(name, dialects.client(name).StreamWriter(asked(name)).write(whole)).choices
        assert said(choice.parts)["text"] == "I say. I say more.", name
        assert shown(choice.parts) == "I think. I think more.", name
