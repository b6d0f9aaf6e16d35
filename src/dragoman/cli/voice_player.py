"""A player that makes no sound: tells what a listener would hear of a reply, and when."""

from msgspec import Struct

from dragoman.cli.recording import RATE, audible

_SECOND = RATE * 2  # bytes


class _Chunk(Struct):
    item: str
    begin: float
    pcm: bytes

    @property
    def end(self) -> float:
        return self.begin + len(self.pcm) / _SECOND


class Player:
    """Sounds every chunk as soon as it has come and the one before has ended. Times are seconds of the caller's clock;
    `level` as in `recording.audible`."""

    def __init__(self, level: float) -> None:
        self._level = level
        self._chunks: list[_Chunk] = []

    @property
    def end(self) -> float:
        """When all that came will have been played; a time long past where nothing came."""
        return self._chunks[-1].end if self._chunks else float("-inf")

    def play(self, item: str, pcm: bytes, now: float) -> float | None:
        """Takes a chunk of `item`, which has come just `now`. When its first audible sample sounds, if it has one."""
        chunk = _Chunk(item, max(now, self.end), pcm)
        self._chunks.append(chunk)
        first = next(iter(audible(pcm, self._level)), None)
        return None if first is None else chunk.begin + first / RATE

    def stop(self, now: float) -> tuple[str, int] | None:
        """Falls silent. Which item it was playing, and how many milliseconds of it have been heard; None where nothing
        was being played."""
        if self.end <= now:
            return None
        playing = next(chunk.item for chunk in self._chunks if chunk.end > now)
        for chunk in self._chunks:
            chunk.pcm = chunk.pcm[: max(0, round((now - chunk.begin) * RATE)) * 2]
        self._chunks = [chunk for chunk in self._chunks if chunk.pcm]
        return playing, sum(len(chunk.pcm) for chunk in self._chunks if chunk.item == playing) * 1000 // _SECOND

    def heard(self) -> bytes:
        """All that was heard (or will be), without the silence in between."""
        return b"".join(chunk.pcm for chunk in self._chunks)
