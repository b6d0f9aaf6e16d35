"""The shape that every codec of a realtime dialect has (law 1), and what all of them need.

The canon of voice are the events of OpenAI's Realtime API (GA), as JSON objects. A codec stands between them and one
peer that speaks another dialect: as `Client` of a module towards a client of ours, as `Upstream` towards a provider.
Both have one shape, so that whoever carries messages need not know which it is:

    events = codec.read(message)      # from the peer
    for message in codec.answers(): ...   # goes straight back to the peer
    messages = codec.write(event)     # for the peer
    for event in codec.echoes(): ...      # goes straight back to the other side
    if codec.closing: ...             # then close the peer's socket: (code, reason)

`echoes` has something before anything was read where the provider itself says nothing first. All of it is pure: ids
come from a function that is passed in, and the time that matters is that of the sound itself.

**What a dialect cannot say** is named in `lossy`, once each, by the path it had where it came from. The names of what a
client said and lost are also told: by an upstream codec as an echo, `{"type": "dragoman.lossy", "fields": [...]}`; by
a client codec, which gets that event as any other, in the client's own dialect where it has a place for it (Voice
Live: `warning`, OpenAI Live: `info`), to clients of OpenAI's events only if they asked for notices, since some of them
break on events that they do not know, and to nobody in Gemini Live, which has no place for it. With `notices="strict"`
it is an error instead.

**What no dialect knows** is not judged here. A field or an event that is unknown rides along, under its own name, to
the end that knows the protocol, which refuses it as the original does.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import msgspec

from dragoman.dialects.fields import Malformed
from dragoman.voice.events import SERVER

Event: TypeAlias = dict[str, Any]
Message: TypeAlias = str | bytes
NewId: TypeAlias = Callable[[str], str]  # "item" -> "item_Bq3…", never the same twice
Notices = Literal["off", "on", "strict"]
Note: TypeAlias = Callable[[str], None]  # notes a path as lost

LOSSY = "dragoman.lossy"  # fields: names of what a client said and the other side cannot
LEAVING = "dragoman.go_away"  # the provider will close in `seconds`; for whoever holds the connection, not for clients


class Codec:
    """One side of one session. Raises `Malformed` from `read` for what is not of the dialect at all."""

    DIALECT = "ga"

    def __init__(self, new_id: NewId) -> None:
        self.new_id = new_id
        self.lossy: list[str] = []
        self.closing: tuple[int, str] | None = None
        self.model: str | None = None  # what the client asks for, in dialects that say so in a message
        self._answers: list[Message] = []
        self._echoes: list[Event] = []
        self._untold: list[str] = []

    def read(self, message: Message) -> list[Event]:
        """What the peer says, as events."""
        return [decoded(message)]

    def write(self, event: Event) -> list[Message]:
        """An event, as the peer's messages."""
        return [encoded(event)]

    def answers(self) -> list[Message]:
        """What goes back to the peer for what was read; taken once."""
        answers, self._answers = self._answers, []
        return answers

    def echoes(self) -> list[Event]:
        """What goes back to the other side for what was written; taken once."""
        echoes, self._echoes = self._echoes, []
        return echoes

    def note(self, *names: str) -> None:
        """These were said by the client, and are lost."""
        for name in names:
            if self.record(name):
                self._untold.append(name)

    def record(self, name: str) -> bool:
        """This is lost; whether that is news. For what no client said: it is not told."""
        if name in self.lossy:
            return False
        self.lossy.append(name)
        return True

    def _newly_lost(self) -> Event | None:
        names, self._untold = self._untold, []
        if not names:
            return None
        return {"type": LOSSY, "event_id": self.new_id("event"), "fields": names}


class ClientCodec(Codec):
    """Towards a client. `notices`: whether it hears of what is lost, where its dialect has no place for that."""

    def __init__(self, new_id: NewId, notices: Notices = "off") -> None:
        super().__init__(new_id)
        self._notices = notices

    def read(self, message: Message) -> list[Event]:
        events = self._read(decoded(message))
        if lost := self._newly_lost():
            self._answers.extend(self._tell(lost))
        return events

    def write(self, event: Event) -> list[Message]:
        if not _whole(event):
            self.record("an event that was broken")
            return []
        if event["type"] == LEAVING:
            return []
        if event["type"] == LOSSY:
            return self._tell(event)
        try:
            return [encoded(said) for said in self._write(event)]
        except Malformed as error:
            self.record(f"{event['type']}: {error}")
            return []

    def refuse(self, error: Malformed) -> list[Message]:
        """What a client hears whose message could not be read."""
        return self.write(refusal(self.new_id, str(error), param=error.path or None))

    def _read(self, said: Event) -> list[Event]:
        return [said]

    def _write(self, event: Event) -> list[Event]:
        return [event]

    def _tell(self, lost: Event) -> list[Message]:
        if self._notices == "strict":
            return [encoded(said) for said in self._write(self._as_error(lost))]
        return [encoded(lost)] if self._notices == "on" else []

    def _as_error(self, lost: Event) -> Event:
        names = ", ".join(lost["fields"])
        text = f"What answers here cannot take: {names}"
        return refusal(self.new_id, text, code="unsupported_parameter", param=lost["fields"][0])


class UpstreamCodec(Codec):
    """Towards a provider. `model`: as the provider names it, for dialects that say it in a message."""

    def __init__(self, new_id: NewId, model: str = "") -> None:
        super().__init__(new_id)
        self.model = model

    def read(self, message: Message) -> list[Event]:
        return self._read(decoded(message))

    def write(self, event: Event) -> list[Message]:
        if not isinstance(event, dict) or not isinstance(event.get("type"), str):
            self._echoes.append(refusal(self.new_id, "Invalid event: expected a JSON object with a type."))
            return []
        messages: list[Message] = [encoded(said) for said in self._write(event)]
        if lost := self._newly_lost():
            self._echoes.append(lost)
        return messages

    def _read(self, said: Event) -> list[Event]:
        return [said]

    def _write(self, event: Event) -> list[Event]:
        return [event]


_SHAPES = {"delta": str, "item": dict, "response": dict, "session": dict, "error": dict, "part": dict}


def _whole(event: object) -> bool:
    """Whether a server's event has what its kind must have: providers may say anything."""
    if not isinstance(event, dict) or not isinstance(kind := event.get("type"), str):
        return False
    needed = (name for name in SERVER.get(kind, ()) if name in _SHAPES)
    return all(isinstance(event.get(name), _SHAPES[name]) for name in needed)


def decoded(message: Message) -> Event:
    """A message as an object. Raises `Malformed`."""
    try:
        value = msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Malformed("", f"valid JSON ({error})") from None
    if not isinstance(value, dict):
        raise Malformed("", "an object", value)
    return value


def encoded(value: Event) -> str:
    return msgspec.json.encode(value).decode()


def typed(said: Event) -> str:
    """The type of an event. Raises `Malformed`."""
    kind = said.get("type")
    if not isinstance(kind, str):
        raise Malformed("type", "a string", kind)
    return kind


def refusal(
    new_id: NewId,
    message: str,
    *,
    kind: str = "invalid_request_error",
    code: str = "invalid_value",
    param: str | None = None,
    event_id: object = None,
) -> Event:
    """An `error` event. `event_id`: of the client's event that it is about."""
    error = {"type": kind, "code": code, "message": message, "param": param, "event_id": event_id}
    return {"type": "error", "event_id": new_id("event"), "error": error}


_URL_SAFE = str.maketrans("-_", "+/")


def standard_base64(data: object) -> object:
    """Base64 of either alphabet, padded or not, in the standard one; what is no string is left as it is."""
    if not isinstance(data, str):
        return data
    if "-" in data or "_" in data:
        data = data.translate(_URL_SAFE)
    return data + "=" * (-len(data) % 4) if len(data) % 4 else data
