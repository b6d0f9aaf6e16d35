"""Responses that run, and how one ends for the client whose provider is gone (pure)."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct, field

from dragoman.voice.relaying.heads import Names
from dragoman.voice.relaying.items import Item, Part

Event = dict[str, Any]
_WRITTEN = {True: ("response.output_audio_transcript.done", "transcript"), False: ("response.output_text.done", "text")}
Say = Callable[[str, Event], Event]  # an event of that type, with these fields


class Open(Struct):
    """A response that runs. `create`: the client's event that asked for it; empty where the provider began it.
    `cancelled`: the client wants no more of it."""

    body: Event
    create: str
    items: dict[int, Item] = field(default_factory=dict)
    cancelled: bool = False

    @property
    def complete(self) -> bool:
        """All of it is there but its last event: nothing follows a call of a function."""
        items = [item for _, item in sorted(self.items.items())]
        return bool(items) and all(item.done for item in items) and items[-1].calls


def ending(response: Open, names: Names, new_id: Callable[[], str]) -> list[Event]:
    """The events that end a response that broke, in the order in which a cancelled one ends."""

    def say(kind: str, fields: Event) -> Event:
        return {"type": names.theirs(kind), "event_id": new_id(), **fields}

    body, events = response.body, []
    for index, item in sorted(response.items.items()):
        if item.done:
            continue
        if not item.shown and body.get("conversation_id") is not None:
            events.append(say("conversation.item.added", {"previous_item_id": None, "item": item.body}))
            item.shown = True
        at = {"response_id": body.get("id"), "item_id": item.id, "output_index": index}
        for number, part in sorted(item.parts.items()):
            if not part.done:
                events += _part_ending(part, at | {"content_index": number}, say)
        item.body = item.body | {"status": "incomplete"} | _content(item, names)
        if item.shown and not (item.settled or names.created):
            events.append(say("conversation.item.done", {"item": item.body}))
            item.settled = True
        where = {"response_id": body.get("id"), "output_index": index}
        events.append(say("response.output_item.done", where | {"item": item.body}))
        item.response = None
    output = [item.body for _, item in sorted(response.items.items())]
    events.append(say("response.done", {"response": body | _status(response) | {"output": output}}))
    return events


def _part_ending(part: Part, at: Event, say: Say) -> list[Event]:
    last = []
    if part.spoken and not part.whole:
        last.append(say("response.output_audio.done", at))
    if not part.written:
        kind, name = _WRITTEN[part.spoken]
        last.append(say(kind, at | {name: part.text}))
    shown = {"type": part.type, _WRITTEN[part.spoken][1]: part.text}
    return [*last, say("response.content_part.done", at | {"part": shown})]


def _content(item: Item, names: Names) -> Event:
    """What an item that broke has of content: what was heard. Its parts have other names there than by themselves."""
    if item.calls:
        return {"arguments": item.arguments}
    return {
        "content": [
            {"type": names.audio, "transcript": part.heard(None)}
            if part.spoken
            else {"type": names.text, "text": part.text}
            for _, part in sorted(item.parts.items())
        ]
    }


def _status(response: Open) -> Event:
    if response.complete:
        return {"status": "completed", "status_details": None}
    if response.cancelled:
        return {"status": "cancelled", "status_details": {"type": "cancelled", "reason": "client_cancelled"}}
    return {"status": "incomplete", "status_details": {"type": "incomplete"}}
