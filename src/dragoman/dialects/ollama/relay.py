"""The relay lane: an Ollama client before an Ollama server."""

import msgspec
from msgspec import Raw

from dragoman.canon import Stated, Usage
from dragoman.dialects.dialect import Seen
from dragoman.dialects.ollama.errors import failure_of
from dragoman.dialects.ollama.reply import usage_in
from dragoman.dialects.quirks import Quirks


def retarget(fields: dict[str, Raw], model: str, stream: bool, quirks: Quirks) -> None:
    """Puts the provider's model name; `stream` is said only where it was, or where leaving it out would mean true."""
    fields["model"] = Raw(msgspec.json.encode(model))
    if "stream" in fields or not stream:
        fields["stream"] = Raw(b"true" if stream else b"false")
    for name in quirks.refuses:
        fields.pop(name, None)


class _Counts(msgspec.Struct):
    prompt_eval_count: Stated = 0
    eval_count: Stated = 0


_counts = msgspec.json.Decoder(_Counts).decode


def usage_of(body: bytes) -> Usage | None:
    """The counts of a whole reply; None where it has none."""
    try:
        found = _counts(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return Usage(input=found.prompt_eval_count, output=found.eval_count)


def tap(frame: bytes, seen: Seen) -> bool:
    """Reads the last line, or an error line."""
    try:
        data = msgspec.json.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    if not isinstance(data, dict):
        return True
    if error := data.get("error"):
        seen.failure = failure_of(500, str(error))
    elif data.get("done"):
        seen.ended, seen.usage = True, usage_in(data)
    if isinstance(model := data.get("model"), str):
        seen.model = model
    return True
