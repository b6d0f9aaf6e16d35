"""What a client has said and its provider has not answered yet (pure).

| client says       | is under way until                       |
|-------------------|------------------------------------------|
| session.update    | session.updated                          |
| item.create       | item.added (beta: created) of that item  |
| item.delete       | item.deleted                             |
| item.truncate     | item.truncated                           |
| item.retrieve     | item.retrieved                           |
| buffer.commit     | committed                                |
| buffer.clear      | cleared                                  |
| response.create   | response.created                         |

A provider answers in order. An `error` ends what it names; one that names no event means the oldest without a name,
unless its code says that it means something else.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from dragoman.voice.relaying.heads import Head, plain

ANSWERED = frozenset({
    "session.update", "conversation.item.create", "conversation.item.delete", "conversation.item.truncate",
    "conversation.item.retrieve", "input_audio_buffer.commit", "input_audio_buffer.clear", "response.create",
})  # fmt: skip
_OF_CODE = {  # what an error's code says that it means
    "conversation_already_has_active_response": "response.create",
    "input_audio_buffer_commit_empty": "input_audio_buffer.commit",
    "response_cancel_not_active": "response.cancel",  # which is never under way
    "session_expired": "",
}


class Said(Struct):
    """A client's event that has not been answered. `at`: where the tape stood."""

    type: str
    message: str
    event_id: str | None
    at: float

    @property
    def head(self) -> Head:
        return msgspec.json.decode(self.message, type=Head)


class UnderWay:
    """All of them, in order."""

    def __init__(self) -> None:
        self._said: deque[Said] = deque()

    def __bool__(self) -> bool:
        return bool(self._said)

    def __iter__(self) -> Iterator[Said]:
        return iter(self._said)

    def add(self, said: Said) -> None:
        self._said.append(said)

    def answered(self, kind: str, item_id: str | None = None) -> Said | None:
        """The event of that kind that has its answer now: the first, or the one that names `item_id`."""
        alike = [each for each in self._said if each.type == kind]
        found = alike[0] if alike else None
        if item_id is not None and alike:
            named = {str(plain(each.head.item).get("id") or ""): each for each in alike}
            found = named.get(item_id, named.get(""))
        if found is not None:
            self._said.remove(found)
        return found

    def failed(self, error: dict[str, Any]) -> None:
        """The provider has refused one, or something else."""
        event_id, code = error.get("event_id"), error.get("code")
        if isinstance(event_id, str):
            meant = [each for each in self._said if each.event_id == event_id]
        elif code in _OF_CODE:
            meant = [each for each in self._said if each.type == _OF_CODE[code]]
        else:
            meant = [each for each in self._said if each.event_id is None and error.get("param") != "audio"]
        if meant:
            self._said.remove(meant[0])
