"""How turns are told apart: a session's `turn_detection` as plain values."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

Eagerness = Literal["low", "medium", "high", "auto"]

PLAIN_MS = 500  # of silence where nobody judges and none was named
_LONGEST_MS: dict[Eagerness, int] = {"low": 8000, "medium": 4000, "high": 2000, "auto": 1250}


class Detection(Struct, frozen=True, kw_only=True):
    """`silence_ms`: the turn ends after so much silence, to the letter; None: judge and words decide, and after
    `longest_ms` of silence it ends whatever they say. Times in ms."""

    threshold: float = 0.5  # probability from which on a frame is speech
    prefix_ms: int = 300  # sound ahead of the first speech that belongs to the turn
    silence_ms: int | None = None
    eagerness: Eagerness = "auto"
    idle_ms: int | None = None  # silence after the assistant's last word that calls for another word of it
    interrupts: bool = True  # speech over the assistant's ends its turn

    @property
    def longest_ms(self) -> int:
        return _LONGEST_MS[self.eagerness]


def detection(settings: Mapping[str, Any] | None, *, judged: bool = True) -> Detection | None:
    """Of a checked GA `turn_detection`; None (also given so): the client ends turns by itself. A silence that is not
    named is the local policy's to decide: ask with what the client said, not with defaults filled in. Where nobody
    judges (`judged` false) it is `PLAIN_MS`, whatever the eagerness."""
    if settings is None:
        return None
    given = {name: value for name, value in settings.items() if value is not None}
    interrupts = given.get("interrupt_response", True)
    silence = None if judged else PLAIN_MS
    if given.get("type") == "semantic_vad":
        return Detection(silence_ms=silence, eagerness=given.get("eagerness", "auto"), interrupts=interrupts)
    return Detection(
        threshold=given.get("threshold", 0.5),
        prefix_ms=given.get("prefix_padding_ms", 300),
        silence_ms=given.get("silence_duration_ms", silence),
        idle_ms=given.get("idle_timeout_ms"),
        interrupts=interrupts,
    )


class Interruption(Struct, frozen=True, kw_only=True):
    """When speech over the assistant's is meant to stop it. It falls silent as soon as `speech_frames` in a row are
    speech; that was a false alarm unless somebody speaks for `sure_ms`, or says something shorter that is no mere
    "mhm" and has `words` words.

    That takes its time where the player pauses meanwhile; where it can't, there is `BOLD`."""

    sure_ms: int = 350
    words: int = 1
    unheard_ms: int = 600  # silence after which a sound without words is let go


BOLD = Interruption(sure_ms=80)  # for players that know of no pause: they go on sounding until they are interrupted
