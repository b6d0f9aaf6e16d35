"""A provider's whole reply into the canon. Lenient: what is missing or odd reads as absent.

| canon             | wire                                                                                     |
|-------------------|------------------------------------------------------------------------------------------|
| id, model, created, service_tier | `id`, `model`, `created_at`, `service_tier`                               |
| choices[0].parts  | `output`: `message` content, `reasoning`, `function_call`, `custom_tool_call`; others Opaque |
| choices[0].finish | `status` and `incomplete_details.reason` (also as `raw_finish`)                          |
| usage             | `usage`, totals inclusive                                                                |
| extra             | `error`, and every field that neither this table nor the request's echo knows            |
"""

import msgspec

from dragoman.canon import (
    JSON,
    Choice,
    FinishReason,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Reply,
    Text,
    ToolCall,
    Usage,
)
from dragoman.dialects.counts import DETAILS, read_counts
from dragoman.dialects.fields import Fields, Malformed, decode
from dragoman.dialects.openai_responses.content import objects_in, read_citation, read_logprobs
from dragoman.dialects.openai_responses.items import read_reasoning
from dragoman.dialects.openai_responses.name import NAME
from dragoman.dialects.openai_responses.tools import flat_name

# what a response repeats of its request, and what is read by name
_KNOWN = frozenset(
    {
        "id", "object", "created_at", "completed_at", "model", "output", "usage", "status", "incomplete_details",
        "service_tier", "output_text", "instructions", "metadata", "parallel_tool_calls", "temperature", "tool_choice",
        "tools", "top_p", "background", "max_output_tokens", "max_tool_calls", "previous_response_id", "prompt",
        "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier", "store",
        "text", "top_logprobs", "truncation", "user", "presence_penalty", "frequency_penalty", "conversation",
    }
)  # fmt: skip
_INCOMPLETE: dict[str, FinishReason] = {
    "max_output_tokens": "length",
    "max_messages": "length",
    "content_filter": "content_filter",
    "steered": "stop",
}


def read_reply(body: bytes) -> Reply:
    """Raises `Malformed` where the body is not a response object."""
    response = decode(body)
    if not isinstance(response, dict):
        raise Malformed("", "a response object", response)
    if "output" not in response and "status" not in response:
        raise Malformed("output", "an array of output items")
    parts = read_output(response.get("output"))
    finish, raw = read_finish(response, any(isinstance(part, ToolCall) for part in parts), parts)
    choice = Choice(parts=parts, finish=finish, raw_finish=raw)
    created = response.get("created_at")
    return Reply(
        dialect=NAME,
        id=_text(response.get("id")),
        model=_text(response.get("model")),
        created=int(created) if isinstance(created, int | float) else 0,
        choices=[choice],
        usage=read_usage(response.get("usage")),
        service_tier=_text(response.get("service_tier")) or None,
        extra={key: value for key, value in response.items() if key not in _KNOWN and value is not None} or None,
    )


def read_finish(response: JSON, called: bool, parts: list[Part]) -> tuple[FinishReason, str | None]:
    """Why the response is over, and the word for it on the wire."""
    match response.get("status"):
        case "incomplete":
            details = response.get("incomplete_details")
            reason = details.get("reason") if isinstance(details, dict) else None
            return _INCOMPLETE.get(str(reason), "length"), _text(reason) or "incomplete"
        case "failed" | "cancelled" as status:
            return "error", status
    if called:
        return "tool_calls", "completed"
    if any(isinstance(part, Refusal) for part in parts):
        return "refusal", "completed"
    return "stop", "completed"


def read_output(items: object) -> list[Part]:
    """The parts of all output items, in order."""
    return [part for item in objects_in(items) for part in read_item(item)]


def read_item(item: JSON) -> list[Part]:
    """The parts of one output item. Text without a single character is no part."""
    match item.get("type"):
        case "message":
            return _read_message(item)
        case "reasoning":
            return [read_thought(item)]
        case "function_call" | "custom_tool_call" as kind:
            return [read_call(item, kind)]
        case "tool_search_call" if item.get("execution") == "client":
            return [_read_search_call(item)]
        case kind:
            return [Opaque(dialect=NAME, kind=_text(kind) or "unknown", data=item)]


def read_thought(item: JSON) -> Reasoning:
    """A reasoning item of a reply: one text, without the fields a stream could not give it."""
    strings = {key: value for key in ("id", "encrypted_content") if isinstance(value := item.get(key), str)}
    part = read_reasoning(Fields({"summary": item.get("summary"), "content": item.get("content"), **strings}))
    part.extra = None
    return part


def read_call(item: JSON, kind: str) -> ToolCall:
    """A call, its arguments included as far as the item has them."""
    bare, namespace = _text(item.get("name")), _text(item.get("namespace"))
    call = ToolCall(id=_text(item.get("call_id")), name=flat_name(namespace, bare), item_id=_text(item.get("id")))
    call.item_id = call.item_id or None
    if kind == "custom_tool_call":
        call.kind, call.arguments = "custom", _text(item.get("input"))
    else:
        call.arguments = _text(item.get("arguments")) or "{}"
    if namespace:
        call.extra = {"name": bare, "namespace": namespace}
    return call


def _read_search_call(item: JSON) -> ToolCall:
    arguments = msgspec.json.encode(item.get("arguments") or {}).decode()
    call_id, item_id = _text(item.get("call_id")), _text(item.get("id")) or None
    return ToolCall(
        id=call_id, name="tool_search", arguments=arguments, item_id=item_id, extra={"type": "tool_search_call"}
    )


def _read_message(item: JSON) -> list[Part]:
    said = [read_said(part, item) for part in objects_in(item.get("content"))]
    return [part for part in said if part is not None]


def read_said(part: JSON, item: JSON) -> Part | None:
    """One content part of a message item; None where it says nothing."""
    item_id = _text(item.get("id")) or None
    phase = item.get("phase")
    match part.get("type"):
        case "output_text":
            text = Text(text=_text(part.get("text")), id=item_id, logprobs=read_logprobs(part.get("logprobs")))
            text.citations = [read_citation(note) for note in objects_in(part.get("annotations"))]
            text.extra = {"phase": phase} if phase else None
            return text if text.text or text.citations else None
        case "refusal":
            refusal = _text(part.get("refusal"))
            return Refusal(text=refusal, id=item_id) if refusal else None
        case kind:
            return Opaque(dialect=NAME, kind=f"output_{_text(kind).removeprefix('output_')}", data=part)


def read_usage(usage: object) -> Usage | None:
    """Token counts; None where there are none."""
    return read_counts(usage, DETAILS)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
