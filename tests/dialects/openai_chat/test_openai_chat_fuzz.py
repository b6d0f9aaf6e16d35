"""Bad input to `openai-chat`: a client's is refused by name, a provider's never crashes anything."""

import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.canon import Begin, Broken, End, Failed, Fold, Request
from dragoman.dialects import openai_chat
from dragoman.dialects.dialect import Dialect, Unsayable
from dragoman.dialects.fields import Malformed
from dragoman.dialects.quirks import Quirks

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}}
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
REQUEST = {
    "model": "m",
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "x"}}, IMAGE]},
        {"role": "user", "content": [{"type": "file", "file": {"file_data": "AA", "filename": "x"}}]},
        {"role": "assistant", "content": "b", "tool_calls": [CALL], "reasoning_content": "t", "audio": {"id": "1"}},
        {"role": "tool", "tool_call_id": "1", "content": "c"},
        {"role": "function", "name": "f", "content": "c"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}, {"type": "x"}],
    "functions": [{"name": "f"}],
    "tool_choice": {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
    },
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
    "stream_options": {"include_usage": True},
    "stop": ["a"],
    "logit_bias": {"1": 1},
    "metadata": {"a": "b"},
}
MESSAGE = {
    "content": "a",
    "reasoning": "t",
    "reasoning_details": [{"type": "reasoning.text", "text": "t", "index": 0, "signature": "s"}],
    "refusal": "r",
    "annotations": [{"type": "url_citation", "url_citation": {"url": "u", "start_index": 0}}],
    "audio": {"id": "x", "data": "AA"},
    "images": [IMAGE],
    "tool_calls": [{**CALL, "index": 0, "extra_content": {"google": {"thought_signature": "s"}}}],
    "function_call": {"name": "f", "arguments": "{}"},
}
CHOICE = {
    "index": 0,
    "finish_reason": "stop",
    "logprobs": {"content": [{"token": "a", "logprob": -1, "top_logprobs": []}]},
}
USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}}
HEAD = {"id": "r", "created": 1, "model": "m", "usage": USAGE}
REPLY = {**HEAD, "choices": [{**CHOICE, "message": MESSAGE}]}
CHUNK = {**HEAD, "choices": [{**CHOICE, "delta": MESSAGE}]}

JUNK = st.sampled_from([None, True, 0, -1, 1.5, 10**12, 1e308, "", "x", [], ["x"], [None], [[]], {}, {"type": "text"}])


def places(value: Any, at: tuple = ()) -> list[tuple]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in inner for found in [(*at, key), *places(item, (*at, key))]]


def spoiled(value: dict) -> st.SearchStrategy[dict]:
    """`value` with something else in one to three places."""

    def spoil(changes: list) -> dict:
        spoilt = copy.deepcopy(value)
        for path, junk in changes:
            parent: Any = spoilt
            try:
                for key in path[:-1]:
                    parent = parent[key]
                parent[path[-1]] = copy.deepcopy(junk)
            except (LookupError, TypeError):
                continue  # an earlier change took the place away
        return spoilt

    return st.lists(st.tuples(st.sampled_from(places(value)), JUNK), min_size=1, max_size=3).map(spoil)


@settings(max_examples=300, deadline=None)
@given(spoiled(REQUEST))
def test_a_spoiled_request_is_read_and_written_or_refused_by_name(body: dict) -> None:
    try:
        request = openai_chat.read_request(body)
    except Malformed as error:
        assert str(error)
        return
    for quirks in (Quirks(), Quirks(cache_control=True, custom_tools=False, reasoning_field="reasoning")):
        try:
            written = openai_chat.write_request(request, quirks)
        except Unsayable:
            continue
        msgspec.json.encode(written.body)


@settings(max_examples=300, deadline=None)
@given(spoiled(REPLY))
def test_a_spoiled_reply_is_read_or_malformed(body: dict) -> None:
    try:
        reply = openai_chat.read_reply(msgspec.json.encode(body))
    except Malformed:
        return
    openai_chat.write_reply(reply, Request(dialect="openai-chat"))


@settings(max_examples=300, deadline=None)
@given(st.lists(spoiled(CHUNK), min_size=1, max_size=3))
def test_a_spoiled_stream_keeps_its_order_to_its_end(chunks: list[dict]) -> None:
    data = b"".join(b"data: " + msgspec.json.encode(one) + b"\n\n" for one in chunks)
    reader = openai_chat.StreamReader()
    events = reader.feed(data + b"data: [DONE]\n\n") + reader.close()
    assert isinstance(events[-1], End | Broken)
    assert isinstance(events[0], Begin | Broken)
    growing = Fold()
    try:
        for event in events:
            growing.add(event)
    except Failed:
        pass
    ended = openai_chat.StreamWriter(Request(dialect="openai-chat")).write(events).endswith(b"data: [DONE]\n\n")
    assert ended == isinstance(events[-1], End)


@pytest.mark.parametrize("status", [200, 400, 500])
@given(st.binary(max_size=60) | spoiled({"error": {"message": "m", "code": 1, "type": "t"}}).map(msgspec.json.encode))
@settings(max_examples=100, deadline=None)
def test_no_error_body_crashes_the_reader(status: int, body: bytes) -> None:
    assert openai_chat.read_error(status, body).message


def test_the_module_has_the_shape_of_a_dialect() -> None:
    dialect: Dialect = openai_chat  # mypy holds it to the protocol; here the names
    assert dialect.NAME == "openai-chat"
    assert dialect.path("m", True) == "/chat/completions"
    assert set(dialect.FIELD_NAMES) <= {field.name for field in msgspec.structs.fields(Request)}
