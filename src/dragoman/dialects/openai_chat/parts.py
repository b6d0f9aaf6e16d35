"""Content parts, both ways.

| canon                         | openai-chat part                                             |
|-------------------------------|--------------------------------------------------------------|
| `Text`                        | `text`                                                       |
| `Media` image                 | `image_url` (`url` may be a data URL; `detail`)              |
| `Media` audio, `data`         | `input_audio` (`data`, `format`)                             |
| `Media` video                 | `video_url` (vLLM, OpenRouter)                               |
| `Media` document              | `file` (`file_data`, `file_id`, `filename`)                  |
| `Media` document, `text`      | `text`                                                       |
| `Refusal`                     | `refusal` (read only: written as the message's field)        |
| `Opaque`                      | a part of any other type                                     |
| `cache`, ttl None, 30m or 12h | `prompt_cache_breakpoint`                                    |
| `cache`, ttl 5m or 1h         | `cache_control` (only to providers with that quirk)          |
"""

import base64

from dragoman.canon import JSON, CacheMark, Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from dragoman.dialects.dialect import Unsayable
from dragoman.dialects.fields import Fields, Malformed
from dragoman.dialects.losses import Losses
from dragoman.dialects.openai_chat.names import NAME
from dragoman.dialects.quirks import Quirks

_BREAKPOINT_TTLS = (None, "30m", "12h")
_FORMATS = {"audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav"}


def read_content(fields: Fields) -> list[Part]:
    """The parts of a message's `content`, a string or an array; the empty string and null have none."""
    content = fields.any("content")
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [Text(text=content)]
    if not isinstance(content, list):
        raise Malformed(fields.at("content"), "a string or an array", content)
    return [read_part(Fields(item, (fields.at("content"), i))) for i, item in enumerate(content)]


def read_part(fields: Fields) -> Part:
    """One part. Raises `Malformed`; a part of unknown type is kept as it is."""
    kind = fields.must_text("type")
    if kind not in ("text", "refusal", "image_url", "input_audio", "video_url", "file"):
        return Opaque(dialect=NAME, kind=kind, data={"type": kind, **fields.data})
    cache = read_cache(fields)
    if kind == "text":
        text = fields.must_text("text")
        return Text(text=text, cache=cache, extra=fields.rest())
    if kind == "refusal":
        refusal = fields.must_text("refusal")
        return Refusal(text=refusal, extra=fields.rest())
    inner = fields.object(kind)
    if inner is None:
        raise Malformed(fields.at(kind), "an object", None)
    media = _read_media(kind, inner)
    media.cache = cache
    extra = fields.rest() or {}
    if rest := inner.rest():
        extra[kind] = rest
    media.extra = extra or None
    return media


def _read_media(kind: str, inner: Fields) -> Media:
    if kind == "input_audio":
        format = inner.must_text("format")
        sound = "audio/mpeg" if format == "mp3" else f"audio/{format}"
        return Media(kind="audio", mime=sound, data=inner.must_text("data"))
    if kind == "file":
        return _read_file(inner)
    mime, data, url = split_data_url(inner.must_text("url"))
    if kind == "video_url":
        return Media(kind="video", mime=mime, data=data, url=url)
    return Media(kind="image", mime=mime, data=data, url=url, detail=inner.text("detail"))


def _read_file(inner: Fields) -> Media:
    name, file_id, stated = inner.text("filename"), inner.text("file_id"), inner.text("file_data")
    if file_id is not None and stated is None:
        return Media(kind="document", file_id=file_id, name=name)
    if stated is None:
        raise Malformed(inner.at("file_data"), "a string (or a file_id)", None)
    mime, data, url = split_data_url(stated)
    if url is not None and not url.startswith(("http://", "https://", "data:")):
        data, url = url, None  # plain base64, of a type unsaid
    return Media(kind="document", mime=mime, data=data, url=url, name=name)


def split_data_url(url: str) -> tuple[str | None, str | None, str | None]:
    """`(mime, data, None)` of a base64 data URL, `(None, None, url)` of any other."""
    if url.startswith("data:"):
        head, comma, data = url[5:].partition(",")
        mime, semicolon, _ = head.partition(";base64")
        if comma and semicolon and mime and head == mime + ";base64":
            return mime, data, None
    return None, None, url


def read_cache(fields: Fields) -> CacheMark | None:
    """The cache mark of a part, tool or request. Anthropic's `cache_control` without `ttl` means five minutes."""
    if (mark := fields.object("cache_control")) is not None:
        mark.text("type")
        return CacheMark(ttl=mark.text("ttl") or "5m")
    if (mark := fields.object("prompt_cache_breakpoint")) is not None:
        return CacheMark(ttl=mark.text("ttl"))
    return None


def write_cache(into: JSON, cache: CacheMark | None, losses: Losses, quirks: Quirks, where: str) -> None:
    """Puts a cache mark on what was just written, in the form the provider takes; else notes `where.cache_control`."""
    if cache is None:
        return
    if quirks.cache_control:
        into["cache_control"] = {"type": "ephemeral"}
        if cache.ttl in ("1h", "30m", "12h"):
            into["cache_control"]["ttl"] = "1h"
    elif losses.same_dialect and cache.ttl in _BREAKPOINT_TTLS and where == "messages":
        into["prompt_cache_breakpoint"] = {"mode": "explicit", **({"ttl": cache.ttl} if cache.ttl else {})}
    else:
        losses.note(f"{where}.cache_control")


def write_content(parts: list[Part], losses: Losses, quirks: Quirks) -> "str | list[JSON]":
    """The parts as `content`: a string where they are one plain text."""
    if len(parts) == 1 and isinstance(text := parts[0], Text) and text.cache is None and text.extra is None:
        return text.text
    written = [item for part in parts if (item := write_part(part, losses, quirks)) is not None]
    if not written:
        return ""
    if len(written) == 1 and written[0].keys() == {"type", "text"} and written[0]["type"] == "text":
        said: str = written[0]["text"]
        return said
    return written


def write_part(part: Part, losses: Losses, quirks: Quirks) -> JSON | None:
    """One content part; None where it is noted as lost. Raises `Unsayable` for media the dialect has no part for."""
    match part:
        case Text():
            item: JSON = {"type": "text", "text": part.text}
        case Media():
            item = _write_media(part, losses, quirks)
        case Opaque():
            if part.dialect == NAME:
                return part.data
            losses.note(f"messages.{part.kind}")
            return None
        case Refusal() | Reasoning() | ToolCall() | ToolResult():
            return None  # fields of the message, written by their own functions
    if isinstance(part, Text | Media):
        write_cache(item, part.cache, losses, quirks, "messages")
        if part.extra and losses.same_dialect:
            for key, value in part.extra.items():
                if key == item["type"] and isinstance(value, dict):
                    item[key].update(value)
                else:
                    item[key] = value
        else:
            losses.carry(item, part.extra, "messages")
    return item


def _write_media(media: Media, losses: Losses, quirks: Quirks) -> JSON:
    if media.kind == "document":
        return _write_document(media, losses, quirks)
    if media.kind == "audio":
        if media.data is None:
            raise Unsayable("openai-chat takes audio by value only: send it as base64 data")
        mime = media.mime or "audio/wav"
        format = _FORMATS.get(mime) or mime.removeprefix("audio/")
        return {"type": "input_audio", "input_audio": {"data": media.data, "format": format}}
    if media.file_id is not None:
        raise Unsayable(f"openai-chat takes no {media.kind} by file id: send it as data or by URL")
    url = media.url if media.url is not None else data_url(media, f"{media.kind}/*")
    if media.kind == "video":
        return {"type": "video_url", "video_url": {"url": url}}
    image: JSON = {"url": url}
    if media.detail is not None:
        image["detail"] = media.detail
    return {"type": "image_url", "image_url": image}


def data_url(media: Media, mime: str) -> str:
    """`media.data` as a data URL; `mime` where its type is not known."""
    return f"data:{media.mime or mime};base64,{media.data or ''}"


def _write_document(media: Media, losses: Losses, quirks: Quirks) -> JSON:
    if media.context:
        losses.note("messages.context")
    if media.cited:
        losses.note("messages.citations")
    text = media.text if media.text is not None else _plain_text(media, losses, quirks)
    if text is not None:
        if media.title:
            text = f"{media.title}\n\n{text}"
        return {"type": "text", "text": text}
    if not quirks.documents:
        raise Unsayable("this provider takes no documents: send the text, or choose a model that reads files")
    file: JSON = {}
    if media.file_id is not None:
        file["file_id"] = media.file_id
    elif media.url is not None:
        if not losses.same_dialect:
            raise Unsayable("openai-chat takes no document by URL: send it as base64 data")
        file["file_data"] = media.url
    elif media.mime is None and losses.same_dialect:
        file["file_data"] = media.data
    else:
        file["file_data"] = data_url(media, "application/pdf")
    name = media.name or media.title
    if name is None and not losses.same_dialect and "file_data" in file:
        name = "document.pdf"  # OpenAI wants a name beside data
    if name is not None:
        file["filename"] = name
    return {"type": "file", "file": file}


def _plain_text(media: Media, losses: Losses, quirks: Quirks) -> str | None:
    """The text of a text document given as data, where the provider takes no files or (foreign) could not read it."""
    if media.data is None or not (media.mime or "").startswith("text/"):
        return None
    if losses.same_dialect and quirks.documents:
        return None
    try:
        return base64.b64decode(media.data).decode("utf-8", "replace")
    except ValueError:
        return None
