"""Whole replies, both ways. Reading is lenient (many services speak this dialect, few exactly)."""

from typing import Any

import msgspec

from dragoman.canon import (
    JSON,
    Choice,
    Citation,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Reply,
    Request,
    Text,
    ToolCall,
)
from dragoman.dialects.anthropic.blocks_in import read_citation
from dragoman.dialects.anthropic.blocks_out import arguments_object
from dragoman.dialects.anthropic.names import NAME, STOP_REASONS, stop_reason
from dragoman.dialects.anthropic.usage import read_tier, read_usage, write_usage
from dragoman.dialects.fields import Malformed, decode
from dragoman.dialects.seal import seal

_encode = msgspec.json.encode
_READ = frozenset({"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"})


def read_reply(body: bytes) -> Reply:
    """Raises `Malformed` where the body is not a message at all."""
    message = decode(body)
    if not isinstance(message, dict) or not isinstance(message.get("content"), list):
        raise Malformed("content", "a message with an array of content blocks")
    reason, usage = text(message.get("stop_reason")), message.get("usage")
    choice = Choice(
        parts=[part for block in message["content"] if (part := read_part(block)) is not None],
        finish=STOP_REASONS.get(reason, "stop"),
        stop_sequence=text(message.get("stop_sequence")) or None,
        raw_finish=reason or None,
    )
    reply = Reply(dialect=NAME, id=text(message.get("id")), model=text(message.get("model")), choices=[choice])
    if isinstance(usage, dict):
        reply.usage, reply.service_tier = read_usage(usage), read_tier(usage)
    reply.extra = {name: value for name, value in message.items() if name not in _READ and value is not None} or None
    return reply


def read_part(block: Any) -> Part | None:
    """One block of a reply; None for what is no block."""
    if not isinstance(block, dict):
        return None
    match block.get("type"):
        case "text":
            citations = [read_citation(raw) for raw in block.get("citations") or () if isinstance(raw, dict)]
            return Text(text=text(block.get("text")), citations=citations)
        case "thinking":
            return Reasoning(
                text=text(block.get("thinking")), signature=text(block.get("signature")) or None, dialect=NAME
            )
        case "redacted_thinking":
            return Reasoning(encrypted=text(block.get("data")), dialect=NAME)
        case "tool_use":
            return read_call(block, _encode(block.get("input") or {}).decode())
        case str(kind):
            return Opaque(dialect=NAME, kind=kind, data=block)
        case _:
            return None


DIRECT: JSON = {"type": "direct"}  # the model itself called, which needs no saying


def read_call(block: JSON, arguments: str) -> ToolCall:
    """A tool call; `toolset_name`, a `caller` that is not the model itself and the like ride along."""
    extra = {
        name: value
        for name, value in block.items()
        if name not in ("type", "id", "name", "input") and value is not None
    }
    if extra.get("caller") == DIRECT:
        del extra["caller"]
    return ToolCall(id=text(block.get("id")), name=text(block.get("name")), arguments=arguments, extra=extra or None)


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def write_reply(reply: Reply, request: Request) -> bytes:
    """The first choice as a message. `stop_sequence` is null but where one was met."""
    same = reply.dialect == NAME
    choice = reply.choices[0] if reply.choices else Choice()
    content: list[JSON] = []
    refused = False
    for part in choice.parts:
        content += _blocks(part, reply.id, len(content))
        refused = refused or isinstance(part, Refusal)
    finish = "refusal" if refused and choice.finish == "stop" else choice.finish
    message: JSON = {
        "id": reply.id or "msg_0",
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": content,
        "stop_reason": stop_reason(finish, choice.raw_finish, choice.stop_sequence, same),
        "stop_sequence": choice.stop_sequence,
        "stop_details": None,
        "container": None,
        "usage": write_usage(reply.usage, reply.service_tier, same),
    }
    if same and reply.extra:
        message.update(reply.extra)
    return _encode(message)


def _blocks(part: Part, reply_id: str, number: int) -> list[JSON]:
    match part:
        case Text():
            return [_text(part)] if part.text or part.citations else []
        case Refusal():
            return [text_block(part.text)] if part.text else []
        case Reasoning():
            return thinking_blocks(part)
        case ToolCall():
            call: JSON = {
                "type": "tool_use",
                "id": part.id or f"toolu_{reply_id}_{number}",
                "name": part.name,
                "input": arguments_object(part),
                **call_extra(part),
            }
            return [*call_seal(part), call]
        case Opaque():
            return [part.data] if part.dialect == NAME else []
        case Media() if spoken := media_text(part):
            return [text_block(spoken)]
        case _:
            return []


def text_block(text: str) -> JSON:
    """Text in a reply. Without citations it has an empty list of them: the published schema wants the key, and Vercel's
    AI SDK refuses a null."""
    return {"type": "text", "text": text, "citations": []}


def _text(part: Text) -> JSON:
    if not part.citations:
        return text_block(part.text)
    citations = [written for citation in part.citations if (written := write_citation(citation)) is not None]
    return {**text_block(part.text), "citations": citations}


def thinking_blocks(part: Reasoning) -> list[JSON]:
    """Thinking as a block; another dialect's with what that dialect wants back sealed into its signature."""
    if part.dialect == NAME:
        if part.encrypted is not None:
            return [{"type": "redacted_thinking", "data": part.encrypted}]
        if not part.text and not part.signature:
            return []
        return [{"type": "thinking", "thinking": part.text, "signature": part.signature or ""}]
    if part.text:
        return [{"type": "thinking", "thinking": part.text, "signature": thinking_seal(part)}]
    if part.signature or part.encrypted:
        return [{"type": "redacted_thinking", "data": thinking_seal(part)}]
    return []


def thinking_seal(part: Reasoning) -> str:
    """Another dialect's thinking but for its text, which stands in the block itself."""
    return seal([msgspec.structs.replace(part, text="")])


def call_seal(call: ToolCall) -> list[JSON]:
    """The block that keeps another dialect's signature on a call, to stand right before the call."""
    if call.signature is None:
        return []
    kept: list[Part] = [ToolCall(id=call.id, signature=call.signature, dialect=call.dialect)]
    return [{"type": "redacted_thinking", "data": seal(kept)}]


def call_extra(call: ToolCall) -> JSON:
    """The fields that calls have beside id, name and input: another dialect's are all made by the model itself."""
    own = {name: value for name, value in (call.extra or {}).items() if name in ("caller", "toolset_name")}
    return {"caller": DIRECT, **own}


def media_text(part: Media) -> str:
    """What can be said here of media that a model made."""
    return part.transcript or (f"[{part.kind}]({part.url})" if part.url else "")


def write_citation(citation: Citation) -> JSON | None:
    """A citation as this dialect says it. Another dialect's web citation gets an empty encrypted index, by which it is
    known when it comes back; others have no form here that would be true."""
    if citation.dialect == NAME:
        return citation.raw
    if citation.url is None:
        return None
    return {
        "type": "web_search_result_location",
        "cited_text": citation.cited_text or "",
        "encrypted_index": "",
        "title": citation.title,
        "url": citation.url,
    }
