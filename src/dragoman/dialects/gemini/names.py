"""Gemini's own words: camelCase and snake_case keys, finish reasons, models by generation, media kinds.

The API is proto3 JSON: a field may come under its camelCase or its snake_case name. We read both and write camelCase.
"""

import re
from typing import Any, Literal

from dragoman.canon import JSON, FinishReason
from dragoman.dialects.fields import Fields, Malformed, Path

NAME = "gemini"

# what a finish reason means; a `STOP` after a function call is `tool_calls`
FINISH: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "ESCALATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "PUP_LIMITED_DISABLED": "content_filter",
    "CONTINUATION": "pause",
    "OTHER": "error",
    "IMAGE_OTHER": "error",
    "NO_IMAGE": "error",
    "MALFORMED_FUNCTION_CALL": "error",
    "UNEXPECTED_TOOL_CALL": "error",
    "TOO_MANY_TOOL_CALLS": "error",
    "MISSING_THOUGHT_SIGNATURE": "error",
    "MALFORMED_RESPONSE": "error",
    "FINISH_REASON_UNSPECIFIED": "error",
}

STATED: dict[FinishReason, str] = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "context_length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "refusal": "SAFETY",
    "pause": "OTHER",
    "error": "OTHER",
}

_MIME_BY_ENDING = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "heic": "image/heic",
    "heif": "image/heif", "gif": "image/gif", "pdf": "application/pdf", "txt": "text/plain", "md": "text/markdown",
    "html": "text/html", "csv": "text/csv", "json": "application/json", "wav": "audio/wav", "mp3": "audio/mpeg",
    "ogg": "audio/ogg", "flac": "audio/flac", "aac": "audio/aac", "m4a": "audio/mp4", "mp4": "video/mp4",
    "webm": "video/webm", "mov": "video/quicktime",
}  # fmt: skip
_MIME_BY_KIND = {"image": "image/jpeg", "audio": "audio/wav", "video": "video/mp4", "document": "application/pdf"}

_GENERATION = re.compile(r"gemini-(?:[a-z]+-)*(\d+)")


def camel(data: JSON) -> JSON:
    """The object with its own keys in camelCase; the same object where they are already."""
    for key in data:
        if "_" in key:
            return {_camel_key(key): value for key, value in data.items()}
    return data


def _camel_key(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def fields(data: object, path: Path) -> Fields:
    """`data` to be read, its keys in camelCase. Raises `Malformed`."""
    if not isinstance(data, dict):
        raise Malformed(path, "an object", data)
    return Fields(camel(data), path)


def generation(model: str) -> int | None:
    """The first number in a Gemini model's name: 2 for `gemini-2.5-pro`; None for models of another name."""
    found = _GENERATION.search(model)
    return int(found.group(1)) if found else None


def kind_of(mime: str | None) -> Literal["image", "audio", "video", "document"]:
    match (mime or "").partition("/")[0]:
        case "image":
            return "image"
        case "audio":
            return "audio"
        case "video":
            return "video"
        case _:
            return "document"


def mime_of(url: str, kind: str) -> str:
    """The media type that a URL's ending promises; the commonest of its kind where it promises none."""
    name = url.partition("?")[0].partition("#")[0].rpartition("/")[2]
    return _MIME_BY_ENDING.get(name.rpartition(".")[2].lower(), _MIME_BY_KIND[kind])


def standard_base64(data: str) -> str:
    """The same bytes in the standard alphabet, padded: SDKs send the URL-safe one, other dialects refuse it."""
    if "-" in data or "_" in data:
        data = data.replace("-", "+").replace("_", "/")
    return data + "=" * (-len(data) % 4) if len(data) % 4 else data


def listed(value: Any) -> list[Any]:
    """A provider's array, or nothing where it is not one."""
    return value if isinstance(value, list) else []


def keyed(value: Any) -> JSON:
    """A provider's object, its keys in camelCase, or an empty one where it is not one."""
    return camel(value) if isinstance(value, dict) else {}
