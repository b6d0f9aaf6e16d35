"""Can events of an OpenAI realtime session (GA) come in this order? What the original never does raises `OutOfOrder`.

    order = Order()
    for event in events:
        order.see(event)
    order.end()             # nothing is left open

A turn of a spoken conversation, as the original tells it; what is in brackets may be absent, `*` comes any number of
times, and transcriptions of the input come whenever they are ready:

    [speech_started speech_stopped] committed, conversation.item.added, conversation.item.done      the user's item
    response.created
        output_item.added, conversation.item.added
            content_part.added, delta*, the dones of its tracks, content_part.done                  of a message
            function_call_arguments.delta*, .done                                                   of a call
        conversation.item.done, output_item.done
    response.done

A response outside the conversation (its `conversation_id` is null) tells no conversation items. One that did not
complete may end with things still open; what it closes, it closes in this order. The tables below are the whole of it:
what may follow what, for each kind of thing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

Event = Mapping[str, Any]


class OutOfOrder(AssertionError):
    """The event cannot come now."""


SESSION = {
    ("none", "session.created"): "open",
    ("open", "session.updated"): "open",
    ("open", "conversation.created"): "open",
}

SPEECH = {
    ("quiet", "input_audio_buffer.speech_started"): "speaking",
    ("speaking", "input_audio_buffer.speech_stopped"): "ended",
    ("ended", "input_audio_buffer.committed"): "quiet",
    ("quiet", "input_audio_buffer.committed"): "quiet",  # by the client's own commit, or after idle time
    ("speaking", "input_audio_buffer.committed"): "quiet",
    ("quiet", "input_audio_buffer.timeout_triggered"): "quiet",
    **{(state, "input_audio_buffer.cleared"): "quiet" for state in ("quiet", "speaking", "ended")},
}

# an item in the conversation that no response makes
ITEM = {
    ("none", "conversation.item.added"): "added",
    ("added", "conversation.item.done"): "done",
}

# an item that a response makes, in the conversation and outside of it
OUTPUT = {
    ("none", "response.output_item.added"): "told",
    ("told", "conversation.item.added"): "open",
    ("open", "conversation.item.done"): "closing",
    ("closing", "response.output_item.done"): "done",
}
ASIDE = {
    ("none", "response.output_item.added"): "open",
    ("open", "response.output_item.done"): "done",
}

PART = {
    ("none", "response.content_part.added"): "open",
    ("open", "response.content_part.done"): "done",
}

TRACK = {
    ("none", "delta"): "open",
    ("open", "delta"): "open",
    ("none", "done"): "done",
    ("open", "done"): "done",
}

# what a part, or the item itself, is filled with: the tracks of each, and the field of the `done` that repeats it
TRACKS = {
    "audio": {"response.output_audio": None, "response.output_audio_transcript": "transcript"},
    "text": {"response.output_text": "text"},
    "function_call": {"response.function_call_arguments": "arguments"},
    "mcp_call": {"response.mcp_call_arguments": "arguments"},
}
_REPEATS = {track: repeat for tracks in TRACKS.values() for track, repeat in tracks.items()}


@dataclass
class _Track:
    state: str = "none"
    said: str = ""


@dataclass
class _Filled:
    """A content part, or an item that has arguments."""

    tracks: dict[str, _Track]
    state: str = "open"

    def unfinished(self) -> list[str]:
        return [name for name, track in self.tracks.items() if track.state != "done"]


@dataclass
class _Output:
    id: str
    aside: bool
    state: str = "none"
    parts: dict[int, _Filled] = field(default_factory=dict)
    call: _Filled | None = None


@dataclass
class _Response:
    id: str
    aside: bool
    outputs: dict[int, _Output] = field(default_factory=dict)


class Order:
    """Follows one session. `started`: its beginning was not seen."""

    def __init__(self, *, started: bool = False) -> None:
        self._session = "open" if started else "none"
        self._strict_items = not started
        self._speech = "quiet"
        self._speaking: str | None = None  # the item that the speech will be
        self._committed: list[str] = []  # and not yet told as items
        self._items: dict[str, str] = {}
        self._outputs: dict[str, _Output] = {}
        self._responses: dict[str, _Response] = {}
        self._ended: set[str] = set()
        self._transcribed: set[tuple[str, int]] = set()
        self._event_ids: set[str] = set()

    def see(self, event: Event) -> None:
        """The next event of the server."""
        kind = event["type"]
        if (event_id := event.get("event_id")) is not None:
            _demand(event_id not in self._event_ids, event, "two events have this id")
            self._event_ids.add(event_id)
        if kind.startswith("dragoman.") or kind == "error":
            return
        if kind.startswith("session.") or kind == "conversation.created":
            self._session = _step(SESSION, self._session, event)
            return
        _demand(self._session == "open", event, "the session has not been told")
        for begins, follow in self._FOLLOW.items():
            if kind.startswith(begins):
                follow(self, event)
                return
        raise OutOfOrder(f"{kind}: not an event of this protocol")

    def end(self) -> None:
        """No further event comes, and everything that was opened is closed."""
        if self._responses or self._committed or self._speech == "ended":
            raise OutOfOrder(f"left open: responses {list(self._responses)}, items {self._committed}")
        if unfinished := [i for i, state in self._items.items() if state == "added"]:
            raise OutOfOrder(f"left open: items {unfinished}")

    def _input(self, event: Event) -> None:
        self._speech = _step(SPEECH, self._speech, event)
        kind, item = event["type"], event.get("item_id")
        if kind.endswith(("speech_stopped", "committed")) and self._speaking is not None:
            _demand(item == self._speaking, event, f"the speech is item {self._speaking}")
        if kind.endswith("speech_started"):
            self._speaking = item
        elif kind.endswith(("committed", "cleared")):
            self._speaking = None
        if kind.endswith("committed"):
            self._previous(event)
            _demand(item not in self._items, event, "that item is there already")
            self._committed.append(str(item))

    def _transcription(self, event: Event) -> None:
        item, part = event["item_id"], event.get("content_index", 0)
        _demand(self._known(item) or item in self._committed, event, "no such item")
        _demand((item, part) not in self._transcribed, event, "its transcription has ended")
        if event["type"].endswith(("completed", "failed")):
            self._transcribed.add((item, part))

    def _item(self, event: Event) -> None:
        kind = event["type"]
        item = event["item"]["id"] if "item" in event else event["item_id"]
        if kind in ("conversation.item.added", "conversation.item.done"):
            if output := self._outputs.get(item):
                self._output(output, event)
                self._items[item] = "done" if output.state == "closing" else "added"
            else:
                self._items[item] = _step(ITEM, self._items.get(item, "none"), event)
            if kind.endswith("added"):
                self._previous(event)
                if item in self._committed:
                    self._committed.remove(item)
        else:
            _demand(kind != "conversation.item.created", event, "that is the beta's name")
            _demand(self._known(item), event, "no such item")
            if kind == "conversation.item.deleted":
                self._items.pop(item, None)

    def _response(self, event: Event) -> None:
        kind = event["type"]
        if kind == "response.created":
            self._begin(event)
            return
        if kind.startswith("response.mcp_call.") and "response_id" not in event:
            return
        response_id = event["response"]["id"] if "response" in event else event["response_id"]
        _demand(response_id not in self._ended, event, "that response is over")
        _demand(response_id in self._responses, event, "no such response")
        response = self._responses[response_id]
        if kind == "response.done":
            self._finish(response, event)
        elif kind == "response.output_item.added":
            self._open(response, event)
        else:
            index = event["output_index"]
            _demand(index in response.outputs, event, "no such item in the response")
            output = response.outputs[index]
            item = event["item"]["id"] if "item" in event else event["item_id"]
            _demand(item == output.id, event, f"the item there is {output.id}")
            if kind == "response.output_item.done":
                self._output(output, event)
            else:
                self._fill(output, event)

    def _begin(self, event: Event) -> None:
        response = event["response"]
        aside = "conversation_id" in response and response["conversation_id"] is None
        _demand(response["id"] not in self._responses and response["id"] not in self._ended, event, "id used before")
        if not aside:
            running = [r.id for r in self._responses.values() if not r.aside]
            _demand(not running, event, f"{running} runs in the conversation")
            _demand(not self._committed, event, f"items {self._committed} have not been told")
        _demand(response["status"] == "in_progress", event, "it has just begun")
        self._responses[response["id"]] = _Response(response["id"], aside)

    def _open(self, response: _Response, event: Event) -> None:
        index, item = event["output_index"], event["item"]
        _demand(index == len(response.outputs), event, "output indexes count up")
        _demand(item["id"] not in self._outputs and item["id"] not in self._items, event, "id used before")
        output = _Output(item["id"], response.aside)
        if item["type"] in TRACKS:
            output.call = _Filled({name: _Track() for name in TRACKS[item["type"]]})
        response.outputs[index] = self._outputs[output.id] = output
        self._output(output, event)

    @staticmethod
    def _output(output: _Output, event: Event) -> None:
        closes = event["type"].endswith(".done") and output.state == "open"
        output.state = _step(ASIDE if output.aside else OUTPUT, output.state, event)
        if closes and event["item"].get("status") != "incomplete":
            filled = [*output.parts.values(), *([output.call] if output.call else [])]
            _demand(not any(f.unfinished() for f in filled), event, "something in it is unfinished")
            _demand(all(p.state == "done" for p in output.parts.values()), event, "a part of it is open")

    def _fill(self, output: _Output, event: Event) -> None:
        kind = event["type"]
        _demand(output.state == "open", event, "the item is not open")
        if kind.startswith("response.content_part."):
            self._part(output, event)
            return
        name, _, step = kind.rpartition(".")
        filled = (
            output.call
            if output.call and name in output.call.tracks
            else output.parts.get(event.get("content_index", -1))
        )
        _demand(filled is not None and filled.state == "open" and name in filled.tracks, event, "no open part for it")
        assert filled is not None
        track = filled.tracks[name]
        track.state = _step(TRACK, track.state, event, step)
        if step == "delta":
            track.said += event["delta"]
        elif (repeat := _REPEATS[name]) and repeat in event:
            _demand(event[repeat] == track.said, event, f"the deltas say {track.said!r}")

    @staticmethod
    def _part(output: _Output, event: Event) -> None:
        index = event["content_index"]
        part = output.parts.get(index)
        state = _step(PART, part.state if part else "none", event)
        if part is None:
            _demand(index == len(output.parts), event, "content indexes count up")
            output.parts[index] = _Filled({name: _Track() for name in TRACKS[event["part"]["type"]]})
        else:
            _demand(not part.unfinished(), event, f"{part.unfinished()} unfinished")
            part.state = state

    def _finish(self, response: _Response, event: Event) -> None:
        told = event["response"]
        _demand(told["status"] != "in_progress", event, "it is over")
        unfinished = [o.id for o in response.outputs.values() if o.state != "done"]
        if told["status"] == "completed":
            _demand(not unfinished, event, f"items {unfinished} are open")
        if told.get("output") is not None:
            ids = [item.get("id") for item in told["output"]]
            made = [o.id for o in response.outputs.values()]
            _demand(ids == made, event, f"its items were {made}")
        for item in unfinished:
            if item in self._items:
                self._items[item] = "done"
        del self._responses[response.id]
        self._ended.add(response.id)

    def _known(self, item: str) -> bool:
        return item in self._items or not self._strict_items

    def _previous(self, event: Event) -> None:
        previous = event.get("previous_item_id")
        known = previous in (None, "root") or self._known(previous) or previous in self._committed
        _demand(known, event, "no such item before it")

    def _passing(self, event: Event) -> None:
        """Comes at any time."""

    _FOLLOW: ClassVar = {
        "input_audio_buffer.dtmf": _passing,
        "input_audio_buffer.": _input,
        "conversation.item.input_audio_transcription.": _transcription,
        "conversation.item.": _item,
        "response.": _response,
        "rate_limits.updated": _passing,
        "output_audio_buffer.": _passing,
        "mcp_list_tools.": _passing,
    }


def in_order(events: list[dict[str, Any]], *, started: bool = False) -> None:
    """Raise `OutOfOrder` where these are not the events of a whole session; `started`: after its beginning."""
    order = Order(started=started)
    for event in events:
        order.see(event)
    order.end()


def _step(table: Mapping[tuple[str, str], str], state: str, event: Event, step: str | None = None) -> str:
    after = table.get((state, step or event["type"]))
    _demand(after is not None, event, f"not in state {state!r}")
    assert after is not None
    return after


def _demand(holds: bool, event: Event, why: str) -> None:
    if not holds:
        raise OutOfOrder(f"{event['type']}: {why}\n{str(dict(event))[:1000]}")
