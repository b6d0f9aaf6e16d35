"""The items of a conversation as a relay remembers them: enough to tell them to another provider (pure)."""

from typing import Any

from msgspec import Struct, field

from dragoman.voice.relaying.tape import Piece, sound

SOUND = 320 * 1024  # characters of base64 of the user's turns that are kept where no transcript stands for them


class Part(Struct):
    """A content part while it grows. `ms`: of its sound; `sounded`: how much of the text was there when the last of the
    sound came; `leads`: the text comes ahead of the sound; `whole`, `written`: all of its sound, or text, has come."""

    type: str = ""
    text: str = ""
    ms: float = 0.0
    sounded: int = 0
    leads: bool | None = None
    whole: bool = False
    written: bool = False
    done: bool = False

    @property
    def spoken(self) -> bool:
        return "audio" in self.type

    def says(self, text: str) -> None:
        """More of its text has come."""
        self.text += text
        self.leads = True if self.leads is None else self.leads

    def sounds(self, ms: float) -> None:
        """More of its sound has come."""
        self.ms += ms
        self.sounded = len(self.text)
        self.leads = False if self.leads is None else self.leads

    def heard(self, ms: float | None) -> str:
        """The text of it that was heard: of `ms` milliseconds; None: of all that was sent. Text that has come ahead of
        its sound was not."""
        if not self.spoken:
            return self.text
        if ms is not None and ms < self.ms:
            return at_word(self.text, int(len(self.text) * ms / self.ms))
        return self.text if self.whole or self.done or not self.leads else self.text[: self.sounded]


class Item(Struct):
    """An item: `body` as it was last seen whole; `shown`, `settled`: the client has seen it added, and done; `parts` of
    an answer while it grows. `sound`: what the user said. `heard`: milliseconds after which the client cut it off.
    `response`: of which response it is, while that runs."""

    id: str
    body: dict[str, Any]
    parts: dict[int, Part] = field(default_factory=dict)
    arguments: str = ""
    done: bool = True
    shown: bool = False
    settled: bool = False
    sound: list[Piece] = field(default_factory=list)
    transcript: str | None = None
    heard: float | None = None
    response: str | None = None

    @property
    def calls(self) -> bool:
        """It is a call of a function."""
        return self.body.get("type") == "function_call"

    @property
    def size(self) -> int:
        """Characters of sound."""
        given = self.body.get("content") or []
        in_body = sum(len(part.get("audio") or "") for part in given if isinstance(part, dict))
        return in_body + sum(len(piece.message) for piece in self.sound)

    def forget_sound(self) -> None:
        self.sound = []
        given = self.body.get("content") or []
        if any(isinstance(part, dict) and part.get("audio") for part in given):
            self.body = self.body | {"content": [{**part, "audio": None} for part in given]}


class Items:
    """A conversation, in order."""

    def __init__(self) -> None:
        self._order: list[str] = []
        self._by_id: dict[str, Item] = {}

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._by_id

    def get(self, item_id: str | None) -> Item | None:
        return self._by_id.get(item_id or "")

    def all(self) -> list[Item]:
        return [self._by_id[item_id] for item_id in self._order]

    def put(self, item: Item, after: str | None) -> None:
        """Adds `item` behind the item `after` (None, or one that is not known: at the end)."""
        if item.id in self._by_id:
            self._by_id[item.id].body = item.body
            return
        self._by_id[item.id] = item
        at = len(self._order)
        if after == "root":
            at = 0
        elif after in self._by_id:
            at = self._order.index(after) + 1
        self._order.insert(at, item.id)

    def drop(self, item_id: str | None) -> None:
        if item_id is not None and self._by_id.pop(item_id, None) is not None:
            self._order.remove(item_id)

    def shed(self) -> None:
        """Forgets the oldest sound where more is kept than `SOUND`."""
        sizes = [(item, item.size) for item in self.all()]
        total = sum(size for _, size in sizes)
        for item, size in sizes:
            if total <= SOUND:
                return
            total -= size
            item.forget_sound()


def at_word(text: str, length: int) -> str:
    """The first `length` characters of `text`, cut at a word."""
    if length >= len(text):
        return text
    return text[:length].rpartition(" ")[0] if not text[length].isspace() else text[:length]


def told(item: Item, text_part: str) -> dict[str, Any] | None:
    """`item` as a client says it in `conversation.item.create`; None where there is nothing of it to say. What was
    spoken is told as text (`text_part` is its part's name): a provider takes no sound for an assistant's."""
    body = {name: value for name, value in item.body.items() if name not in {"object", "status", "phase"}}
    kind, role = body.get("type"), body.get("role")
    body["id"] = item.id
    if kind == "function_call":
        return body if item.done and body.get("call_id") else None
    if kind != "message":
        return body if item.done else None
    if role == "assistant":
        text = _said(item)
        body["content"] = [{"type": text_part, "text": text}]
        return body if text else None
    body["content"] = [part for given in body.get("content") or [] if (part := _given(item, given)) is not None]
    return body if body["content"] else None


def _said(item: Item) -> str:
    """What of an assistant's item can have been heard, or read."""
    if item.parts:
        return "".join(part.heard(item.heard) for _, part in sorted(item.parts.items()))
    parts = [part for part in item.body.get("content") or [] if isinstance(part, dict)]
    return "".join(part.get("transcript") or part.get("text") or "" for part in parts)


def _given(item: Item, part: object) -> dict[str, Any] | None:
    """A part of what the user (or the system) has said."""
    if not isinstance(part, dict):
        return None
    if part.get("type") != "input_audio" or part.get("audio"):
        return part
    if item.sound:
        heard = {"type": "input_audio", "audio": sound(item.sound)}
        return heard | ({"transcript": item.transcript} if item.transcript else {})
    said = item.transcript or part.get("transcript")
    return {"type": "input_text", "text": said} if said else None
