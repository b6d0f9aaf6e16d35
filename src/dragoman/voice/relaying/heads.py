"""What a relay reads of an event in passing: its type, and the few fields that a session's memory needs. The rest of
the text is skipped, and passes as it came.

`GA` and `BETA` are the two sets of names that one protocol has; Azure's Voice Live uses the second.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

_NOTHING = Raw(b"null")


class Head(Struct, gc=False):
    """The fields of any event, client's or server's, of which something is to be known. A `Raw` is JSON as it came."""

    type: str = ""
    event_id: str | None = None
    item_id: str | None = None
    response_id: str | None = None
    previous_item_id: str | None = None
    output_index: int = 0
    content_index: int = 0
    audio_start_ms: float | None = None
    audio_end_ms: float | None = None
    audio: Raw | UnsetType = UNSET  # of an append
    delta: Raw | UnsetType = UNSET
    text: str | None = None
    transcript: str | None = None
    arguments: str | None = None
    session: Raw | UnsetType = UNSET
    conversation: Raw | UnsetType = UNSET
    item: Raw | UnsetType = UNSET
    part: Raw | UnsetType = UNSET
    response: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET
    usage: Raw | UnsetType = UNSET


class _Typed(Struct, gc=False):
    type: str = ""


_decode = msgspec.json.Decoder(Head).decode
_decode_type = msgspec.json.Decoder(_Typed).decode


def read(message: str) -> Head:
    """What is known of `message`. Where its fields have other types than ours, its type alone; where it is no event at
    all, an empty type: such a message passes, and whom it is for will say what is wrong with it."""
    try:
        return _decode(message)
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, RecursionError):
        return Head()
    try:
        return Head(type=_decode_type(message).type)
    except (msgspec.DecodeError, RecursionError):
        return Head()


def plain(raw: Raw | UnsetType) -> dict[str, Any]:
    """The object that `raw` is; an empty one where it is something else."""
    if isinstance(raw, UnsetType):
        return {}
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def word(raw: Raw | UnsetType) -> str:
    """The string that `raw` is; an empty one where it is something else."""
    if isinstance(raw, UnsetType):
        return ""
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.DecodeError, RecursionError):
        return ""


def base64_bytes(raw: Raw | UnsetType) -> int:
    """How many bytes the base64 string `raw` stands for, near enough: it is not decoded for that."""
    if isinstance(raw, UnsetType):
        return 0
    return max(0, len(bytes(raw)) - 2) * 3 // 4


class Names(Struct, frozen=True):
    """The names of one version of the protocol. `beta`: of our name, theirs; what is not in it is the same."""

    text: str  # the content that an assistant's text is, in an item
    audio: str  # and its sound
    beta: dict[str, str] = field(default_factory=dict)
    created: bool = False  # an item's coming is one event, `conversation.item.created`, not `added` and `done`

    def theirs(self, name: str) -> str:
        return self.beta.get(name, name)


_BETA = {
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "conversation.item.added": "conversation.item.created",
}
OURS = {theirs: ours for ours, theirs in _BETA.items()}  # by the beta's name
GA = Names(text="output_text", audio="output_audio")
BETA = Names(text="text", audio="audio", beta=_BETA, created=True)
