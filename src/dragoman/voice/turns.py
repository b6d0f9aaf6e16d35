"""Turn taking: when somebody has begun to speak, when he pauses, when his turn is over, when he means to interrupt.

`Turns` is one session's state. It is fed frames of voice activity, the judge's answers and drafts of the words, and
says what follows from them, as plain data; whoever runs it asks the judge, speculates and answers. Time is the audio's
own clock: ms of sound fed since the session began, so it has no clock inside and a simulation is exact.

What may follow what stands in `_TABLE`. A signal that is not in the table for a state changes nothing there.

    QUIET     nobody speaks
    RISING    a frame or two of speech: a click or a beginning
    HUSHED    speech over the assistant's, which has paused; is it an interruption?
    DOUBTFUL  the same, and silent again: a cough, a nod ("mhm"), or a short word that is meant ("stop")
    SPEAKING  the user has the turn
    PAUSED    the user has the turn and is silent: words are asked, an answer is prepared, then the judge is asked
"""

from enum import Enum, auto
from typing import Any

from msgspec import Struct

from dragoman.voice.backchannel import is_backchannel, words_of
from dragoman.voice.detection import Detection, Interruption
from dragoman.voice.patience import patience

_CONFIRM = 2  # frames of speech in a row that are a beginning
_LULL_MS = 16.0  # silence after speech that is a pause
_LASTING_MS = 96.0  # and that tells most of how the speech has ended: sooner is less sure, later no surer


class Frame(Struct, frozen=True):
    """One look of the voice activity detector. `at_ms`: the end of the frame; `speech`: 0..1."""

    at_ms: float
    speech: float


class Started(Struct, frozen=True):
    """The user has taken the turn. `at_ms`: from where on sound belongs to it (padding included); `barge`: he has
    interrupted the assistant."""

    at_ms: float
    barge: bool = False


class Hushed(Struct, frozen=True):
    """Somebody speaks while the assistant does: pause it. `Started` or `FalseAlarm` follows. `at_ms`: as in `Started`,
    for words to be understood from there on."""

    at_ms: float


class FalseAlarm(Struct, frozen=True):
    """It was no interruption: the assistant goes on where it paused."""

    at_ms: float


class Paused(Struct, frozen=True):
    """Silence since `ended_ms`. Ask for the words so far, and prepare an answer; tell `Turns` what they are together
    with `pause`."""

    pause: int
    at_ms: float
    ended_ms: float


class Lasting(Struct, frozen=True):
    """The pause goes on. Ask the judge of the sound and the words so far, and tell `Turns` what it says together with
    `pause`."""

    pause: int
    at_ms: float


class Resumed(Struct, frozen=True):
    """Speech again within the turn: what was prepared since `Paused` is of no use."""

    at_ms: float


class Stopped(Struct, frozen=True):
    """The turn is over: commit it and answer. `ended_ms`: the end of speech; `complete`: the judge's probability, None
    where it was not heard in time or not asked."""

    at_ms: float
    ended_ms: float
    why: str  # "silence": as configured; "judged": words and judge say so; "patience": nobody waits longer
    complete: float | None


class Idled(Struct, frozen=True):
    """Nobody has spoken for as long as the session allows, since `since_ms`."""

    at_ms: float
    since_ms: float


Effect = Started | Hushed | FalseAlarm | Paused | Lasting | Resumed | Stopped | Idled


class State(Enum):
    QUIET = auto()
    RISING = auto()
    HUSHED = auto()
    DOUBTFUL = auto()
    SPEAKING = auto()
    PAUSED = auto()


class Signal(Enum):
    SPEECH = auto()  # a frame of speech
    BEGUN = auto()  # enough of them, and the assistant is silent or is not to be interrupted
    OVERLAP = auto()  # enough of them, while the assistant speaks
    MEANT = auto()  # speech over the assistant's has gone on, or has words that are meant
    NOT_MEANT = auto()  # it was a sound or a nod
    SILENCE = auto()  # a frame without speech
    LULL = auto()  # enough of them to be a pause
    LASTING = auto()  # enough of them to be judged
    OVER = auto()  # silence as long as it is waited for


_S, _G = State, Signal
_TABLE: dict[tuple[State, Signal], tuple[State, tuple[type[Any], ...]]] = {
    (_S.QUIET, _G.SPEECH): (_S.RISING, ()),
    (_S.RISING, _G.SILENCE): (_S.QUIET, ()),
    (_S.RISING, _G.BEGUN): (_S.SPEAKING, (Started,)),
    (_S.RISING, _G.OVERLAP): (_S.HUSHED, (Hushed,)),
    (_S.HUSHED, _G.MEANT): (_S.SPEAKING, (Started,)),
    (_S.HUSHED, _G.LULL): (_S.DOUBTFUL, (Paused,)),
    (_S.DOUBTFUL, _G.LASTING): (_S.DOUBTFUL, (Lasting,)),
    (_S.DOUBTFUL, _G.SPEECH): (_S.HUSHED, (Resumed,)),
    (_S.DOUBTFUL, _G.MEANT): (_S.PAUSED, (Started,)),
    (_S.DOUBTFUL, _G.NOT_MEANT): (_S.QUIET, (FalseAlarm,)),
    (_S.SPEAKING, _G.LULL): (_S.PAUSED, (Paused,)),
    (_S.PAUSED, _G.LASTING): (_S.PAUSED, (Lasting,)),
    (_S.PAUSED, _G.SPEECH): (_S.SPEAKING, (Resumed,)),
    (_S.PAUSED, _G.OVER): (_S.QUIET, (Stopped,)),
}


class Turns:
    """One session's turn taking. `detection` None: the client ends turns by itself, nothing is said here."""

    def __init__(self, detection: Detection | None, interruption: Interruption | None = None) -> None:
        self.state = State.QUIET
        self._detection = detection
        self._interruption = interruption or Interruption()
        self._now = 0.0
        self._frames = 0  # of speech in a row
        self._onset = 0.0  # where the first of them began
        self._ended = 0.0  # where the last one ended
        self._pause = 0  # counts pauses, so that a late answer is told from one to the last question
        self._complete: float | None = None
        self._asked = False  # the judge, of this pause
        self._barge = False
        self._assistant = False
        self._idle_since: float | None = None

    def configure(self, detection: Detection | None) -> None:
        """Another detection from the next frame on; without one, a turn that is open is forgotten."""
        self._detection = detection
        if detection is None:
            self.forget()

    def forget(self) -> None:
        """The sound so far is gone (cleared) or committed by the client: no turn is open."""
        self.state, self._frames = State.QUIET, 0
        self._pause += 1

    def hear(self, frame: Frame) -> list[Effect]:
        """The next frame, in order of time."""
        began, self._now = self._now, frame.at_ms
        if self._detection is None:
            return []
        if frame.speech >= self._detection.threshold:
            return self._speech(began)
        return self._silence(self._detection)

    def judged(self, pause: int, complete: float) -> list[Effect]:
        """The judge's probability that the turn was complete at `pause`."""
        if pause != self._pause:
            return []
        self._complete = complete
        return self._over(self._detection) if self._detection is not None else []

    def understood(self, pause: int, text: str) -> list[Effect]:
        """The words up to `pause`."""
        if pause != self._pause:
            return []
        meant = not is_backchannel(text) and len(words_of(text)) >= self._interruption.words
        return self._take(Signal.MEANT if meant else Signal.NOT_MEANT)

    def assistant(self, speaks: bool) -> None:
        """Whether the assistant can be heard now; true as well while it is hushed."""
        self._assistant = speaks
        self._idle_since = None if speaks else self._now

    def _speech(self, began: float) -> list[Effect]:
        self._frames += 1
        if self._frames == 1 and self.state is State.QUIET:
            self._onset = began
        self._ended = self._now
        said = self._take(Signal.SPEECH)
        if self._frames >= _CONFIRM:
            said += self._take(Signal.OVERLAP if self._interrupting() else Signal.BEGUN)
        if not self._assistant or self._now - self._onset >= self._interruption.sure_ms:
            said += self._take(Signal.MEANT)
        return said

    def _silence(self, detection: Detection) -> list[Effect]:
        self._frames = 0
        said = self._take(Signal.SILENCE)
        silence = self._now - self._ended
        if silence >= _LULL_MS:
            said += self._take(Signal.LULL)
        if silence >= _LASTING_MS and detection.silence_ms is None and not self._asked:
            said += self._take(Signal.LASTING)
        if silence >= self._interruption.unheard_ms:
            said += self._take(Signal.NOT_MEANT)
        return said + self._over(detection) + self._idle(detection)

    def _interrupting(self) -> bool:
        return self._assistant and self._detection is not None and self._detection.interrupts

    def _over(self, detection: Detection) -> list[Effect]:
        wait = patience(detection, self._complete)
        return self._take(Signal.OVER) if self._now - self._ended >= wait else []

    def _idle(self, detection: Detection) -> list[Effect]:
        since = self._idle_since
        if self.state is not State.QUIET or since is None or detection.idle_ms is None:
            return []
        if self._now - since < detection.idle_ms:
            return []
        self._idle_since = None
        return [Idled(self._now, since)]

    def _take(self, signal: Signal) -> list[Effect]:
        """Goes where the table says. This is the only place where the state changes, besides `forget`."""
        step = _TABLE.get((self.state, signal))
        if step is None:
            return []
        before, (self.state, kinds) = self.state, step
        return [self._effect(kind, before) for kind in kinds]

    def _effect(self, kind: type[Any], before: State) -> Effect:
        detection = self._detection or Detection()
        if kind in (Started, Hushed):
            self._idle_since = None
            at = max(0.0, self._onset - detection.prefix_ms)
            return Hushed(at) if kind is Hushed else Started(at, before is not State.RISING)
        if kind is Paused:
            self._pause += 1
            self._complete, self._asked = None, False
            return Paused(self._pause, self._now, self._ended)
        if kind is Lasting:
            self._asked = True
            return Lasting(self._pause, self._now)
        if kind is Stopped:
            return Stopped(self._now, self._ended, self._why(detection), self._complete)
        if kind is Resumed:
            self._pause += 1
        return Resumed(self._now) if kind is Resumed else FalseAlarm(self._now)

    def _why(self, detection: Detection) -> str:
        if detection.silence_ms is not None:
            return "silence"
        return "patience" if self._now - self._ended >= detection.longest_ms else "judged"
