"""Spoiled input: any value in any place. Clients get `Malformed`; what providers send never crashes anything."""

import copy
import json
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from responses_wire import ask, events, heard, sse, stream
from test_responses_replies import WIRE
from test_responses_requests import BODIES

from dragoman.canon import Broken, Choice, End, Fold, Reasoning, Refusal, Reply, Text, ToolCall
from dragoman.dialects import openai_responses as dialect
from dragoman.dialects.fields import Malformed
from dragoman.dialects.quirks import Quirks

VALUES = st.sampled_from([None, True, 0, -1, 1.5, "", "x", [], [1], [[]], {}, {"type": "x"}, {"type": []}, [{"a": 1}]])
STREAM = events(
    stream(
        Reply(
            dialect="openai-responses",
            id="resp_1",
            choices=[
                Choice(
                    parts=[
                        Reasoning(text="hm", summary=True, encrypted="g", dialect="openai-responses"),
                        Text(text="hi"),
                        Refusal(text="no"),
                        ToolCall(id="a", name="f", arguments='{"x":1}'),
                        ToolCall(id="b", name="p", arguments="+1", kind="custom"),
                    ]
                )
            ],
        )
    )
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything inside `value`."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, each in inside for found in [(*path, key), *places(each, (*path, key))]]


def spoiled(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = by
    return value


@settings(max_examples=200)
@given(st.sampled_from([(body, path) for body in BODIES.values() for path in places(body)]), VALUES)
def test_a_spoiled_request_is_read_or_refused(place: tuple[dict[str, Any], tuple[Any, ...]], by: Any) -> None:
    body = spoiled(*place, by)
    with suppress(Malformed):
        request = dialect.read_request(body)
        dialect.write_request(request, Quirks())
        dialect.StreamWriter(request).write([Broken(failure=dialect.read_error(500, b""))])


@settings(max_examples=200)
@given(st.sampled_from(places(WIRE)), VALUES)
def test_a_spoiled_reply_is_read_or_refused(path: tuple[Any, ...], by: Any) -> None:
    with suppress(Malformed):
        dialect.write_reply(dialect.read_reply(json.dumps(spoiled(WIRE, path, by)).encode()), ask())


@settings(max_examples=200)
@given(st.sampled_from(places(STREAM)), VALUES)
def test_a_spoiled_stream_still_ends_and_keeps_its_order(path: tuple[Any, ...], by: Any) -> None:
    wrecked = [event for event in spoiled(STREAM, path, by) if isinstance(event, dict)]
    data = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in wrecked)
    found = heard(data)
    assert isinstance(found[-1], End | Broken)
    growing = Fold()
    for event in found[:-1]:
        growing.add(event)
    dialect.StreamWriter(ask()).write(found)


@given(st.lists(st.sampled_from(STREAM), max_size=30))
def test_a_shuffled_stream_still_ends_and_keeps_its_order(shuffled: list[dict[str, Any]]) -> None:
    found = heard(sse(*shuffled))
    assert isinstance(found[-1], End | Broken)
    growing = Fold()
    for event in found[:-1]:
        growing.add(event)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_crash_a_reader(data: bytes) -> None:
    heard(data)
    dialect.read_error(400, data)
    dialect.usage_of(data)
