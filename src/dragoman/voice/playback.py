"""What the client can have heard of what it was sent.

Sound is sent as fast as it is made; a client plays it in real time, one piece after another. So at any moment it has
heard at most as much as time has passed, and at most what it was sent. The client's own word (`truncate`) is better;
where it says nothing, this is what counts.
"""

import re
from bisect import bisect_left

from msgspec import Struct

_WORD_END = re.compile(r"\S(?=\s|$)")


class Playback:
    """One session's loudspeaker: a line of sound, and how far along it the client is. Times are seconds of the
    session's clock, lengths ms."""

    def __init__(self) -> None:
        self._sent = 0.0  # ms on the line
        self._at = 0.0  # when `_from` was right
        self._from = 0.0  # ms
        self._items: dict[str, tuple[float, float]] = {}  # where on the line each began and ends

    def send(self, now: float, item_id: str, ms: float) -> None:
        """More of an item's sound is on its way."""
        self._from, self._at = self.position(now), now
        begin, _ = self._items.get(item_id, (self._sent, self._sent))
        self._sent += ms
        self._items[item_id] = (begin, self._sent)
        if len(self._items) > 64:
            self._items.pop(next(iter(self._items)))

    def position(self, now: float) -> float:
        return min(self._sent, self._from + (now - self._at) * 1000)

    def lead(self, now: float) -> float:
        """Ms that are sent and not yet heard."""
        return self._sent - self.position(now)

    def ends(self, now: float) -> float:
        """When all that was sent is heard."""
        return now + self.lead(now) / 1000

    def heard(self, item_id: str, now: float) -> float | None:
        """Ms of the item's sound that can have been heard; None: it has none."""
        if item_id not in self._items:
            return None
        begin, end = self._items[item_id]
        return max(0.0, min(end, self.position(now)) - begin)

    def unheard(self, now: float) -> list[str]:
        """The items whose sound is not heard to its end."""
        here = self.position(now)
        return [item_id for item_id, (_, end) in self._items.items() if end > here]

    def flush(self, now: float) -> None:
        """The client throws away what it has not played."""
        here = self.position(now)
        self._sent = self._from = here
        self._at = now
        self._items = {
            item_id: (begin, min(end, here)) for item_id, (begin, end) in self._items.items() if begin < here
        }


class Mark(Struct, frozen=True):
    """When the sound up to `ms` has been heard, the text up to `chars` was said."""

    ms: float
    chars: int


class Alignment:
    """Which words of an answer were said when."""

    def __init__(self) -> None:
        self.text = ""
        self.ms = 0.0
        self._marks: list[Mark] = [Mark(0.0, 0)]

    def mark(self, ms: float, chars: int) -> None:
        """`ms` more of sound, at whose end `chars` of the text are said."""
        self.ms += ms
        self._marks.append(Mark(self.ms, max(chars, self._marks[-1].chars)))

    def heard(self, ms: float) -> str:
        """The words that were said whole within the first `ms`."""
        if ms >= self.ms:
            return self.text
        at = bisect_left(self._marks, ms, key=lambda mark: mark.ms)
        if at == 0:
            return ""
        before, after = self._marks[at - 1], self._marks[at]
        share = (ms - before.ms) / (after.ms - before.ms) if after.ms > before.ms else 1.0
        chars = before.chars + share * (after.chars - before.chars)
        ends = [found.end() for found in _WORD_END.finditer(self.text) if found.end() <= chars]
        return self.text[: ends[-1]] if ends else ""
