"""Streams, both ways: cuts, folds, order, ends."""

import itertools
import json

import msgspec
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from dragoman.canon import (
    Begin,
    Broken,
    Choice,
    Citation,
    End,
    Failure,
    Finish,
    Opaque,
    PartDelta,
    PartEnd,
    PartPatch,
    PartStart,
    Reasoning,
    Reply,
    Request,
    Text,
    ToolCall,
    Usage,
    Used,
    fold,
    unfold,
)
from dragoman.dialects import anthropic
from dragoman.dialects.seal import unseal

ASK = Request(dialect="anthropic", model="m")
EVENT = TypeAdapter(RawMessageStreamEvent)


def sse(*events) -> bytes:
    return b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)


def start(index, **block):
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index, **fields):
    return {"type": "content_block_delta", "index": index, "delta": fields}


def stop(index):
    return {"type": "content_block_stop", "index": index}


MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [],
    "stop_reason": None,
}
CITATION = {"type": "web_search_result_location", "cited_text": "c", "encrypted_index": "e", "title": "t", "url": "u"}
STREAM = sse(
    {"type": "message_start", "message": {**MESSAGE, "usage": {"input_tokens": 10, "output_tokens": 1}}},
    {"type": "ping"},
    start(0, type="thinking", thinking="", signature=""),
    delta(0, type="thinking_delta", thinking="h…"),
    delta(0, type="thinking_delta", thinking="mm"),
    delta(0, type="signature_delta", signature="sig"),
    stop(0),
    start(1, type="redacted_thinking", data="xyz"),
    stop(1),
    start(2, type="server_tool_use", id="srvtoolu_1", name="web_search", input={}),
    delta(2, type="input_json_delta", partial_json=""),
    delta(2, type="input_json_delta", partial_json='{"query":'),
    delta(2, type="input_json_delta", partial_json='"q"}'),
    stop(2),
    start(3, type="web_search_tool_result", tool_use_id="srvtoolu_1", content=[]),
    stop(3),
    start(4, type="text", text=""),
    delta(4, type="text_delta", text=""),
    delta(4, type="text_delta", text='He said "héllo\n\n'),
    delta(4, type="text_delta", text="data: x\r\n 👋"),
    delta(4, type="citations_delta", citation=CITATION),
    stop(4),
    start(5, type="tool_use", id="toolu_1", name="f", input={}, caller={"type": "direct"}),
    delta(5, type="input_json_delta", partial_json=""),
    delta(5, type="input_json_delta", partial_json='{"a":'),
    delta(5, type="input_json_delta", partial_json="1}"),
    stop(5),
    start(6, type="tool_use", id="toolu_2", name="g", input={}),
    stop(6),
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 42, "cache_read_input_tokens": 5},
    },
    {"type": "message_stop"},
)
WHOLE = {
    **MESSAGE,
    "content": [
        {"type": "thinking", "thinking": "h…mm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {"type": "text", "text": 'He said "héllo\n\ndata: x\r\n 👋', "citations": [CITATION]},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}, "caller": {"type": "direct"}},
        {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}, "caller": {"type": "direct"}},
    ],
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 42},
}


def read(*pieces: bytes):
    reader = anthropic.StreamReader()
    return [event for piece in pieces for event in reader.feed(piece)] + reader.close()


def write(*batches, request=ASK) -> bytes:
    writer = anthropic.StreamWriter(request)
    return b"".join(writer.write(batch) for batch in batches)


def accumulated(stream: bytes):
    """What the official SDK makes of the stream; every event is held to the SDK's own types."""
    snapshot, buffers = None, {}
    for frame in stream.decode().strip().split("\n\n"):
        name, data = frame.split("\n")
        event = EVENT.validate_json(data.removeprefix("data: "))
        assert name == f"event: {event.type}"
        snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)
    return snapshot


def test_a_stream_folds_to_the_whole_reply():
    assert fold(read(STREAM)) == anthropic.read_reply(json.dumps(WHOLE).encode())


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_cut_gives_the_same_events(cuts):
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in itertools.pairwise(edges)]
    assert read(*pieces) == read(STREAM)


def test_other_line_ends_and_frames_without_names_read_the_same():
    assert read(STREAM.replace(b"\n", b"\r\n")) == read(STREAM)
    bare = b"\n".join(line for line in STREAM.split(b"\n") if not line.startswith(b"event:"))
    assert read(bare) == read(STREAM)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.99])
def test_a_cut_stream_ends_broken_and_never_clean(share):
    events = read(STREAM[: int(len(STREAM) * share)])
    assert isinstance(events[-1], Broken) and events[-1].failure.kind == "stream_broken"
    assert not any(isinstance(event, End) for event in events)
    out = write(events)
    assert b"event: error" in out and b"event: message_stop" not in out


def test_an_error_event_breaks_the_stream_and_nothing_follows():
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    events = read(STREAM[:400].rsplit(b"\n\n", 1)[0] + b"\n\n", sse(error), STREAM)
    assert events[-1].failure.kind == "overloaded" and events[-1].failure.status == 529
    assert sum(isinstance(event, Broken) for event in events) == 1
    assert json.loads(write(events[-1:]).split(b"data: ")[1]) == error


def test_a_stream_without_a_start_and_with_nonsense_in_it_is_read_leniently():
    events = read(
        b": hello\n\nevent: x\ndata: {}\n\ndata: [DONE]\n\ndata: nonsense\n\n",
        sse(delta(3, type="text_delta", text="lost"), start(0, type="text", text="a"), delta(0, type="new_delta", x=1)),
        sse({"type": "content_block_start"}, {"type": "message_delta"}, {"type": "message_stop"}),
    )
    reply = fold(events)
    assert reply.choices[0].parts == [Text(text="a")] and reply.choices[0].finish == "stop"


def test_arguments_given_at_the_start_alone_are_not_lost():
    events = read(sse(start(0, type="tool_use", id="t", name="f", input={"a": 1}), stop(0), {"type": "message_stop"}))
    assert fold(events).choices[0].parts[0].arguments == '{"a":1}'


def test_the_same_dialect_comes_out_as_it_came_in():
    message = accumulated(write(*[[event] for event in read(STREAM)])).to_dict()
    assert message["content"] == [
        {**block, "input": {"query": "q"}} if block["type"] == "server_tool_use" else block
        for block in WHOLE["content"]
    ]
    assert message["stop_reason"] == "tool_use"
    assert message["usage"]["input_tokens"] == 10 and message["usage"]["output_tokens"] == 42
    assert message["usage"]["cache_read_input_tokens"] == 5


def test_usage_that_comes_with_the_beginning_is_in_message_start():
    out = write([Begin(id="a", model="m", dialect="bedrock"), Used(usage=Usage(input=9, cached=4))], [End()])
    message = json.loads(out.split(b"\n")[1].removeprefix(b"data: "))["message"]
    assert (message["usage"]["input_tokens"], message["usage"]["cache_read_input_tokens"]) == (5, 4)


def test_message_start_is_not_held_back():
    assert write([Begin(id="a", model="m")]).startswith(b"event: message_start")


def test_interleaved_calls_come_out_one_after_another_with_their_own_arguments():
    events = [
        Begin(id="a", model="m", dialect="openai-chat"),
        PartStart(index=0, part=Text()),
        PartDelta(index=0, text="hi"),
        PartStart(index=1, part=ToolCall(id="x", name="f")),
        PartStart(index=2, part=ToolCall(id="y", name="g")),
        PartDelta(index=2, text='{"b":'),
        PartDelta(index=1, text='{"a":'),
        PartDelta(index=2, text="2}"),
        PartDelta(index=1, text="1}"),
        PartEnd(index=0),
        PartEnd(index=1),
        PartEnd(index=2),
        Finish(reason="tool_calls"),
        Used(usage=Usage(input=3, output=4)),
        End(),
    ]
    message = accumulated(write(events))
    assert [(b.type, getattr(b, "input", None)) for b in message.content] == [
        ("text", None),
        ("tool_use", {"a": 1}),
        ("tool_use", {"b": 2}),
    ]


def test_empty_parts_never_open_a_block_and_a_call_without_arguments_gets_an_object():
    events = [
        Begin(id="a", model="m"),
        PartStart(index=0, part=Text()),
        PartEnd(index=0),
        PartStart(index=1, part=Reasoning(dialect="openai-chat")),
        PartEnd(index=1),
        PartStart(index=2, part=ToolCall(name="f")),
        PartEnd(index=2),
        Finish(reason="tool_calls"),
        End(),
    ]
    out = write(events)
    assert out.count(b"event: content_block_start") == 1
    assert b'"partial_json":"{}"' in out and accumulated(out).content[0].id


def test_foreign_thinking_is_streamed_and_its_seal_closes_the_block():
    events = [
        Begin(id="a", model="m", dialect="openai-responses"),
        PartStart(index=0, part=Reasoning(id="rs", dialect="openai-responses", summary=True)),
        PartDelta(index=0, text="hmm"),
        PartPatch(index=0, encrypted="enc"),
        PartEnd(index=0),
        PartStart(index=1, part=ToolCall(id="c", name="f", signature="sg", dialect="gemini")),
        PartDelta(index=1, text="{}"),
        PartEnd(index=1),
        Finish(reason="tool_calls"),
        End(),
    ]
    content = accumulated(write(events)).to_dict()["content"]
    assert [block["type"] for block in content] == ["thinking", "redacted_thinking", "tool_use"]
    kept = Reasoning(id="rs", summary=True, encrypted="enc", dialect="openai-responses")
    assert unseal(content[0]["signature"]) == [kept]
    assert unseal(content[1]["data"]) == [ToolCall(id="c", signature="sg", dialect="gemini")]


def test_text_that_resumes_between_calls_opens_a_new_block():
    events = [
        Begin(id="a", model="m"),
        PartStart(index=0, part=Text()),
        PartDelta(index=0, text="a"),
        PartStart(index=1, part=ToolCall(id="c", name="f")),
        PartDelta(index=1, text="{}"),
        PartDelta(index=0, text="b"),
        Finish(reason="stop"),
        End(),
    ]
    content = accumulated(write(*[[event] for event in events])).to_dict()["content"]
    assert [block.get("text") for block in content] == ["a", None, "b"]


def test_nothing_is_written_after_the_end():
    writer = anthropic.StreamWriter(ASK)
    writer.write([Begin(), Broken(failure=Failure(kind="stream_broken", message="m", status=502))])
    assert writer.write([PartStart(index=0, part=Text(text="x")), Finish(reason="stop"), End()]) == b""


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
words = st.text("abc_", min_size=1, max_size=6)
arguments = st.dictionaries(words, st.integers() | texts, max_size=3).map(lambda v: msgspec.json.encode(v).decode())
parts = st.one_of(
    texts.map(lambda t: Text(text=t)),
    texts.map(
        lambda t: Text(
            text=t, citations=[Citation(url="u", title="t", cited_text="c", dialect="anthropic", raw=CITATION)]
        )
    ),
    st.builds(Reasoning, text=texts, signature=words, dialect=st.just("anthropic")),
    st.builds(Reasoning, encrypted=words, dialect=st.just("anthropic")),
    st.builds(ToolCall, id=words, name=words, arguments=arguments),
    st.just(
        Opaque(
            dialect="anthropic",
            kind="web_search_tool_result",
            data={"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        )
    ),
)
usages = st.builds(
    Usage, input=st.just(50), cached=st.integers(0, 20), cache_write=st.integers(0, 20), output=st.integers(0, 9)
)
replies = st.builds(
    lambda parts, usage, reason: Reply(
        dialect="anthropic",
        id="msg_1",
        model="m",
        choices=[
            Choice(parts=parts, finish="stop", raw_finish=reason, stop_sequence="X" if reason != "end_turn" else None)
        ],
        usage=usage,
    ),
    st.lists(parts, max_size=5),
    usages,
    st.sampled_from(["end_turn", "stop_sequence"]),
)


@settings(max_examples=150, deadline=None)
@given(replies)
def test_stream_and_whole_say_the_same_and_reading_gives_the_reply_back(reply):
    streamed = write(unfold(reply))
    message = accumulated(streamed).to_dict()
    whole = json.loads(anthropic.write_reply(reply, ASK))
    assert message["content"] == whole["content"]
    assert (message["stop_reason"], message["stop_sequence"]) == (whole["stop_reason"], whole["stop_sequence"])
    assert anthropic.read_reply(json.dumps(whole).encode()) == reply
    assert fold(read(streamed)) == reply


@settings(max_examples=100, deadline=None)
@given(st.lists(parts, min_size=1, max_size=4), st.data())
def test_arguments_and_text_survive_any_split(items, data):
    events = []
    for event in unfold(Reply(dialect="anthropic", id="a", model="m", choices=[Choice(parts=items)])):
        if isinstance(event, PartDelta) and len(event.text) > 1:
            at = data.draw(st.integers(1, len(event.text) - 1))
            events += [
                PartDelta(index=event.index, text=event.text[:at]),
                PartDelta(index=event.index, text=event.text[at:]),
            ]
        else:
            events.append(event)
    assert fold(read(write(*[[event] for event in events]))).choices[0].parts == items
