"""Cohere's replies and streams; every golden one has the shape of the official SDK's types."""

import contextlib
import itertools

import httpx
import msgspec
import pytest
from cohere import ClientV2
from cohere.types import AssistantMessageResponse
from cohere.types import Usage as TheirUsage
from cohere.v2.types import V2ChatResponse, V2ChatStreamResponse
from hypothesis import given, settings
from hypothesis import strategies as st

from dialects.spoil import spoiled
from dragoman.canon import (
    Broken,
    Citation,
    End,
    PartDelta,
    PartEnd,
    PartStart,
    Reasoning,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
    fold,
)
from dragoman.dialects import cohere
from dragoman.dialects.cohere.request import PLAN
from dragoman.dialects.fields import Malformed
from dragoman.wire import sse
from fakes.shape import conform


def event(kind, **data):
    data = {"type": kind, **data}
    conform(V2ChatStreamResponse, data)
    return sse.write(msgspec.json.encode(data), kind)


def content(kind, index, number=None, **what):
    more = {} if number is None else {"logprobs": {"text": what["text"], "token_ids": [1], "logprobs": [number]}}
    return event(f"content-{kind}", index=index, delta={"message": {"content": what}}, **more)


def call(kind, index, **what):
    return event(f"tool-call-{kind}", index=index, delta={"message": {"tool_calls": what}})


SOURCE = {"type": "document", "id": "d0", "document": {"id": "d0", "title": "T", "url": "https://x"}}
CITED = {"start": 0, "end": 2, "text": "It", "sources": [SOURCE], "content_index": 1, "type": "TEXT_CONTENT"}
PLANNED = {"start": 0, "end": 2, "text": "I", "sources": [], "type": "PLAN"}
USAGE = {
    "billed_units": {"input_tokens": 9.0, "output_tokens": 4.0},
    "tokens": {"input_tokens": 70.0, "output_tokens": 12.0},
    "cached_tokens": 64.0,
}
START = event("message-start", id="r-1", delta={"message": {"role": "assistant"}})
LAST = event("message-end", id="r-1", delta={"finish_reason": "TOOL_CALL", "usage": USAGE})
STREAM = b"".join([
    START,
    content("start", 0, type="thinking", thinking=""),
    content("delta", 0, thinking="Let me "),
    content("delta", 0, thinking="think."),
    event("content-end", index=0),
    content("start", 1, type="text", text=""),
    content("delta", 1, text="It is ", number=-0.5),
    content("delta", 1, text="ünï.", number=-0.25),
    event("content-end", index=1),
    event("citation-start", index=0, delta={"message": {"citations": CITED}}),
    event("citation-end", index=0),
    event("tool-plan-delta", delta={"message": {"tool_plan": "I will "}}),
    event("tool-plan-delta", delta={"message": {"tool_plan": "look."}}),
    event("citation-start", index=1, delta={"message": {"citations": PLANNED}}),
    call("start", 0, id="one", type="function", function={"name": "look", "arguments": ""}),
    call("delta", 0, function={"arguments": '{"at":'}),
    call("delta", 0, function={"arguments": '"sky"}'}),
    event("tool-call-end", index=0),
    call("start", 1, id="two", type="function", function={"name": "see", "arguments": ""}),
    event("tool-call-end", index=1),
    LAST,
])  # fmt: skip
WHOLE = {
    "id": "r-1",
    "finish_reason": "TOOL_CALL",
    "message": {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "Let me think."}, {"type": "text", "text": "It is ünï."}],
        "citations": [CITED, PLANNED],
        "tool_plan": "I will look.",
        "tool_calls": [
            {"id": "one", "type": "function", "function": {"name": "look", "arguments": '{"at":"sky"}'}},
            {"id": "two", "type": "function", "function": {"name": "see", "arguments": ""}},
        ],
    },
    "usage": USAGE,
    "logprobs": [
        {"text": "It is ", "token_ids": [1], "logprobs": [-0.5]},
        {"text": "ünï.", "token_ids": [1], "logprobs": [-0.25]},
    ],
}
BODY = msgspec.json.encode(WHOLE)


def events_of(*pieces):
    reader = cohere.StreamReader()
    return [found for piece in pieces for found in reader.feed(piece)] + reader.close()


def test_the_golden_reply_is_one_by_the_official_client():
    conform(V2ChatResponse, WHOLE)
    conform(AssistantMessageResponse, WHOLE["message"])
    conform(TheirUsage, USAGE)
    client = ClientV2(
        api_key="k", httpx_client=httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=WHOLE)))
    )
    reply = client.chat(model="m", messages=[{"role": "user", "content": "hi"}])
    assert reply.message.tool_calls[0].function.arguments == '{"at":"sky"}'


def test_a_folded_stream_equals_the_whole_reply():
    streamed, whole = fold(events_of(STREAM)), cohere.read_reply(BODY)
    assert streamed == whole
    assert whole.id == "r-1"
    assert whole.choices[0].finish == "tool_calls"
    assert whole.choices[0].parts == [
        Reasoning(text="Let me think.", dialect="cohere"),
        Text(
            text="It is ünï.",
            citations=[Citation(kind="url", url="https://x", title="T", start=0, end=2, dialect="cohere", raw=CITED)],
            logprobs=[TokenLogprob(token="It is ", logprob=-0.5), TokenLogprob(token="ünï.", logprob=-0.25)],
        ),
        Reasoning(text="I will look.", dialect="cohere", extra=PLAN),
        ToolCall(id="one", name="look", arguments='{"at":"sky"}'),
        ToolCall(id="two", name="see", arguments="{}"),
    ]
    assert whole.usage == Usage(
        input=70, output=12, cached=64, extra={"billed_units": {"input_tokens": 9.0, "output_tokens": 4.0}}
    )


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
@settings(max_examples=100, deadline=None)
def test_any_cut_of_the_bytes_gives_the_same_events(cuts):
    edges = [0, *sorted(cuts), len(STREAM)]
    assert events_of(*(STREAM[a:b] for a, b in itertools.pairwise(edges))) == events_of(STREAM)


@pytest.mark.parametrize("data", [b"", START, STREAM[: -len(LAST)], STREAM[:-30]])
def test_a_cut_stream_is_broken(data):
    found = events_of(data)
    assert found[-1].failure.kind == "stream_broken"
    assert not any(isinstance(one, End) for one in found)


def test_a_last_event_without_its_blank_line_counts():
    assert isinstance(events_of(STREAM.rstrip(b"\n"))[-1], End)


def test_an_error_at_the_end_breaks_the_stream_with_its_own_words():
    end = event("message-end", delta={"error": "the model fell over", "finish_reason": "ERROR"})
    failure = events_of(START, content("delta", 0, text="a"), end)[-1].failure
    assert (failure.message, failure.kind) == ("the model fell over", "upstream_error")


def test_an_event_that_is_no_json_breaks_the_stream():
    assert isinstance(events_of(START, b"data: {\n\n", LAST)[-1], Broken)


def test_unknown_and_empty_events_are_harmless():
    odd = [
        b": ping\n\n",
        sse.write(b'{"type":"somethingNew","delta":{}}'),
        sse.write(b'{"type":"content-delta","delta":null}'),
        sse.write(b'{"type":"content-delta","delta":{"message":{"content":{"text":""}}}}'),
        sse.write(b'{"type":"tool-call-delta","index":7,"delta":{"message":{"tool_calls":{}}}}'),
        sse.write(b'{"type":"citation-start","delta":{"message":{"citations":{"start":0}}}}'),
        sse.write(b"[1]"),
        event("debug", prompt="x"),
    ]
    assert not any(isinstance(found, PartStart | PartDelta | PartEnd) for found in events_of(START, *odd, LAST))


def test_interleaved_calls_are_kept_apart():
    found = fold(
        events_of(
            START,
            call("start", 0, id="a", type="function", function={"name": "f", "arguments": ""}),
            call("start", 1, id="b", type="function", function={"name": "g", "arguments": ""}),
            call("delta", 1, function={"arguments": '{"b":'}),
            call("delta", 0, function={"arguments": '{"a":1}'}),
            call("delta", 1, function={"arguments": "2}"}),
            LAST,
        )
    )
    assert [part.arguments for part in found.choices[0].parts] == ['{"a":1}', '{"b":2}']


@pytest.mark.parametrize(
    ("said", "finish"),
    [
        ("COMPLETE", "stop"), ("STOP_SEQUENCE", "stop"), ("MAX_TOKENS", "length"), ("TOOL_CALL", "tool_calls"),
        ("ERROR", "error"), ("TIMEOUT", "error"), ("NEW_ONE", "stop"),
    ],
)  # fmt: skip
def test_every_finish_reason(said, finish):
    whole = cohere.read_reply(msgspec.json.encode({**WHOLE, "finish_reason": said})).choices[0]
    streamed = fold(events_of(START, event("message-end", delta={"finish_reason": said}))).choices[0]
    assert (whole.finish, whole.raw_finish) == (streamed.finish, streamed.raw_finish) == (finish, said)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"message":"no"}', b"<html>"])
def test_a_reply_that_is_none_is_malformed(body):
    with pytest.raises(Malformed):
        cohere.read_reply(body)


def test_a_reply_with_holes_is_read():
    reply = cohere.read_reply(
        b'{"message":{"content":[{"type":"text","text":""},{"type":"new"},7,{"type":"text","text":"a"}],'
        b'"citations":[null,{"start":0}],"tool_calls":[{"id":"x"},null]},"usage":{"tokens":null}}'
    )
    assert reply.choices[0].parts == [Text(text="a"), ToolCall(id="x", arguments="{}")]
    assert reply.usage == Usage()


@pytest.mark.parametrize(
    ("status", "body", "kind", "towards_client"),
    [
        (
            400,
            b'{"message":"invalid request: too many tokens: size limit exceeded by 5 tokens"}',
            "context_length",
            400,
        ),
        (400, b'{"message":"invalid request"}', "bad_request", 400),
        (401, b'{"message":"invalid api token"}', "unauthorized", 401),
        (402, b'{"message":"add a payment method"}', "budget_spent", 402),
        (404, b'{"message":"model \'x\' not found"}', "unknown_model", 404),
        (422, b'{"message":"unprocessable"}', "bad_request", 422),
        (429, b'{"message":"trial key limit"}', "rate_limited", 429),
        (498, b'{"message":"token expired"}', "unauthorized", 498),
        (500, b'{"message":"internal"}', "upstream_error", 502),
        (503, b"", "overloaded", 503),
        (502, b"<html>", "upstream_error", 502),
        (500, b'{"mess', "upstream_error", 502),
    ],
)
def test_errors_are_read_by_status_and_words(status, body, kind, towards_client):
    failure = cohere.read_error(status, body)
    assert (failure.kind, failure.status) == (kind, towards_client)
    assert failure.message


@given(spoiled(WHOLE))
@settings(max_examples=150, deadline=None)
def test_a_spoiled_reply_is_read_as_far_as_it_goes_or_refused(data):
    with contextlib.suppress(Malformed):
        msgspec.json.encode(cohere.read_reply(msgspec.json.encode(data)))


@given(spoiled([msgspec.json.decode(sse.parse(frame).data) for frame in sse.Frames().feed(STREAM)]))
@settings(max_examples=150, deadline=None)
def test_a_spoiled_stream_ends_whole_or_broken(events):
    found = events_of(b"".join(sse.write(msgspec.json.encode(one)) for one in events))
    assert isinstance(found[-1], End | Broken)
    if isinstance(found[-1], End):
        fold(found)
