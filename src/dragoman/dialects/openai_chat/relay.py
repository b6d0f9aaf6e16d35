"""The relay lane: bodies and streams of this dialect go through as they came, but for what the gateway owns."""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from dragoman.canon import Stated, Usage
from dragoman.dialects.dialect import Seen
from dragoman.dialects.fields import Malformed, decode
from dragoman.dialects.openai_chat.errors import failure_of
from dragoman.dialects.openai_chat.usage import read_usage
from dragoman.dialects.openai_models import traits
from dragoman.dialects.quirks import Quirks
from dragoman.wire import sse

# Chunks may carry `"usage":null`, so the brace belongs to the mark. In a delta's text the quotes are escaped, so none
# of these occurs there (but for the bare `[DONE]`, which `tap` then finds to be none).
TAP_MARKS = (b'"usage":{', b'"usage": {', b"[DONE]", b'"error"')


class _Groq(Struct):
    usage: dict[str, Any] | None = None


class _Frame(Struct):
    model: str | None = None
    choices: list[Raw] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None
    x_groq: _Groq | None = None


class _Details(Struct):
    cached_tokens: Stated | None = None
    cache_write_tokens: Stated | None = None
    audio_tokens: Stated | None = None
    reasoning_tokens: Stated | None = None


_NONE = _Details()


class _Stated(Struct):
    """A usage object of the common form; any other is read by `read_usage`."""

    prompt_tokens: Stated
    completion_tokens: Stated
    total_tokens: int
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    prompt_cache_hit_tokens: Stated | None = None
    cached_tokens: Stated | None = None


class _Common(Struct):
    usage: _Stated


class _Whole(Struct):
    usage: dict[str, Any] | None = None


_common = msgspec.json.Decoder(_Common).decode
_frame = msgspec.json.Decoder(_Frame).decode
_whole = msgspec.json.Decoder(_Whole).decode
_encode = msgspec.json.Encoder().encode


def retarget(fields: dict[str, Raw], model: str, stream: bool, quirks: Quirks) -> None:
    """Puts `model`, and asks for usage on the stream (keeping the client's other `stream_options`; raises `Malformed`
    where they can't be read). A model of OpenAI's that thinks refuses the older name of `max_completion_tokens`, which
    clients that know only its public name use."""
    fields["model"] = Raw(_encode(model))
    if "max_tokens" in fields and "max_completion_tokens" not in fields and traits(model).thinks:
        fields["max_completion_tokens"] = fields.pop("max_tokens")
    if not stream or not quirks.stream_usage:
        return
    asked = decode(fields["stream_options"]) if "stream_options" in fields else None
    options = asked if isinstance(asked, dict) else {}
    if options.get("include_usage") is not True:
        fields["stream_options"] = Raw(_encode({**options, "include_usage": True}))


def usage_of(body: bytes) -> Usage | None:
    """The usage in a whole reply; None where it has none or is no reply."""
    try:
        common = _common(body).usage
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _odd_usage_of(body)
    read, said = common.prompt_tokens, common.completion_tokens
    if common.total_tokens > read + said or common.prompt_cache_hit_tokens or common.cached_tokens:
        return _odd_usage_of(body)
    prompt, completion = common.prompt_tokens_details or _NONE, common.completion_tokens_details or _NONE
    return Usage(
        input=read, output=said, cached=prompt.cached_tokens or 0, cache_write=prompt.cache_write_tokens or 0,
        reasoning=completion.reasoning_tokens or 0, audio_input=prompt.audio_tokens or 0,
        audio_output=completion.audio_tokens or 0,
    )  # fmt: skip


def _odd_usage_of(body: bytes) -> Usage | None:
    """The same, of any form."""
    try:
        stated = _whole(body).usage
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if stated is None else read_usage(stated)


def tap(frame: bytes, seen: Seen) -> bool:
    """Notes usage, end and error. False for a chunk with nothing but the usage that the client did not ask for."""
    event = sse.parse(frame)
    if event is None:
        return True
    if event.data.startswith(b"[DONE]"):
        seen.ended = True
        return True
    try:
        chunk = _frame(event.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    if chunk.model:
        seen.model = chunk.model
    if chunk.error is not None or event.name == "error":
        try:
            seen.failure = failure_of(decode(event.data), 0)
        except Malformed:
            seen.failure = failure_of(None, 0)
        return True
    usage = chunk.usage or (chunk.x_groq.usage if chunk.x_groq else None)
    if usage is None:
        return True
    seen.usage = read_usage(usage)
    return bool(chunk.choices) or not seen.withhold_usage
