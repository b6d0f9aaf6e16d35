"""Content blocks of a request, read into canon parts. Strict: what the dialect forbids is `Malformed`."""

from collections.abc import Callable
from typing import Any

import msgspec

from dragoman.canon import (
    JSON,
    CacheMark,
    Citation,
    Media,
    Opaque,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from dragoman.dialects.anthropic.names import BILLING_LINE, NAME
from dragoman.dialects.fields import Fields, Malformed, Path
from dragoman.dialects.seal import MARK, unseal

_encode = msgspec.json.encode


def read_content(value: Any, path: Path) -> list[Part]:
    """`content` as a string or an array of blocks. Seals are opened; absent reads as empty."""
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [Text(text=value)]
    if not isinstance(value, list):
        raise Malformed(path, "a string or an array of content blocks", value)
    parts: list[Part] = []
    signed: dict[str, ToolCall] = {}  # by call id: the signature a seal kept for the tool_use that follows
    for i, block in enumerate(value):
        part = read_block(block, (path, i))
        if isinstance(part, Opaque) and (sealed := _sealed(part)) is not None:
            for kept in sealed:
                if isinstance(kept, ToolCall):
                    signed[kept.id] = kept
                else:
                    parts.append(kept)
            continue
        if signed and isinstance(part, ToolCall) and (call := signed.get(part.id)):
            part.signature, part.dialect = call.signature, call.dialect
        parts.append(part)
    return parts


def read_system(value: Any, path: Path) -> list[Part]:
    """The parts of a system prompt: text, and whatever else a system message may hold, opaque.

    Claude Code's billing line is opaque too: it changes with every request, so as part of a prompt to any other
    provider it would ruin the prompt cache.
    """
    parts = read_content(value, path)
    for i, part in enumerate(parts):
        if isinstance(part, Text) and part.text.startswith(BILLING_LINE):
            parts[i] = Opaque(dialect=NAME, kind=BILLING_LINE, data=_as_block(part))
    return parts


def read_block(block: Any, path: Path) -> Part:
    """One block. A type this code has no canon part for is `Opaque`, as it came."""
    if not isinstance(block, dict):
        raise Malformed(path, "a content block (an object)", block)
    kind = block.get("type")
    if kind == "text" and len(block) == 2 and type(text := block.get("text")) is str:
        return Text(text=text)  # by far the most common block
    if not isinstance(kind, str):
        raise Malformed((path, "type"), "a string", kind)
    reader = _READERS.get(kind)
    if reader is None:
        return Opaque(dialect=NAME, kind=kind, data=block)
    return reader(block, path)


def read_cache(fields: Fields) -> CacheMark | None:
    """`cache_control`. One with fields this code does not know also stays, whole, among the unread fields."""
    if "cache_control" not in fields.data or (value := fields.plain("cache_control")) is None:
        return None
    if value.keys() - {"type", "ttl"}:
        fields.data["cache_control"] = value
    ttl = value.get("ttl")
    return CacheMark(ttl=ttl if isinstance(ttl, str) else None)


def read_citation(raw: JSON) -> Citation:
    """One citation, as text blocks and `citations_delta` carry it. Its indexes count in the cited source, not in the
    text, so `start` and `end` stay unset; `raw` has them."""
    web = raw.get("type") == "web_search_result_location"
    source = raw.get("url") if web else raw.get("source")
    return Citation(
        kind="url" if web else "document",
        url=_text(source),
        title=_text(raw.get("title")) or _text(raw.get("document_title")),
        cited_text=_text(raw.get("cited_text")),
        file_id=_text(raw.get("file_id")),
        dialect=NAME,
        raw=raw,
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _as_block(part: Text) -> JSON:
    block: JSON = {"type": "text", "text": part.text}
    if part.cache is not None:
        block["cache_control"] = {"type": "ephemeral"} | ({"ttl": part.cache.ttl} if part.cache.ttl else {})
    return block | (part.extra or {})


def _sealed(part: Opaque) -> list[Part] | None:
    """The parts a `redacted_thinking` block of our own making carries."""
    data = part.data.get("data") if part.kind == "redacted_thinking" else None
    return (unseal(data) or []) if isinstance(data, str) else None


def _text_block(block: JSON, path: Path) -> Part:
    fields = Fields(block, path)
    fields.any("type")
    text = fields.must_text("text")
    citations = [read_citation(item.data) for item in fields.objects("citations")]
    return Text(text=text, citations=citations, cache=read_cache(fields), extra=fields.rest())


def _image(block: JSON, path: Path) -> Part:
    fields = Fields(block, path)
    fields.any("type")
    media = Media(kind="image")
    if not _source(fields, media):
        return Opaque(dialect=NAME, kind="image", data={"type": "image", **fields.data})
    media.cache = read_cache(fields)
    media.extra = fields.rest()
    return media


def _document(block: JSON, path: Path) -> Part:
    fields = Fields(block, path)
    fields.any("type")
    media = Media(kind="document")
    if not _source(fields, media):
        return Opaque(dialect=NAME, kind="document", data={"type": "document", **fields.data})
    media.title, media.context = fields.text("title"), fields.text("context")
    _cited(fields, media)
    media.cache = read_cache(fields)
    media.extra = fields.rest()
    return media


def _source(fields: Fields, media: Media) -> bool:
    """Reads `source` into `media`. False: a kind of source the canon cannot say, and `fields` is as it was. A source
    with more to it than the canon says stays in `fields` too, so that it is written back whole."""
    source = fields.object("source")
    if source is None:
        raise Malformed(fields.at("source"), "an object")
    whole = dict(source.data)
    kind = source.text("type")
    match kind:
        case "base64":
            media.mime, media.data = source.text("media_type"), source.must_text("data")
        case "text":
            media.mime, media.text = source.text("media_type"), source.must_text("data")
        case "url":
            media.url = source.must_text("url")
        case "file":
            media.file_id = source.must_text("file_id")
        case "content":
            media.text = _plain(source.any("content"))
            source.data["content"] = whole.get("content")
        case _:
            fields.data["source"] = whole
            return False
    if source.rest():
        fields.data["source"] = whole
    return True


def _plain(content: Any) -> str:
    """The text in a string or an array of blocks."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "\n\n".join(
        block["text"] for block in blocks if isinstance(block, dict) and isinstance(block.get("text"), str)
    )


def _cited(fields: Fields, media: Media) -> None:
    citations = fields.plain("citations")
    media.cited = citations is not None and citations.get("enabled") is True
    if citations is not None and citations != {"enabled": True}:
        fields.data["citations"] = citations


def _search_result(block: JSON, path: Path) -> Part:
    """A document by its text, for dialects without search results; the block itself rides along."""
    whole = dict(block)
    fields = Fields(block, path)
    media = Media(kind="document", text=_plain(fields.any("content")), title=fields.text("title"))
    media.name = fields.text("source")
    _cited(fields, media)
    media.cache = read_cache(fields)
    media.extra = {"search_result": whole}
    return media


def _tool_use(block: JSON, path: Path) -> Part:
    fields = Fields(block, path)
    fields.any("type")
    call = ToolCall(id=fields.must_text("id"), name=fields.must_text("name"))
    call.arguments = _encode(fields.plain("input") or {}).decode()
    call.cache = read_cache(fields)
    call.extra = fields.rest()
    return call


def _tool_result(block: JSON, path: Path) -> Part:
    fields = Fields(block, path)
    fields.any("type")
    result = ToolResult(call_id=fields.must_text("tool_use_id"))
    result.content = read_content(fields.any("content"), fields.at("content"))
    result.is_error = fields.flag("is_error") or False
    result.cache = read_cache(fields)
    result.extra = fields.rest()
    return result


def _thinking(block: JSON, path: Path) -> Part:
    fields = Fields(block, path)
    fields.any("type")
    text, signature = fields.text("thinking") or "", fields.text("signature") or None
    if signature and signature.startswith(MARK):
        sealed = unseal(signature)
        part = sealed[0] if sealed else None
        part = part if isinstance(part, Reasoning) else Reasoning()  # a broken seal: nobody's thinking
        part.text = text
        return part
    return Reasoning(text=text, signature=signature, dialect=NAME, extra=fields.rest())


def _redacted(block: JSON, path: Path) -> Part:
    data = block.get("data")
    if not isinstance(data, str):
        raise Malformed((path, "data"), "a string", data)
    if data.startswith(MARK):
        return Opaque(dialect=NAME, kind="redacted_thinking", data=block)
    fields = Fields(block, path)
    fields.any("type")
    fields.any("data")
    return Reasoning(encrypted=data, dialect=NAME, extra=fields.rest())


_READERS: dict[str, Callable[[JSON, Path], Part]] = {
    "text": _text_block,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
}
