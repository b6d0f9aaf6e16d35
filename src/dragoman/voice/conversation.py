"""A session's conversation: its items in order, what of them was heard, and how a model is told of them."""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from dragoman.canon import Media, Message, Part, Request, Text, Thinking, Tool, ToolCall, ToolChoice, ToolResult
from dragoman.dialects.estimate import estimate_text
from dragoman.voice import session
from dragoman.voice.events import JSON
from dragoman.voice.playback import Alignment
from dragoman.voice.refusal import Doing, Refused, no_such_item

_OVERHEAD = 6  # tokens around an item
ROOT = "root"  # as `previous_item_id`: the beginning
INAUDIBLE = "(inaudible)"  # what a model is told of speech that could not be understood


class Entry(Struct, kw_only=True):
    """An item, and what is not shown of it. `pending`: its words are still awaited. Of a spoken answer, `alignment`
    says which words were said when, and `cut_ms` how much was heard, where that was not all."""

    item: JSON
    pending: bool = False
    alignment: Alignment | None = None
    cut_ms: int | None = None

    @property
    def id(self) -> str:
        return str(self.item["id"])


class Conversation:
    """The items. Ids are unique; the order is the client's to choose."""

    def __init__(self, conversation_id: str) -> None:
        self.id = conversation_id
        self._entries: dict[str, Entry] = {}
        self._order: list[str] = []

    def __len__(self) -> int:
        return len(self._order)

    def find(self, item_id: str, param: str = "item_id", *, to: Doing | None = None) -> Entry:
        """Raises `Refused`; `to`: what the client wants to do with it."""
        entry = self._entries.get(item_id)
        if entry is not None:
            return entry
        if to is not None:
            raise no_such_item(to, item_id)
        raise Refused(f"Item with item_id '{item_id[:80]}' not found.", "item_not_found", param)

    def has(self, item_id: str) -> bool:
        return item_id in self._entries

    def last(self) -> str | None:
        return self._order[-1] if self._order else None

    def before(self, item_id: str) -> str | None:
        """The item ahead of it."""
        index = self._order.index(item_id)
        return self._order[index - 1] if index else None

    def add(self, entry: Entry, after: str | None = None) -> str | None:
        """Adds it, at the end or after an item (or `ROOT`); returns the id of the one ahead of it. Raises `Refused`."""
        if entry.id in self._entries:
            raise Refused(
                f"Item with item_id '{entry.id[:80]}' already exists.", "item_create_duplicate_item_id", "item.id"
            )
        if after is None:
            place = len(self._order)
        elif after == ROOT:
            place = 0
        else:
            self.find(after, "previous_item_id")
            place = self._order.index(after) + 1
        self._entries[entry.id] = entry
        self._order.insert(place, entry.id)
        return self._order[place - 1] if place else None

    def delete(self, item_id: str) -> None:
        """Raises `Refused`."""
        self.find(item_id, to="delete")
        del self._entries[item_id]
        self._order.remove(item_id)

    def truncate(self, item_id: str, content_index: int, audio_end_ms: float) -> int:
        """Cuts an answer to what was heard of it; returns where, in ms: never behind its end. Raises `Refused`."""
        entry = self.find(item_id, to="truncate")
        if entry.alignment is None:
            raise Refused("Only model output audio messages can be truncated")
        if content_index:
            message = "Invalid value: content_index is beyond the item's content."
            raise Refused(message, "invalid_value", "content_index")
        entry.cut_ms = max(0, min(int(audio_end_ms), int(entry.alignment.ms)))
        _cut(entry)
        return entry.cut_ms

    def complete(self, item: JSON) -> None:
        """An item of an answer is as it stays, but for what was not heard of it."""
        entry = self._entries[item["id"]]
        entry.item = item
        _cut(entry)

    def entries(self) -> list[Entry]:
        return [self._entries[item_id] for item_id in self._order]


def _cut(entry: Entry) -> None:
    if entry.cut_ms is not None and entry.alignment is not None:
        heard = {"type": "output_audio", "transcript": entry.alignment.heard(entry.cut_ms)}
        entry.item = {**entry.item, "content": [heard]}


class Memory:
    """Which items a model is still told, where its context window does not hold them all: the latest. Where they become
    too many, a fifth of the window is made free at once, so that the prompt's beginning then stays the same for a
    while, and caches serve it. Source: the original's `truncation: auto`."""

    def __init__(self, window: int | None) -> None:
        self._most = None if window is None else max(256, window - min(window // 4, 4096))  # the rest is for the answer
        self._forgotten: set[str] = set()

    def recalled(self, items: Sequence[JSON], instructions: str) -> list[JSON]:
        """Those of `items` that are told. The last one always is."""
        told = [item for item in items if item["id"] not in self._forgotten]
        if self._most is None:
            return told
        sizes = [_OVERHEAD + estimate_text(words(item)) for item in told]
        left = sum(sizes) + estimate_text(instructions)
        if left <= self._most:
            return told
        first = 0
        while first < len(told) - 1 and left > self._most * 0.8:
            self._forgotten.add(told[first]["id"])
            left -= sizes[first]
            first += 1
        return told[first:]


def words(item: JSON) -> str:
    """All that is said in an item."""
    if item["type"] == "message":
        return " ".join(str(part.get("text") or part.get("transcript") or "") for part in item["content"])
    return str(item.get("output") or "") + str(item.get("arguments") or "")


def messages(items: Iterable[JSON]) -> list[Message]:
    """What a model is told of the items. Speech is told as its words. Calls that nobody has answered are left out, and
    an answer that came late stands right behind its call: providers refuse anything else."""
    said = list(items)
    outputs = {item["call_id"]: item["output"] for item in said if item["type"] == "function_call_output"}
    told: list[Message] = []
    results: list[Part] = []
    for item in said:
        if item["type"] == "function_call" and item["call_id"] in outputs:
            call = ToolCall(id=item["call_id"], name=item["name"], arguments=item["arguments"] or "{}")
            _tell(told, "assistant", [call])
            results.append(ToolResult(call_id=item["call_id"], content=[Text(text=outputs[item["call_id"]])]))
        elif item["type"] == "message":
            _tell(told, "user", results)
            results = []
            _tell(told, item["role"], _parts(item))
    _tell(told, "user", results)
    return told


def _tell(told: list[Message], role: Any, parts: list[Part]) -> None:
    if not parts:
        return
    if told and told[-1].role == role:
        told[-1].parts.extend(parts)
    else:
        told.append(Message(role=role, parts=parts))


def _parts(item: JSON) -> list[Part]:
    parts: list[Part] = []
    for part in item["content"]:
        match part["type"]:
            case "input_text" | "output_text" | "text":
                text = part.get("text") or ""
            case "input_audio":
                text = part.get("transcript") or INAUDIBLE
            case "output_audio":
                text = part.get("transcript") or ""
            case _:
                url = part.get("image_url") or ""
                parts.append(_image(url, part.get("detail")))
                continue
        if text:
            parts.append(Text(text=text))
    return parts


def _image(url: str, detail: str | None) -> Media:
    head, comma, data = url.partition(",")
    if head.startswith("data:") and comma:
        mime = head.removeprefix("data:").partition(";")[0] or None
        return Media(kind="image", mime=mime, data=data, detail=detail)
    return Media(kind="image", url=url, detail=detail)


def request(
    items: Iterable[JSON], *, model: str, instructions: str, tools: Sequence[session.Tool],
    choice: session.ToolChoice, max_tokens: session.MaxTokens, effort: str | None = None, parallel: bool | None = None,
) -> Request:  # fmt: skip
    """The request to a text model that asks for the next answer. Its beginning stays the same from turn to turn, so
    that prompt caches serve it."""
    head = [Message(role="system", parts=[Text(text=instructions)])] if instructions else []
    made = Request(dialect="openai-realtime", model=model, messages=head + messages(items), stream=True)
    made.tools = [Tool(name=each.name, description=each.description, parameters=each.parameters) for each in tools]
    if tools:
        made.tool_choice = (
            ToolChoice(mode="tool", names=[choice.name]) if isinstance(choice, session.NamedTool)
            else ToolChoice(mode=choice)
        )  # fmt: skip
        made.parallel_tool_calls = parallel
    made.max_output_tokens = None if max_tokens == "inf" else max_tokens
    made.thinking = Thinking(effort=effort) if effort is not None else None
    return made
