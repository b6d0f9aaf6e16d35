"""Canon parts of a request, written as content blocks."""

import base64
import binascii
from typing import Any

import msgspec

from dragoman.canon import (
    JSON,
    CacheMark,
    Citation,
    Media,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from dragoman.dialects.anthropic.names import NAME
from dragoman.dialects.dialect import Unsayable
from dragoman.dialects.ids import fit
from dragoman.dialects.losses import Losses

_PDF = "JVBERi"  # "%PDF" in base64
_TEXTUAL = ("text/", "application/json", "application/xml", "application/javascript", "application/x-yaml")


def write_blocks(message: Message, losses: Losses) -> list[JSON]:
    """The blocks of one user or assistant message. Empty text is left out: the API refuses it."""
    blocks: list[JSON] = []
    for part in message.parts:
        if isinstance(part, Media) and message.role == "assistant":
            blocks += _spoken(part, losses)
        elif (block := _block(part, losses)) is not None:
            blocks.append(block)
    return blocks


def write_system(parts: list[Part], losses: Losses) -> list[JSON]:
    """A system prompt's blocks: text only, but for what was read from this same dialect."""
    blocks: list[JSON] = []
    for part in parts:
        if isinstance(part, Media) and part.text is None:
            losses.note(f"messages.{part.kind}")
        elif isinstance(part, Media):
            blocks.append({"type": "text", "text": part.text})
        elif (block := _block(part, losses)) is not None:
            blocks.append(block)
    return blocks


def collapse(blocks: list[JSON]) -> str | list[JSON]:
    """One plain text block as the string it is short for."""
    if len(blocks) == 1 and len(blocks[0]) == 2 and "text" in blocks[0]:  # besides its type
        text: str = blocks[0]["text"]
        return text
    return blocks


def mark(cache: CacheMark) -> JSON:
    """A `cache_control` value."""
    return {"type": "ephemeral", "ttl": cache.ttl} if cache.ttl else {"type": "ephemeral"}


def arguments_object(call: ToolCall) -> JSON:
    """A call's arguments as the object this dialect wants; what is not an object is wrapped as `input`."""
    if call.kind == "custom":
        return {"input": call.arguments}
    if not call.arguments:
        return {}
    try:
        value = msgspec.json.decode(call.arguments)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        value = call.arguments
    return value if isinstance(value, dict) else {"input": value}


def _block(part: Part, losses: Losses) -> JSON | None:
    match part:
        case Text():
            return _text(part, losses)
        case ToolCall():
            block: JSON = {"type": "tool_use", "id": fit(part.id), "name": part.name, "input": arguments_object(part)}
            return _finished(block, part.cache, part.extra, losses)
        case ToolResult():
            return _tool_result(part, losses)
        case Media():
            return _media(part, losses)
        case Reasoning():
            return _reasoning(part, losses)
        case Refusal():
            return {"type": "text", "text": part.text} if part.text.strip() else None
        case Opaque():
            if part.dialect == NAME:
                return part.data
            losses.note(f"messages.{part.kind}")
            return None


def _finished(block: JSON, cache: CacheMark | None, extra: JSON | None, losses: Losses) -> JSON:
    if cache is not None:
        block["cache_control"] = mark(cache)
    if extra is not None:
        losses.carry(block, extra, "messages")
    return block


def _text(part: Text, losses: Losses) -> JSON | None:
    if not part.text or (not losses.same_dialect and part.text.isspace()):
        return None
    block: JSON = {"type": "text", "text": part.text}
    if not part.citations:
        return _finished(block, part.cache, part.extra, losses)
    citations = [citation.raw for citation in part.citations if _genuine(citation)]
    if citations:
        block["citations"] = citations
    if len(citations) < len(part.citations):
        losses.note("messages.citations")
    return _finished(block, part.cache, part.extra, losses)


def _genuine(citation: Citation) -> bool:
    """The provider wrote it: not one that stands in for another dialect's, which has no encrypted index."""
    return citation.dialect == NAME and citation.raw is not None and citation.raw.get("encrypted_index") != ""


def _tool_result(part: ToolResult, losses: Losses) -> JSON:
    block: JSON = {"type": "tool_result", "tool_use_id": fit(part.call_id)}
    content = [inner for item in part.content if (inner := _block(item, losses)) is not None]
    if content:
        block["content"] = collapse(content)
    if part.is_error:
        block["is_error"] = True
    return _finished(block, part.cache, part.extra, losses)


def _reasoning(part: Reasoning, losses: Losses) -> JSON | None:
    """Only thinking that this dialect's provider signed goes back to it."""
    if part.dialect != NAME:
        losses.note("reasoning")
        return None
    block: JSON
    if part.encrypted is not None:
        block = {"type": "redacted_thinking", "data": part.encrypted}
    elif part.signature is not None or losses.same_dialect:
        block = {"type": "thinking", "thinking": part.text, "signature": part.signature or ""}
    else:
        losses.note("reasoning")
        return None
    return _finished(block, None, part.extra, losses)


def _spoken(part: Media, losses: Losses) -> list[JSON]:
    """Media the assistant made: this dialect has no place for it but as the text it stands for."""
    if part.transcript and part.transcript.strip():
        return [{"type": "text", "text": part.transcript}]
    losses.note(f"messages.{part.kind}")
    return []


def _media(part: Media, losses: Losses) -> JSON | None:
    if part.extra and losses.same_dialect and "search_result" in part.extra:
        result: JSON = part.extra["search_result"]
        return result
    if part.detail not in (None, "auto"):
        losses.note("messages.detail")
    if part.kind == "image":
        return _finished({"type": "image", "source": _image_source(part, losses)}, part.cache, part.extra, losses)
    if part.kind == "document":
        return _document(part, losses)
    if part.transcript and part.transcript.strip():
        losses.note(f"messages.{part.kind}")
        return {"type": "text", "text": part.transcript}
    raise Unsayable(
        f"the Messages API takes no {part.kind}: send a transcript, or choose a model that takes {part.kind}"
    )


def _image_source(part: Media, losses: Losses) -> JSON:
    if part.data is not None:
        mime = part.mime or "image/png"
        return {
            "type": "base64",
            "media_type": "image/jpeg" if mime == "image/jpg" else mime,
            "data": _standard(part.data),
        }
    return _by_reference(part, losses)


def _by_reference(part: Media, losses: Losses) -> JSON:
    if part.url is not None:
        return {"type": "url", "url": part.url}
    if part.file_id is None:
        raise Unsayable(f"a {part.kind} without data, url or file id: give one of them")
    if not losses.same_dialect and not part.file_id.startswith("file_01"):
        raise Unsayable(
            f"the file {part.file_id[:40]} lies at another provider: send the {part.kind} as data or by a public url"
        )
    return {"type": "file", "file_id": part.file_id}


def _standard(data: str) -> str:
    """The standard base64 alphabet, padded."""
    if "-" in data or "_" in data:
        data = data.replace("-", "+").replace("_", "/")
    return data + "=" * (-len(data) % 4)


def _document(part: Media, losses: Losses) -> JSON | None:
    block: JSON = {"type": "document", "source": _document_source(part, losses)}
    title = part.title or (None if losses.same_dialect else part.name)
    if title is not None:
        block["title"] = title
    if part.context is not None:
        block["context"] = part.context
    if part.cited:
        block["citations"] = {"enabled": True}
    return _finished(block, part.cache, part.extra, losses)


def _document_source(part: Media, losses: Losses) -> JSON:
    if part.text is not None:
        return {"type": "text", "media_type": "text/plain", "data": part.text}
    if part.data is None:
        return _by_reference(part, losses)
    mime = part.mime or ("application/pdf" if part.data.startswith(_PDF) else "text/plain")
    if mime.startswith(_TEXTUAL):
        return {"type": "text", "media_type": "text/plain", "data": _decoded(part.data)}
    if mime != "application/pdf" and not losses.same_dialect:
        raise Unsayable(f"the Messages API reads PDF and plain text, not {mime}: convert the document")
    return {"type": "base64", "media_type": mime, "data": _standard(part.data)}


def _decoded(data: str) -> str:
    raw: Any
    try:
        raw = base64.b64decode(_standard(data))
    except (binascii.Error, ValueError):
        raise Unsayable("a text document whose base64 data cannot be read: send it as plain text") from None
    return str(raw, "utf-8", "replace")
