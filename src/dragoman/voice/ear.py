"""What a session hears: the client's sound, frame by frame, and who has the turn.

The clock here is the sound itself: ms of it since the session began (see `turns.py`).
"""

from collections import deque
from typing import Protocol

from dragoman.voice.detection import Interruption, detection
from dragoman.voice.engine import HEARD, VoiceActivity
from dragoman.voice.events import JSON
from dragoman.voice.pcm import BadAudio, Inward, bytes_of
from dragoman.voice.pcm import Format as Wire
from dragoman.voice.refusal import Refused
from dragoman.voice.session import Format, Pcm, Pcmu
from dragoman.voice.turns import Effect, Frame, State, Turns

APPEND_LIMIT = 15 * 1024 * 1024  # bytes of one `append`, as the original has it
BUFFER_MS = 10 * 60_000.0  # of sound that nobody has committed
PIECE = 16 * 1024  # bytes of an `append` that are decoded, resampled and cleaned at a time: some ms of work
LEAST_MS = 100.0  # of sound that can be committed
_BYTES_A_MS = HEARD * 2 // 1000
_CLEANED = HEARD // 100 * 2  # bytes that the cleaner takes at once
_KEEP_MS = 2000.0  # of sound kept while nobody speaks, to begin a turn with


class Cleaner(Protocol):
    """Takes noise out of sound (`engines.echo.Cleaner`)."""

    def process(self, near: bytes) -> bytes:
        """10 ms of it at `HEARD`."""
        ...


class Ear:
    """One session's. `listen` says what follows for the turns, frame by frame. `judged`: somebody is asked whether a
    turn is complete."""

    def __init__(
        self, activity: VoiceActivity, format: Format, settings: JSON | None, *, judged: bool = True,
        interruption: Interruption | None = None,
    ) -> None:  # fmt: skip
        self._judged = judged
        self.turns = Turns(detection(settings, judged=judged), interruption)
        self.detects = settings is not None
        self._settings = settings
        self._activity = activity
        self._frame = activity.FRAME * 2
        self._format = format
        self._inward = Inward(wire(format), HEARD)
        self._cleaner: Cleaner | None = None
        self._unclean = b""  # less than a frame of the cleaner's
        self._raw: deque[bytes] = deque()  # of a long `append`, as it came: others wait for a piece, not for all
        self._sound = bytearray()  # what is not committed; in a session that detects, at least the latest of it
        self._begin = 0.0  # ms at which `_sound` begins
        self._seen = 0  # bytes of `_sound` that the detector has looked at

    @property
    def now(self) -> float:
        """Ms of sound so far."""
        return self._begin + len(self._sound) / _BYTES_A_MS

    def configure(self, format: Format, settings: JSON | None) -> None:
        """From now on. A turn that is open lives on unless turn detection itself has changed."""
        if format != self._format:
            self._format, self._inward = format, Inward(wire(format), HEARD)
        if settings != self._settings:
            self.detects, self._settings = settings is not None, settings
            self.turns.configure(detection(settings, judged=self._judged))
            self._seen = len(self._sound)

    def clean(self, cleaner: Cleaner | None) -> None:
        """From now on, noise is taken out by `cleaner`, or stays."""
        self._cleaner, self._unclean = cleaner, b""

    def lull(self, ms: float) -> None:
        """The client sends nothing: as if it were silent for so long."""
        self._sound += bytes(int(ms * _BYTES_A_MS) & ~1)

    def append(self, audio: str) -> None:
        """Takes base64 of the client's sound. Raises `Refused`, and then nothing is taken."""
        if len(audio) > APPEND_LIMIT * 4 // 3 + 4:
            raise Refused(f"Invalid 'audio': more than {APPEND_LIMIT} bytes.", "invalid_value", "audio")
        try:
            data = bytes_of(audio)
            self._inward.check(data)
        except BadAudio as error:
            raise Refused(f"Invalid 'audio': {error}.", "invalid_value", "audio") from None
        if not self.detects and self.length() + self._inward.ms(data) > BUFFER_MS:
            raise Refused("The input audio buffer is full: commit or clear it.", "input_audio_buffer_full", "audio")
        if len(data) <= PIECE and not self._raw:
            self._take(data)
        else:
            self._raw += (data[at : at + PIECE] for at in range(0, len(data), PIECE))

    def _take(self, data: bytes) -> None:
        sound = self._inward.feed(data)
        self._sound += sound if self._cleaner is None else self._cleaned(self._cleaner, sound)

    def _cleaned(self, cleaner: Cleaner, sound: bytes) -> bytes:
        sound = self._unclean + sound
        whole = len(sound) // _CLEANED * _CLEANED
        self._unclean = sound[whole:]
        return b"".join(cleaner.process(sound[at : at + _CLEANED]) for at in range(0, whole, _CLEANED))

    def listen(self) -> list[Effect]:
        """What follows from the next frame, or the next piece of a long `append`; call it until `heard` is true."""
        if self._raw:
            self._take(self._raw.popleft())
            return []
        frame = bytes(self._sound[self._seen : self._seen + self._frame])
        self._seen += self._frame
        at = self._begin + self._seen / _BYTES_A_MS
        effects = self.turns.hear(Frame(at, self._activity.probability(frame)))
        if self.turns.state is State.QUIET and not effects:
            self._forget(at - _KEEP_MS)
        return effects

    @property
    def heard(self) -> bool:
        """The detector has looked at everything it can look at."""
        return not self._raw and (not self.detects or len(self._sound) - self._seen < self._frame)

    def length(self) -> float:
        """Ms of sound that nobody has committed."""
        return len(self._sound) / _BYTES_A_MS

    def since(self, ms: float, until: float | None = None) -> bytes:
        """The sound from there on."""
        end = len(self._sound) if until is None else self._place(until)
        return bytes(self._sound[self._place(ms) : end])

    @property
    def seen(self) -> float:
        """Ms of sound that the detector has looked at; without one, all there is."""
        return self._begin + min(self._seen, len(self._sound)) / _BYTES_A_MS if self.detects else self.now

    def cut(self) -> None:
        """The turn is over: what was looked at belongs to it, or is gone."""
        del self._sound[: self._seen]
        self._begin += self._seen / _BYTES_A_MS
        self._seen = 0

    def clear(self) -> None:
        """The sound so far is gone: thrown away, or committed by the client."""
        self._begin = self.now
        self._sound.clear()
        self._seen = 0
        self.turns.forget()

    def _forget(self, before: float) -> None:
        if before - self._begin > _KEEP_MS:
            count = self._place(before)
            del self._sound[:count]
            self._begin += count / _BYTES_A_MS
            self._seen -= count

    def _place(self, ms: float) -> int:
        return max(0, min(len(self._sound), int((ms - self._begin) * _BYTES_A_MS) & ~1))


def wire(format: Format) -> Wire:
    """The session's format, as `pcm.py` knows it."""
    if isinstance(format, Pcm):
        return Wire("pcm16", format.rate)
    return Wire("g711_ulaw" if isinstance(format, Pcmu) else "g711_alaw")
