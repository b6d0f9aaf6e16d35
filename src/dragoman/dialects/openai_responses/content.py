"""Content parts: what stands in a message item's `content`, in a tool output, and in a reply's output text.

| canon                        | wire                                                                            |
|------------------------------|---------------------------------------------------------------------------------|
| Text                         | `input_text` (user, system, tool output), `output_text` (assistant)             |
| Text.cache                   | `prompt_cache_breakpoint` (same dialect only: older models refuse it)            |
| Text.citations, .logprobs    | `output_text.annotations`, `.logprobs`                                          |
| Refusal                      | `refusal`                                                                       |
| Media image                  | `input_image` with `image_url` (address or data URL) or `file_id`, `detail`     |
| Media document               | `input_file` with `file_data`, `file_url` or `file_id`, `filename`              |
| Media document given as text | `input_text`                                                                    |
| Media audio, video           | `input_audio`, `input_video`                                                    |
| Opaque                       | any other type                                                                  |
"""

from typing import Any

from dragoman.canon import JSON, CacheMark, Citation, Media, Opaque, Part, Refusal, Text, TokenLogprob
from dragoman.dialects.fields import Fields, Malformed
from dragoman.dialects.losses import Losses
from dragoman.dialects.openai_responses.name import NAME

_AUDIO_MIME = {"mp3": "audio/mpeg", "wav": "audio/wav"}
_AUDIO_FORMAT = {mime: name for name, mime in _AUDIO_MIME.items()} | {"audio/mp3": "mp3", "audio/x-wav": "wav"}
_EXTENSION = {"application/pdf": "pdf", "text/plain": "txt", "text/csv": "csv", "text/html": "html"}


# reading


def read_content(fields: Fields, key: str) -> list[Part]:
    """A string or an array of content parts. Raises `Malformed` for anything else; absent reads as empty."""
    value = fields.data.pop(key, None)
    if isinstance(value, str):
        return [Text(text=value)] if value else []
    if value is None:
        return []
    if not isinstance(value, list):
        raise Malformed(fields.at(key), "a string or an array of content parts", value)
    return [read_part(Fields(item, (fields.at(key), i))) for i, item in enumerate(value)]


def read_part(fields: Fields) -> Part:
    """One content part, of input or output."""
    kind = fields.must_text("type")
    match kind:
        case "input_text" | "output_text" | "text":
            return _read_text(fields)
        case "refusal":
            return Refusal(text=fields.must_text("refusal"), extra=fields.rest())
        case "input_image":
            part = Media(kind="image", file_id=fields.text("file_id"), detail=fields.text("detail"))
            _place(part, fields.text("image_url"))
        case "input_file":
            part = Media(kind="document", file_id=fields.text("file_id"), name=fields.text("filename"))
            _place(part, fields.text("file_url"))
            if (data := fields.text("file_data")) is not None:
                _place(part, data)
                if part.data is None:
                    part.data, part.url = data, None
        case "input_audio":
            audio = fields.object("input_audio")
            if audio is None:
                raise Malformed(fields.at("input_audio"), "an object")
            form = audio.must_text("format")
            part = Media(kind="audio", data=audio.must_text("data"), mime=_AUDIO_MIME.get(form, f"audio/{form}"))
        case "input_video":
            part = Media(kind="video")
            _place(part, fields.text("video_url"))
        case _:
            return Opaque(dialect=NAME, kind=kind, data={"type": kind, **fields.data})
    if part.data is None and part.url is None and part.file_id is None:
        raise Malformed(fields.path, f"an {kind} with its content, address or file id")
    part.cache = _read_cache(fields)
    part.extra = fields.rest()
    return part


def _read_text(fields: Fields) -> Text:
    text = Text(text=fields.must_text("text"), cache=_read_cache(fields))
    text.citations = [read_citation(note) for note in objects_in(fields.array("annotations"))]
    text.logprobs = read_logprobs(fields.array("logprobs"))
    text.extra = fields.rest()
    return text


def _read_cache(fields: Fields) -> CacheMark | None:
    mark = fields.object("prompt_cache_breakpoint")
    return None if mark is None else CacheMark(ttl=mark.text("ttl"))


def _place(part: Media, url: str | None) -> None:
    """Puts an address into the part: by value where it is a plain base64 data URL."""
    if url is None:
        return
    head, comma, data = url.partition(";base64,")
    if comma and head.startswith("data:") and ";" not in head:
        part.mime, part.data = head[5:] or None, data
    else:
        part.url = url


def read_citation(note: JSON) -> Citation:
    """An annotation. Never fails: what it does not know stays in `raw`."""
    kind = note.get("type")
    return Citation(
        kind="url" if kind == "url_citation" else "file" if isinstance(note.get("file_id"), str) else "other",
        url=_text(note.get("url")),
        title=_text(note.get("title")) or _text(note.get("filename")),
        start=_whole(note.get("start_index")),
        end=_whole(note.get("end_index")),
        file_id=_text(note.get("file_id")),
        dialect=NAME,
        raw=note,
    )


def read_logprobs(items: object) -> list[TokenLogprob] | None:
    """Token log probabilities; None where there are none."""
    return [_logprob(item) for item in objects_in(items)] or None


def _logprob(item: JSON) -> TokenLogprob:
    value = item.get("logprob")
    given = item.get("bytes")
    return TokenLogprob(
        token=_text(item.get("token")) or "",
        logprob=float(value) if isinstance(value, int | float) else 0.0,
        bytes=given if isinstance(given, list) else None,
        top=[_logprob(top) for top in objects_in(item.get("top_logprobs"))],
    )


def objects_in(value: object) -> list[JSON]:
    """The objects in an array; none where it is no array."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


# writing


def write_content(parts: list[Part], losses: Losses) -> str | list[JSON]:
    """Input content: a string where there is one plain text or nothing, else an array."""
    if not parts:
        return ""
    if len(parts) == 1 and isinstance(text := parts[0], Text) and _is_plain(text):
        return text.text
    return [written for part in parts if (written := write_input_part(part, losses)) is not None]


def _is_plain(text: Text) -> bool:
    return text.cache is None and not text.extra


def write_input_part(part: Part, losses: Losses) -> JSON | None:
    """One part of a user or system message or of a tool output. None: it cannot be said, and is noted."""
    match part:
        case Text():
            body: JSON = {"type": "input_text", "text": part.text}
            losses.carry(body, part.extra, "messages")
        case Media():
            body = _write_media(part, losses)
        case Opaque(dialect=dialect) if dialect == NAME:
            return part.data
        case Opaque():
            losses.note(f"messages.{part.kind}")
            return None
        case Refusal():
            return {"type": "input_text", "text": part.text}
        case _:
            losses.note(f"messages.{type(part).__name__.lower()}")
            return None
    if part.cache is not None:
        if losses.same_dialect:
            ttl = {"ttl": part.cache.ttl} if part.cache.ttl else {}
            body["prompt_cache_breakpoint"] = {"mode": "explicit", **ttl}
        else:
            losses.note("messages.cache")
    return body


def _write_media(part: Media, losses: Losses) -> JSON:
    address = part.url
    if part.data is not None:
        address = f"data:{part.mime};base64,{part.data}" if part.mime else part.data
    body: JSON
    match part.kind:
        case "image":
            body = {"type": "input_image", "image_url": address}
            if part.detail is not None or not losses.same_dialect:
                body["detail"] = part.detail or "auto"
        case "audio":
            form = _AUDIO_FORMAT.get(part.mime or "", (part.mime or "audio/wav").partition("/")[2])
            body = {"type": "input_audio", "input_audio": {"data": part.data or "", "format": form}}
        case "video":
            body = {"type": "input_video", "video_url": address}
        case "document" if part.text is not None:
            title = part.title or part.name
            return {"type": "input_text", "text": f"{title}\n\n{part.text}" if title else part.text}
        case "document":
            body = _write_document(part, address, losses)
    if part.file_id is not None:
        body = {"type": body["type"], "file_id": part.file_id, **{k: v for k, v in body.items() if k != "image_url"}}
    losses.carry(body, part.extra, "messages")
    return body


def _write_document(part: Media, address: str | None, losses: Losses) -> JSON:
    body: JSON = {"type": "input_file"}
    if part.data is not None:
        body["file_data"] = address
    elif part.url is not None:
        body["file_url"] = part.url
    name = part.name or part.title
    if name is None and part.data is not None and not losses.same_dialect:
        name = "document." + _EXTENSION.get(part.mime or "application/pdf", "txt")  # the API asks for a name
    if name is not None:
        body["filename"] = name
    if part.context is not None:
        losses.note("messages.context")
    if part.cited:
        losses.note("messages.citations")
    return body


def write_output_part(part: Text | Refusal) -> JSON:
    """One part of an assistant's message."""
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    body: JSON = {
        "type": "output_text",
        "text": part.text,
        "annotations": [note for citation in part.citations if (note := write_citation(citation, len(part.text)))],
    }
    if part.logprobs is not None:
        body["logprobs"] = write_logprobs(part.logprobs)
    return body


def write_citation(citation: Citation, length: int) -> JSON | None:
    """An annotation, or None where the dialect has none for it. `length`: characters of text up to here."""
    if citation.dialect == NAME and citation.raw is not None:
        return citation.raw
    if citation.url is not None:
        return {
            "type": "url_citation",
            "url": citation.url,
            "title": citation.title or citation.url,
            "start_index": citation.start if citation.start is not None else 0,
            "end_index": citation.end if citation.end is not None else length,
        }
    if citation.file_id is not None:
        name = citation.title or citation.file_id
        return {"type": "file_citation", "file_id": citation.file_id, "filename": name, "index": citation.end or length}
    return None


def write_logprobs(logprobs: list[TokenLogprob]) -> list[JSON]:
    """Token log probabilities, with `bytes` filled in where the provider gave none."""
    return [{**_one_logprob(each), "top_logprobs": [_one_logprob(top) for top in each.top]} for each in logprobs]


def _one_logprob(each: TokenLogprob) -> dict[str, Any]:
    given = each.bytes if each.bytes is not None else list(each.token.encode("utf-8", "replace"))
    return {"token": each.token, "logprob": each.logprob, "bytes": given}
