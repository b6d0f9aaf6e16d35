"""A response that is being made, told in GA's events, where the provider tells no more than what is said.

Everything that is opened is closed: a part before its item, an item before the next one and before the response.
"""

from msgspec import Struct

from dragoman.voice.codecs.codec import Event, NewId

# what a message of each kind is filled with: (field of the part and of its `done`, its deltas, then what is done)
_SOUND = "response.output_audio"
_WORDS = {"audio": ("transcript", "response.output_audio_transcript"), "text": ("text", "response.output_text")}


class _Message(Struct):
    item: Event
    kind: str
    words: str = ""


class Making:
    """One response of the conversation. Each method gives the events it makes."""

    def __init__(self, new_id: NewId, conversation: str, previous: str | None, about: Event) -> None:
        self.id = new_id("resp")
        self.last = previous  # the conversation's last item
        self._new_id = new_id
        self._about = {"id": self.id, "object": "realtime.response", "conversation_id": conversation, **about}
        self._output: list[Event] = []
        self._message: _Message | None = None
        self._previous: str | None = None

    def begin(self) -> list[Event]:
        return [self._event("response.created", response=self._told("in_progress", []))]

    def item(self, name: str) -> Event | None:
        """One of its items, as far as it is made."""
        made = [*self._output, *([self._message.item] if self._message else [])]
        return next((item for item in made if item["id"] == name), None)

    def sound(self, delta: str) -> list[Event]:
        """A piece of the reply's sound, in base64."""
        events, at = self._part("audio")
        return [*events, self._event(f"{_SOUND}.delta", **at, delta=delta)]

    def words(self, kind: str, delta: str) -> list[Event]:
        """A piece of the reply's text, or (kind `audio`) of its transcript."""
        events, at = self._part(kind)
        assert self._message is not None
        self._message.words += delta
        return [*events, self._event(f"{_WORDS[kind][1]}.delta", **at, delta=delta)]

    def call(self, name: str, call_id: str, arguments: str) -> list[Event]:
        """A function call, which the provider tells whole."""
        events = self._close("completed")
        item = {"id": self._new_id("item"), "object": "realtime.item", "type": "function_call", "name": name,
                "call_id": call_id, "status": "in_progress", "arguments": ""}  # fmt: skip
        events += self._open(item)
        at = {**self._at(item), "call_id": call_id}
        said = "response.function_call_arguments"
        events.append(self._event(f"{said}.delta", **at, delta=arguments))
        events.append(self._event(f"{said}.done", **at, arguments=arguments, name=name))
        return events + self._end({**item, "status": "completed", "arguments": arguments})

    def finish(self, status: str, usage: Event | None, reason: str | None = None) -> list[Event]:
        """The end of it. `status`: as GA has it; `reason`: of one that did not complete."""
        events = self._close("completed" if status == "completed" else "incomplete")
        details = None if status == "completed" else {"type": status, **({"reason": reason} if reason else {})}
        response = {**self._told(status, self._output), "status_details": details, "usage": usage}
        return [*events, self._event("response.done", response=response)]

    def _part(self, kind: str) -> tuple[list[Event], Event]:
        """Where the next piece goes, and what has to be opened for it."""
        events: list[Event] = []
        if self._message is None or self._message.kind != kind:
            events += self._close("completed")
            item = {"id": self._new_id("item"), "object": "realtime.item", "type": "message", "role": "assistant",
                    "status": "in_progress", "content": []}  # fmt: skip
            events += self._open(item)
            self._message = _Message(item, kind)
            part = {"type": kind, _WORDS[kind][0]: ""}
            events.append(self._event("response.content_part.added", **self._at(item), content_index=0, part=part))
        return events, {**self._at(self._message.item), "content_index": 0}

    def _close(self, status: str) -> list[Event]:
        """Ends the message that is open."""
        message, self._message = self._message, None
        if message is None:
            return []
        at = {**self._at(message.item), "content_index": 0}
        field, said = _WORDS[message.kind]
        part = {"type": message.kind, field: message.words}
        events = [self._event(f"{_SOUND}.done", **at)] if message.kind == "audio" else []
        events.append(self._event(f"{said}.done", **at, **{field: message.words}))
        events.append(self._event("response.content_part.done", **at, part=part))
        content = [{**part, "type": f"output_{message.kind}"}]
        return events + self._end({**message.item, "status": status, "content": content})

    def _open(self, item: Event) -> list[Event]:
        self._previous, self.last = self.last, item["id"]
        return [
            self._event("response.output_item.added", response_id=self.id, output_index=len(self._output), item=item),
            self._event("conversation.item.added", previous_item_id=self._previous, item=item),
        ]

    def _end(self, item: Event) -> list[Event]:
        index = len(self._output)
        self._output.append(item)
        return [
            self._event("conversation.item.done", previous_item_id=self._previous, item=item),
            self._event("response.output_item.done", response_id=self.id, output_index=index, item=item),
        ]

    def _at(self, item: Event) -> Event:
        return {"response_id": self.id, "item_id": item["id"], "output_index": len(self._output)}

    def _told(self, status: str, output: list[Event]) -> Event:
        return {**self._about, "status": status, "status_details": None, "output": list(output), "usage": None}

    def _event(self, kind: str, **fields: object) -> Event:
        return {"type": kind, "event_id": self._new_id("event"), **fields}
