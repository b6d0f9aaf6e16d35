"""How much of a reply its listener has heard, told by the sound that came from the listener meanwhile.

Gemini's clients do not say what they have played, and a codec has no clock. But a client streams what its microphone
hears in real time, so that the sound it has sent since the reply began is the time that has passed.
"""

from dragoman.voice.codecs.codec import Event


class Playing:
    """One reply after the other, played from its first sound on."""

    def __init__(self) -> None:
        self._time = 0.0  # milliseconds of sound that the listener has sent
        self._since = 0.0
        self._said = 0.0  # milliseconds of the reply
        self._item = ""
        self.dropped = False  # the listener has been told to drop this reply

    def hear(self, milliseconds: float) -> None:
        """This much time has passed."""
        self._time += milliseconds

    def begin(self) -> None:
        """Another reply."""
        self._said, self._item, self.dropped = 0.0, "", False

    def say(self, item: str, milliseconds: float) -> None:
        """More of the reply is on its way."""
        if not self._said:
            self._since = self._time
        self._item = item
        self._said += milliseconds

    def sounds(self) -> bool:
        """Whether the listener still hears it. Where it has sent nothing meanwhile, nobody knows: then not."""
        return self._since < self._time < self._since + self._said

    def stop(self) -> Event | None:
        """The listener drops the rest. The item that it hears and how much of that, where this cuts it short."""
        if not self.sounds():
            return None
        heard = {"item_id": self._item, "audio_end_ms": round(self._time - self._since)}
        self._said = 0.0
        return heard
