"""The user's turn, told in GA's events, where the provider tells only what it understood of it, and that at any time.

| state   | what may come                                                             |
|---------|---------------------------------------------------------------------------|
| quiet   | sound; `begin`, by a word understood, an interruption, or the provider's word |
| speaks  | `stop`; words, which are kept                                             |
| stopped | `end`: the item is told, then the words that were kept                    |
| told    | further words of it, until `understood`                                   |
"""

from dragoman.voice.codecs.codec import Event, NewId


class Speech:
    """One turn of the user after the other. Time is that of the sound that was sent, in milliseconds."""

    def __init__(self, new_id: NewId) -> None:
        self._new_id = new_id
        self._state = "quiet"
        self._time = 0.0
        self._from = 0.0  # where the sound begins that no item holds
        self._item = ""
        self._kept: list[str] = []
        self._words = ""  # of the item that was told
        self._open = False  # its words are not all there
        self._lasted = 0.0

    def hear(self, milliseconds: float) -> None:
        self._time += milliseconds

    def unheard(self) -> bool:
        """Whether there is sound that no item holds."""
        return self._time > self._from or self._state != "quiet"

    def forget(self) -> None:
        """The sound so far is nothing."""
        self._from = self._time
        self._state = "quiet"
        self._kept = []

    def begin(self) -> list[Event]:
        if self._state != "quiet":
            return []
        events = self.understood()
        self._state = "speaks"
        self._item = self._new_id("item")
        started = self._event("input_audio_buffer.speech_started", audio_start_ms=round(self._from))
        return [*events, {**started, "item_id": self._item}]

    def stop(self) -> list[Event]:
        if self._state != "speaks":
            return []
        self._state = "stopped"
        stopped = self._event("input_audio_buffer.speech_stopped", audio_end_ms=round(self._time))
        return [{**stopped, "item_id": self._item}]

    def understand(self, text: str) -> list[Event]:
        """Words of the user. Once a reply has begun they are those of the turn that it answers."""
        if self._open and self._state == "quiet":
            self._words += text
            return [self._transcribed("delta", delta=text)]
        events = self.begin()
        self._kept.append(text)
        return events

    def end(self, previous: str | None, *, spoken: bool) -> tuple[list[Event], Event]:
        """The turn is over: its events and its item. `spoken`: it is told as speech that began and ended."""
        events = [*self.begin(), *self.stop()] if spoken or self._state != "quiet" else self.understood()
        item_id = self._item if self._state == "stopped" else self._new_id("item")
        item: Event = {"id": item_id, "object": "realtime.item", "type": "message", "role": "user",
                       "status": "completed", "content": [{"type": "input_audio", "transcript": None}]}  # fmt: skip
        self._item, self._state = item_id, "quiet"
        self._lasted, self._from = self._time - self._from, self._time
        self._words, self._open = "", True
        committed = self._event("input_audio_buffer.committed", previous_item_id=previous)
        events.append({**committed, "item_id": item_id})
        events += [
            self._event(f"conversation.item.{kind}", previous_item_id=previous, item=item) for kind in ("added", "done")
        ]
        kept, self._kept = self._kept, []
        for text in kept:
            events += self.understand(text)
        return events, item

    def understood(self) -> list[Event]:
        """No more words come of the turn that was told."""
        if not self._open:
            return []
        self._open = False
        if not self._words:
            return []
        usage = {"type": "duration", "seconds": self._lasted / 1000}
        return [self._transcribed("completed", transcript=self._words, usage=usage)]

    def _transcribed(self, kind: str, **fields: object) -> Event:
        event = self._event(f"conversation.item.input_audio_transcription.{kind}", **fields)
        return {**event, "item_id": self._item, "content_index": 0}

    def _event(self, kind: str, **fields: object) -> Event:
        return {"type": kind, "event_id": self._new_id("event"), **fields}
