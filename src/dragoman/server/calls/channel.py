"""What of a session's events is said on a call's data channel, and what becomes sound. Pure.

| the session says                     | on the call                                                            |
|--------------------------------------|------------------------------------------------------------------------|
| `response.output_audio.delta`        | is heard, not said                                                     |
| `input_audio_buffer.speech_started`  | said; the sound stops (1)                                              |
| `dragoman.paused`, `.resumed`         | not said; the sound pauses, and goes on where it did                    |
| `session.created`, `session.updated` | said; `interrupt_response` is read                                     |
| `response.done`                      | said; when its sound has been heard, `output_audio_buffer.stopped`     |
| anything else                        | said                                                                   |

| the client says             | the session hears                                                               |
|-----------------------------|---------------------------------------------------------------------------------|
| `output_audio_buffer.clear` | how much was heard; the client is told `output_audio_buffer.cleared`            |
| `session.update`            | it, without audio formats: a call has its own                                   |
| anything else               | it                                                                              |

(1) Unless `interrupt_response` is false: the client is told `output_audio_buffer.cleared`, and the session how much of
the item was heard.

Source: OpenAI Realtime, "client and server events for audio in WebRTC".
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any, TypeAlias

from msgspec import Struct, field

from dragoman.server.calls.loudspeaker import Heard, Loudspeaker, Mark

Event: TypeAlias = dict[str, Any]


class Crossing(Struct):
    """What an event comes to: events for the client, and events for the session."""

    client: list[Event] = field(default_factory=list)
    session: list[Event] = field(default_factory=list)


class Channel:
    """One call's. `widen`: the session's sound (24 kHz) as the loudspeaker has it; `new_id`: ids of our own events."""

    def __init__(self, loudspeaker: Loudspeaker, widen: Callable[[bytes], bytes], new_id: Callable[[], str]) -> None:
        self._loudspeaker = loudspeaker
        self._widen = widen
        self._new_id = new_id
        self._interrupts = True

    def from_session(self, event: Event) -> Crossing:
        match event.get("type"):
            case "response.output_audio.delta":
                self._hear(event)
                return Crossing()
            case "input_audio_buffer.speech_started" if self._interrupts:
                cleared = self._clear()
                cleared.client.insert(0, event)
                return cleared
            case "dragoman.paused" | "dragoman.resumed":
                self._loudspeaker.paused = event["type"] == "dragoman.paused"
                return Crossing()
            case "session.created" | "session.updated":
                self._interrupts = _interrupts(event)
            case "response.done":
                self._loudspeaker.finish(_at(event, "response", "id") or "")
        return Crossing(client=[event])

    def from_client(self, event: Event) -> Crossing:
        if event.get("type") == "output_audio_buffer.clear":
            return self._clear()
        return Crossing(session=[without_formats(event)])

    def marked(self, mark: Mark) -> Event:
        """What a client is told of the loudspeaker."""
        return self._buffer(mark.kind, mark.response)

    def _hear(self, event: Event) -> None:
        try:
            pcm = base64.b64decode(event.get("delta") or "")
        except binascii.Error:
            return
        self._loudspeaker.add(event.get("response_id") or "", event.get("item_id") or "", self._widen(pcm))

    def _clear(self) -> Crossing:
        heard = self._loudspeaker.clear()
        if heard is None:
            return Crossing()
        return Crossing(client=[self._buffer("cleared", heard.response)], session=[self._truncate(heard)])

    def _truncate(self, heard: Heard) -> Event:
        return {
            "type": "conversation.item.truncate",
            "event_id": self._new_id(),
            "item_id": heard.item,
            "content_index": 0,
            "audio_end_ms": heard.ms,
        }

    def _buffer(self, kind: str, response: str) -> Event:
        return {"type": f"output_audio_buffer.{kind}", "event_id": self._new_id(), "response_id": response}


def without_formats(event: Event) -> Event:
    """A client's event without the audio formats of its session, if it has any."""
    audio = _at(event, "session", "audio")
    if not isinstance(audio, dict):
        return event
    plain = {
        side: {name: value for name, value in settings.items() if name != "format"}
        if isinstance(settings, dict)
        else settings
        for side, settings in audio.items()
    }
    return event | {"session": event["session"] | {"audio": plain}}


def _interrupts(event: Event) -> bool:
    return _at(event, "session", "audio", "input", "turn_detection", "interrupt_response") is not False


def _at(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
