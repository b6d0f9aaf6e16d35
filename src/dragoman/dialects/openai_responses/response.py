"""The `response` object and the output items in it, as clients of this dialect see them.

A response repeats the settings of its request. Items get ids made from the reply's id where they have none, so that
the same reply is always written the same.

| part                       | output item                                                                      |
|----------------------------|----------------------------------------------------------------------------------|
| Text, Refusal              | `message`; neighbours with the same id share one                                 |
| Reasoning of this dialect  | `reasoning` as it was                                                            |
| Reasoning of another       | `reasoning`: its text as summary, the whole part sealed in `encrypted_content`   |
| ToolCall                   | `function_call`, `custom_tool_call` or `tool_search_call`, as the request's tools say |
| ToolCall signed by another | the same, after a `reasoning` item without summary that seals the signature      |
| Text signed by another     | `message`, followed by such an item                                              |
| Opaque of this dialect     | as it was                                                                        |
"""

import re

import msgspec

from dragoman.canon import JSON, FinishReason, Reasoning, Request, Text, ToolCall, Usage
from dragoman.dialects import custom, ids
from dragoman.dialects.losses import Losses
from dragoman.dialects.openai_responses.name import NAME
from dragoman.dialects.openai_responses.read_request import INSTRUCTIONS
from dragoman.dialects.openai_responses.tools import Place
from dragoman.dialects.openai_responses.write_request import CAN_SAY, TIERS, write_settings
from dragoman.dialects.quirks import Quirks
from dragoman.dialects.seal import seal

encode = msgspec.json.Encoder().encode
_FOREIGN = re.compile(r"[^a-zA-Z0-9_-]")
_UNSAID: JSON = {  # what a response says of what its request did not say
    "object": "response", "error": None, "instructions": None, "max_output_tokens": None, "max_tool_calls": None,
    "previous_response_id": None, "prompt_cache_key": None, "safety_identifier": None, "user": None,
    "background": False, "frequency_penalty": 0.0, "metadata": {}, "parallel_tool_calls": True,
    "presence_penalty": 0.0, "reasoning": {}, "service_tier": "default", "store": True, "temperature": 1.0, "text": {},
    "tool_choice": "auto", "tools": [], "top_logprobs": 0, "top_p": 1.0, "truncation": "disabled",
}  # fmt: skip
_NOT_ECHOED = frozenset({"include", "stream_options", "stream", "input", "dragoman", "client_metadata", "conversation"})
INCOMPLETE: dict[FinishReason, str] = {
    "length": "max_output_tokens",
    "context_length": "max_output_tokens",
    "content_filter": "content_filter",
}
_QUIRKS = Quirks()
_LONGEST = 52  # characters of a reply's id in the ids of its items, which may have 64


def response_id(reply_id: str) -> str:
    """The reply's id as this dialect has ids: `resp_…`."""
    if reply_id.startswith("resp_"):
        return reply_id
    if len(reply_id) > _LONGEST:
        return "resp_" + ids.fit(reply_id, _LONGEST)
    return "resp_" + (_FOREIGN.sub("_", reply_id) or "0")


class Ids:
    """Ids of items that have none: `msg_…`, `rs_…`, `fc_…` after the response's own id and the item's place."""

    def __init__(self, reply_id: str) -> None:
        self._core = ids.fit(response_id(reply_id).removeprefix("resp_"), _LONGEST)

    def make(self, prefix: str, index: int) -> str:
        return f"{prefix}_{self._core}_{index}"

    def fits(self, given: str | None, prefix: str, index: int) -> str:
        """`given` where it is an id of this dialect, else one made."""
        return given if given is not None and given.startswith(prefix) else self.make(prefix, index)


def echo(request: Request) -> JSON:
    """What a response repeats of its request, defaults included. Tools are shown as the API shows them."""
    settings = write_settings(request, _QUIRKS, Losses(request, NAME, CAN_SAY))
    shown = {**_UNSAID, **settings}
    for name in _NOT_ECHOED.intersection(settings):
        del shown[name]
    shown["text"] = {"format": {"type": "text"}, **shown["text"]}
    shown["reasoning"] = {"effort": None, "summary": None, **shown["reasoning"]}
    shown["tools"] = [_shown_tool(tool) for tool in shown["tools"]]
    if (form := shown["text"]["format"])["type"] == "json_schema":
        shown["text"]["format"] = {"description": None, "strict": False, **form}
    if request.previous_response_id is not None:
        shown["previous_response_id"] = request.previous_response_id
    if (conversation := (request.extra or {}).get("conversation")) is not None:
        shown["conversation"] = conversation if isinstance(conversation, dict) else {"id": conversation}
    if request.messages and (first := request.messages[0]).id == INSTRUCTIONS:
        shown["instructions"] = "\n\n".join(part.text for part in first.parts if isinstance(part, Text))
    return shown


def _shown_tool(tool: JSON) -> JSON:
    if tool.get("type") != "function":
        return tool
    return {"description": None, "parameters": None, "strict": True, **tool}


# items


def message_item(item_id: str, content: list[JSON], phase: object, status: str) -> JSON:
    item = {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": content}
    return item if phase is None else {**item, "phase": phase}


def reasoning_item(item_id: str, part: Reasoning) -> JSON:
    """What the client shows of the thinking, and what proves it."""
    item: JSON = {"id": item_id, "type": "reasoning", "summary": []}
    if shows_raw(part):
        if part.text:
            item["content"] = [{"type": "reasoning_text", "text": part.text}]
    elif part.text:
        item["summary"] = [{"type": "summary_text", "text": part.text}]
    if part.dialect != NAME:
        item["encrypted_content"] = seal([part])
    elif part.encrypted is not None:
        item["encrypted_content"] = part.encrypted
    return item


def shows_raw(part: Reasoning) -> bool:
    """Whether the text stands as reasoning text. Others' thinking stands as a summary, which every client shows."""
    return part.dialect == NAME and not part.summary


def signature_item(item_id: str, part: ToolCall | Text) -> JSON:
    """The signature of a part that has no place for it here."""
    sealed: ToolCall | Text
    if isinstance(part, ToolCall):
        sealed = ToolCall(id=part.id, signature=part.signature, dialect=part.dialect)
    else:
        sealed = Text(signature=part.signature, dialect=part.dialect)
    return {"id": item_id, "type": "reasoning", "summary": [], "encrypted_content": seal([sealed])}


def call_item(item_id: str, call: ToolCall, place: Place, arguments: str, status: str) -> JSON:
    """A call with `arguments` in the form its kind has: JSON text, free text, or for a tool search an object."""
    item: JSON = {"id": item_id, "type": f"{place.kind}_call", "status": status, "call_id": call.id}
    if place.kind == "tool_search":
        return item | {"execution": "client", "arguments": _object(arguments)}
    if place.kind == "custom":
        item |= {"type": "custom_tool_call", "name": place.name, "input": arguments}
    else:
        item |= {"name": place.name, "arguments": arguments}
    return item if place.namespace is None else {**item, "namespace": place.namespace}


def _object(arguments: str) -> object:
    try:
        value = msgspec.json.decode(arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        return {"input": arguments}
    return value if isinstance(value, dict) else {"input": arguments}


def said_arguments(call: ToolCall, place: Place) -> str:
    """A call's arguments as its place wants them."""
    if place.kind == "custom":
        return call.arguments if call.kind == "custom" else custom.unwrap(call.arguments)
    return call.arguments or "{}"


# the whole


def usage_object(usage: Usage | None) -> JSON | None:
    if usage is None:
        return None
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }


def outcome(finish: FinishReason, raw: str | None, refused: bool) -> JSON:
    """`status` and what goes with it. `refused`: the refusal stands in the output."""
    reason = INCOMPLETE.get(finish)
    if finish == "refusal" and not refused:
        reason = "content_filter"
    if reason is not None:
        shown = raw if raw == "max_messages" else reason
        return {"status": "incomplete", "incomplete_details": {"reason": shown}}
    if finish == "error":
        error = {"code": "server_error", "message": "The model's provider ended the response with an error."}
        return {"status": "failed", "incomplete_details": None, "error": error}
    return {"status": "completed", "incomplete_details": None}


def tier(given: str | None, asked: str) -> str:
    """The service tier that served the reply; another dialect's word for it is `default`."""
    if given is None:
        return asked
    return given if given in TIERS else "default"
