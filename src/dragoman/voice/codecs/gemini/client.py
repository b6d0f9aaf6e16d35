"""A client that speaks Gemini Live (the table is in the package's head).

Gemini's clients never wait for a reply to end before they ask for another: what they say stops it. GA refuses to begin
a reply while another runs, so one that is wanted meanwhile is asked for when that one has ended.
"""

from collections.abc import Callable
from typing import Any

from dragoman.dialects.fields import Fields, Malformed
from dragoman.dialects.gemini.names import camel, fields, keyed
from dragoman.dialects.loose import object_in
from dragoman.voice.codecs.codec import ClientCodec, Event, Message, NewId, Notices
from dragoman.voice.codecs.gemini.contents import (
    GA_RATE,
    arguments,
    rate_of,
    read_blob,
    read_output,
    read_turn,
)
from dragoman.voice.codecs.gemini.playing import Playing
from dragoman.voice.codecs.gemini.setup import context_update, name_of, read_setup
from dragoman.voice.codecs.gemini.usage import write_usage
from dragoman.voice.codecs.sound import Rates, milliseconds

INVALID, BROKEN = 1007, 1011  # how Gemini closes: what was said is wrong; what answers has failed

# errors that only say that there was nothing to do
_HARMLESS = frozenset(
    {"response_cancel_not_active", "conversation_already_has_active_response", "input_audio_buffer_commit_empty"}
)


class Client(ClientCodec):
    """Towards a client of Gemini Live. `model` is known after its first message."""

    def __init__(self, new_id: NewId, notices: Notices = "off") -> None:
        super().__init__(new_id, notices)
        self._begun = False  # the setup has been read
        self._ready = False  # and is in force
        self._transcribes = False  # the client wants to read what is said
        self._signals = False  # and when the user begins and ends to speak
        self._interrupts = True
        self._speaking = False  # the user
        self._rates = Rates(GA_RATE, GA_RATE)
        self._rate = GA_RATE
        self._running = False
        self._asked = False  # a reply was asked for that has not begun
        self._wanted = False  # another is to be asked for when this one has ended
        self._calls: list[Event] = []  # of the reply that runs
        self._open_calls: dict[str, str] = {}  # that the client has not answered: id -> name
        self._transcribed: set[str] = set()  # items of which something has been told
        self._playing = Playing()

    # --- from the client ---

    def _read(self, said: Event) -> list[Event]:
        kinds = [kind for kind in camel(said) if kind in _READ]
        if len(kinds) != 1 or len(said) != 1:
            raise Malformed("", "one of " + ", ".join(_READ))
        (kind,) = kinds
        if (kind == "setup") == self._begun:
            raise Malformed(kind, "once, as the first message" if self._begun else "a setup as the first message")
        return _READ[kind](self, fields(camel(said)[kind], kind))

    def _setup(self, setup: Fields) -> list[Event]:
        self.model = name_of(setup.must_text("model"))
        self._transcribes = setup.any("outputAudioTranscription") is not None
        self._signals = setup.flag("explicitVadSignal") is True
        session = read_setup(setup, self.note)
        turns = (session.get("audio") or {}).get("input", {}).get("turn_detection") or {}
        self._interrupts = turns.get("interrupt_response") is not False
        self._begun = True
        return [{"type": "session.update", "session": session}]

    def _context(self, said: Fields) -> list[Event]:
        session: Event = {"type": "realtime"}
        context_update(said.data, session, self.note)
        return [{"type": "session.update", "session": session}]

    def _realtime(self, said: Fields) -> list[Event]:
        events: list[Event] = []
        for i, blob in enumerate(said.array("mediaChunks") or []):
            events += self._blob(fields(blob, f"realtimeInput.mediaChunks[{i}]"))
        for name in ("audio", "video"):
            if (blob := said.any(name)) is not None:
                events += self._blob(fields(blob, said.at(name)))
        if (text := said.text("text")) is not None:
            events += self._written(text)
        if said.any("activityStart") is not None:
            events += self._stop()
        if said.any("activityEnd") is not None or (said.flag("audioStreamEnd") and self._speaking):
            events += [{"type": "input_audio_buffer.commit"}, *self._reply(stop=False)]
        for name in said.rest() or ():
            raise Malformed(f"realtimeInput.{name}", "no such field")
        return events

    def _written(self, text: str) -> list[Event]:
        """A blank says nothing: clients of Gemini 3 send one to be answered."""
        if text.strip():
            return [_user([{"type": "input_text", "text": text}]), *self._reply(stop=True)]
        return [] if self._running or self._asked else self._reply(stop=False)

    def _blob(self, blob: Fields) -> list[Event]:
        rate = rate_of(blob.data.get("mimeType"))
        data = blob.data.get("data")
        if rate is None:
            content = read_blob(blob.data)
            if content is None:
                self.note("realtimeInput.media")
                return []
            return [_user([content])]
        if not isinstance(data, str):
            raise Malformed(blob.at("data"), "base64", data)
        if rate != self._rate:
            self._rate, self._rates = rate, Rates(rate, GA_RATE)
        self._playing.hear(milliseconds(data, rate))
        return [{"type": "input_audio_buffer.append", "audio": self._rates.convert(data, "realtimeInput.audio.data")}]

    def _content(self, said: Fields) -> list[Event]:
        events = self._stop()
        for i, turn in enumerate(said.array("turns") or []):
            for item in read_turn(turn, f"clientContent.turns[{i}]", self.note):
                events.append({"type": "conversation.item.create", "item": item})
        if said.flag("turnComplete"):
            events += self._reply(stop=False)
        return events

    def _tools(self, said: Fields) -> list[Event]:
        events: list[Event] = []
        silent = False
        for response in said.array("functionResponses") or []:
            answer = keyed(response)
            named = [call for call, name in self._open_calls.items() if name == answer.get("name")]
            item = read_output(answer, named[0] if named else None)
            self._open_calls.pop(item["call_id"], None)
            silent = answer.get("scheduling") == "SILENT"
            events.append({"type": "conversation.item.create", "item": item})
        if events and not self._open_calls and not silent:
            events += self._reply(stop=False)
        return events

    def _stop(self) -> list[Event]:
        """What the client says ends the reply that runs."""
        return [{"type": "response.cancel"}] if self._running and self._interrupts else []

    def _reply(self, *, stop: bool) -> list[Event]:
        """The model is to answer, now or as soon as it may."""
        if self._running or self._asked:
            self._wanted = True
            return self._stop() if stop else []
        self._asked = True
        return [{"type": "response.create"}]

    # --- to the client ---

    def _write(self, event: Event) -> list[Event]:
        said = _WRITE.get(event["type"])
        return said(self, event) if said else []

    def _updated(self, event: Event) -> list[Event]:
        del event
        if self._ready or not self._begun:
            return []
        self._ready = True
        return [{"setupComplete": {}}]

    def _speech_started(self, event: Event) -> list[Event]:
        self._speaking = True
        signal = self._signal("ACTIVITY_START", event.get("audio_start_ms"))
        if not self._interrupts or not (self._running or self._playing.sounds()):
            return signal
        return [*signal, *self._interrupted()]

    def _speech_stopped(self, event: Event) -> list[Event]:
        self._speaking = False
        return self._signal("ACTIVITY_END", event.get("audio_end_ms"))

    def _signal(self, kind: str, at: Any) -> list[Event]:
        if not self._signals:
            return []
        return [{"voiceActivity": {"voiceActivityType": kind, "audioOffset": f"{(at or 0) / 1000:.3f}s"}}]

    def _interrupted(self) -> list[Event]:
        """The client drops what it has not played; what it has played is told to the other side."""
        if (heard := self._playing.stop()) is not None:
            self._echoes.append({"type": "conversation.item.truncate", "content_index": 0, **heard})
        if self._playing.dropped:
            return []
        self._playing.dropped = True
        return [_content({"interrupted": True})]

    def _heard(self, event: Event) -> list[Event]:
        text, item = event.get("delta"), event.get("item_id")
        if not text:
            return []
        self._transcribed.add(str(item))
        return [_content({"inputTranscription": {"text": text}})]

    def _heard_all(self, event: Event) -> list[Event]:
        item = str(event.get("item_id"))
        if item in self._transcribed:
            self._transcribed.discard(item)
            return []
        text = event.get("transcript")
        return [_content({"inputTranscription": {"text": text, "finished": True}})] if text else []

    def _created(self, event: Event) -> list[Event]:
        del event
        self._running, self._asked = True, False
        self._calls = []
        self._playing.begin()
        return []

    def _sound(self, event: Event) -> list[Event]:
        if self._playing.dropped:
            return []
        self._playing.say(str(event.get("item_id")), milliseconds(event["delta"], GA_RATE))
        return [_said({"inlineData": {"mimeType": f"audio/pcm;rate={GA_RATE}", "data": event["delta"]}})]

    def _spoken(self, event: Event) -> list[Event]:
        return [_content({"outputTranscription": {"text": event["delta"]}})] if self._transcribes else []

    def _text(self, event: Event) -> list[Event]:
        return [_said({"text": event["delta"]})]

    def _item(self, event: Event) -> list[Event]:
        item = event["item"]
        if item.get("type") == "function_call":
            call = {
                "id": str(item.get("call_id")),
                "name": str(item.get("name")),
                "args": arguments(item.get("arguments")),
            }
            self._calls.append(call)
        return []

    def _done(self, event: Event) -> list[Event]:
        response = event["response"]
        status = response.get("status")
        self._running = self._asked = False
        if status == "failed":
            return self._failed(response)
        usage = {"usageMetadata": write_usage(response["usage"])} if response.get("usage") else {}
        if self._wanted:
            self._wanted = False
            self._asked = True
            self._echoes.append({"type": "response.create"})
        if status == "cancelled":
            return [*self._interrupted(), {**_content({"turnComplete": True}), **usage}]
        if self._calls:
            self._open_calls.update({call["id"]: call["name"] for call in self._calls})
            return [{"toolCall": {"functionCalls": self._calls}, **usage}]
        return [_content({"generationComplete": True}), {**_content({"turnComplete": True}), **usage}]

    def _failed(self, response: Event) -> list[Event]:
        error = object_in(object_in(response.get("status_details")).get("error"))
        self._end(BROKEN, str(error.get("message") or error.get("code") or "the reply failed"))
        return []

    def _error(self, event: Event) -> list[Event]:
        error = event["error"]
        self._asked = False
        if error.get("code") in _HARMLESS:
            return []
        wrong = error.get("type") == "invalid_request_error"
        if self._ready and wrong:
            self.record(f"error: {error.get('message')}")  # of something that the client did not say in these words
        else:
            self._end(INVALID if wrong else BROKEN, str(error.get("message")))
        return []

    def refuse(self, error: Malformed) -> list[Message]:
        self._end(INVALID, str(error))
        return []

    def _end(self, code: int, reason: str) -> None:
        self.closing = (code, reason.encode()[:120].decode(errors="ignore"))

    def _tell(self, lost: Event) -> list[Message]:
        if self._notices == "strict":
            self._end(INVALID, self._as_error(lost)["error"]["message"])
        return []


def _content(what: Event) -> Event:
    return {"serverContent": what}


def _said(part: Event) -> Event:
    return _content({"modelTurn": {"role": "model", "parts": [part]}})


def _user(content: list[Event]) -> Event:
    return {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}


_READ: dict[str, Callable[[Client, Fields], list[Event]]] = {
    "setup": Client._setup,
    "clientContent": Client._content,
    "realtimeInput": Client._realtime,
    "toolResponse": Client._tools,
    "contextUpdate": Client._context,
}
_WRITE: dict[str, Callable[[Client, Event], list[Event]]] = {
    "session.updated": Client._updated,
    "input_audio_buffer.speech_started": Client._speech_started,
    "input_audio_buffer.speech_stopped": Client._speech_stopped,
    "conversation.item.input_audio_transcription.delta": Client._heard,
    "conversation.item.input_audio_transcription.completed": Client._heard_all,
    "response.created": Client._created,
    "response.output_audio.delta": Client._sound,
    "response.output_audio_transcript.delta": Client._spoken,
    "response.output_text.delta": Client._text,
    "response.output_item.done": Client._item,
    "response.done": Client._done,
    "error": Client._error,
}
