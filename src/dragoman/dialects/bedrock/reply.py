"""Whole replies of Converse, and what they share with streams: finish, usage, citations."""

import msgspec

from dragoman.canon import (
    JSON,
    Choice,
    Citation,
    FinishReason,
    Media,
    Opaque,
    Part,
    Reasoning,
    Reply,
    Text,
    ToolCall,
    Usage,
    inclusive,
)
from dragoman.dialects.fields import Malformed, decode

FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "stop_sequence": "stop",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "error",
    "malformed_tool_use": "error",
    "model_context_window_exceeded": "context_length",
}
_READ = frozenset({"output", "stopReason", "usage", "serviceTier"})
MIMES = {"png": "image/png", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}


def read_reply(body: bytes) -> Reply:
    """Raises `Malformed` where there is no message in it."""
    data = decode(body)
    output = data.get("output") if isinstance(data, dict) else None
    message = output.get("message") if isinstance(output, dict) else None
    if not isinstance(message, dict):
        raise Malformed("output.message", "an object", message)
    blocks = message.get("content") or []
    parts = [part for block in blocks if isinstance(block, dict) for part in _parts(block)]
    said = data.get("stopReason")
    choice = Choice(
        parts=parts,
        finish=FINISH.get(said or "", "stop"),
        stop_sequence=stop_sequence_in(data.get("additionalModelResponseFields")),
        raw_finish=said,
    )
    return Reply(
        dialect="bedrock",
        model=model_in(data),
        choices=[choice],
        usage=usage_in(data.get("usage")),
        service_tier=tier_in(data.get("serviceTier")),
        extra={name: value for name, value in data.items() if name not in _READ} or None,
    )


def _parts(block: JSON) -> list[Part]:
    """The part that a block is: none, where it says nothing."""
    match block:
        case {"text": str(text)}:
            return [Text(text=text)] if text else []
        case {"citationsContent": dict(cited)}:
            text = "".join(piece.get("text") or "" for piece in cited.get("content") or ())
            return [Text(text=text, citations=[citation_in(item) for item in cited.get("citations") or ()])]
        case {"toolUse": dict(call)} if not call.get("type"):
            arguments = msgspec.json.encode(call.get("input") or {}).decode()
            return [ToolCall(id=call.get("toolUseId") or "", name=call.get("name") or "", arguments=arguments)]
        case {"reasoningContent": {"redactedContent": str(secret)}}:
            return [Reasoning(encrypted=secret, dialect="bedrock")]
        case {"reasoningContent": {"reasoningText": dict(said)}}:
            return [Reasoning(text=said.get("text") or "", signature=said.get("signature"), dialect="bedrock")]
        case {"image": {"source": {"bytes": str(data)}} as image}:
            return [Media(kind="image", mime=MIMES.get(image.get("format") or ""), data=data)]
        case _ if block:
            return [opaque(block)]
    return []


def opaque(block: JSON) -> Opaque:
    """A block that only Bedrock can say: what a tool of its own was asked, what it gave, …"""
    kind = next(iter(block))
    inner = block[kind]
    said = inner.get("type") if isinstance(inner, dict) else None
    return Opaque(dialect="bedrock", kind=said if isinstance(said, str) else kind, data=block)


def citation_in(raw: JSON) -> Citation:
    """Where a text comes from. Documents' own offsets stay in `raw`: the canon counts in the reply's text."""
    location = raw.get("location") or {}
    web = location.get("web") or {}
    quoted = [piece.get("text") or "" for piece in raw.get("sourceContent") or () if isinstance(piece, dict)]
    return Citation(
        kind="url" if web else "document" if any(name.startswith("document") for name in location) else "other",
        url=web.get("url"),
        title=raw.get("title"),
        cited_text="".join(quoted) or None,
        dialect="bedrock",
        raw=raw,
    )


def stop_sequence_in(fields: object) -> str | None:
    """The stop sequence that was met, where the model's own fields say it."""
    found = fields.get("stop_sequence") if isinstance(fields, dict) else None
    return found if isinstance(found, str) else None


def tier_in(tier: object) -> str | None:
    found = tier.get("type") if isinstance(tier, dict) else None
    return found if isinstance(found, str) else None


def model_in(data: JSON) -> str:
    """The model that a prompt router chose; "" where no router was asked."""
    match data.get("trace"):
        case {"promptRouter": {"invokedModelId": str(model)}}:
            return model
    return ""


def usage_in(stated: object) -> Usage | None:
    """Bedrock's counts in our convention; None where there are none."""
    if not isinstance(stated, dict):
        return None
    hour = [
        item.get("inputTokens") or 0
        for item in stated.get("cacheDetails") or ()
        if isinstance(item, dict) and item.get("ttl") == "1h"
    ]
    return inclusive(
        "bedrock",
        Usage(
            input=stated.get("inputTokens") or 0,
            output=stated.get("outputTokens") or 0,
            cached=stated.get("cacheReadInputTokens") or 0,
            cache_write=stated.get("cacheWriteInputTokens") or 0,
            cache_write_1h=sum(hour),
        ),
    )
