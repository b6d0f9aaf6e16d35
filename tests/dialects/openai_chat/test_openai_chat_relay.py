"""The relay lane of `openai-chat`: what is touched, and what is read off in passing."""

import msgspec
import pytest
from msgspec import Raw

from dragoman.dialects import openai_chat
from dragoman.dialects.dialect import Seen
from dragoman.dialects.quirks import Quirks

CONTENT = (
    b'data: {"id":"1","model":"m","choices":[{"index":0,'
    b'"delta":{"content":"\\"usage\\":{\\"error\\""}}],"usage":null}\n\n'
)
USAGE = b'data: {"id":"1","model":"gpt-x","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
USAGE_WITH_CHOICE = (
    b'data: {"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage": {"prompt_tokens":3}}\n\n'
)


def retargeted(body: bytes, stream: bool, quirks: Quirks | None = None) -> bytes:
    fields = msgspec.json.decode(body, type=dict[str, Raw])
    openai_chat.retarget(fields, "new", stream, quirks or Quirks())
    return msgspec.json.encode(fields)


def test_only_the_model_is_touched_in_a_whole_request() -> None:
    body = b'{"messages":[ {"role":"user",  "content":"a"}],"model":"old","x":1.50}'
    assert retargeted(body, False) == body.replace(b'"old"', b'"new"')


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (b"", b',"stream_options":{"include_usage":true}'),
        (b',"stream_options":null', b',"stream_options":{"include_usage":true}'),
        (
            b',"stream_options":{"include_obfuscation":false,"include_usage":false}',
            b',"stream_options":{"include_obfuscation":false,"include_usage":true}',
        ),
        (b',"stream_options":{ "include_usage":true }', b',"stream_options":{ "include_usage":true }'),
    ],
)
def test_usage_is_asked_for_on_streams(given: bytes, sent: bytes) -> None:
    assert retargeted(b'{"model":"old"' + given + b"}", True) == b'{"model":"new"' + sent + b"}"


def test_usage_is_not_asked_of_providers_that_do_not_know_it() -> None:
    assert retargeted(b'{"model":"old"}', True, Quirks(stream_usage=False)) == b'{"model":"new"}'


def test_ordinary_chunks_carry_no_mark() -> None:
    assert not any(mark in CONTENT for mark in openai_chat.TAP_MARKS)
    assert all(any(mark in frame for mark in openai_chat.TAP_MARKS) for frame in (USAGE, USAGE_WITH_CHOICE))


def test_usage_is_read_off_the_stream() -> None:
    seen = Seen()
    assert openai_chat.tap(USAGE, seen) is True
    assert seen.usage is not None
    assert (seen.usage.input, seen.usage.output, seen.model) == (3, 2, "gpt-x")


def test_a_usage_chunk_nobody_asked_for_is_withheld() -> None:
    assert openai_chat.tap(USAGE, Seen(withhold_usage=True)) is False
    seen = Seen(withhold_usage=True)
    assert openai_chat.tap(USAGE_WITH_CHOICE, seen) is True
    assert seen.usage is not None


def test_the_end_mark_and_errors_are_seen() -> None:
    seen = Seen()
    assert openai_chat.tap(b"data: [DONE]\n\n", seen) is True
    assert seen.ended
    assert openai_chat.tap(b'data: {"error":{"message":"out","code":503}}\n\n', seen) is True
    assert seen.failure is not None
    assert (seen.failure.kind, seen.failure.message) == ("overloaded", "out")


@pytest.mark.parametrize(
    "frame", [b": [DONE]\n\n", b'data: {"error"\n\n', b'data: "[DONE]"\n\n', b'data: {"usage":{\xff}}\n\n', b"\n\n"]
)
def test_a_frame_that_only_looks_like_one_passes_unharmed(frame: bytes) -> None:
    seen = Seen(withhold_usage=True)
    assert openai_chat.tap(frame, seen) is True
    assert not seen.ended
    assert seen.usage is None


def test_an_error_field_of_null_is_no_error() -> None:
    seen = Seen()
    openai_chat.tap(b'data: {"choices":[],"error":null}\n\n', seen)
    assert seen.failure is None


def test_usage_of_a_whole_reply() -> None:
    usage = openai_chat.usage_of(b'{"choices":[{"x":1}],"usage":{"prompt_tokens":3,"completion_tokens":2}}')
    assert usage is not None
    assert (usage.input, usage.output) == (3, 2)
    assert openai_chat.usage_of(b'{"choices":[]}') is None
    assert openai_chat.usage_of(b"<html>") is None


@pytest.mark.parametrize(("model", "name"), [("gpt-5.5", "max_completion_tokens"), ("gpt-4o", "max_tokens")])
def test_a_limit_is_relayed_under_the_name_that_the_model_takes(model: str, name: str) -> None:
    fields = msgspec.json.decode(b'{"model":"public","max_tokens":9}', type=dict[str, msgspec.Raw])
    openai_chat.retarget(fields, model, False, Quirks())
    assert msgspec.json.decode(msgspec.json.encode(fields)) == {"model": model, name: 9}
