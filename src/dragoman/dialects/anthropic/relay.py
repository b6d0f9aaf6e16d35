"""The relay lane: client and target both speak this dialect; bytes go through, and little is read or replaced."""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from dragoman.canon import JSON, Stated, Usage, inclusive
from dragoman.dialects.anthropic.errors import failure_of
from dragoman.dialects.anthropic.names import NAME
from dragoman.dialects.anthropic.usage import read_usage, write_usage
from dragoman.dialects.dialect import Seen
from dragoman.dialects.quirks import Quirks
from dragoman.wire import sse

# inside a JSON string a quote is escaped, so model text can contain these only after a backslash
TAP_MARKS: tuple[bytes, ...] = (b'"message_', b'"error"')
_TRUE, _FALSE = Raw(b"true"), Raw(b"false")


class _Creation(Struct):
    ephemeral_1h_input_tokens: Stated | None = None


class _OutputDetails(Struct):
    thinking_tokens: Stated | None = None


class _Stated(Struct):
    """A usage object of the common form; any other is read by `read_usage`."""

    input_tokens: Stated
    output_tokens: Stated
    cache_creation_input_tokens: Stated | None = None
    cache_read_input_tokens: Stated | None = None
    cache_creation: _Creation | None = None
    output_tokens_details: _OutputDetails | None = None


class _Common(Struct):
    usage: _Stated


class _Answer(Struct):
    usage: JSON | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode
_common = msgspec.json.Decoder(_Common).decode
_decode = msgspec.json.decode
_encode = msgspec.json.encode


def retarget(fields: dict[str, Raw], model: str, stream: bool, quirks: Quirks) -> None:
    """Puts the target's model id, and `stream` where it says otherwise than the body."""
    fields["model"] = Raw(_encode(model))
    if stream:
        fields["stream"] = _TRUE
    elif "stream" in fields:
        fields["stream"] = _FALSE


def usage_of(body: bytes) -> Usage | None:
    """The usage in a whole reply; None where there is none to be read."""
    try:
        common = _common(body).usage
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _odd_usage_of(body)
    usage = Usage(
        input=common.input_tokens,
        output=common.output_tokens,
        cached=common.cache_read_input_tokens or 0,
        cache_write=common.cache_creation_input_tokens or 0,
    )
    if common.cache_creation is not None:
        usage.cache_write_1h = common.cache_creation.ephemeral_1h_input_tokens or 0
    if common.output_tokens_details is not None:
        usage.reasoning = common.output_tokens_details.thinking_tokens or 0
    return inclusive(NAME, usage)


def _odd_usage_of(body: bytes) -> Usage | None:
    """The same, of any form."""
    try:
        usage = _decode_answer(body).usage
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return read_usage(usage) if usage else None


def tap(frame: bytes, seen: Seen) -> bool:
    """Notes usage, model, end and errors. Every frame is for the client."""
    event = sse.parse(frame)
    if event is None:
        return True
    try:
        data: Any = _decode(event.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    if not isinstance(data, dict):
        return True
    match data.get("type"):
        case "message_start" if isinstance(message := data.get("message"), dict):
            model = message.get("model")
            seen.model = model if isinstance(model, str) else seen.model
            _note_usage(message.get("usage"), seen)
        case "message_delta":
            _note_usage(data.get("usage"), seen)
        case "message_stop":
            seen.ended = True
        case "error":
            error = data.get("error")
            seen.failure = failure_of(200, error if isinstance(error, dict) else {}, event.data)
    return True


def _note_usage(stated: Any, seen: Seen) -> None:
    """`message_delta` states totals so far, of some counters: the others keep what `message_start` said."""
    if not isinstance(stated, dict):
        return
    if seen.usage is not None:
        before = write_usage(seen.usage, None, same_dialect=True)
        stated = {**before, **{name: value for name, value in stated.items() if value is not None}}
        if "cache_creation_input_tokens" in stated and stated["cache_creation_input_tokens"] == 0:
            stated.pop("cache_creation", None)
    seen.usage = read_usage(stated)
