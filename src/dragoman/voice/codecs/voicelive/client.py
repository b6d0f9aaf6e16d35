"""A client that speaks Voice Live: what it says and GA does not is emulated where that can be."""

from collections.abc import Callable

from dragoman.dialects.fields import Malformed
from dragoman.voice.codecs.codec import Event, Message, NewId, Notices, encoded, refusal, typed
from dragoman.voice.codecs.flat import read_item
from dragoman.voice.codecs.flat_client import FlatClient
from dragoman.voice.codecs.sound import Rates
from dragoman.voice.codecs.voicelive.tables import OUT_RATES, SEMANTIC, TABLES

GA_RATE = 24000


class Client(FlatClient):
    """Towards a client that speaks Voice Live."""

    TABLES = TABLES

    def __init__(self, new_id: NewId, notices: Notices = "off") -> None:
        super().__init__(new_id, notices)
        self._hearing = Rates(GA_RATE, GA_RATE)
        self._speaking = Rates(GA_RATE, GA_RATE)
        self._asked: Event = {}  # what the client asked for in words that GA does not have, to be told it again
        self._instructions = ""
        self._running = False
        self._texts: dict[str, str] = {}

    def _read(self, said: Event) -> list[Event]:
        kind = typed(said)
        own = _OWN_EVENTS.get(kind)
        if own is not None:
            return own(self, said)
        if kind == "input_audio_buffer.append" and isinstance(said.get("audio"), str):
            return [{**said, "audio": self._hearing.convert(said["audio"], "audio")}]
        if kind == "response.create":
            return self._create(said)
        return super()._read(said)

    def _session(self, session: Event) -> Event:
        rate, out = session.get("input_audio_sampling_rate"), session.get("output_audio_format")
        if rate is not None:
            if not isinstance(rate, int) or not 8000 <= rate <= 48000:
                raise Malformed("session.input_audio_sampling_rate", "a rate of 8000 to 48000", rate)
            self._hearing = Rates(rate, GA_RATE)
        if isinstance(out, str):
            self._speaking = Rates(GA_RATE, OUT_RATES.get(out, GA_RATE))
        for name in ("turn_detection", "input_audio_sampling_rate", "output_audio_format"):
            if name in session:
                self._asked[name] = session[name]
        if session.get("modalities") == ["text"]:
            self._asked.pop("output_audio_format", None)
        return super()._session({k: v for k, v in session.items() if k != "input_audio_sampling_rate"})

    def _create(self, said: Event) -> list[Event]:
        """A response, and what Voice Live lets come with it."""
        response = dict(said["response"]) if isinstance(said.get("response"), dict) else {}
        before: list[Event] = []
        if response.pop("commit", False) is True:
            before.append({"type": "input_audio_buffer.commit"})
        if response.pop("cancel_previous", False) is True and self._running:
            before.append({"type": "response.cancel"})
        items = response.pop("append_input_items", None)
        before.extend(
            {"type": "conversation.item.create", "item": read_item(item, self.note)}
            for item in (items if isinstance(items, list) else [])
        )
        event = {k: v for k, v in said.items() if k != "additional_instructions"}
        if isinstance(more := said.get("additional_instructions"), str):
            instructions = response.get("instructions") or self._instructions
            response["instructions"] = f"{instructions}\n\n{more}" if instructions else more
        if response or "response" in said:
            event["response"] = response
        return [*before, *super()._read(event)]

    def _turn_append(self, said: Event) -> list[Event]:
        return self._read({"type": "input_audio_buffer.append", "audio": said.get("audio"), **_event_id(said)})

    def _turn_start(self, said: Event) -> list[Event]:
        """Sound follows; GA's buffer needs no word of it."""
        del said
        return []

    def _turn_end(self, said: Event) -> list[Event]:
        return [{"type": "input_audio_buffer.commit", **_event_id(said)}]

    def _turn_cancel(self, said: Event) -> list[Event]:
        return [{"type": "input_audio_buffer.clear", **_event_id(said)}]

    def _text_delta(self, said: Event) -> list[Event]:
        key = str(said.get("id"))
        self._texts[key] = self._texts.get(key, "") + str(said.get("delta", ""))
        return []

    def _text_done(self, said: Event) -> list[Event]:
        text = self._texts.pop(str(said.get("id")), "")
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        if isinstance(said.get("id"), str):
            item["id"] = said["id"]
        return [{"type": "conversation.item.create", "item": item, **_event_id(said)}]

    def _avatar(self, said: Event) -> list[Event]:
        self.record("session.avatar")
        answer = refusal(self.new_id, "This session has no avatar.", param="type", event_id=said.get("event_id"))
        self._answers.append(encoded(answer))
        return []

    def _write(self, event: Event) -> list[Event]:
        match event["type"]:
            case "response.created":
                self._running = True
            case "response.done":
                self._running = False
            case "conversation.item.input_audio_transcription.completed":
                event = {key: value for key, value in event.items() if key not in ("usage", "languages")}
            case "response.output_audio.delta" if not self._speaking.same:
                event = {**event, "delta": self._speaking.convert(event["delta"], "delta")}
            case "response.output_audio.done" if rest := self._speaking.rest():
                delta = {
                    **event,
                    "type": "response.output_audio.delta",
                    "delta": rest,
                    "event_id": self.new_id("event"),
                }
                return [*super()._write(delta), *super()._write(event)]
        return super()._write(event)

    def _told_session(self, session: Event) -> Event:
        if isinstance(instructions := session.get("instructions"), str):
            self._instructions = instructions
        told = super()._told_session(session)
        turns, asked = told.get("turn_detection"), self._asked.get("turn_detection")
        if isinstance(turns, dict) and isinstance(asked, dict) and asked.get("type") in SEMANTIC:
            told["turn_detection"] = {**turns, "type": asked["type"]}
        for name in ("input_audio_sampling_rate", "output_audio_format"):
            if name in self._asked:
                told[name] = self._asked[name]
        return told

    def _tell(self, lost: Event) -> list[Message]:
        if self._notices == "strict":
            return super()._tell(lost)
        names = ", ".join(lost["fields"])
        about = {"message": f"Ignored here: {names}", "code": "unsupported_parameter", "param": lost["fields"][0]}
        return [encoded({"type": "warning", "event_id": self.new_id("event"), "warning": about})]


def _event_id(said: Event) -> Event:
    return {"event_id": said["event_id"]} if said.get("event_id") else {}


_OWN_EVENTS: dict[str, Callable[[Client, Event], list[Event]]] = {
    "input_audio.turn.start": Client._turn_start,
    "input_audio.turn.append": Client._turn_append,
    "input_audio.turn.end": Client._turn_end,
    "input_audio.turn.cancel": Client._turn_cancel,
    "input_audio.clear": Client._turn_cancel,
    "input_text.delta": Client._text_delta,
    "input_text.done": Client._text_done,
    "session.avatar.connect": Client._avatar,
}
