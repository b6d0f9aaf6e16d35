"""A client that speaks OpenAI Live (the table is in the package's head)."""

import math
from collections.abc import Callable
from typing import Any

from dragoman.dialects.fields import Malformed
from dragoman.dialects.loose import object_in
from dragoman.voice.codecs.codec import (
    ClientCodec,
    Event,
    Message,
    NewId,
    Notices,
    encoded,
    refusal,
    standard_base64,
    typed,
)
from dragoman.voice.codecs.live.paced import Paced
from dragoman.voice.codecs.live.session import DELEGATE, GA_RATE, TELEPHONY, read_audio, read_delegation, read_item
from dragoman.voice.codecs.sound import Rates, milliseconds

_LOST = ("store", "safety_identifier", "triggers", "client")


class Client(ClientCodec):
    """Towards a client of OpenAI Live. `model` is known after its first message."""

    def __init__(self, new_id: NewId, notices: Notices = "off") -> None:
        super().__init__(new_id, notices)
        self._asked: Event = {}  # the session as the client wants it
        self._told: Event = {"id": new_id("live"), "expires_at": 0}
        self._started = False
        self._command: str | None = None  # the client's id of the event that an update answers
        self._muted = False
        self._time = 0.0  # milliseconds of sound that came from the client
        self._rate = self._spoken_rate = GA_RATE
        self._hearing = Rates(GA_RATE, GA_RATE)
        self._speaking = Rates(GA_RATE, GA_RATE)
        self._paced = Paced()
        self._calls: dict[str, str] = {}  # open delegations to the client -> the ids of the calls
        self._transcribed: set[str] = set()

    # --- from the client ---

    def _read(self, said: Event) -> list[Event]:
        kind = typed(said)
        if (kind == "session.start") == bool(self._asked):
            raise Malformed("type", "session.start as the first event" if not self._asked else "one session.start")
        read = _READ.get(kind)
        if read is None:
            self._say(refusal(self.new_id, f"{kind} is not to be had in this session.", param="type",
                              event_id=said.get("event_id")))  # fmt: skip
            self.record(kind)
            return []
        return read(self, said)

    def _start(self, said: Event) -> list[Event]:
        asked = said.get("session")
        if not isinstance(asked, dict) or not isinstance(asked.get("model"), str):
            raise Malformed("session.model", "a string")
        self._asked, self.model, self._command = asked, asked["model"], _id(said)
        for name in _LOST:
            if asked.get(name):
                self.note(f"session.{name}")
        audio, self._rate = read_audio(asked.get("audio"))
        if self._rate == TELEPHONY:
            self._spoken_rate = TELEPHONY
        else:
            self._hearing, self._speaking = Rates(self._rate, GA_RATE), Rates(GA_RATE, self._rate)
        session = {
            "type": "realtime",
            "output_modalities": ["audio"],
            "audio": audio,
            **self._delegated(asked.get("delegation"), asked.get("instructions")),
        }
        items = asked.get("input")
        return [
            {"type": "session.update", "session": session},
            *(read_item(item) for item in (items if isinstance(items, list) else []) if isinstance(item, dict)),
        ]

    def _delegated(self, delegation: Any, instructions: Any) -> Event:
        if isinstance(delegation, dict):
            self._asked = {**self._asked, "delegation": delegation}
        return read_delegation(delegation, instructions, self.note)

    def _update(self, said: Event) -> list[Event]:
        change = said.get("session")
        if not isinstance(change, dict):
            raise Malformed("session", "an object", change)
        self._command = _id(said)
        if change.get("triggers"):
            self.note("session.triggers")
        session = self._delegated(change.get("delegation"), self._asked.get("instructions"))
        return [{"type": "session.update", "session": {"type": "realtime", **session}}]

    def _append(self, said: Event) -> list[Event]:
        if not isinstance(sound := said.get("audio"), str):
            raise Malformed("audio", "base64", sound)
        lasts = milliseconds(standard_base64(sound), self._rate)
        self._time += lasts
        self._out(self._paced.hear(lasts))
        if self._muted:
            return []
        return [{"type": "input_audio_buffer.append", "audio": self._hearing.convert(sound, "audio")}]

    def _mute(self, said: Event) -> list[Event]:
        self._muted = said["type"].endswith(".mute")
        if self._muted:
            self._out(self._paced.all())
        self._say({"type": "session.input_audio.muted" if self._muted else "session.input_audio.unmuted", **_of(said)})
        return []

    def _context(self, said: Event) -> list[Event]:
        """What the application lets the model know, and (commentary) say."""
        kind = said["type"].split(".")[1]
        content = said.get("content")
        if not isinstance(content, str):
            raise Malformed("content", "a string", content)
        now = round(self._time)
        done = "session.instructions.appended" if kind == "instructions" else f"session.{kind}.appended"
        self._say({"type": done, "start_ms": now, "end_ms": now, **_of(said)})
        call = self._calls.pop(str(said.get("delegation_id")), None) if kind == "commentary" else None
        if call is not None:
            item: Event = {"type": "function_call_output", "call_id": call, "output": content}
        else:
            item = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": content}]}
        created = {"type": "conversation.item.create", "item": item}
        return [created, {"type": "response.create"}] if kind == "commentary" else [created]

    def _backend_item(self, said: Event) -> list[Event]:
        item = said.get("item")
        if not isinstance(item, dict):
            raise Malformed("item", "an object", item)
        return [read_item(item)]

    def _backend_create(self, said: Event) -> list[Event]:
        del said
        return [{"type": "response.create"}]

    def _close(self, said: Event) -> list[Event]:
        end = {
            "type": "session.closed",
            "reason": "close_requested",
            "session": self._resource(),
            "usage": self._usage(),
        }
        self._say({**end, **_of(said)})
        self.closing = (1000, "")
        return []

    # --- to the client ---

    def _write(self, event: Event) -> list[Event]:
        write = _WRITE.get(event["type"])
        return [self._numbered(said) for said in write(self, event)] if write else []

    def _created(self, event: Event) -> list[Event]:
        session = event["session"]
        self._told = {"id": session.get("id") or self._told["id"], "expires_at": session.get("expires_at") or 0}
        return []

    def _updated(self, event: Event) -> list[Event]:
        del event
        if not self._asked:
            return []
        kind = "session.updated" if self._started else "session.started"
        self._started = True
        command, self._command = self._command, None
        return [{"type": kind, "session": self._resource(), **({"client_event_id": command} if command else {})}]

    def _resource(self) -> Event:
        kept = ("model", "audio", "instructions", "delegation", "input")
        asked = {name: self._asked[name] for name in kept if self._asked.get(name) is not None}
        return {**self._told, **asked, "status": "active"}

    def _sound(self, event: Event) -> list[Event]:
        delta = event["delta"]
        lasts = milliseconds(delta, self._spoken_rate)
        sounds = self._paced.say(str(event.get("item_id")), self._speaking.convert(delta, "delta"), lasts)
        if self._muted:
            sounds += self._paced.all()
        return [{"type": "session.output_audio.delta", "delta": sound} for sound in sounds]

    def _sound_done(self, event: Event) -> list[Event]:
        rest = self._speaking.rest()
        sounds = self._paced.say(str(event.get("item_id")), rest, 0.0) if rest else []
        return [{"type": "session.output_audio.delta", "delta": sound} for sound in sounds]

    def _speech_started(self, event: Event) -> list[Event]:
        del event
        if (heard := self._paced.drop()) is not None:
            self._echoes.append({"type": "conversation.item.truncate", **heard})
        return []

    def _heard(self, event: Event) -> list[Event]:
        if not event.get("delta"):
            return []
        self._transcribed.add(str(event.get("item_id")))
        return [self._transcript("input", event["delta"])]

    def _heard_all(self, event: Event) -> list[Event]:
        told = str(event.get("item_id")) in self._transcribed
        self._transcribed.discard(str(event.get("item_id")))
        return [self._transcript("input", event["transcript"])] if event.get("transcript") and not told else []

    def _said(self, event: Event) -> list[Event]:
        return [self._transcript("output", event["delta"])]

    def _transcript(self, whose: str, delta: str) -> Event:
        now = round(self._time)
        return {"type": f"session.{whose}_transcript.delta", "delta": delta, "start_ms": now, "end_ms": now}

    def _called(self, event: Event) -> list[Event]:
        item = event["item"]
        if item.get("type") != "function_call":
            return []
        delegation = {"id": self.new_id("dlg"), "type": "delegation"}
        created = {"type": "session.delegation.created", "offset_ms": round(self._time)}
        if item.get("name") == DELEGATE["name"]:
            self._calls[delegation["id"]] = str(item.get("call_id"))
            return [{**created, "delegation": {**delegation, "target": "client"}}]
        response = event.get("response_id") or ""
        call = {**{k: item.get(k) for k in ("id", "call_id", "name", "arguments")}, "type": "function_call"}
        done = {"type": "response.output_item.done", "output_index": 0, "item": {**call, "status": "completed"}}
        over = {"type": "response.completed", "response": {"id": response, "status": "completed"}}
        nested = {"type": "response.event", "delegation_id": delegation["id"]}
        return [
            {**created, "delegation": {**delegation, "target": "responses", "response_id": response}},
            {**nested, "event": done},
            {**nested, "event": over},
        ]

    def _done(self, event: Event) -> list[Event]:
        told: list[Event] = []
        response = event["response"]
        if response.get("status") == "failed":
            error = object_in(object_in(response.get("status_details")).get("error"))
            why, code = str(error.get("message") or "the reply failed"), str(error.get("code") or "server_error")
            told = self._error(refusal(self.new_id, why, kind="server_error", code=code))
        return [*told, {"type": "session.usage.updated", "usage": self._usage()}]

    def _usage(self) -> Event:
        return {"seconds": math.ceil(self._time / 1000)}

    def _error(self, event: Event) -> list[Event]:
        error = event["error"]
        told = {
            "type": str(error.get("type") or "server_error"),
            "code": str(error.get("code") or "unknown"),
            "message": str(error.get("message")),
        }
        if isinstance(error.get("param"), str):
            told["param"] = error["param"]
        if isinstance(command := error.get("event_id"), str):
            told["client_event_id"] = command
        return [{"type": "error", "error": told}]

    def _tell(self, lost: Event) -> list[Message]:
        if self._notices == "strict":
            return super()._tell(lost)
        names = ", ".join(lost["fields"])
        info = {"type": "info", "code": "unsupported_parameter", "message": f"Ignored here: {names}"}
        return [encoded(self._numbered(info))]

    def _say(self, event: Event) -> None:
        told = self._error(event)[0] if event["type"] == "error" else event
        self._answers.append(encoded(self._numbered(told)))

    def _out(self, sounds: list[str]) -> None:
        for sound in sounds:
            self._say({"type": "session.output_audio.delta", "delta": sound})

    def _numbered(self, event: Event) -> Event:
        unnumbered = event["type"] == "session.output_audio.delta"
        return event if unnumbered else {"event_id": self.new_id("event"), **event}


def _id(said: Event) -> str | None:
    return said["event_id"] if isinstance(said.get("event_id"), str) else None


def _of(said: Event) -> Event:
    """Which of the client's events this answers."""
    return {"client_event_id": said["event_id"]} if _id(said) else {}


_READ: dict[str, Callable[[Client, Event], list[Event]]] = {
    "session.start": Client._start,
    "session.update": Client._update,
    "session.input_audio.append": Client._append,
    "session.input_audio.mute": Client._mute,
    "session.input_audio.unmute": Client._mute,
    "session.instructions.append": Client._context,
    "session.thinking.append": Client._context,
    "session.commentary.append": Client._context,
    "response.item.create": Client._backend_item,
    "response.create": Client._backend_create,
    "session.close": Client._close,
}
_WRITE: dict[str, Callable[[Client, Event], list[Event]]] = {
    "session.created": Client._created,
    "session.updated": Client._updated,
    "input_audio_buffer.speech_started": Client._speech_started,
    "conversation.item.input_audio_transcription.delta": Client._heard,
    "conversation.item.input_audio_transcription.completed": Client._heard_all,
    "response.output_audio.delta": Client._sound,
    "response.output_audio.done": Client._sound_done,
    "response.output_audio_transcript.delta": Client._said,
    "response.output_item.done": Client._called,
    "response.done": Client._done,
    "error": Client._error,
}
