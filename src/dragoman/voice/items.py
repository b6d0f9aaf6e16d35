"""The items of a conversation as the protocol has them: checked where a client makes one, made where we do."""

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from dragoman.voice.events import JSON
from dragoman.voice.refusal import Refused, Strict, checked

Status: TypeAlias = Literal["completed", "incomplete", "in_progress"]
_Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=512)]


class _Item(Strict, tag_field="type", kw_only=True, frozen=True):
    id: _Id | None = None
    object: Literal["realtime.item"] | None = None
    status: Status | None = None


class _Content(Strict, kw_only=True, frozen=True):
    """One part. Which fields mean something depends on its type; the others must not be there."""

    type: str
    text: str | UnsetType | None = UNSET
    audio: str | UnsetType | None = UNSET
    transcript: str | UnsetType | None = UNSET
    image_url: str | UnsetType | None = UNSET
    detail: Literal["auto", "low", "high"] | UnsetType | None = UNSET


class Message(_Item, tag="message", kw_only=True, frozen=True):
    role: Literal["user", "assistant", "system"]
    content: list[_Content]


class FunctionCall(_Item, tag="function_call", kw_only=True, frozen=True):
    name: str
    arguments: str
    call_id: str | None = None


class FunctionCallOutput(_Item, tag="function_call_output", kw_only=True, frozen=True):
    call_id: str
    output: str


class Reference(Strict, tag_field="type", tag="item_reference", kw_only=True, frozen=True):
    id: str


_KINDS: dict[str, type[Struct]] = {
    "message": Message, "function_call": FunctionCall, "function_call_output": FunctionCallOutput,
}  # fmt: skip
# what a message may hold, by its role, and the field of each that must be there
_PARTS: dict[str, dict[str, str]] = {
    "user": {"input_text": "text", "input_audio": "audio", "input_image": "image_url"},
    "system": {"input_text": "text"},
    "assistant": {"output_text": "text", "output_audio": "transcript", "text": "text"},
}


def made(said: JSON, where: str, new_id: str) -> JSON:
    """The item a client describes, complete. `where`: its path in the event. Raises `Refused`."""
    kind = said.get("type")
    if "type" not in said:
        raise Refused(f"Missing required parameter: '{where}.type'.", "missing_required_parameter", f"{where}.type")
    if not isinstance(kind, str) or kind not in _KINDS:
        known = ", ".join(f"'{name}'" for name in _KINDS)
        raise Refused(f"Invalid value: '{str(kind)[:80]}'. Supported values are: {known}.", "invalid_value",
                      f"{where}.type")  # fmt: skip
    item = checked(said, _KINDS[kind], where)
    if isinstance(item, Message):
        for index, part in enumerate(item.content):
            _check_part(item.role, part, f"{where}.content[{index}]")
    complete: JSON = {**said, "id": said.get("id") or new_id, "object": "realtime.item", "status": "completed"}
    if kind == "function_call" and not complete.get("call_id"):
        complete["call_id"] = "call_" + complete["id"].removeprefix("item_")
    return complete


def _check_part(role: str, part: Any, where: str) -> None:
    known = _PARTS[role]
    if part.type not in known:
        names = ", ".join(f"'{name}'" for name in known)
        raise Refused(f"Invalid value: '{part.type[:80]}'. Supported values are: {names}.", "invalid_value",
                      f"{where}.type")  # fmt: skip
    needed = known[part.type]
    if not isinstance(getattr(part, needed), str):
        raise Refused(f"Missing required parameter: '{where}.{needed}'.", "missing_required_parameter",
                      f"{where}.{needed}")  # fmt: skip


def reference(said: JSON, where: str) -> str:
    """The id that an `item_reference` names. Raises `Refused`."""
    return checked(said, Reference, where).id


def user_audio(item_id: str, transcript: str | None) -> JSON:
    """What somebody said aloud."""
    part = {"type": "input_audio", "transcript": transcript}
    return {"id": item_id, "object": "realtime.item", "type": "message", "status": "completed", "role": "user",
            "content": [part]}  # fmt: skip


def assistant(item_id: str) -> JSON:
    """An answer as it begins."""
    return {"id": item_id, "object": "realtime.item", "type": "message", "status": "in_progress", "role": "assistant",
            "content": []}  # fmt: skip


def function_call(item_id: str, call_id: str, name: str) -> JSON:
    return {"id": item_id, "object": "realtime.item", "type": "function_call", "status": "in_progress", "name": name,
            "call_id": call_id, "arguments": ""}  # fmt: skip
