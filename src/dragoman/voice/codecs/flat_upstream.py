"""A provider of a flat dialect (`flat` has the tables): GA's events as it knows them, and its events as GA's.

A flat dialect tells an item of the conversation once, GA twice: when it is added, and when it is done. An item that a
response makes is done with the response's item, every other one as soon as it is there. Providers differ in whether
they tell the conversation's item or the response's first: GA has the response's first.
"""

from typing import ClassVar

from msgspec import Struct

from dragoman.voice.codecs.codec import Event, NewId, Note, UpstreamCodec, refusal, typed
from dragoman.voice.codecs.flat import LOST, READ, Tables, read_item, read_param, read_part


class FlatUpstream(UpstreamCodec):
    """Towards a provider. Its dialect's module gives the tables."""

    TABLES: ClassVar[Tables]

    def __init__(self, new_id: NewId, model: str = "") -> None:
        super().__init__(new_id, model)
        self._items = _Items()
        self._heard: dict[str, int] = {}  # milliseconds of speech, of items not yet transcribed

    # --- to the provider ---

    def _write(self, event: Event) -> list[Event]:
        kind = event["type"]
        said = dict(event)
        match kind:
            case "session.update" if isinstance(session := event.get("session"), dict):
                return [self._update(said, session)]
            case "conversation.item.create":
                said["item"] = self.TABLES.asked(event.get("item"), self._noting("item"))
                if said["item"] is LOST:
                    return self._refused(event, "item.type", f"an item of type {event['item']['type']}")
            case "response.create" if isinstance(response := event.get("response"), dict):
                said["response"] = self.TABLES.create.write(response, self._noting("response"))
        return [said]

    def _update(self, said: Event, session: Event) -> Event:
        told = {key: value for key, value in session.items() if key != "type"}
        said["session"] = self.TABLES.session.write(told, self._noting("session"))
        if session.get("type") == "transcription":
            said["type"] = "transcription_session.update"
        return said

    def _refused(self, event: Event, param: str, what: str) -> list[Event]:
        """The client waits for an answer, and the provider would never give one."""
        text = f"The provider of this session does not take {what}."
        self._echoes.append(refusal(self.new_id, text, param=param, event_id=event.get("event_id")))
        self.record(param)
        return []

    def _noting(self, where: str) -> Note:
        return lambda name: self.note(f"{where}.{name}" if name else where)

    # --- from the provider ---

    def _read(self, said: Event) -> list[Event]:
        kind = typed(said)
        if kind in self.TABLES.unread:
            self.record(kind)
            return []
        event = {**said, "type": READ.get(kind, kind)}
        event.setdefault("event_id", self.new_id("event"))
        if isinstance(session := said.get("session"), dict):
            event["type"] = kind.replace("transcription_session.", "session.")
            about = "transcription" if kind.startswith("transcription_session.") else "realtime"
            event["session"] = {"type": about, **self.TABLES.session.read(session, self._recording)}
        if "item" in said:
            event["item"] = read_item(said["item"], self._recording)
        if isinstance(response := said.get("response"), dict):
            event["response"] = self.TABLES.response.read(response, self._recording)
        if "part" in said:
            event["part"] = read_part(said["part"])
        if isinstance(error := said.get("error"), dict) and "param" in error:
            event["error"] = {**error, "param": read_param(self.TABLES, error["param"])}
        self._complete(event)
        return [self._numbered(each) for each in self._items.told(event)]

    def _recording(self, name: str) -> None:
        self.record(name)

    def _numbered(self, event: Event) -> Event:
        return event if event.get("event_id") else {**event, "event_id": self.new_id("event")}

    def _complete(self, event: Event) -> None:
        """What GA has in an event, and a flat dialect may leave out: how long the speech was that a transcription is
        billed by."""
        item = event.get("item_id")
        match event["type"]:
            case "input_audio_buffer.speech_started" if isinstance(at := event.get("audio_start_ms"), int):
                self._heard = {**self._heard, str(item): -at}
            case "input_audio_buffer.speech_stopped" if isinstance(at := event.get("audio_end_ms"), int):
                self._heard[str(item)] = max(0, at + self._heard.get(str(item), -at))
            case "conversation.item.input_audio_transcription.completed":
                heard = max(0, self._heard.pop(str(item), 0))
                event.setdefault("usage", {"type": "duration", "seconds": heard / 1000})


class _Making(Struct):
    """An item that a response makes. `told`: of the conversation too, or not of it at all."""

    item: Event
    told: bool
    previous: str | None = None


class _Items:
    """The items of the conversation, told in GA's order."""

    def __init__(self) -> None:
        self._aside: set[str] = set()  # responses that are not of the conversation
        self._open: dict[str, _Making] = {}
        self._early: dict[str, Event] = {}  # told as the conversation's before the response told them
        self._last: str | None = None

    def told(self, event: Event) -> list[Event]:
        """One event of the provider's as GA's, in GA's order."""
        match event["type"]:
            case "response.created" | "response.done":
                return self._response(event)
            case "conversation.item.added" if _has_id(event):
                return self._added(event)
            case "response.output_item.added" if _has_id(event):
                return self._opened(event)
            case "response.output_item.done" if _has_id(event):
                return self._closed(event)
        making = self._open.get(str(event.get("item_id")))
        if making is None:
            return [event]
        if event["type"] == "response.function_call_arguments.done":
            event.setdefault("name", making.item.get("name", ""))
        return [*self._owed(making), event]

    def _response(self, event: Event) -> list[Event]:
        response = event.get("response")
        if isinstance(response, dict) and isinstance(name := response.get("id"), str):
            if event["type"] == "response.created" and response.get("conversation_id", "") is None:
                self._aside.add(name)
            elif event["type"] == "response.done":
                self._aside.discard(name)
        return [event]

    def _added(self, event: Event) -> list[Event]:
        item = event["item"]
        if making := self._open.get(item["id"]):
            return self._now(making, event) if not making.told else []
        if item.get("status") == "in_progress" and item.get("role") != "user":
            self._early[item["id"]] = event
            return []
        self._last = item["id"]
        done = {"type": "conversation.item.done", "item": item, "previous_item_id": event.get("previous_item_id")}
        return [event, done]

    def _opened(self, event: Event) -> list[Event]:
        item = event["item"]
        making = _Making(item, told=str(event.get("response_id")) in self._aside)
        self._open[item["id"]] = making
        early = self._early.pop(item["id"], None)
        return [event, *(self._now(making, early) if early else [])]

    def _now(self, making: _Making, added: Event) -> list[Event]:
        making.told = True
        making.previous = added.get("previous_item_id")
        self._last = making.item["id"]
        return [added]

    def _owed(self, making: _Making) -> list[Event]:
        """The provider fills an item already, and has not told the conversation's."""
        if making.told:
            return []
        added = {"type": "conversation.item.added", "item": making.item, "previous_item_id": self._last}
        return self._now(making, added)

    def _closed(self, event: Event) -> list[Event]:
        item = event["item"]
        making = self._open.pop(item["id"], None)
        if making is None or str(event.get("response_id")) in self._aside:
            return [event]
        owed = self._owed(making)
        done = {"type": "conversation.item.done", "item": item, "previous_item_id": making.previous}
        return [*owed, done, event]


def _has_id(event: Event) -> bool:
    return isinstance(event.get("item"), dict) and isinstance(event["item"].get("id"), str)
