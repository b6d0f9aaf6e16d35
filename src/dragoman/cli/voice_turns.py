"""What a realtime session makes of a recording, turn by turn, and when a listener hears its replies. Pure.

How latency is measured: on the waveforms, as somebody in the room would. A microphone delivers sample `i` of the
recording `i / RATE` seconds after it began; a turn's true end of speech is the last audible sample before the session
committed the turn. A reply is heard from its first audible sample on, at the moment a player sounds it
(`voice_player`). Between the two lies the latency; events, and silence at the head of a reply, count for nothing.
"""

import base64
from bisect import bisect_left
from collections.abc import Callable
from typing import Any

from msgspec import Struct, field

from dragoman.cli.recording import RATE, audible
from dragoman.cli.voice_player import Player

ClientEvent = dict[str, Any]
_AFTERWARDS = 0.3  # seconds after a reply's end in which its record may come


class Failure(Struct):
    """What went wrong, in the server's words."""

    message: str | None = None
    code: str | None = None
    type: str | None = None


class _Details(Struct):
    reason: str | None = None
    error: Failure | None = None


class _Response(Struct):
    id: str = ""
    status: str = ""
    status_details: _Details | None = None


class ServerEvent(Struct):
    """The fields that are read here of the session's events. Source: OpenAI Realtime, server events."""

    type: str
    item_id: str = ""
    response_id: str = ""
    transcript: str = ""
    delta: str = ""
    response: _Response = field(default_factory=_Response)
    error: Failure = field(default_factory=Failure)
    stages_ms: dict[str, float | None] = {}
    target: str | None = None
    decision: str | None = None


class Turn(Struct):
    """One exchange. Times in seconds since the recording began; `status` as of a response, None while there is none."""

    number: int
    item_id: str = ""
    said: str | None = None
    committed: float | None = None
    speech_end: float | None = None
    response_id: str = ""
    reply: str = ""
    status: str | None = None
    problem: str | None = None
    heard: float | None = None
    broken_into_ms: int | None = None  # how much of the reply was heard, where the recording spoke again into it
    stages_ms: dict[str, float | None] = {}
    target: str | None = None
    decision: str | None = None

    @property
    def latency_ms(self) -> float | None:
        """From the true end of speech to the first audible sample of the reply."""
        if self.heard is None or self.speech_end is None:
            return None
        return round((self.heard - self.speech_end) * 1000, 1)


class Turns:
    """Follows a session. `recording` is what is played to it; `level` as in `recording.audible`. Times are seconds
    since the recording began."""

    def __init__(self, recording: bytes, level: float) -> None:
        self.all: list[Turn] = []
        self.errors: list[Failure] = []
        self.player = Player(level)
        self._loud = audible(recording, level)
        self._stopped: set[str] = set()  # items that are played no more
        self._speaking = False  # the session hears speech
        self._moved = 0.0  # when something last happened
        self._handlers: dict[str, Callable[[ServerEvent, float], list[ClientEvent] | None]] = {
            "input_audio_buffer.speech_started": self._speech_started,
            "input_audio_buffer.committed": self._committed,
            "conversation.item.input_audio_transcription.completed": self._said,
            "conversation.item.input_audio_transcription.failed": self._said,
            "response.created": self._created,
            "response.output_audio.delta": self._sound,
            "response.output_audio_transcript.delta": self._words,
            "response.output_text.delta": self._words,
            "response.done": self._done,
            "dragoman.turn": self._stages,
            "error": self._error,
        }

    def take(self, event: ServerEvent, now: float) -> list[ClientEvent]:
        """Follows an event that has come just `now`. What a good client answers."""
        handler = self._handlers.get(event.type)
        if handler is None:
            return []
        self._moved = now
        return handler(event, now) or []

    def over(self, now: float, patience: float) -> bool:
        """Whether nothing more is to be waited for, the recording having ended: every audible part of it was committed,
        answered and heard, or nothing has happened for `patience` seconds."""
        quiet = now - max(self._moved, self.player.end)
        if quiet > patience:
            return True
        committed = [turn for turn in self.all if turn.committed is not None]
        if quiet < 0 or self._speaking or not committed:
            return False
        spoken_on = bool(self._loud) and self._loud[-1] / RATE > (committed[-1].committed or 0)
        last = self.all[-1]
        return last.status is not None and committed[-1].said is not None and not spoken_on and quiet > _AFTERWARDS

    # one method an event

    def _speech_started(self, event: ServerEvent, now: float) -> list[ClientEvent] | None:
        self._speaking = True
        stopped = self.player.stop(now)
        if stopped is None:
            return None
        item, ms = stopped
        self._stopped.add(item)
        if self.all:
            turn = self.all[-1]
            turn.broken_into_ms = ms
            turn.heard = turn.heard if turn.heard is not None and turn.heard < now else None
        return [{"type": "conversation.item.truncate", "item_id": item, "content_index": 0, "audio_end_ms": ms}]

    def _committed(self, event: ServerEvent, now: float) -> None:
        self._speaking = False
        spoken = bisect_left(self._loud, now * RATE)
        end = (self._loud[spoken - 1] + 1) / RATE if spoken else None
        self.all.append(Turn(len(self.all) + 1, event.item_id, committed=now, speech_end=end))

    def _said(self, event: ServerEvent, now: float) -> None:
        for turn in self.all:
            if turn.item_id == event.item_id:
                turn.said = event.transcript.strip()

    def _created(self, event: ServerEvent, now: float) -> None:
        """It answers what was committed last; a second response there is a turn of its own, without speech."""
        if not self.all or self.all[-1].response_id:
            self.all.append(Turn(len(self.all) + 1))
        self.all[-1].response_id = event.response.id

    def _sound(self, event: ServerEvent, now: float) -> None:
        if event.item_id in self._stopped:
            return
        heard = self.player.play(event.item_id, base64.b64decode(event.delta), now)
        turn = self._turn(event.response_id)
        if turn is not None and turn.heard is None:
            turn.heard = heard

    def _words(self, event: ServerEvent, now: float) -> None:
        if turn := self._turn(event.response_id):
            turn.reply += event.delta

    def _done(self, event: ServerEvent, now: float) -> None:
        turn = self._turn(event.response.id)
        if turn is None:
            return
        turn.status = event.response.status
        details = event.response.status_details
        if details is not None:
            turn.problem = (details.error and details.error.message) or details.reason

    def _stages(self, event: ServerEvent, now: float) -> None:
        turn = self._turn(event.response_id) or next((turn for turn in self.all if not turn.stages_ms), None)
        if turn is not None:
            turn.stages_ms, turn.target, turn.decision = event.stages_ms, event.target, event.decision

    def _error(self, event: ServerEvent, now: float) -> None:
        self.errors.append(event.error)

    def _turn(self, response_id: str) -> Turn | None:
        return next((turn for turn in self.all if response_id and turn.response_id == response_id), None)
