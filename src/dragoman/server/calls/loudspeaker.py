"""What is to be heard at the far end of a call, and what has been. Pure: whoever has the clock takes the sound."""

from collections import deque

from msgspec import Struct

MS = 96  # bytes of a millisecond: 16-bit samples at 48 kHz, as Opus has them


class Heard(Struct, frozen=True):
    """What had been heard of an item, in milliseconds, when it was cut off."""

    response: str
    item: str
    ms: int


class Mark(Struct, frozen=True):
    """A response's sound begins (`started`), or has all been heard (`stopped`)."""

    kind: str
    response: str


class _Piece(Struct):
    response: str
    item: str
    pcm: bytes
    place: int = 0


class Loudspeaker:
    """A queue of sound. What was taken counts as heard. `paused`: silence is heard for the time being."""

    def __init__(self) -> None:
        self.paused = False
        self._queue: deque[_Piece] = deque()
        self._response = ""  # whose sound began and has not ended
        self._item = ""  # of which sound was taken last
        self._taken = 0  # bytes of it
        self._whole: set[str] = set()  # responses of which all sound is here
        self._cut: set[str] = set()  # responses of which nothing more is wanted

    def add(self, response: str, item: str, pcm: bytes) -> None:
        """Sound of an item, behind what waits already. What comes of a response that was cut off is dropped."""
        if pcm and response not in self._cut:
            self._queue.append(_Piece(response, item, pcm))

    def finish(self, response: str) -> None:
        """No more sound of `response` will come."""
        self._cut.discard(response)
        if response == self._response or any(piece.response == response for piece in self._queue):
            self._whole.add(response)

    def take(self, size: int) -> tuple[bytes, list[Mark]]:
        """The next `size` bytes to be heard, silence where there are none, and what begins or ends with them."""
        if self.paused:
            return bytes(size), []
        sound, marks = bytearray(), []
        while len(sound) < size and self._queue:
            piece = self._queue[0]
            if piece.response != self._response:
                marks += [*self._end(), Mark("started", piece.response)]
                self._response = piece.response
            part = piece.pcm[piece.place : piece.place + size - len(sound)]
            self._count(piece.item, len(part))
            sound += part
            piece.place += len(part)
            if piece.place == len(piece.pcm):
                self._queue.popleft()
        if not self._queue and self._response in self._whole:
            marks += self._end()
        return bytes(sound.ljust(size, b"\0")), marks

    def clear(self) -> Heard | None:
        """Drops what waits. What had been heard of what was cut off; None where there was nothing to cut."""
        self.paused = False
        first = self._queue[0] if self._queue else None
        response = self._response or (first.response if first else "")
        if not response:
            return None
        item = first.item if first and not self._response else self._item
        heard = Heard(response, item, self._taken // MS if item == self._item else 0)
        self._cut |= {response, *(piece.response for piece in self._queue)} - self._whole
        self._queue.clear()
        self._whole.clear()
        self._response = ""
        return heard

    def _count(self, item: str, size: int) -> None:
        if item != self._item:
            self._item, self._taken = item, 0
        self._taken += size

    def _end(self) -> list[Mark]:
        if not self._response:
            return []
        ended, self._response = self._response, ""
        self._whole.discard(ended)
        return [Mark("stopped", ended)]
