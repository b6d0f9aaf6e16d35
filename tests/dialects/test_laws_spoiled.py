"""Spoiled input across dialects: whatever a provider sends, every client gets an answer in its own dialect or a proper
failure; whatever a client sends is refused by name or put to every provider as JSON. The spoilers are the fuzzer's."""

import importlib.util
import json
import random
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dragoman import dialects
from dragoman.canon import Broken, Choice, End, Event, Failed, Fold, Reply, Request, Text, ToolCall, Usage, unfold
from dragoman.dialects.dialect import Seen, Unsayable
from dragoman.dialects.fields import Malformed
from dragoman.dialects.quirks import Quirks
from dragoman.gateway.tap import Tap

_SPEC = importlib.util.spec_from_file_location("fuzz", Path(__file__).parents[2] / "bench" / "fuzz.py")
assert _SPEC is not None
assert _SPEC.loader is not None
fuzz = importlib.util.module_from_spec(_SPEC)
sys.modules["fuzz"] = fuzz
_SPEC.loader.exec_module(fuzz)

CLIENTS = ("openai-chat", "openai-responses", "anthropic", "gemini", "ollama", "ollama.generate")
SURFACES = {
    "/v1/chat/completions": "openai-chat",
    "/v1/responses": "openai-responses",
    "/v1/messages": "anthropic",
    "/v1beta/models/m:generateContent": "gemini",
    "/api/chat": "ollama",
    "/api/generate": "ollama.generate",
}
TIMES = 120


def all_write(events: list[Event]) -> None:
    for name in CLIENTS:
        client = dialects.client(name)
        client.StreamWriter(Request(dialect=client.NAME, stream=True)).write(events)


@pytest.mark.parametrize("provider", fuzz.UPSTREAMS)
def test_a_spoiled_reply_is_malformed_or_reaches_every_client(provider: str) -> None:
    draw, upstream = random.Random(provider), dialects.upstream(fuzz.UPSTREAMS[provider][0])
    for _ in range(TIMES):
        body = json.dumps(fuzz.mutate(draw, fuzz.WHOLE[provider])).encode()
        try:
            reply = upstream.read_reply(body)
        except Malformed:
            continue
        for name in CLIENTS:
            client = dialects.client(name)
            json.loads(client.write_reply(reply, Request(dialect=client.NAME)))


@pytest.mark.parametrize("provider", fuzz.UPSTREAMS)
def test_a_spoiled_stream_keeps_its_order_and_ends_for_every_client(provider: str) -> None:
    draw, upstream = random.Random(provider), dialects.upstream(fuzz.UPSTREAMS[provider][0])
    for _ in range(TIMES):
        try:
            frames = fuzz.framed(provider, fuzz.mutate(draw, fuzz.STREAMS[provider]))
        except (TypeError, ValueError, AttributeError):
            continue  # the spoiled events can't be framed at all
        reader = upstream.StreamReader()
        events = reader.feed(b"".join(frames)) + reader.close()
        assert isinstance(events[-1], End | Broken)
        grown = Fold()
        try:
            for event in events:
                grown.add(event)
        except Failed:
            pass
        all_write(events)


@pytest.mark.parametrize("provider", ["chat", "responses", "messages", "gemini", "ollama"])
def test_spoiled_replies_and_streams_pass_the_relay_lane(provider: str) -> None:
    draw, client = random.Random(provider), dialects.client(fuzz.UPSTREAMS[provider][0])
    for _ in range(TIMES):
        client.usage_of(json.dumps(fuzz.mutate(draw, fuzz.WHOLE[provider])).encode())
        data = fuzz.spoil_bytes(draw, b"".join(fuzz.framed(provider, fuzz.STREAMS[provider])))
        tap = Tap(client, Seen())
        tap.feed(data)
        tap.rest()
        client.usage_of(data)


@pytest.mark.parametrize("path", SURFACES)
def test_a_spoiled_request_is_refused_or_reaches_every_provider(path: str) -> None:
    draw, client = random.Random(path), dialects.client(SURFACES[path])
    call = ToolCall(id="1", name="weather", arguments="{}")
    reply = Reply(dialect="", choices=[Choice(parts=[Text(text="a"), call])], usage=Usage(input=1))
    for _ in range(TIMES):
        try:
            request = client.read_request(fuzz.mutate(draw, fuzz.BODIES[path]))
        except Malformed:
            continue
        for dialect, _ in fuzz.UPSTREAMS.values():
            try:
                written = dialects.upstream(dialect).write_request(request, Quirks())
            except Unsayable:
                continue
            msgspec.json.encode(written.body)
        client.StreamWriter(request).write(list(unfold(reply)))


# what it found


def _anthropic(**fields: Any) -> bytes:
    return json.dumps({**fuzz.WHOLE["messages"], **fields}).encode()


def test_a_stop_reason_that_is_no_text_is_none() -> None:
    reply = dialects.upstream("anthropic").read_reply(_anthropic(stop_reason=["x"], stop_sequence={}))
    assert (reply.choices[0].raw_finish, reply.choices[0].stop_sequence) == (None, None)


@pytest.mark.parametrize("created", [1_790_000_000_000, 2**63, -(2**70), -1])
def test_a_time_beyond_the_calendar_is_none_to_ollamas_clients(created: int) -> None:
    reply = Reply(dialect="openai-chat", created=created, choices=[Choice(parts=[Text(text="a")])])
    for name in ("ollama", "ollama.generate"):
        body = json.loads(dialects.client(name).write_reply(reply, Request(dialect="ollama")))
        assert body["created_at"] == "1970-01-01T00:00:00Z"


def test_a_candidate_of_an_impossible_index_is_passed_over() -> None:
    gemini = dialects.upstream("gemini")
    for index in (-1, -(2**70), 2**63):
        body = {"candidates": [{"index": index, "content": {"parts": [{"text": "a"}]}}, {"finishReason": "STOP"}]}
        assert len(gemini.read_reply(json.dumps(body).encode()).choices) == 1


def test_a_block_after_the_finish_is_passed_over() -> None:
    events = list(fuzz.STREAMS["messages"])
    events.insert(-1, {"type": "content_block_start", "index": 9, "content_block": {"type": "text", "text": "late"}})
    events.insert(-1, {"type": "content_block_stop", "index": {}})
    reader, grown = dialects.upstream("anthropic").StreamReader(), Fold()
    for event in reader.feed(b"".join(fuzz.framed("messages", events))):
        grown.add(event)
    assert "late" not in repr(grown.reply)


ODD_BYTES = {
    "openai-chat": [b'data: {"id":"r","error":{"message":"m","x":"\xff"},"choices":[]}\n\n'],
    "openai-responses": [b'data: {"type":"response.created","response":{"x":"\xff"}}\n\n'],
    "anthropic": [
        b'data: {"type":"content_block_start","index":0,"content_block":{"type":"odd"}}\n\n',
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"odd","x":"\xff"}}\n\n',
    ],
    "gemini": [b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}],"usageMetadata":{"x":"\xff"}}\n\n'],
    "ollama": [b'{"message":{"content":"\xff"}}\n'],
    "cohere": [b'data: {"type":"message-start","x":"\xff"}\n\n'],
    "bedrock": [fuzz.event_frame({":message-type": "event", ":event-type": "messageStart"}, b'{"x":"\xff"}')],
}


@pytest.mark.parametrize("name", ODD_BYTES)
def test_bytes_that_are_no_text_break_a_stream_and_no_reader(name: str) -> None:
    reader = dialects.upstream(name).StreamReader()
    events = [event for frame in ODD_BYTES[name] for event in reader.feed(frame)] + reader.close()
    assert isinstance(events[-1], Broken)
    all_write(events)


@pytest.mark.parametrize("name", ["openai-chat", "openai-responses", "anthropic", "gemini", "ollama"])
def test_bytes_that_are_no_text_pass_the_relay_lane(name: str) -> None:
    client = dialects.client(name)
    for frame in ODD_BYTES[name]:
        client.tap(frame, Seen())


def test_stream_options_that_are_no_text_are_the_clients_fault() -> None:
    fields = {"stream_options": msgspec.Raw(b'{"x":"\xff"}')}
    with pytest.raises(Malformed):
        dialects.client("openai-chat").retarget(fields, "m", True, Quirks())


def test_an_input_item_of_no_type_is_stored_as_it_is() -> None:
    from dragoman.dialects.openai_responses import stored

    kept = stored.record({"input": [{"type": {"x": 1}}, {"type": []}]}, {"id": "resp_1"})
    assert next(item["type"] for item in kept.items) == {"x": 1}
