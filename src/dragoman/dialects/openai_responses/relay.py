"""The relay lane: client and provider both speak this dialect, and bytes go through as they came."""

import msgspec
from msgspec import Raw, Struct

from dragoman.canon import JSON, Usage
from dragoman.dialects.dialect import Seen
from dragoman.dialects.openai_responses.errors import read_failure
from dragoman.dialects.openai_responses.read_reply import read_usage
from dragoman.dialects.quirks import Quirks
from dragoman.wire import sse

# Inside a JSON string a quote is escaped, so no delta holds any of these, whatever the model says
TAP_MARKS: tuple[bytes, ...] = (
    b'"response.completed"',
    b'"response.incomplete"',
    b'"response.failed"',
    b'"response.created"',
    b'"error"',
)


class _Body(Struct):
    usage: JSON | None = None


class _Response(Struct):
    model: str | None = None
    usage: JSON | None = None
    error: JSON | None = None
    status: str | int | None = None


class _Frame(Struct):
    type: str = ""
    response: _Response | None = None


_body = msgspec.json.Decoder(_Body).decode
_frame = msgspec.json.Decoder(_Frame).decode
_SAID = {False: Raw(b"false"), True: Raw(b"true")}


def retarget(fields: dict[str, Raw], model: str, stream: bool, quirks: Quirks) -> None:
    """Puts the provider's model id, and whether to stream, into a body of this dialect."""
    fields["model"] = Raw(msgspec.json.encode(model))
    if stream or "stream" in fields:
        fields["stream"] = _SAID[stream]


def usage_of(body: bytes) -> Usage | None:
    """The usage in a whole response object, or None."""
    try:
        return read_usage(_body(body).usage)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def tap(frame: bytes, seen: Seen) -> bool:
    """Notes model, usage, end and failure. Every frame is for the client."""
    event = sse.parse(frame)
    if event is None:
        return True
    try:
        known = _frame(event.data)
        if known.type == "error":
            seen.failure = read_failure(msgspec.json.decode(event.data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    response = known.response
    if response is None or not known.type.startswith("response."):
        return True
    if response.model:
        seen.model = response.model
    if (usage := read_usage(response.usage)) is not None:
        seen.usage = usage
    if known.type in {"response.completed", "response.incomplete"}:
        seen.ended = True
    elif known.type == "response.failed":
        seen.failure = read_failure({"error": response.error})
    return True
