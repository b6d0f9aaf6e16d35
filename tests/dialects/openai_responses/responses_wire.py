"""What the tests of this dialect share: JSON on the wire, the SDK's types, and whole conversations."""

import copy
import json
from typing import Any

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from dragoman.canon import Event, Reply, unfold
from dragoman.dialects import openai_responses as dialect
from dragoman.dialects.quirks import Quirks

STREAM_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def read(body: dict[str, Any]) -> dialect.ResponsesRequest:
    return dialect.read_request(copy.deepcopy(body))


def rewritten(body: dict[str, Any]) -> dict[str, Any]:
    return dialect.write_request(read(body), Quirks()).body


def ask(**fields: Any) -> dialect.ResponsesRequest:
    return read({"model": "m", "input": "hi", **fields})


def response(reply: Reply, **fields: Any) -> dict[str, Any]:
    """The whole reply as written, held to the SDK's type."""
    written = dialect.write_reply(reply, ask(**fields))
    Response.model_validate_json(written)
    return json.loads(written)


def stream(reply: Reply, **fields: Any) -> bytes:
    return dialect.StreamWriter(ask(**fields)).write(unfold(reply))


def events(data: bytes) -> list[dict[str, Any]]:
    """The events of a stream, each held to the SDK's type, its name and its number."""
    found = []
    for number, frame in enumerate(data.decode().split("\n\n")[:-1]):
        name, payload = frame.split("\n")
        event = json.loads(payload.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == number
        STREAM_EVENT.validate_python(event)
        found.append(event)
    return found


def sse(*payloads: dict[str, Any]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (p["type"].encode(), json.dumps(p).encode()) for p in payloads)


def heard(data: bytes) -> list[Event]:
    reader = dialect.StreamReader()
    return [*reader.feed(data), *reader.close()]
