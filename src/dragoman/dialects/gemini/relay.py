"""What the relay lane does with bodies and streams of this dialect, reading as little as it can."""

import msgspec
from msgspec import Raw

from dragoman.canon import Usage
from dragoman.dialects.dialect import Seen
from dragoman.dialects.gemini.errors import error_in, read_envelope
from dragoman.dialects.gemini.names import keyed, listed
from dragoman.dialects.gemini.usage import read_usage
from dragoman.dialects.quirks import Quirks
from dragoman.wire import sse

# Inside of a text their quotation marks would be escaped, so no content has them.
TAP_MARKS: tuple[bytes, ...] = (b'"finishReason"', b'"blockReason"', b'"error"')


class _Used(msgspec.Struct):
    usageMetadata: Raw = Raw()  # the wire's own name


_used = msgspec.json.Decoder(_Used).decode
_decode = msgspec.json.Decoder().decode
_BAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def retarget(fields: dict[str, Raw], model: str, stream: bool, quirks: Quirks) -> None:
    """The model stands in the path; a `model` in the body must not contradict it."""
    if "model" in fields:
        fields["model"] = Raw(msgspec.json.encode(model if "/" in model else f"models/{model}"))
    for name in quirks.refuses:
        fields.pop(name, None)


def usage_of(body: bytes) -> Usage | None:
    try:
        raw = _used(body).usageMetadata
        return read_usage(_decode(raw)) if raw else None
    except _BAD:
        return None


def tap(frame: bytes, seen: Seen) -> bool:
    event = sse.parse(frame if b"\r" not in frame else frame.replace(b"\r\n", b"\n"))
    try:
        chunk = _decode(event.data if event is not None else frame)
    except _BAD:
        return True
    if (error := error_in(chunk)) is not None:
        seen.failure = read_envelope(200, error)
        return True
    chunk = keyed(chunk)
    if (usage := read_usage(chunk.get("usageMetadata"))) is not None:
        seen.usage = usage
    if isinstance(model := chunk.get("modelVersion"), str):
        seen.model = model
    finished = any(keyed(candidate).get("finishReason") for candidate in listed(chunk.get("candidates")))
    if finished or keyed(chunk.get("promptFeedback")).get("blockReason"):
        seen.ended = True
    return True
