"""A whole reply as a response object. The tables of the mapping are in `response`."""

from typing import Any

from dragoman.canon import JSON, Choice, Opaque, Part, Reasoning, Refusal, Reply, Request, Text, ToolCall
from dragoman.dialects.openai_responses.content import write_output_part
from dragoman.dialects.openai_responses.items import is_item
from dragoman.dialects.openai_responses.name import NAME
from dragoman.dialects.openai_responses.response import (
    Ids,
    call_item,
    echo,
    encode,
    message_item,
    outcome,
    reasoning_item,
    response_id,
    said_arguments,
    signature_item,
    tier,
    usage_object,
)
from dragoman.dialects.openai_responses.tools import Names, place_of


def write_reply(reply: Reply, request: Request) -> bytes:
    """The response object. Only the first choice has a place in it."""
    choice = reply.choices[0] if reply.choices else Choice()
    refused = any(isinstance(part, Refusal) for part in choice.parts)
    end = outcome(choice.finish, choice.raw_finish, refused)
    response = echo(request)
    response |= {"id": response_id(reply.id), "created_at": reply.created, "model": reply.model or request.model}
    response |= {"completed_at": reply.created if end["status"] == "completed" else None, "error": None}
    response["service_tier"] = tier(reply.service_tier, response["service_tier"])
    if reply.dialect == NAME and reply.extra:
        response |= reply.extra
    if end["status"] == "failed" and response.get("error") is not None:
        del end["error"]
    response |= end
    response["output"] = Output(reply.id, Names(request.tools), response["status"]).write(choice.parts)
    response["usage"] = usage_object(reply.usage)
    return encode(response)


class Output:
    """Writes a reply's parts as output items."""

    def __init__(self, reply_id: str, names: Names, status: str) -> None:
        self._ids, self._names = Ids(reply_id), names
        self._status = "incomplete" if status == "incomplete" else "completed"
        self._items: list[JSON] = []

    def write(self, parts: list[Part]) -> list[JSON]:
        at = 0
        while at < len(parts):
            part = parts[at]
            same = at + 1
            if joins(part):
                while same < len(parts) and joins(parts[same], part):
                    same += 1
                self._said(parts[at:same], self._status if same == len(parts) else "completed")
            else:
                self._part(part)
            at = same
        return self._items

    def _said(self, parts: list[Any], status: str) -> None:
        index = len(self._items)
        content = [part.data if isinstance(part, Opaque) else write_output_part(part) for part in parts]
        first = parts[0]
        item_id = self._ids.fits(getattr(first, "id", None), "msg", index)
        self._items.append(message_item(item_id, content, phase_of(first), status))
        for part in parts:
            if isinstance(part, Text) and part.signature is not None and part.dialect != NAME:
                self._items.append(signature_item(self._ids.make("rs", len(self._items)), part))

    def _part(self, part: Part) -> None:
        index = len(self._items)
        match part:
            case Reasoning():
                self._items.append(reasoning_item(self._ids.fits(part.id, "rs", index), part))
            case ToolCall():
                if part.signature is not None and part.dialect != NAME:
                    self._items.append(signature_item(self._ids.make("rs", index), part))
                    index += 1
                place = place_of(part, self._names)
                item_id = self._ids.fits(part.item_id, ID_PREFIX[place.kind], index)
                call = part if part.id else _with_id(part, self._ids.make("call", index))
                self._items.append(call_item(item_id, call, place, said_arguments(part, place), "completed"))
            case Opaque() if is_item(part):
                self._items.append(part.data)
            case _:
                pass  # of another dialect, with no form here


ID_PREFIX = {"function": "fc", "custom": "ctc", "tool_search": "tsc"}


def _with_id(call: ToolCall, call_id: str) -> ToolCall:
    return ToolCall(id=call_id, name=call.name, arguments=call.arguments, kind=call.kind)


def joins(part: Part, first: Part | None = None) -> bool:
    """Whether the part is content of a message item, the same one as `first` if given."""
    content = isinstance(part, Text | Refusal) or (
        isinstance(part, Opaque) and part.dialect == NAME and not is_item(part)
    )
    return content and (first is None or getattr(part, "id", None) == getattr(first, "id", None))


def phase_of(part: Part) -> object:
    """The phase of the message item that starts with this part."""
    return (part.extra or {}).get("phase") if isinstance(part, Text) else None
