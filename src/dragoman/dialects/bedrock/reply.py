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
    token_count,
)
from dragoman.dialects import loose
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
    parts = [part for block in loose.objects(message.get("content")) for part in _parts(block)]
    said = loose.text_or_none(data.get("stopReason"))
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
            text = "".join(loose.text(piece.get("text")) for piece in loose.objects(cited.get("content")))
            return [Text(text=text, citations=[citation_in(item) for item in loose.objects(cited.get("citations"))])]
        case {"toolUse": dict(call)} if not call.get("type"):
            arguments = msgspec.json.encode(call.get("input") or {}).decode()
            return [
                ToolCall(id=loose.text(call.get("toolUseId")), name=loose.text(call.get("name")), arguments=arguments)
            ]
        case {"reasoningContent": {"redactedContent": str(secret)}}:
            return [Reasoning(encrypted=secret, dialect="bedrock")]
        case {"reasoningContent": {"reasoningText": dict(said)}}:
            signature = loose.text_or_none(said.get("signature"))
            return [Reasoning(text=loose.text(said.get("text")), signature=signature, dialect="bedrock")]
        case {"image": {"source": {"bytes": str(data)}} as image}:
            return [Media(kind="image", mime=MIMES.get(loose.text(image.get("format"))), data=data)]
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
    location = loose.object_in(raw.get("location"))
    web = loose.object_in(location.get("web"))
    quoted = [loose.text(piece.get("text")) for piece in loose.objects(raw.get("sourceContent"))]
    return Citation(
        kind="url" if web else "document" if any(name.startswith("document") for name in location) else "other",
        url=loose.text_or_none(web.get("url")),
        title=loose.text_or_none(raw.get("title")),
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
        token_count(item.get("inputTokens"))
        for item in loose.objects(stated.get("cacheDetails"))
        if item.get("ttl") == "1h"
    ]
    return inclusive(
        "bedrock",
        Usage(
            input=token_count(stated.get("inputTokens")),
            output=token_count(stated.get("outputTokens")),
            cached=token_count(stated.get("cacheReadInputTokens")),
            cache_write=token_count(stated.get("cacheWriteInputTokens")),
            cache_write_1h=sum(hour),
        ),
    )
