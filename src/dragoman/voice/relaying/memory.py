"""What a relay remembers of a session, so that another provider can go on with it (pure: messages in, messages out).

Every event passes here on its way, in either direction, and passes as it came. A client's event is remembered until the
provider has answered it (`under_way`), sound while it may be needed (`tape`); of a provider's, what it tells of the
session:

| provider says                    | and then the memory has            |
|----------------------------------|------------------------------------|
| session.updated                  | one more update                    |
| item.added (beta: created)       | the item, in its place             |
| item.deleted                     | the item no more                   |
| item.truncated                   | how much of the item was heard     |
| committed                        | the sound as the user's item       |
| transcription.completed          | the words instead of the sound     |
| response.created, … response.done| an open response, and what it says |

When the provider is gone, `lost` gives the events that end for the client what was open, and `replay` the messages that
tell the session to the next provider: updates, items in order, what is under way, sound that is not committed, and one
`response.create` for each response that was open. What the next provider answers to these is not the client's to see.
Then the client sees one session: its ids and its timeline stay those of the first provider.
"""

from collections.abc import Callable

import msgspec

from dragoman.voice.relaying.answering import Event, Open, ending
from dragoman.voice.relaying.heads import GA, OURS, Head, Names, base64_bytes, plain, read, word
from dragoman.voice.relaying.items import Item, Items, Part, told
from dragoman.voice.relaying.settings import Settings, merged, settings
from dragoman.voice.relaying.tape import BEFORE, Tape
from dragoman.voice.relaying.under_way import ANSWERED, Said, UnderWay

MARK = "dragoman_"  # the event ids of what the relay itself sends begin so
_MOST_UPDATES = 64  # kept one by one; a client that sends more has them merged
_CREATE = f'{{"type":"response.create","event_id":"{MARK}create"}}'


class Memory:
    """One session's. `sent` and `came` are called with every message, `lost` and `replay` when a provider is gone."""

    def __init__(self, names: Names = GA, *, session: Event | None = None, new_id: Callable[[], str]) -> None:
        """`session`: the configuration it is to begin with (of a client secret). `new_id` gives event ids for what the
        client is told of our own accord."""
        self._names = names
        self._new_id = new_id
        self._tape = Tape()
        self._items = Items()
        self._under_way = UnderWay()
        self._updates: list[Event] = [] if session is None else [session]
        self._open: dict[str, Open] = {}
        self._owed: list[str] = []  # `response.create`s that no `response.created` has answered yet
        self._speech: float | None = None  # since when the user speaks, as the provider hears it, on the tape
        self._hushed: float | None = None  # until when
        self._settings = Settings()
        self._owes_answer = False  # it has ended a turn, and not begun its answer
        self._session_id = self._conversation_id = ""
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
    def transcriber(self) -> str | None:
        """The model that writes down what the user says."""
        return self._settings.transcriber

    # the client's events

    def sent(self, message: str, head: Head) -> None:
        """A client's event goes to the provider."""
        kind = head.type
        if kind == "input_audio_buffer.append":
            self._tape.append(message, base64_bytes(head.audio) / self._settings.heard)
            if self._settings.listens and self._speech is None:
                self._tape.forget(self._tape.at - BEFORE)
        elif kind in ANSWERED:
            self._under_way.add(Said(kind, message, head.event_id, self._tape.at))
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
        self._settings = settings(session)
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
        self._settings = settings(plain(head.session))
        if self._told_updates:
            self._told_updates -= 1
            if self._held is not None and not self._told_updates:
                self._held, self._first = None, False
                return _json(msgspec.json.decode(message) | {"type": "session.created"})
            return None
        done = self._under_way.answered("session.update")
        if done is not None and (session := plain(done.head.session)):
            self._updates.append(session)
            if len(self._updates) > _MOST_UPDATES:
                first, second = self._updates[:2]
                self._updates[:2] = [merged(first, second)]
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
            mine.body, mine.shown = mine.body | body, True
            self._items.put(mine, head.previous_item_id)
            return message
        done = self._under_way.answered("conversation.item.create", item_id)
        after = head.previous_item_id
        if done is not None:
            asked = done.head
            given = plain(asked.item)
            body = body | {"content": given["content"]} if given.get("content") else body  # sound is not repeated in it
            after = asked.previous_item_id if asked.previous_item_id == "root" else after  # else told by null
        known = self._items.get(item_id)
        item = known or Item(item_id, body)
        item.body, item.shown = body, True
        self._items.put(item, after)
        return message

    def _item_done(self, message: str, head: Head) -> str | None:
        body = plain(head.item)
        item_id = str(body.get("id") or "")
        if item_id in self._told_done:
            self._told_done.discard(item_id)
            return None
        item = self._items.get(item_id)
        if item is not None:
            item.settled = True
            if not _says_less(body, item.body):
                item.body = body
        return message

    def _item_deleted(self, message: str, head: Head) -> str | None:
        self._under_way.answered("conversation.item.delete")
        self._items.drop(head.item_id)
        return message

    def _item_truncated(self, message: str, head: Head) -> str | None:
        self._under_way.answered("conversation.item.truncate")
        item = self._items.get(head.item_id)
        if item is not None and head.audio_end_ms is not None:
            item.heard = head.audio_end_ms
        return message

    def _item_retrieved(self, message: str, head: Head) -> str | None:
        self._under_way.answered("conversation.item.retrieve")
        return message

    def _transcribed(self, message: str, head: Head) -> str | None:
        item = self._items.get(head.item_id)
        if item is not None:
            item.transcript, item.sound = head.transcript, []
        return message

    def _committed(self, message: str, head: Head) -> str | None:
        self.progress = True
        done = self._under_way.answered("input_audio_buffer.commit")
        start = 0.0 if done is not None or self._speech is None else self._speech
        end = done.at if done is not None else self._tape.at if self._hushed is None else self._hushed
        item = Item(head.item_id or "", {"type": "message", "role": "user", "content": [{"type": "input_audio"}]})
        item.sound = self._tape.take(start, end)
        self._items.put(item, head.previous_item_id)
        self._items.shed()
        self._owes_answer = done is None and self._settings.replies
        self._speech = self._hushed = None
        return message

    def _cleared(self, message: str, head: Head) -> str | None:
        self._under_way.answered("input_audio_buffer.clear")
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
            done = self._under_way.answered("response.create")
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
        if (part := self._part(head, "audio")) is not None:
            part.sounds(base64_bytes(head.delta) / self._settings.spoken)
        return message

    def _audio_done(self, message: str, head: Head) -> str | None:
        if (part := self._part(head, "audio")) is not None:
            part.whole = True
        return message

    def _text_delta(self, message: str, head: Head) -> str | None:
        kind = "text" if OURS.get(head.type, head.type) == "response.output_text.delta" else "audio"
        if (part := self._part(head, kind)) is not None:
            part.says(word(head.delta))
        return message

    def _text_done(self, message: str, head: Head) -> str | None:
        if (part := self._part(head, "text")) is not None:
            part.text, part.written = head.transcript or head.text or part.text, True
        return message

    def _part_done(self, message: str, head: Head) -> str | None:
        if (part := self._part(head, "text")) is not None:
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
        self._owed = [each for each in self._owed if named is None or read(each).event_id != named]
        self._under_way.failed(error)
        return message

    def _refused_update(self) -> str | None:
        self._told_updates = max(0, self._told_updates - 1)
        if self._held is None:
            return None
        held, self._held, self._first = self._held, None, False
        self._updates.clear()
        return held  # what the secret was to configure does not hold here; the session begins without

    # the change of providers

    def lost(self) -> list[Event]:
        """The provider is gone: the events that end for the client what was open there."""
        events: list[Event] = []
        for response in self._open.values():
            events += ending(response, self._names, self._new_id)
            for item in response.items.values():
                if item.calls and not item.done:
                    self._items.drop(item.id)
        broken = [response for response in self._open.values() if not (response.cancelled or response.complete)]
        self._owed = [response.create or _CREATE for response in broken] + self._owed
        if self._owes_answer and not self._owed:
            self._owed.append(_CREATE)
        self._owes_answer = False
        self._open.clear()
        return events

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
            if item.shown:
                self._told_items.add(item.id)
            if item.settled:
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


def _json(event: Event) -> str:
    return msgspec.json.encode(event).decode()


def _says_less(body: Event, known: Event) -> bool:
    """Whether `body` leaves out what was given as sound or picture, as a provider's events do."""
    given = [part for part in known.get("content") or [] if isinstance(part, dict)]
    return body.get("role") != "assistant" and any(part.get("audio") or part.get("image_url") for part in given)
