"""Assistant turns, as far as requests and replies share them: tool calls, thinking, citations.

| canon                                   | openai-chat                                                      |
|-----------------------------------------|------------------------------------------------------------------|
| `ToolCall` function                     | `tool_calls[]` with `function` {`name`, `arguments`}             |
| `ToolCall` custom                       | `tool_calls[]` with `custom` {`name`, `input`}                   |
| `ToolCall.signature` (ours)             | `tool_calls[].extra_content.google.thought_signature` (Google)   |
| `Reasoning.text`                        | `reasoning_content` (DeepSeek, vLLM) or `reasoning` (OpenRouter) |
| `Reasoning.encrypted`                   | `reasoning_details` (OpenRouter), as JSON text                   |
| `Text.citations`                        | `annotations[]` with `url_citation`                              |
| another dialect's signatures            | sealed into the turn's first tool call's `id`                    |
"""

from typing import Any

import msgspec

from dragoman.canon import JSON, Citation, Reasoning, ToolCall
from dragoman.dialects.openai_chat.names import NAME
from dragoman.dialects.seal import seal_id, unseal_id

LEGACY_ID = "legacy_function_"  # a call by `function_call`, which has no id


def details_text(details: list[Any]) -> str:
    """`reasoning_details` as `Reasoning.encrypted` holds them."""
    return msgspec.json.encode(details).decode()


def details_of(reasoning: list[Reasoning]) -> list[Any]:
    """The `reasoning_details` that `reasoning` holds, in order."""
    found: list[Any] = []
    for part in reasoning:
        if part.dialect == NAME and part.encrypted:
            try:
                value = msgspec.json.decode(part.encrypted)
            except (msgspec.DecodeError, RecursionError):
                continue
            found.extend(value if isinstance(value, list) else ())
    return found


def signed(details: list[Any]) -> bool:
    """Whether a provider wants these details back: they hold a signature or encrypted data."""
    return any(isinstance(item, dict) and (item.get("signature") or item.get("data")) for item in details)


def google_signature(extra_content: object) -> str | None:
    """The thought signature in a tool call's `extra_content`; None where it says anything else."""
    if isinstance(extra_content, dict) and extra_content.keys() == {"google"}:
        google = extra_content["google"]
        if isinstance(google, dict) and google.keys() == {"thought_signature"}:
            signature = google["thought_signature"]
            return signature if isinstance(signature, str) else None
    return None


def google_content(signature: str) -> JSON:
    return {"google": {"thought_signature": signature}}


def sealed_id(call: ToolCall, unsealed: list[Reasoning]) -> str:
    """The id under which the client gets `call`: with another dialect's thinking of this turn (`unsealed`: what no
    earlier call carries) and its signature inside."""
    parts: list[Any] = []
    if any(part.dialect != NAME and (part.signature or part.encrypted) for part in unsealed):
        parts.extend(part for part in unsealed if part.dialect != NAME)
    if call.signature and call.dialect != NAME:
        parts.append(ToolCall(signature=call.signature, dialect=call.dialect))
    return seal_id(call.id, parts)


def open_seal(call: ToolCall) -> list[Reasoning]:
    """Takes the seal out of `call.id`, puts the signature in it on `call`, and gives the thinking in it."""
    call.id, parts = unseal_id(call.id)
    for part in parts:
        if isinstance(part, ToolCall):
            call.signature, call.dialect = part.signature, part.dialect
    return [part for part in parts if isinstance(part, Reasoning)]


def read_annotation(item: object) -> Citation | None:
    """One of `annotations`; never fails. Kinds other than `url_citation` are kept raw."""
    if not isinstance(item, dict):
        return None
    stated = item.get("url_citation")
    if not isinstance(stated, dict):
        return Citation(kind="other", dialect=NAME, raw=item)
    start, end = stated.get("start_index"), stated.get("end_index")
    url, title = stated.get("url"), stated.get("title")
    return Citation(
        url=url if isinstance(url, str) else None,
        title=title if isinstance(title, str) else None,
        start=start if isinstance(start, int) else None,
        end=end if isinstance(end, int) else None,
        dialect=NAME,
        raw=item,
    )


def write_annotation(citation: Citation, offset: int, length: int) -> JSON | None:
    """One of `annotations`; None for what this dialect cannot cite. `offset` is where the citation's text begins in the
    message's content, `length` how long that text is so far."""
    if citation.dialect == NAME and citation.raw is not None:
        return citation.raw
    if citation.kind != "url" or citation.url is None:
        return None
    return {
        "type": "url_citation",
        "url_citation": {
            "start_index": offset + (citation.start or 0),
            "end_index": offset + (length if citation.end is None else citation.end),
            "url": citation.url,
            "title": citation.title or "",
        },
    }
