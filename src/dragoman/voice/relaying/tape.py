"""The sound a client has appended, as far back as it may be needed again (pure)."""

from collections import deque

import msgspec
from msgspec import Struct

LIVE = 640 * 1024  # characters of base64 that are kept of what is not committed: ten seconds of 24 kHz PCM
BEFORE = 1_000.0  # milliseconds kept of silence, where the server tells speech: it cuts in a little before it begins


class Piece(Struct, frozen=True, gc=False):
    """One append: the client's message, and where on the session's timeline it stands, in milliseconds."""

    message: str
    start: float
    end: float


class Tape:
    """A timeline of all that was appended; `at` is its end in milliseconds. What lies too far back is forgotten."""

    def __init__(self) -> None:
        self.at = 0.0
        self.pieces: deque[Piece] = deque()
        self._size = 0

    def append(self, message: str, ms: float) -> None:
        self.pieces.append(Piece(message, self.at, self.at + ms))
        self.at += ms
        self._size += len(message)
        while self._size > LIVE:
            self._drop()

    def take(self, start: float, end: float) -> list[Piece]:
        """The pieces between two moments, the last of which may reach beyond `end`. What came before `end` is
        forgotten: it is committed."""
        found = [piece for piece in self.pieces if piece.end > start and piece.start < end]
        self.forget(end)
        return found

    def forget(self, before: float) -> None:
        """Drops what ended before that moment."""
        while self.pieces and self.pieces[0].end <= before:
            self._drop()

    def clear(self) -> None:
        """Drops all of it; the timeline goes on."""
        self.pieces.clear()
        self._size = 0

    def _drop(self) -> None:
        self._size -= len(self.pieces.popleft().message)


class _Append(Struct):
    audio: str = ""


def sound(pieces: list[Piece]) -> str:
    """The base64 of all the pieces together. A piece whose base64 does not decode is left out."""
    import binascii
    from base64 import b64decode, b64encode

    found = bytearray()
    for piece in pieces:
        try:
            text = msgspec.json.decode(piece.message, type=_Append).audio.translate(_STANDARD)
            found += b64decode(text + "=" * (-len(text) % 4))
        except (msgspec.DecodeError, binascii.Error, ValueError):
            continue
    return b64encode(found).decode()


_STANDARD = str.maketrans("-_", "+/")  # clients send URL-safe base64 too
