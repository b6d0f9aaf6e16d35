"""What a response is to be, and what it wants done, one step after another."""

from typing import TypeAlias

from msgspec import Struct

from dragoman.voice.events import JSON
from dragoman.voice.session import Format, MaxTokens, Modality


class Params(Struct, frozen=True, kw_only=True):
    """What a response is to be. `conversation`: its id, or None for one that stands beside it."""

    conversation: str | None
    modality: Modality
    voice: str
    speed: float
    format: Format
    max_tokens: MaxTokens
    metadata: dict[str, str] | None = None


class Tell(Struct, frozen=True):
    """An event for the client. `sound_ms`: how long the sound in it is."""

    event: JSON
    sound_ms: float = 0.0


class Opened(Struct, frozen=True):
    """An item of the answer is part of the conversation now."""

    item: JSON


class Closed(Struct, frozen=True):
    """It is complete, or as complete as it gets."""

    item: JSON


class Say(Struct, frozen=True):
    """Have this said; its sounds, its end or its failure are told to `sound`, `said`, `unsaid`."""

    text: str
    voice: str
    speed: float


class Hush(Struct, frozen=True):
    """What is being said is not wanted any more."""


Do: TypeAlias = Tell | Opened | Closed | Say | Hush
