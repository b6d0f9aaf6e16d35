"""The events of the OpenAI Realtime protocol (GA), which are the canon of voice: what a client may send, with its
fields, and what it is sent.

Field by field after OpenAI's published description and the SDK's types. A server event is a plain dict: `event` makes
one and holds it to `SERVER`, the table of what each must have.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from dragoman.voice.refusal import Refused, Strict, checked

JSON: TypeAlias = dict[str, Any]
Natural: TypeAlias = Annotated[int, Meta(ge=0)]

_RESPONSE = ("response_id",)
_OUTPUT = ("response_id", "output_index", "item_id")
_PART = (*_OUTPUT, "content_index")

SERVER: Mapping[str, tuple[str, ...]] = {
    "error": ("error",),
    "session.created": ("session",),
    "session.updated": ("session",),
    "conversation.created": ("conversation",),
    "conversation.item.added": ("previous_item_id", "item"),
    "conversation.item.done": ("previous_item_id", "item"),
    "conversation.item.retrieved": ("item",),
    "conversation.item.deleted": ("item_id",),
    "conversation.item.truncated": ("item_id", "content_index", "audio_end_ms"),
    "conversation.item.input_audio_transcription.delta": ("item_id", "content_index", "delta"),
    "conversation.item.input_audio_transcription.completed": ("item_id", "content_index", "transcript", "usage"),
    "conversation.item.input_audio_transcription.failed": ("item_id", "content_index", "error"),
    "input_audio_buffer.committed": ("previous_item_id", "item_id"),
    "input_audio_buffer.cleared": (),
    "input_audio_buffer.speech_started": ("audio_start_ms", "item_id"),
    "input_audio_buffer.speech_stopped": ("audio_end_ms", "item_id"),
    "input_audio_buffer.timeout_triggered": ("audio_start_ms", "audio_end_ms", "item_id"),
    "output_audio_buffer.started": _RESPONSE,
    "output_audio_buffer.stopped": _RESPONSE,
    "output_audio_buffer.cleared": _RESPONSE,
    "rate_limits.updated": ("rate_limits",),
    "response.created": ("response",),
    "response.done": ("response",),
    "response.output_item.added": ("response_id", "output_index", "item"),
    "response.output_item.done": ("response_id", "output_index", "item"),
    "response.content_part.added": (*_PART, "part"),
    "response.content_part.done": (*_PART, "part"),
    "response.output_text.delta": (*_PART, "delta"),
    "response.output_text.done": (*_PART, "text"),
    "response.output_audio.delta": (*_PART, "delta"),
    "response.output_audio.done": _PART,
    "response.output_audio_transcript.delta": (*_PART, "delta"),
    "response.output_audio_transcript.done": (*_PART, "transcript"),
    "response.function_call_arguments.delta": (*_OUTPUT, "call_id", "delta"),
    "response.function_call_arguments.done": (*_OUTPUT, "call_id", "name", "arguments"),
    "dragoman.turn": ("turn", "stages_ms", "target", "decision"),
}


def event(kind: str, **fields: Any) -> JSON:
    """A server event, without its `event_id`. `logprobs` may be on a transcription's events besides."""
    missing = [name for name in SERVER[kind] if name not in fields]
    if missing:
        raise TypeError(f"{kind} lacks {', '.join(missing)}")
    return {"type": kind, **fields}


class _Event(Strict, tag_field="type", kw_only=True, frozen=True):
    event_id: Annotated[str, Meta(max_length=512)] | None = None


class SessionUpdate(_Event, tag="session.update", kw_only=True, frozen=True):
    session: JSON


class Append(_Event, tag="input_audio_buffer.append", kw_only=True, frozen=True):
    audio: str


class Commit(_Event, tag="input_audio_buffer.commit", kw_only=True, frozen=True):
    pass


class Clear(_Event, tag="input_audio_buffer.clear", kw_only=True, frozen=True):
    pass


class ClearOutput(_Event, tag="output_audio_buffer.clear", kw_only=True, frozen=True):
    pass


class ItemCreate(_Event, tag="conversation.item.create", kw_only=True, frozen=True):
    item: JSON
    previous_item_id: str | None = None


class ItemRetrieve(_Event, tag="conversation.item.retrieve", kw_only=True, frozen=True):
    item_id: str


class ItemDelete(_Event, tag="conversation.item.delete", kw_only=True, frozen=True):
    item_id: str


class ItemTruncate(_Event, tag="conversation.item.truncate", kw_only=True, frozen=True):
    item_id: str
    content_index: Natural
    audio_end_ms: float  # many clients compute it, and badly: fractions, too much, less than nothing


class ResponseCreate(_Event, tag="response.create", kw_only=True, frozen=True):
    response: JSON | UnsetType | None = UNSET


class ResponseCancel(_Event, tag="response.cancel", kw_only=True, frozen=True):
    response_id: str | None = None


ClientEvent: TypeAlias = (
    SessionUpdate | Append | Commit | Clear | ClearOutput | ItemCreate | ItemRetrieve | ItemDelete | ItemTruncate
    | ResponseCreate | ResponseCancel
)  # fmt: skip
CLIENT: Mapping[str, type[ClientEvent]] = {str(kind.__struct_config__.tag): kind for kind in ClientEvent.__args__}


def read(said: object) -> ClientEvent:
    """What the client said, checked but for what is in it. Raises `Refused`."""
    if not isinstance(said, dict):
        raise Refused("Invalid event: expected a JSON object.", "invalid_event")
    if "type" not in said:
        raise Refused("Missing required parameter: 'type'.", "missing_required_parameter", "type")
    kind = CLIENT.get(said["type"]) if isinstance(said["type"], str) else None
    if kind is None:
        known = ", ".join(f"'{name}'" for name in CLIENT)
        shown = str(said["type"])[:80]
        raise Refused(f"Invalid value: '{shown}'. Supported values are: {known}.", "invalid_value", "type")
    return checked(said, kind)


def event_id(said: object) -> str | None:
    """By what name the client knows its event, where it gave one."""
    named = said.get("event_id") if isinstance(said, dict) else None
    return named if isinstance(named, str) else None


def error(refused: Refused, of: str | None) -> JSON:
    """The event that tells of it. `of`: the client event's own id."""
    return event("error", error={**refused.error, "event_id": of})
