"""Towards Gemini Live (the table is in the package's head).

Gemini wants its setup first and once, and says nothing before that: the client is told of a session at once, and what
it says first makes the setup. Of the user's speech Gemini tells little: that it was interrupted, or what it understood,
or nothing until it answers; the user's item is told at the last moment at which GA allows it.
"""

from collections.abc import Callable
from typing import Any

from dragoman.dialects.gemini.names import camel, keyed, listed
from dragoman.voice import events, items, pcm
from dragoman.voice.codecs.codec import LEAVING, Event, NewId, UpstreamCodec, encoded, standard_base64
from dragoman.voice.codecs.gemini.contents import GA_RATE, write_item, write_output
from dragoman.voice.codecs.gemini.history import History
from dragoman.voice.codecs.gemini.making import Making
from dragoman.voice.codecs.gemini.settings import Settings
from dragoman.voice.codecs.gemini.setup import write_context, write_setup
from dragoman.voice.codecs.gemini.speech import Speech
from dragoman.voice.codecs.gemini.usage import read_usage
from dragoman.voice.codecs.sound import milliseconds
from dragoman.voice.refusal import Refused, no_such_item

_TELEPHONE = {"audio/pcmu": "g711_ulaw", "audio/pcma": "g711_alaw"}


class Upstream(UpstreamCodec):
    """Towards Gemini Live. `model`: as Gemini names it."""

    def __init__(self, new_id: NewId, model: str = "") -> None:
        super().__init__(new_id, model)
        self._settings = Settings(new_id("sess"), model)
        self._conversation = new_id("conv")
        self._set_up = False  # the setup has been sent
        self._ready = False  # and is in force
        self._updated = False  # the client asked for it
        self._held: list[Event] = []  # what waits for it
        self._history = History(model, self.note)
        self._items: dict[str, Event] = {}
        self._last: str | None = None
        self._speech = Speech(new_id)
        self._active = False  # the client marks activity by hand, and it has begun
        self._names: dict[str, str] = {}  # of called functions, by the ids of their calls
        self._calls: set[str] = set()  # that Gemini waits for
        self._outputs: list[Event] = []  # of functions, until the client wants a reply to them
        self._asked: Event | None = None  # what a reply was asked for with
        self._making: Making | None = None
        self._stopped = False  # the client stopped it, and Gemini may still talk
        self._usage: Event | None = None
        self._echoes.append(self._event("session.created", session=self._settings.told))

    # --- to Gemini ---

    def _write(self, event: Event) -> list[Event]:
        kind = event["type"]
        if kind.startswith("dragoman."):
            return []
        try:
            events.read(event)
            if kind == "session.update":
                self._settings.judge(event["session"])
                return self._update(event["session"])
            messages = self._setup()
            out = _WRITE[kind](self, event)
        except Refused as refused:
            self._echoes.append({**events.error(refused, event.get("event_id")), "event_id": self.new_id("event")})
            return []
        if self._ready:
            return [*messages, *out]
        self._held += out
        return messages

    def _setup(self) -> list[Event]:
        if self._set_up:
            return []
        self._set_up = True
        return [{"setup": write_setup(self._settings.shown, self.model or "", self.note)}]

    def _update(self, session: Event) -> list[Event]:
        if not self._set_up:
            self._settings.lay(session)
            if self._settings.is_aside(session):
                self._echoes.append(self._event("session.updated", session=self._settings.told))
                return []
            self._updated = True
            return self._setup()
        changed, lost = self._settings.change(session)
        self.note(*(f"session.{name}" for name in lost))
        self._echoes.append(self._event("session.updated", session=self._settings.told))
        if not changed:
            return []
        update: Event = write_context(changed, self.model or "", self.note)
        if "tools" in changed:
            update["tools"] = {"tools": update.get("tools", [])}
        message = {"contextUpdate": update}
        if self._ready:
            return [message]
        self._held.append(message)
        return []

    def _append(self, event: Event) -> list[Event]:
        try:
            sound = pcm.bytes_of(event["audio"])
            encoding = _TELEPHONE.get(self._settings.encoding, "pcm16")
            decoded = pcm.decoded(sound, encoding)  # type: ignore[arg-type]  # one of the three
        except pcm.BadAudio as error:
            raise Refused(f"Invalid 'audio': {error}.", "invalid_value", "audio") from None
        rate = GA_RATE if encoding == "pcm16" else pcm.TELEPHONY
        data = pcm.base64_of(decoded)
        self._speech.hear(milliseconds(data, rate))
        by_hand = self._settings.by_hand
        begin: list[Event] = [{"realtimeInput": {"activityStart": {}}}] if by_hand and not self._active else []
        self._active = by_hand
        before = [] if self._making else self._history.tell()
        return [*before, *begin, {"realtimeInput": {"audio": {"mimeType": f"audio/pcm;rate={rate}", "data": data}}}]

    def _commit(self, event: Event) -> list[Event]:
        if not self._speech.unheard():
            text = "Error committing input audio buffer: buffer too small. Nothing was appended since the last commit."
            raise Refused(text, "input_audio_buffer_commit_empty")
        self._echoes += self._user_turn(spoken=False)
        return [] if self._settings.by_hand else [{"realtimeInput": {"audioStreamEnd": True}}]

    def _clear(self, event: Event) -> list[Event]:
        del event
        self.note("input_audio_buffer.clear")
        self._speech.forget()
        self._echoes.append(self._event("input_audio_buffer.cleared"))
        return []

    def _clear_output(self, event: Event) -> list[Event]:
        raise self._cannot(event, "type", "the clearing of a buffer that calls alone have")

    def _create_item(self, event: Event) -> list[Event]:
        item = items.made(event["item"], "item", self.new_id("item"))
        if event.get("previous_item_id") not in (None, self._last):
            self.note("previous_item_id")
        waits = item["type"] == "function_call_output" and item["call_id"] in self._calls
        content = None if waits else write_item(item, self._names, self.note)
        for kind in ("added", "done"):
            told = self._event(f"conversation.item.{kind}", previous_item_id=self._last, item=_without_sound(item))
            self._echoes.append(told)
        self._keep(item)
        if waits:
            self._outputs.append(write_output(item, self._names))
        if content is not None:
            self._history.add(content)
        return []

    def _create_response(self, event: Event) -> list[Event]:
        if self._making or self._asked is not None:
            text = "Conversation already has an active response in progress. Wait until it is finished."
            raise Refused(text, "conversation_already_has_active_response")
        response = event.get("response") or {}
        if response.get("conversation") == "none" or response.get("input") is not None:
            raise self._cannot(event, "response.conversation", "a response outside the conversation")
        for name in response:
            if name not in ("metadata", "conversation") and response[name] is not None:
                self.note(f"response.{name}")
        self._asked = {"metadata": response.get("metadata")}
        self._stopped = False
        if self._outputs:
            outputs, self._outputs = self._outputs, []
            self._calls -= {str(output["id"]) for output in outputs}
            return [*self._history.tell(), {"toolResponse": {"functionResponses": outputs}}]
        if self._active:
            self._active = False
            return [{"realtimeInput": {"activityEnd": {}}}]
        return self._history.ask()

    def _cancel(self, event: Event) -> list[Event]:
        if self._making is None:
            raise Refused("Cancellation failed: no active response found.", "response_cancel_not_active")
        self._echoes += self._finish("cancelled", "client_cancelled")
        self._stopped = True
        stop = self._history.stop()
        if not stop:
            self.note("response.cancel")
        return stop

    def _truncate(self, event: Event) -> list[Event]:
        """Gemini cuts its reply itself where it was interrupted."""
        if self._item(event) is None:
            raise no_such_item("truncate", str(event.get("item_id")))
        self.note("conversation.item.truncate")
        fields = {name: event.get(name) for name in ("item_id", "content_index", "audio_end_ms")}
        self._echoes.append(self._event("conversation.item.truncated", **fields))
        return []

    def _retrieve(self, event: Event) -> list[Event]:
        item = self._item(event)
        if item is None:
            raise no_such_item("retrieve", str(event.get("item_id")))
        self._echoes.append(self._event("conversation.item.retrieved", item=item))
        return []

    def _delete(self, event: Event) -> list[Event]:
        raise self._cannot(event, "type", "the deletion of an item")

    def _cannot(self, event: Event, param: str, what: str) -> Refused:
        self.record(f"{event['type']}: {param}")
        return Refused(f"The provider of this session does not take {what}.", "invalid_value", param)

    # --- from Gemini ---

    def _read(self, said: Event) -> list[Event]:
        said = camel(said)
        if "usageMetadata" in said:
            self._usage = read_usage(said["usageMetadata"])
        events: list[Event] = []
        for kind, value in said.items():
            if read := _READ.get(kind):
                events += read(self, keyed(value))
            elif kind != "usageMetadata":
                self.record(kind)
        return events

    def _complete(self, said: Event) -> list[Event]:
        del said
        self._ready = True
        self._answers += [encoded(message) for message in self._held]
        self._held = []
        return [self._event("session.updated", session=self._settings.told)] if self._updated else []

    def _content(self, said: Event) -> list[Event]:
        events: list[Event] = []
        if isinstance(text := keyed(said.get("inputTranscription")).get("text"), str) and text:
            events += self._speech.understand(text)
        if said.get("interrupted"):
            events += self._interrupted()
        for part in map(keyed, listed(keyed(said.get("modelTurn")).get("parts"))):
            events += self._part(part)
        if isinstance(text := keyed(said.get("outputTranscription")).get("text"), str) and text:
            events += self._says("audio", text)
        if _is_over(said):
            self._stopped = False
            events += self._finish("completed", None)
        for name in said.keys() - _CONTENT:
            self.record(f"serverContent.{name}")
        return events

    def _interrupted(self) -> list[Event]:
        self._stopped = False
        begun = self._speech.begin() if self._making and not self._settings.by_hand else []
        return [*begun, *self._finish("cancelled", "turn_detected")]

    def _part(self, part: Event) -> list[Event]:
        blob = keyed(part.get("inlineData"))
        if part.get("thought"):
            self.record("serverContent.modelTurn.parts.thought")
        elif isinstance(data := blob.get("data"), str) and str(blob.get("mimeType")).startswith("audio/"):
            if self._stopped:
                return []
            begin, making = self._begin()
            return [*begin, *making.sound(str(standard_base64(data)))]
        elif isinstance(text := part.get("text"), str) and self._settings.writes:
            return self._says("text", text)
        else:
            for name in part:
                self.record(f"serverContent.modelTurn.parts.{name}")
        return []

    def _says(self, kind: str, text: str) -> list[Event]:
        if self._stopped:
            return []
        begin, making = self._begin()
        return [*begin, *making.words(kind, text)]

    def _begin(self) -> tuple[list[Event], Making]:
        """The response that runs, and what begins it; first the user's turn that it answers, if that was not told."""
        if self._making:
            return [], self._making
        events = self._user_turn(spoken=True) if self._speech.unheard() and self._asked is None else []
        about = {
            "output_modalities": self._settings.shown["output_modalities"],
            "metadata": None,
            **(self._asked or {}),
        }
        self._asked = None
        self._making = Making(self.new_id, self._conversation, self._last, about)
        return [*events, *self._making.begin()], self._making

    def _user_turn(self, *, spoken: bool) -> list[Event]:
        """The user's item. `spoken`: its beginning and end were not the client's to say."""
        events, item = self._speech.end(self._last, spoken=spoken)
        self._keep(item)
        return events

    def _finish(self, status: str, reason: str | None) -> list[Event]:
        making, self._making = self._making, None
        if making is None:
            return self._speech.understood() if status == "completed" else []
        usage, self._usage = self._usage, None
        events = [*self._speech.understood(), *making.finish(status, usage, reason)]
        for item in events[-1]["response"]["output"]:
            self._keep(item)
        return events

    def _tool_call(self, said: Event) -> list[Event]:
        begin, making = self._begin()
        events = [*begin]
        for call in map(keyed, listed(said.get("functionCalls"))):
            name, call_id = str(call.get("name")), str(call.get("id") or self.new_id("call"))
            self._names[call_id] = name
            self._calls.add(call_id)
            events += making.call(name, call_id, encoded(call.get("args") or {}))
        return [*events, *self._finish("completed", None)]

    def _call_off(self, said: Event) -> list[Event]:
        ids = {str(name) for name in listed(said.get("ids"))}
        self._calls -= ids
        self._outputs = [output for output in self._outputs if output["id"] not in ids]
        self.record("toolCallCancellation")
        return []

    def _go_away(self, said: Event) -> list[Event]:
        left = str(said.get("timeLeft") or "0s").removesuffix("s")
        try:
            seconds = float(left)
        except ValueError:
            seconds = 0.0
        return [self._event(LEAVING, seconds=seconds)]

    def _activity(self, said: Event) -> list[Event]:
        match said.get("voiceActivityType"):
            case "ACTIVITY_START":
                return self._speech.begin()
            case "ACTIVITY_END":
                return self._speech.stop()
        return []

    # --- both ---

    def _item(self, event: Event) -> Event | None:
        """What the event is about: an item of the conversation, or of the reply that is being made."""
        name = str(event.get("item_id"))
        return self._items.get(name) or (self._making.item(name) if self._making else None)

    def _keep(self, item: Event) -> None:
        self._items[item["id"]] = _without_sound(item)
        self._last = item["id"]

    def _event(self, kind: str, **fields: Any) -> Event:
        return {"type": kind, "event_id": self.new_id("event"), **fields}


_CONTENT = frozenset(
    {"inputTranscription", "outputTranscription", "interrupted", "modelTurn", "turnComplete", "generationComplete",
     "turnCompleteReason", "waitingForInput", "interactionStatus"}
)  # fmt: skip
_WRITE: dict[str, Callable[[Upstream, Event], list[Event]]] = {
    "input_audio_buffer.append": Upstream._append,
    "input_audio_buffer.commit": Upstream._commit,
    "input_audio_buffer.clear": Upstream._clear,
    "output_audio_buffer.clear": Upstream._clear_output,
    "conversation.item.create": Upstream._create_item,
    "conversation.item.truncate": Upstream._truncate,
    "conversation.item.retrieve": Upstream._retrieve,
    "conversation.item.delete": Upstream._delete,
    "response.create": Upstream._create_response,
    "response.cancel": Upstream._cancel,
}
_READ: dict[str, Callable[[Upstream, Event], list[Event]]] = {
    "setupComplete": Upstream._complete,
    "serverContent": Upstream._content,
    "toolCall": Upstream._tool_call,
    "toolCallCancellation": Upstream._call_off,
    "goAway": Upstream._go_away,
    "voiceActivity": Upstream._activity,
}


def _is_over(said: Event) -> bool:
    """Whether the turn has ended. Models that think aside say so by their status: they may go on after a pause."""
    status = said.get("interactionStatus")
    if status in (None, "INTERACTION_STATUS_UNSPECIFIED"):
        return bool(said.get("turnComplete"))
    return bool(status == "IDLE")


def _without_sound(item: Event) -> Event:
    """An item as a server tells it."""
    if not isinstance(content := item.get("content"), list):
        return item
    return {**item, "content": [{k: v for k, v in part.items() if k != "audio"} if isinstance(part, dict) else part
                                for part in content]}  # fmt: skip
