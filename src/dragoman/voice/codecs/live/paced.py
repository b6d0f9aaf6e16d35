"""Sound that goes to a listener no faster than it is played, for dialects that cannot take back what was sent.

OpenAI Live has no turns and no word for "drop what you have not played". Replies are made faster than they are spoken,
so they are held here and go out as the listener's own sound comes in, which it sends in real time; what is held when
somebody breaks in is never sent. `LEAD` goes ahead of it, so that nothing stutters.
"""

from collections import deque

from dragoman.voice.codecs.codec import Event

LEAD = 300.0  # milliseconds


class Paced:
    """The replies of one session, one after the other."""

    def __init__(self) -> None:
        self._held: deque[tuple[str, float]] = deque()
        self._room = LEAD  # milliseconds that may go out now
        self._item = ""
        self._sent = 0.0  # milliseconds of the item

    def say(self, item: str, sound: str, milliseconds: float) -> list[str]:
        """More of a reply; what of it goes out at once."""
        if item != self._item:
            self._item, self._sent = item, 0.0
        self._held.append((sound, milliseconds))
        return self._out()

    def hear(self, milliseconds: float) -> list[str]:
        """This much time has passed, by the listener's own sound; what goes out for it."""
        self._room = min(LEAD, self._room + milliseconds) if not self._held else self._room + milliseconds
        return self._out()

    def all(self) -> list[str]:
        """What is held goes out: nobody can break in."""
        sounds = [sound for sound, _ in self._held]
        self._sent += sum(lasts for _, lasts in self._held)
        self._held.clear()
        return sounds

    def drop(self) -> Event | None:
        """Somebody breaks in: the item that is cut short and how much of it went out; None where nothing was held."""
        if not self._held:
            return None
        self._held.clear()
        self._room = LEAD
        return {"item_id": self._item, "content_index": 0, "audio_end_ms": max(0, round(self._sent - LEAD))}

    def _out(self) -> list[str]:
        sounds = []
        while self._held and self._room > 0:
            sound, lasts = self._held.popleft()
            self._room -= lasts
            self._sent += lasts
            sounds.append(sound)
        return sounds
