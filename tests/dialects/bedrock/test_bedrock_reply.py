"""Converse replies and ConverseStream streams."""

import base64
import contextlib
import gzip
import itertools
import json
from pathlib import Path

import botocore
import msgspec
import pytest
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from hypothesis import given, settings
from hypothesis import strategies as st

from dialects.spoil import spoiled
from dragoman.canon import (
    Broken,
    End,
    Finish,
    Media,
    Opaque,
    PartDelta,
    PartEnd,
    PartStart,
    Reasoning,
    Text,
    ToolCall,
    Usage,
    Used,
    fold,
)
from dragoman.dialects import bedrock
from dragoman.dialects.fields import Malformed
from dragoman.wire.eventstream import Messages, encode

DATA = Path(botocore.__file__).parent / "data/bedrock-runtime/2023-09-30/service-2.json.gz"
SERVICE = ServiceModel(json.loads(gzip.decompress(DATA.read_bytes())))
EVENT_PARSER = create_parser("rest-json")._event_stream_parser
EVENTS = SERVICE.operation_model("ConverseStream").get_event_stream_output()
SECRET = base64.b64encode(b"first half, second half").decode()
PIXELS = base64.b64encode(b"pixels").decode()
CITED = {"title": "T", "sourceContent": [{"text": "quoted"}], "location": {"web": {"url": "https://x", "domain": "x"}}}


def event(kind, **data):
    """One message, after botocore has parsed it by the service's model."""
    payload = msgspec.json.encode(data)
    head = {":event-type": kind, ":message-type": "event"}
    parsed = EVENT_PARSER.parse({"headers": head, "body": payload, "status_code": 200}, EVENTS)
    assert set(parsed) == {kind}
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return encode(headers, payload)


def delta(block, **what):
    return event("contentBlockDelta", contentBlockIndex=block, delta=what, p="abcd")


def stop(block):
    return event("contentBlockStop", contentBlockIndex=block)


USAGE = {
    "inputTokens": 10, "outputTokens": 20, "totalTokens": 37, "cacheReadInputTokens": 4, "cacheWriteInputTokens": 3,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 2}, {"ttl": "5m", "inputTokens": 1}],
}  # fmt: skip
START = event("messageStart", role="assistant")
STOP = event("messageStop", stopReason="tool_use", additionalModelResponseFields={"stop_sequence": None})
META = event("metadata", usage=USAGE, metrics={"latencyMs": 5}, serviceTier={"type": "flex"})
STREAM = b"".join([
    START,
    delta(0, reasoningContent={"text": "Let me "}),
    delta(0, reasoningContent={"text": "think."}),
    delta(0, reasoningContent={"signature": "sig"}),
    stop(0),
    delta(1, reasoningContent={"redactedContent": base64.b64encode(b"first half, ").decode()}),
    delta(1, reasoningContent={"redactedContent": base64.b64encode(b"second half").decode()}),
    stop(1),
    delta(2, text=""),
    delta(2, text="It is "),
    delta(2, text="ünï."),
    delta(2, citation=CITED),
    stop(2),
    event("contentBlockStart", contentBlockIndex=3, start={"toolUse": {"toolUseId": "t1", "name": "look"}}),
    delta(3, toolUse={"input": '{"at":'}),
    delta(3, toolUse={"input": '"sky"}'}),
    stop(3),
    event("contentBlockStart", contentBlockIndex=4, start={"toolUse": {"toolUseId": "t2", "name": "see"}}),
    delta(4, toolUse={"input": ""}),
    stop(4),
    event(
        "contentBlockStart",
        contentBlockIndex=5,
        start={"toolUse": {"toolUseId": "s1", "name": "nova_grounding", "type": "server_tool_use"}},
    ),
    delta(5, toolUse={"input": '{"q":1}'}),
    stop(5),
    event("contentBlockStart", contentBlockIndex=6, start={"toolResult": {"toolUseId": "s1", "status": "success"}}),
    delta(6, toolResult=[{"text": "fo"}]),
    delta(6, toolResult=[{"text": "und"}, {"json": {"a": 1}}]),
    stop(6),
    event("contentBlockStart", contentBlockIndex=7, start={"image": {"format": "png"}}),
    delta(7, image={"source": {"bytes": PIXELS}}),
    stop(7),
    STOP,
    META,
])  # fmt: skip
BODY = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "Let me think.", "signature": "sig"}}},
                {"reasoningContent": {"redactedContent": SECRET}},
                {"citationsContent": {"content": [{"text": "It is ünï."}], "citations": [CITED]}},
                {"toolUse": {"toolUseId": "t1", "name": "look", "input": {"at": "sky"}}},
                {"toolUse": {"toolUseId": "t2", "name": "see", "input": {}}},
                {"toolUse": {"toolUseId": "s1", "name": "nova_grounding", "type": "server_tool_use",
                             "input": {"q": 1}}},
                {"toolResult": {"toolUseId": "s1", "status": "success",
                                "content": [{"text": "found"}, {"json": {"a": 1}}]}},
                {"image": {"format": "png", "source": {"bytes": PIXELS}}},
            ],
        }
    },
    "stopReason": "tool_use",
    "usage": USAGE,
    "metrics": {"latencyMs": 5},
    "additionalModelResponseFields": {"stop_sequence": None},
}  # fmt: skip


def events_of(*pieces):
    reader = bedrock.StreamReader()
    return [found for piece in pieces for found in reader.feed(piece)] + reader.close()


def test_the_whole_reply_is_one_by_the_services_model():
    shape = SERVICE.operation_model("Converse").output_shape
    parsed = create_parser("rest-json").parse(
        {"headers": {}, "body": msgspec.json.encode(BODY), "status_code": 200}, shape
    )
    assert len(parsed["output"]["message"]["content"]) == 8
    assert parsed["usage"]["cacheReadInputTokens"] == 4


def test_a_folded_stream_equals_the_whole_reply():
    streamed, whole = fold(events_of(STREAM)), bedrock.read_reply(msgspec.json.encode(BODY))
    whole.extra = None
    assert streamed == whole
    thought, hidden, text, look, see, asked, found, image = whole.choices[0].parts
    assert thought == Reasoning(text="Let me think.", signature="sig", dialect="bedrock")
    assert hidden == Reasoning(encrypted=SECRET, dialect="bedrock")
    assert (text.text, text.citations[0].url, text.citations[0].cited_text) == ("It is ünï.", "https://x", "quoted")
    assert look == ToolCall(id="t1", name="look", arguments='{"at":"sky"}')
    assert see == ToolCall(id="t2", name="see", arguments="{}")
    assert asked.kind == "server_tool_use"
    assert found == Opaque(dialect="bedrock", kind="toolResult", data=BODY["output"]["message"]["content"][6])
    assert image == Media(kind="image", mime="image/png", data=PIXELS)
    assert whole.choices[0].finish == "tool_calls"


def test_cached_tokens_are_counted_inside_the_total():
    reply = bedrock.read_reply(msgspec.json.encode(BODY))
    assert reply.usage == Usage(input=17, output=20, cached=4, cache_write=3, cache_write_1h=2)


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
@settings(max_examples=100, deadline=None)
def test_any_cut_of_the_bytes_gives_the_same_events(cuts):
    edges = [0, *sorted(cuts), len(STREAM)]
    assert events_of(*(STREAM[a:b] for a, b in itertools.pairwise(edges))) == events_of(STREAM)


def test_the_stream_is_whole_with_its_stop_and_ends_with_its_counts():
    assert [type(found) for found in events_of(START, STOP, META)[-3:]] == [Finish, Used, End]
    assert [type(found) for found in events_of(START, STOP)[-2:]] == [Finish, End]


@pytest.mark.parametrize(
    "data", [b"", START, START + delta(0, text="a"), START + STOP + META[:20], b"HTTP/1.1 oops no"]
)
def test_a_cut_stream_is_broken(data):
    (*_, last) = events_of(data)
    assert last.failure.kind == "stream_broken"


def test_a_damaged_message_breaks_the_stream_after_what_was_whole():
    damaged = bytearray(delta(0, text="b"))
    damaged[-6] ^= 1
    found = events_of(START + delta(0, text="a") + bytes(damaged) + STOP)
    assert [type(one) for one in found[1:]] == [PartStart, PartDelta, Broken]
    assert "checksum" in found[-1].failure.message


def test_a_message_that_is_no_json_breaks_the_stream():
    bad = encode({":message-type": "event", ":event-type": "contentBlockDelta"}, b"{")
    assert isinstance(events_of(START, bad, STOP)[-1], Broken)


@pytest.mark.parametrize(
    ("name", "kind", "status"),
    [
        ("throttlingException", "rate_limited", 429),
        ("modelStreamErrorException", "upstream_error", 502),
        ("validationException", "bad_request", 400),
        ("internalServerException", "upstream_error", 502),
        ("serviceUnavailableException", "overloaded", 503),
        ("neverHeardOfException", "upstream_error", 502),
    ],
)
def test_an_exception_breaks_the_stream_with_its_own_words(name, kind, status):
    bad = encode({":message-type": "exception", ":exception-type": name}, b'{"message":"Slow down"}')
    *_, last = events_of(START, delta(0, text="a"), bad, STOP)
    failure = last.failure
    assert (failure.kind, failure.status, failure.type, failure.message) == (kind, status, name, "Slow down")


def test_an_error_below_the_model_breaks_the_stream_too():
    bad = encode({":message-type": "error", ":error-code": "InternalFailure", ":error-message": "oops"}, b"")
    assert events_of(START, bad)[-1].failure.message == "oops"


def test_unknown_messages_and_empty_blocks_are_harmless():
    stream = [
        START,
        encode({":message-type": "event", ":event-type": "somethingNew"}, b'{"a":1}'),
        encode({":message-type": "event", ":event-type": "contentBlockDelta"}, b'{"delta":null}'),
        encode({":message-type": "event", ":event-type": "contentBlockDelta"}, b"[]"),
        delta(0, text=""),
        stop(0),
        stop(9),
        STOP,
    ]
    assert not any(isinstance(found, PartStart | PartDelta | PartEnd) for found in events_of(*stream))


def test_a_block_that_was_not_stopped_ends_with_the_message():
    assert fold(events_of(START, delta(0, text="a"), STOP)).choices[0].parts == [Text(text="a")]


@pytest.mark.parametrize(
    ("said", "finish"),
    [
        ("end_turn", "stop"), ("max_tokens", "length"), ("stop_sequence", "stop"), ("tool_use", "tool_calls"),
        ("guardrail_intervened", "content_filter"), ("content_filtered", "content_filter"),
        ("model_context_window_exceeded", "context_length"), ("malformed_tool_use", "error"), ("new_one", "stop"),
    ],
)  # fmt: skip
def test_every_stop_reason(said, finish):
    body = {**BODY, "stopReason": said, "additionalModelResponseFields": {"stop_sequence": "END"}}
    whole = bedrock.read_reply(msgspec.json.encode(body)).choices[0]
    last = event("messageStop", stopReason=said, additionalModelResponseFields={"stop_sequence": "END"})
    streamed = fold(events_of(START, last)).choices[0]
    assert whole.finish == streamed.finish == finish
    assert whole.stop_sequence == streamed.stop_sequence == "END"
    assert whole.raw_finish == said


def test_all_stop_reasons_of_the_model_are_known():
    from dragoman.dialects.bedrock.reply import FINISH

    assert set(SERVICE.shape_for("StopReason").enum) == set(FINISH)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"output":{"message":[]}}', b"<html>"])
def test_a_reply_that_is_none_is_malformed(body):
    with pytest.raises(Malformed):
        bedrock.read_reply(body)


def test_a_reply_with_holes_is_read():
    reply = bedrock.read_reply(b'{"output":{"message":{"content":[{},{"text":""},{"text":null},7,{"text":"a"}]}}}')
    assert reply.choices[0].parts[-1] == Text(text="a")
    assert reply.usage is None


@pytest.mark.parametrize(
    ("status", "body", "kind", "towards_client"),
    [
        (400, b'{"message":"The provided model identifier is invalid."}', "unknown_model", 400),
        (400, b'{"message":"Input is too long for requested model."}', "context_length", 400),
        (400, b'{"message":"Malformed input request"}', "bad_request", 400),
        (403, b'{"message":"The security token included in the request is invalid."}', "unauthorized", 403),
        (403, b'{"Message":"You do not have access to the model"}', "forbidden", 403),
        (404, b'{"message":"Could not resolve the foundation model"}', "unknown_model", 404),
        (408, b'{"message":"timed out"}', "upstream_timeout", 408),
        (424, b'{"message":"The model broke","originalStatusCode":500}', "upstream_error", 424),
        (429, b'{"message":"Too many tokens, please wait before trying again."}', "rate_limited", 429),
        (503, b'{"message":"busy"}', "overloaded", 503),
        (500, b"", "upstream_error", 502),
        (502, b"<html>", "upstream_error", 502),
        (400, b'{"__type":"com.amazon#ValidationException","message":', "bad_request", 400),
    ],
)
def test_errors_are_read_by_status_and_words(status, body, kind, towards_client):
    failure = bedrock.read_error(status, body)
    assert (failure.kind, failure.status) == (kind, towards_client)
    assert failure.message


@given(spoiled(BODY))
@settings(max_examples=150, deadline=None)
def test_a_spoiled_reply_is_read_as_far_as_it_goes_or_refused(data):
    with contextlib.suppress(Malformed):
        msgspec.json.encode(bedrock.read_reply(msgspec.json.encode(data)))


MESSAGES = Messages().feed(STREAM)


@given(spoiled([msgspec.json.decode(message.payload) for message in MESSAGES]))
@settings(max_examples=150, deadline=None)
def test_a_spoiled_stream_ends_whole_or_broken(payloads):
    said = zip(MESSAGES, payloads, strict=True)
    found = events_of(b"".join(encode(message.headers, msgspec.json.encode(payload)) for message, payload in said))
    assert isinstance(found[-1], End | Broken)
    if isinstance(found[-1], End):
        fold(found)
