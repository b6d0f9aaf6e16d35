"""Frames of a stream that are the same but for the text they add, which most frames are.

Such a frame need not be decoded whole. Once one has been read, another that begins and ends with the same bytes and has
one JSON string between them says the same with that text. Where a frame's text stands is found by looking for it, and
not believed before the frame was read with a probe in that place and said the probe.
"""

from collections.abc import Callable

import msgspec

from dragoman.canon import PartDelta

_encode = msgspec.json.Encoder().encode
_text = msgspec.json.Decoder(str).decode
_PROBE = "\x00?"
_MOST_TRIES = 8  # a stream whose frames differ elsewhere too is not worth more


class Repeats:
    """What one stream repeats. The reader asks `read` of every frame, reads itself what that does not know, and tells
    `learn` what it read, or `forget` where it would not read the same in the same bytes any more."""

    __slots__ = ("_end", "_head", "_says", "_start", "_tail", "_tries", "choice", "index")

    def __init__(self, says: Callable[[bytes], str | None]) -> None:
        """`says`: the text that a frame adds, if that is all it says; None for any other frame."""
        self._says = says
        self._tries = _MOST_TRIES
        self.forget()

    def forget(self) -> None:
        self._head, self._tail = b"\xff", b""  # no frame begins so
        self._start = self._end = self.index = self.choice = 0

    def read(self, frame: bytes) -> PartDelta | None:
        """What a frame like the one that was learned says; None for others."""
        if not frame.startswith(self._head) or not frame.endswith(self._tail):
            return None
        try:
            text = _text(frame[self._start : self._end])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return PartDelta(index=self.index, text=text, choice=self.choice) if text else None

    def learn(self, frame: bytes, said: PartDelta) -> None:
        """`frame` was read as `said`."""
        text = _encode(said.text)
        start = frame.find(text) if self._tries else -1
        if start < 0:
            return
        self._tries -= 1
        end = start + len(text)
        if self._says(frame[:start] + _encode(_PROBE) + frame[end:]) != _PROBE:
            return
        self._head, self._tail = frame[: start + 1], frame[end - 1 :]  # with the quotes: the string fills all between
        self._start, self._end = start, end - len(frame)
        self.index, self.choice = said.index, said.choice
