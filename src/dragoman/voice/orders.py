"""What a dialogue wants done by the world outside: said as data, carried out by `pipeline.py`."""

from typing import TypeAlias

from msgspec import Struct

from dragoman.canon import Request
from dragoman.voice.events import JSON
from dragoman.voice.record import Turn


class Send(Struct, frozen=True):
    """To the client."""

    event: JSON


class _Utterance(Struct, frozen=True):
    utterance: int


class _Run(Struct, frozen=True):
    run: str


class Listen(_Utterance, frozen=True):
    """Begin to transcribe an utterance."""

    language: str | None
    prompt: str | None


class Feed(_Utterance, frozen=True):
    """More of its sound."""

    pcm: bytes


class Understand(_Utterance, frozen=True):
    """What does it say so far? Told to `understood`."""

    pause: int


class Finish(_Utterance, frozen=True):
    """What does it say? No more sound comes. Told to `finished`."""


class Drop(_Utterance, frozen=True):
    """Nobody wants to know."""


class Judge(Struct, frozen=True):
    """Is the turn complete? Told to `judged`."""

    pause: int
    pcm: bytes
    words: str


class Ask(_Run, frozen=True):
    """Ask the model. What it says is told to `model`, where it comes from to `answered`. `speculative`: nobody may ever
    want the answer; `Take` or `Cancel` follows."""

    request: Request
    speculative: bool


class Warm(Struct, frozen=True):
    """The next question will begin like this one: a model that keeps prompts may read it now."""

    request: Request


class Take(_Run, frozen=True):
    """A speculative answer is wanted."""


class Cancel(_Run, frozen=True):
    """The model's answer is not wanted any more."""


class Forget(_Run, frozen=True):
    """A run is over; nothing more is asked of it."""


class Speak(_Run, frozen=True):
    """Have it said. Its sounds are told to `sound`, its end to `spoken`."""

    text: str
    voice: str
    speed: float


class Hush(_Run, frozen=True):
    """Stop saying it."""


class Pause(Struct, frozen=True):
    """Players had better be silent (`on`): somebody may be interrupting. Not `on`: they go on where they paused."""

    on: bool


class Report(Struct, frozen=True):
    """A turn is over: its record."""

    turn: Turn


class Close(Struct, frozen=True):
    """The session is over."""

    code: int = 1000
    reason: str = ""


Order: TypeAlias = (
    Send | Listen | Feed | Understand | Finish | Drop | Judge
    | Ask | Warm | Take | Cancel | Forget | Speak | Hush | Pause | Report | Close
)  # fmt: skip
