"""The canon into a request's body. The tables of the mapping are in `read_request`, `items`, `content` and `tools`.

What is asked of every foreign request: `store: false` (its client knows nothing of stored responses) and encrypted
reasoning, so that the thinking can come back with the next turn.
"""

import msgspec

from dragoman.canon import (
    JSON,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from dragoman.dialects import ids
from dragoman.dialects.dialect import Written
from dragoman.dialects.losses import Losses
from dragoman.dialects.openai_models import drop_refused, traits
from dragoman.dialects.openai_responses.content import write_content, write_input_part, write_output_part
from dragoman.dialects.openai_responses.items import is_item
from dragoman.dialects.openai_responses.name import NAME
from dragoman.dialects.openai_responses.read_request import ENCRYPTED, INSTRUCTIONS, LOGPROBS, ResponsesRequest
from dragoman.dialects.openai_responses.tools import Names, Place, write_tool_choice, write_tools
from dragoman.dialects.quirks import Quirks
from dragoman.dialects.thinking import effort_for

CAN_SAY = frozenset(
    {
        "parallel_tool_calls", "output", "thinking", "max_output_tokens", "temperature", "top_p", "logprobs",
        "top_logprobs", "verbosity", "service_tier", "metadata", "user", "cache_key", "store", "truncation",
    }
)  # fmt: skip
_PLAIN = ("temperature", "top_p", "top_logprobs", "parallel_tool_calls", "service_tier", "metadata", "truncation")
_OPENRESPONSES_ONLY = ("presence_penalty", "frequency_penalty")
_LEAST_OUTPUT = 16  # tokens; the API refuses less
TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})


def write_request(request: Request, quirks: Quirks) -> Written:
    """Raises `Unsayable` where another dialect's provider tool is forced."""
    same = request.dialect == NAME
    losses = Losses(request, NAME, CAN_SAY | set(_OPENRESPONSES_ONLY) if same else CAN_SAY)
    body: JSON = {"model": request.model}
    instructions, messages = _lift_instructions(request.messages)
    if instructions is not None:
        body["instructions"] = instructions
    items = _write_items(messages, Names(request.tools), losses)
    if items or not same or not request.extra or "prompt" not in request.extra:
        body["input"] = items
    body.update(write_settings(request, quirks, losses))
    if request.stream:
        body["stream"] = True
    for name in quirks.refuses & body.keys():
        del body[name]
        losses.note(name)
    return Written(body, losses.names)


def write_settings(request: Request, quirks: Quirks, losses: Losses) -> JSON:
    """Every field but `model`, `instructions`, `input` and `stream`."""
    body: JSON = {}
    if tools := write_tools(request.tools, losses):
        body["tools"] = tools
    if (choice := write_tool_choice(request, losses)) is not None:
        body["tool_choice"] = choice
    for name in _PLAIN:
        if (value := getattr(request, name)) is not None:
            body[name] = value
    if request.max_output_tokens is not None:
        body["max_output_tokens"] = request.max_output_tokens
    if text := _write_text(request):
        body["text"] = text
    if (thinking := request.thinking) is not None and (reasoning := _write_reasoning(thinking, request, losses)):
        body["reasoning"] = reasoning
    if request.cache_key is not None:
        body["prompt_cache_key"] = request.cache_key
    if request.previous_response_id is not None and request.dialect == NAME:
        body["previous_response_id"] = request.previous_response_id
    if isinstance(request, ResponsesRequest):
        _write_own(request, body, losses)
    else:
        _write_foreign(request, body, quirks, losses)
        drop_refused(body, request.model, body.get("reasoning", {}).get("effort"), losses)
    return body


def _write_own(request: ResponsesRequest, body: JSON, losses: Losses) -> None:
    for name in _OPENRESPONSES_ONLY:
        if (value := getattr(request, name)) is not None:
            body[name] = value
    if request.user is not None and "user" not in request.silent:
        body["safety_identifier"] = request.user
    extra = dict(request.extra or {})
    if isinstance(text := extra.pop("text", None), dict):
        body["text"] = {**body.get("text", {}), **text}
    losses.carry(body, extra)
    body.update(request.silent)
    if request.store is not None:
        body["store"] = request.store


def _write_foreign(request: Request, body: JSON, quirks: Quirks, losses: Losses) -> None:
    if request.max_output_tokens is not None and request.max_output_tokens < _LEAST_OUTPUT:
        body["max_output_tokens"] = _LEAST_OUTPUT
        losses.note("max_output_tokens")
    if request.service_tier is not None and request.service_tier not in TIERS:
        del body["service_tier"]
        losses.note("service_tier")
    if request.user is not None:
        body[quirks.user_field] = request.user
    body["store"] = request.store or False
    include = [LOGPROBS] if request.logprobs or request.top_logprobs else []
    if _reasons(request.model):
        include.append(ENCRYPTED)
    if include:
        body["include"] = include


def _reasons(model: str) -> bool:
    return bool(traits(model).efforts)


def _write_text(request: Request) -> JSON:
    text: JSON = {}
    if (output := request.output) is not None:
        match output.kind:
            case "text":
                text["format"] = {"type": "text"}
            case "json":
                text["format"] = {"type": "json_object"}
            case "json_schema":
                text["format"] = {"type": "json_schema", "name": output.name or "output", "schema": output.schema or {}}
                if output.description is not None:
                    text["format"]["description"] = output.description
                if output.strict is not None or request.dialect != NAME:
                    text["format"]["strict"] = output.strict is True  # left out, it would mean true
    if request.verbosity is not None:
        text["verbosity"] = request.verbosity
    return text


def _write_reasoning(thinking: Thinking, request: Request, losses: Losses) -> JSON:
    if request.dialect != NAME and not _reasons(request.model):
        if thinking.mode != "off":
            losses.note("thinking")
        return {}
    reasoning: JSON = {}
    if (effort := thinking.effort or _effort(thinking)) is not None:
        reasoning["effort"] = effort if request.dialect == NAME else traits(request.model).effort(effort)
    if thinking.summary is not None:
        reasoning["summary"] = thinking.summary
    elif thinking.visible and thinking.mode != "off":
        reasoning["summary"] = "auto"
    losses.carry(reasoning, thinking.extra, "thinking")
    return reasoning


def _effort(thinking: Thinking) -> str | None:
    """The effort nearest to a budget of tokens, or to no thinking at all."""
    return "none" if thinking.mode == "off" else effort_for(thinking.budget)


# messages into items


def _lift_instructions(messages: list[Message]) -> tuple[str | None, list[Message]]:
    """The marked first message as a string, and the others."""
    if messages and messages[0].id == INSTRUCTIONS:
        return "\n\n".join(part.text for part in messages[0].parts if isinstance(part, Text)), messages[1:]
    return None, messages


def _write_items(messages: list[Message], names: Names, losses: Losses) -> list[JSON]:
    items: list[JSON] = []
    for message in messages:
        if message.name is not None:
            losses.note("messages.name")
        if message.role == "assistant":
            items += _Turn(names, losses).write(message)
        else:
            items += _write_message(message, losses)
    return items


def _write_message(message: Message, losses: Losses) -> list[JSON]:
    """A user's, system's or developer's message: outputs and other items by themselves, the rest as one message."""
    items: list[JSON] = []
    content: list[Part] = []
    for part in message.parts:
        if isinstance(part, ToolResult):
            items.append(_write_result(part, losses))
        elif isinstance(part, Opaque) and is_item(part):
            items.append(part.data)
        else:
            content.append(part)
    if not content and (items or not losses.same_dialect):
        return items
    written = write_content(content, losses)
    if written or losses.same_dialect:
        item: JSON = {"type": "message", "role": message.role, "content": written}
        if message.id is not None and losses.same_dialect:
            item |= {"id": message.id, "status": "completed"}
        losses.carry(item, message.extra, "messages")
        items.append(item)
    return items


def _write_result(result: ToolResult, losses: Losses) -> JSON:
    if result.cache is not None:
        losses.note("messages.cache")
    extra = result.extra or {}
    if losses.same_dialect and extra.get("type") == "tool_search_output":
        return {**extra, "call_id": result.call_id}
    if result.is_error:
        losses.note("messages.is_error")
    item: JSON = {
        "type": "custom_tool_call_output" if result.kind == "custom" else "function_call_output",
        "call_id": ids.fit(result.call_id),
        "output": write_content(result.content, losses),
    }
    losses.carry(item, result.extra, "messages")
    if losses.same_dialect and "id" in item:
        item.setdefault("status", "completed")
    return item


class _Turn:
    """Writes one assistant message as the items it is made of."""

    def __init__(self, names: Names, losses: Losses) -> None:
        self._names, self._losses = names, losses
        self._items: list[JSON] = []
        self._open: tuple[str | None] | None = None  # the id of the message item that more text may join

    def write(self, message: Message) -> list[JSON]:
        if message.extra:
            self._losses.carry({}, message.extra, "messages")
        for part in message.parts:
            match part:
                case Text() | Refusal():
                    self._said(part)
                    continue
                case Reasoning():
                    self._reasoning(part)
                case ToolCall():
                    self._call(part)
                case Opaque() if is_item(part):
                    self._items.append(part.data)
                case Opaque() if part.dialect == NAME:
                    self._part(part)
                    continue
                case Opaque():
                    self._losses.note(f"messages.{part.kind}")
                case _:
                    self._part(part)
                    continue
            self._open = None
        while self._items and self._items[-1]["type"] == "reasoning" and not self._losses.same_dialect:
            self._items.pop()  # thinking that led to nothing: the API refuses it
            self._losses.note("reasoning")
        return self._items

    def _said(self, part: Text | Refusal) -> None:
        if isinstance(part, Text):
            if part.signature is not None:
                self._losses.note("messages.signature")
            if part.cache is not None:
                self._losses.note("messages.cache")
            if not part.text and not self._losses.same_dialect:
                return
        self._item(part.id)["content"].append(write_output_part(part))
        self._losses.carry(self._items[-1], part.extra, "messages")

    def _part(self, part: Part) -> None:
        """A part of another kind in the assistant's message."""
        if not self._losses.same_dialect:
            self._losses.note(f"messages.{type(part).__name__.lower()}")
        elif (written := write_input_part(part, self._losses)) is not None:
            item_id = getattr(part, "id", None)
            self._item(item_id)["content"].append(written)

    def _item(self, part_id: str | None) -> JSON:
        """The message item that a part with this id belongs in."""
        item_id = part_id if self._losses.same_dialect else None
        if self._open != (item_id,):
            item: JSON = {"type": "message", "role": "assistant", "content": []}
            if item_id is not None:
                item |= {"id": item_id, "status": "completed"}
            self._items.append(item)
            self._open = (item_id,)
        return self._items[-1]

    def _reasoning(self, part: Reasoning) -> None:
        if part.dialect != NAME:
            self._losses.note("reasoning")
            return
        raw_text = part.text and not part.summary
        if not self._losses.same_dialect and part.encrypted is None and not raw_text:
            return  # it is an id only, of something that was never stored
        item: JSON = {"type": "reasoning", "summary": []}
        if part.id is not None:
            item["id"] = part.id
        if raw_text:
            item["content"] = [{"type": "reasoning_text", "text": part.text}]
        elif part.text:
            item["summary"] = [{"type": "summary_text", "text": part.text}]
        if part.encrypted is not None:
            item["encrypted_content"] = part.encrypted
        self._losses.carry(item, part.extra, "messages")
        self._items.append(item)

    def _call(self, call: ToolCall) -> None:
        if call.cache is not None:
            self._losses.note("messages.cache")
        if call.signature is not None:
            self._losses.note("messages.signature")
        place = self._names.place(call.name)
        if not self._losses.same_dialect:
            place = Place(place.kind if place.kind != "tool_search" else "function", call.name)
        item = self._call_item(call, place)
        if call.item_id is not None and self._losses.same_dialect:
            item |= {"id": call.item_id, "status": "completed"}
        self._losses.carry(item, call.extra, "messages")
        if item.get("namespace", "") is None:
            del item["namespace"]
        if item["type"] == "tool_search_call" and isinstance(item.get("arguments"), str):
            item["arguments"] = _object(call.arguments)
        self._items.append(item)

    def _call_item(self, call: ToolCall, place: Place) -> JSON:
        call_id = ids.fit(call.id)
        if place.kind == "tool_search" or (call.extra or {}).get("type") == "tool_search_call":
            return {"type": "tool_search_call", "call_id": call.id, "execution": "client", "arguments": call.arguments}
        item: JSON
        if call.kind == "custom":
            item = {"type": "custom_tool_call", "call_id": call_id, "name": place.name, "input": call.arguments}
        else:
            arguments = call.arguments or "{}"
            item = {"type": "function_call", "call_id": call_id, "name": place.name, "arguments": arguments}
        if place.namespace is not None:
            item["namespace"] = place.namespace
        return item


def _object(arguments: str) -> object:
    try:
        return msgspec.json.decode(arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        return {"input": arguments}
