"""What a relay remembers of a session, so that another provider can go on with it (pure: messages in, messages out).

Every event passes here on its way, in either direction, and passes as it came. Of a client's event is remembered, until
the provider has answered it, that it is under way; of a provider's, what it tells of the session:

| client says      | is under way until            | and then the memory has            |
|------------------|-------------------------------|------------------------------------|
| session.update   | session.updated               | one more update                    |
| item.create      | item.added (beta: created)    | the item, in its place             |
| item.delete      | item.deleted                  | the item no more                   |
| item.truncate    | item.truncated                | how much of the item was heard     |
| buffer.append    | -                             | the sound, while it may be needed  |
| buffer.commit    | committed                     | the sound as the user's item       |
| buffer.clear     | cleared                       | none of the sound                  |
| response.create  | response.created              | an open response                   |
| response.cancel  | -                             | that nobody waits for it           |

An `error` that names the event (or could mean no other) ends what is under way.

When the provider is gone, `lost` gives the events that end for the client what was open, and `replay` the messages that
tell the session to the next provider: updates, items in order, what is under way, sound that is not committed, and one
`response.create` for each response that was open. What the next provider answers to these is not the client's to see.
Then the client sees one session: its ids and its timeline stay those of the first provider.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct, field

from dragoman.voice.relaying.heads import GA, OURS, Head, Names, base64_bytes, plain, word
from dragoman.voice.relaying.items import Item, Items, Part, told
from dragoman.voice.relaying.tape import BEFORE, Tape

MARK = "dragoman_"  # the event ids of what the relay itself sends begin so
_MOST_UPDATES = 64  # kept one by one; a client that sends more has them merged
_CREATE = f'{{"type":"response.create","event_id":"{MARK}create"}}'

_ENDS = {  # what a provider's event ends of the client's
    "session.updated": "session.update",
    "conversation.item.added": "conversation.item.create",
    "conversation.item.deleted": "conversation.item.delete",
    "conversation.item.truncated": "conversation.item.truncate",
    "conversation.item.retrieved": "conversation.item.retrieve",
    "input_audio_buffer.committed": "input_audio_buffer.commit",
    "input_audio_buffer.cleared": "input_audio_buffer.clear",
    "response.created": "response.create",
}
_BEGUN = frozenset(_ENDS.values())
_OF_CODE = {  # what an error's code says that it means
    "conversation_already_has_active_response": "response.create",
    "input_audio_buffer_commit_empty": "input_audio_buffer.commit",
    "response_cancel_not_active": "response.cancel",  # which is never under way
    "session_expired": "",
}


class UnderWay(Struct):
    """A client's event that has not been answered. `at`: where the tape stood."""

    type: str
    message: str
    event_id: str | None
    at: float
    session: dict[str, Any] | None = None


class Open(Struct):
    """A response that runs. `create`: the client's event that asked for it; empty where the provider began it."""

    body: dict[str, Any]
    create: str
    items: dict[int, Item] = field(default_factory=dict)
    cancelled: bool = False
    complete: bool = False  # all of it is there but its last event


class Memory:
    """One session's. `sent` and `came` are called with every message, `lost` and `replay` when a provider is gone."""

    def __init__(self, names: Names = GA, *, session: dict[str, Any] | None = None, new_id: Callable[[], str]) -> None:
        """`session`: the configuration it is to begin with (of a client secret). `new_id` gives event ids for what the
        client is told of our own accord."""
        self._names = names
        self._new_id = new_id
        self._tape = Tape()
        self._items = Items()
        self._under_way: deque[UnderWay] = deque()
        self._updates: list[dict[str, Any]] = [] if session is None else [session]
        self._open: dict[str, Open] = {}
        self._owed: list[str] = []  # `response.create`s that no `response.created` has answered yet
        self._speech: float | None = None  # since when the user speaks, as the provider hears it, on the tape
        self._hushed: float | None = None  # until when
        self._listens = False  # the provider tells turns by itself
        self._replies = False  # and answers them by itself
        self._owes_answer = False  # it has ended a turn, and not begun its answer
        self._input_rate, self._output_rate = 48.0, 48.0  # bytes a millisecond
        self._session_id = self._conversation_id = ""
        self.transcriber: str | None = None  # the model that writes down what the user says
        self._renamed: dict[str, str] = {}  # the present provider's ids: those the client knows
        self._first = True  # the client has not been told of its session
        self._held: str | None = None  # `session.created`, until the configuration is in force
        self._told_updates = 0  # replayed updates that are not answered yet
        self._told_items: set[str] = set()
        self._told_done: set[str] = set()
        self._base = 0.0  # where on the tape the present provider's timeline begins
        self.progress = False  # the present provider has brought something of its own

    # what the relay asks

    @property
    def idle(self) -> bool:
        """Whether nothing is open: a good moment to change the provider."""
        return not (self._open or self._under_way or self._owed or self._owes_answer or self._speech is not None)

    @property
    def answering(self) -> bool:
        return bool(self._open)

    # the client's events

    def sent(self, message: str, head: Head) -> None:
        """A client's event goes to the provider."""
        kind = head.type
        if kind == "input_audio_buffer.append":
            self._tape.append(message, base64_bytes(head.audio) / self._input_rate)
            if self._listens and self._speech is None:
                self._tape.forget(self._tape.at - BEFORE)
        elif kind in _BEGUN:
            session = plain(head.session) if kind == "session.update" else None
            self._under_way.append(UnderWay(kind, message, head.event_id, self._tape.at, session))
            if kind == "input_audio_buffer.clear":
                self._tape.clear()
        elif kind == "response.cancel":
            for response_id, response in self._open.items():
                if head.response_id in {None, response_id}:
                    response.cancelled = True
            if not self._open:
                self._owed.clear()

    # the provider's events

    def came(self, message: str, head: Head) -> str | None:
        """A provider's event; what the client is to see of it: the same text, but for ids and times that are another
        session's; None where it is an answer to what the relay itself has sent."""
        kind = OURS.get(head.type, head.type)
        handler = _HANDLERS.get(kind)
        if handler is None:
            return message
        shown = handler(self, message, head)
        if shown is not None and self._renamed and not kind.endswith(".delta"):
            for theirs, known in self._renamed.items():
                shown = shown.replace(theirs, known)
        return shown

    def _session_created(self, message: str, head: Head) -> str | None:
        session = plain(head.session)
        self._configured(session)
        theirs = str(session.get("id") or "")
        if self._first and self._told_updates:
            self._held, self._session_id = message, theirs
            return None
        if self._first:
            self._first, self._session_id = False, theirs
            return message
        if theirs and self._session_id and theirs != self._session_id:
            self._renamed[theirs] = self._session_id
        return None

    def _session_updated(self, message: str, head: Head) -> str | None:
        self._configured(plain(head.session))
        if self._told_updates:
            self._told_updates -= 1
            if self._held is not None and not self._told_updates:
                self._held, self._first = None, False
                return _json(msgspec.json.decode(message) | {"type": "session.created"})
            return None
        done = self._answered("session.update", None)
        if done is not None and done.session:
            self._updates.append(done.session)
            if len(self._updates) > _MOST_UPDATES:
                first, second = self._updates[:2]
                self._updates[:2] = [_merged(first, second)]
        return message

    def _conversation_created(self, message: str, head: Head) -> str | None:
        theirs = str(plain(head.conversation).get("id") or "")
        if not self._conversation_id:
            self._conversation_id = theirs
            return message
        if theirs and theirs != self._conversation_id:
            self._renamed[theirs] = self._conversation_id
        return None

    def _item_added(self, message: str, head: Head) -> str | None:
        body = plain(head.item)
        item_id = str(body.get("id") or "")
        if item_id in self._told_items:
            self._told_items.discard(item_id)
            return None
        self.progress = True
        mine = self._answering_item(item_id)
        if mine is not None:
            mine.body = mine.body | body
            self._items.put(mine, head.previous_item_id)
            return message
        done = self._answered("conversation.item.create", item_id)
        after = head.previous_item_id
        if done is not None:
            asked = msgspec.json.decode(done.message, type=Head)
            given = plain(asked.item)
            body = body | {"content": given["content"]} if given.get("content") else body  # sound is not repeated in it
            after = asked.previous_item_id if asked.previous_item_id == "root" else after  # else told by null
        known = self._items.get(item_id)
        item = known or Item(item_id, body)
        item.body = body
        self._items.put(item, after)
        return message

    def _item_done(self, message: str, head: Head) -> str | None:
        body = plain(head.item)
        item_id = str(body.get("id") or "")
        if item_id in self._told_done:
            self._told_done.discard(item_id)
            return None
        item = self._items.get(item_id)
        if item is not None and not _says_less(body, item.body):
            item.body = body
        return message

    def _item_deleted(self, message: str, head: Head) -> str | None:
        self._answered("conversation.item.delete", None)
        self._items.drop(head.item_id)
        return message

    def _item_truncated(self, message: str, head: Head) -> str | None:
        self._answered("conversation.item.truncate", None)
        item = self._items.get(head.item_id)
        if item is not None and head.audio_end_ms is not None:
            item.heard = head.audio_end_ms
        return message

    def _item_retrieved(self, message: str, head: Head) -> str | None:
        self._answered("conversation.item.retrieve", None)
        return message

    def _transcribed(self, message: str, head: Head) -> str | None:
        item = self._items.get(head.item_id)
        if item is not None:
            item.transcript, item.sound = head.transcript, []
        return message

    def _committed(self, message: str, head: Head) -> str | None:
        self.progress = True
        done = self._answered("input_audio_buffer.commit", None)
        start = 0.0 if done is not None or self._speech is None else self._speech
        end = done.at if done is not None else self._tape.at if self._hushed is None else self._hushed
        item = Item(head.item_id or "", {"type": "message", "role": "user", "content": [{"type": "input_audio"}]})
        item.sound = self._tape.take(start, end)
        self._items.put(item, head.previous_item_id)
        self._items.shed()
        self._owes_answer = done is None and self._replies
        self._speech = self._hushed = None
        return message

    def _cleared(self, message: str, head: Head) -> str | None:
        self._answered("input_audio_buffer.clear", None)
        self._speech = None
        return message

    def _speech_started(self, message: str, head: Head) -> str | None:
        self.progress = True
        self._speech, self._hushed = self._base + (head.audio_start_ms or 0.0), None
        return self._on_our_timeline(message)

    def _speech_stopped(self, message: str, head: Head) -> str | None:
        self._hushed = None if head.audio_end_ms is None else self._base + head.audio_end_ms
        return self._on_our_timeline(message)

    def _timed_out(self, message: str, head: Head) -> str | None:
        return self._on_our_timeline(message)

    def _on_our_timeline(self, message: str) -> str:
        if not self._base:
            return message
        event = msgspec.json.decode(message)
        for name in ("audio_start_ms", "audio_end_ms"):
            if isinstance(event.get(name), int | float):
                event[name] = round(event[name] + self._base)
        return msgspec.json.encode(event).decode()

    def _response_created(self, message: str, head: Head) -> str | None:
        self.progress = True
        body = plain(head.response)
        if self._owed:
            create = self._owed.pop(0)
        else:
            done = self._answered("response.create", None)
            create = done.message if done is not None else ""
        self._owes_answer = False
        self._open[str(body.get("id") or "")] = Open(body, create)
        return message

    def _output_item_added(self, message: str, head: Head) -> str | None:
        response = self._open.get(head.response_id or "")
        body = plain(head.item)
        if response is not None:
            item_id = str(body.get("id") or "")
            item = self._items.get(item_id) or Item(item_id, body)
            item.done, item.response = False, head.response_id
            response.items[head.output_index] = item
        return message

    def _part_added(self, message: str, head: Head) -> str | None:
        if (item := self._answering_item(head.item_id)) is not None:
            item.parts[head.content_index] = Part(str(plain(head.part).get("type") or ""))
        return message

    def _audio_delta(self, message: str, head: Head) -> str | None:
        if (part := self._part(head, "output_audio")) is not None:
            part.sounds(base64_bytes(head.delta) / self._output_rate)
        return message

    def _audio_done(self, message: str, head: Head) -> str | None:
        if (part := self._part(head, "output_audio")) is not None:
            part.whole = True
        return message

    def _text_delta(self, message: str, head: Head) -> str | None:
        kind = "output_text" if OURS.get(head.type, head.type) == "response.output_text.delta" else "output_audio"
        if (part := self._part(head, kind)) is not None:
            part.says(word(head.delta))
        return message

    def _text_done(self, message: str, head: Head) -> str | None:
        if (part := self._part(head, "output_text")) is not None:
            part.text = head.transcript or head.text or part.text
        return message

    def _part_done(self, message: str, head: Head) -> str | None:
        if (part := self._part(head, "output_text")) is not None:
            part.done = True
        return message

    def _arguments_delta(self, message: str, head: Head) -> str | None:
        if (item := self._answering_item(head.item_id)) is not None:
            item.arguments += word(head.delta)
        return message

    def _output_item_done(self, message: str, head: Head) -> str | None:
        body = plain(head.item)
        if (item := self._answering_item(str(body.get("id") or ""))) is not None:
            item.body, item.done = body, True
        return message

    def _response_done(self, message: str, head: Head) -> str | None:
        body = plain(head.response)
        response = self._open.pop(str(body.get("id") or ""), None)
        if response is not None:
            for item in response.items.values():
                item.response = None
                item.done = True
        return message

    def _error(self, message: str, head: Head) -> str | None:
        error = plain(head.error)
        named = error.get("event_id")
        if isinstance(named, str) and named.startswith(MARK):
            if named.startswith(MARK + "update"):
                return self._refused_update()
            if named == MARK + "create" and self._owed:
                self._owed.pop(0)
            return None
        self._failed(named if isinstance(named, str) else None, str(error.get("param") or ""), str(error.get("code")))
        return message

    def _refused_update(self) -> str | None:
        self._told_updates = max(0, self._told_updates - 1)
        if self._held is None:
            return None
        held, self._held, self._first = self._held, None, False
        self._updates.clear()
        return held  # what the secret was to configure does not hold here; the session begins without

    def _failed(self, event_id: str | None, param: str, code: str) -> None:
        """The provider has refused what is under way. It answers in order: an error that names no event means the
        oldest without a name, unless it says that it means something else."""
        if event_id is not None:
            self._owed = [each for each in self._owed if msgspec.json.decode(each, type=Head).event_id != event_id]
            meant = [each for each in self._under_way if each.event_id == event_id]
        elif code in _OF_CODE:
            meant = [each for each in self._under_way if each.type == _OF_CODE[code]]
        else:
            meant = [each for each in self._under_way if each.event_id is None and param != "audio"]
        if meant:
            self._under_way.remove(meant[0])

    # the change of providers

    def lost(self) -> list[dict[str, Any]]:
        """The provider is gone: the events that end for the client what was open there."""
        events: list[dict[str, Any]] = []
        for response in self._open.values():
            events += self._ended(response)
        broken = [response for response in self._open.values() if not (response.cancelled or response.complete)]
        self._owed = [response.create or _CREATE for response in broken] + self._owed
        if self._owes_answer and not self._owed:
            self._owed.append(_CREATE)
        self._owes_answer = False
        self._open.clear()
        return events

    def _ended(self, response: Open) -> list[dict[str, Any]]:
        """The end of a response that broke, in the order of a cancelled one."""
        body, events, output = response.body, [], []
        response_id = body.get("id")
        items = sorted(response.items.items())
        response.complete = bool(items) and all(i.done for _, i in items) and _calls(items[-1][1])
        for index, item in items:
            where = {"response_id": response_id, "item_id": item.id, "output_index": index}
            if item.done:
                output.append(item.body)
                continue
            content = []
            for number, part in sorted(item.parts.items()):
                at = where | {"content_index": number}
                whole = self._part_of(part)
                content.append(whole)
                if part.done:
                    continue
                if part.spoken:
                    events.append(self._say("response.output_audio.done", at))
                    events.append(
                        self._say("response.output_audio_transcript.done", at | {"transcript": part.heard(None)})
                    )
                else:
                    events.append(self._say("response.output_text.done", at | {"text": part.text}))
                events.append(self._say("response.content_part.done", at | {"part": whole}))
            item.body = item.body | {"status": "incomplete"}
            if item.body.get("type") == "function_call":
                item.body["arguments"] = item.arguments
            else:
                item.body["content"] = content
            if item.body.get("type") == "function_call":
                self._items.drop(item.id)  # a call that was never whole
            if not self._names.created and body.get("conversation_id") is not None:
                events.append(self._say("conversation.item.done", {"item": item.body}))
            events.append(
                self._say(
                    "response.output_item.done",
                    {"response_id": response_id, "output_index": index, "item": item.body},
                )
            )
            output.append(item.body)
            item.response = None
        status = "completed" if response.complete else "cancelled" if response.cancelled else "incomplete"
        details: dict[str, Any] | None = None
        if status == "cancelled":
            details = {"type": "cancelled", "reason": "client_cancelled"}
        elif status == "incomplete":
            details = {"type": "incomplete"}
        done = body | {"status": status, "status_details": details, "output": output}
        events.append(self._say("response.done", {"response": done}))
        return events

    def _part_of(self, part: Part) -> dict[str, Any]:
        return (
            {"type": part.type, "transcript": part.heard(None)}
            if part.spoken
            else {"type": part.type, "text": part.text}
        )

    def _say(self, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        return {"type": self._names.theirs(kind), "event_id": self._new_id(), **fields}

    def replay(self) -> list[str]:
        """The messages that tell the session to the provider that is next."""
        said: list[str] = []
        for number, session in enumerate(self._updates):
            said.append(_json({"type": "session.update", "event_id": f"{MARK}update_{number}", "session": session}))
        self._told_updates = len(self._updates)
        self._told_items, self._told_done, self._renamed = set(), set(), {}
        for number, item in enumerate(self._items.all()):
            body = told(item, self._names.text)
            if body is None:
                continue
            said.append(_json({"type": "conversation.item.create", "event_id": f"{MARK}item_{number}", "item": body}))
            self._told_items.add(item.id)
            if not self._names.created:
                self._told_done.add(item.id)
        pieces = list(self._tape.pieces)
        self._base = pieces[0].start if pieces else self._tape.at
        for each in self._under_way:
            if each.type == "input_audio_buffer.commit":
                while pieces and pieces[0].start < each.at:
                    said.append(pieces.pop(0).message)
            if each.type != "response.create":
                said.append(each.message)
        said += [piece.message for piece in pieces]
        said += self._owed
        said += [each.message for each in self._under_way if each.type == "response.create"]
        self._speech = self._hushed = None
        self.progress = False
        return said

    # small things

    def _configured(self, session: dict[str, Any]) -> None:
        audio = session.get("audio") or {}
        given, spoken = audio.get("input") or {}, audio.get("output") or {}
        turns = given.get("turn_detection", session.get("turn_detection"))
        self._listens = isinstance(turns, dict)
        self._replies = isinstance(turns, dict) and turns.get("create_response") is not False
        self._replies = self._replies and session.get("type") != "transcription"
        transcription = given.get("transcription") or session.get("input_audio_transcription") or {}
        self.transcriber = transcription.get("model") if isinstance(transcription, dict) else None
        self._input_rate = _rate(given.get("format") or session.get("input_audio_format"), session)
        self._output_rate = _rate(spoken.get("format") or session.get("output_audio_format"), {})

    def _answered(self, kind: str, item_id: str | None) -> UnderWay | None:
        """The client's event of that kind that has its answer now: the first, or the one that names `item_id`."""
        alike = [each for each in self._under_way if each.type == kind]
        if not alike:
            return None
        found: UnderWay | None = alike[0]
        if item_id is not None:
            named = {str(plain(msgspec.json.decode(e.message, type=Head).item).get("id") or ""): e for e in alike}
            found = named.get(item_id, named.get(""))
        if found is not None:
            self._under_way.remove(found)
        return found

    def _answering_item(self, item_id: str | None) -> Item | None:
        for response in self._open.values():
            for item in response.items.values():
                if item.id == item_id:
                    return item
        return None

    def _part(self, head: Head, kind: str) -> Part | None:
        item = self._answering_item(head.item_id)
        return None if item is None else item.parts.setdefault(head.content_index, Part(kind))


_Handler = Callable[[Memory, str, Head], str | None]
_HANDLERS: dict[str, _Handler] = {
    "session.created": Memory._session_created,
    "session.updated": Memory._session_updated,
    "conversation.created": Memory._conversation_created,
    "conversation.item.added": Memory._item_added,
    "conversation.item.done": Memory._item_done,
    "conversation.item.deleted": Memory._item_deleted,
    "conversation.item.truncated": Memory._item_truncated,
    "conversation.item.retrieved": Memory._item_retrieved,
    "conversation.item.input_audio_transcription.completed": Memory._transcribed,
    "input_audio_buffer.committed": Memory._committed,
    "input_audio_buffer.cleared": Memory._cleared,
    "input_audio_buffer.speech_started": Memory._speech_started,
    "input_audio_buffer.speech_stopped": Memory._speech_stopped,
    "input_audio_buffer.timeout_triggered": Memory._timed_out,
    "response.created": Memory._response_created,
    "response.output_item.added": Memory._output_item_added,
    "response.content_part.added": Memory._part_added,
    "response.content_part.done": Memory._part_done,
    "response.output_audio.delta": Memory._audio_delta,
    "response.output_audio.done": Memory._audio_done,
    "response.output_audio_transcript.delta": Memory._text_delta,
    "response.output_audio_transcript.done": Memory._text_done,
    "response.output_text.delta": Memory._text_delta,
    "response.output_text.done": Memory._text_done,
    "response.function_call_arguments.delta": Memory._arguments_delta,
    "response.output_item.done": Memory._output_item_done,
    "response.done": Memory._response_done,
    "error": Memory._error,
}


def _json(event: dict[str, Any]) -> str:
    return msgspec.json.encode(event).decode()


def _calls(item: Item) -> bool:
    return item.body.get("type") == "function_call"


def _says_less(body: dict[str, Any], known: dict[str, Any]) -> bool:
    """Whether `body` leaves out what was given as sound or picture, as a provider's events do."""
    given = [part for part in known.get("content") or [] if isinstance(part, dict)]
    return body.get("role") != "assistant" and any(part.get("audio") or part.get("image_url") for part in given)


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """`other` laid over `one`, level by level."""
    result = dict(one)
    for name, value in other.items():
        before = result.get(name)
        result[name] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return result


def _rate(given: object, session: dict[str, Any]) -> float:
    """Bytes a millisecond of an audio format, in the words of either version of the protocol."""
    kind = given.get("type") if isinstance(given, dict) else given
    if not isinstance(kind, str):
        return 48.0
    if kind in {"audio/pcmu", "audio/pcma"} or kind.startswith("g711"):
        return 8.0
    rate = given.get("rate") if isinstance(given, dict) else session.get("input_audio_sampling_rate")
    for hertz in (8000, 16000):
        if kind in {f"pcm16_{hertz}hz", f"pcm16-{hertz}hz"}:
            rate = hertz
    return (rate if isinstance(rate, int) and rate > 0 else 24_000) * 2 / 1000
