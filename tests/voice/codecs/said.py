"""Hypothesis strategies: what clients and servers of OpenAI's Realtime API (GA) say."""

import base64
import itertools
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Event = dict[str, Any]

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAME = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
PCM = st.integers(1, 6).map(lambda n: base64.b64encode(bytes(range(2 * n))).decode())
FORMAT = st.sampled_from([{"type": "audio/pcm", "rate": 24000}, {"type": "audio/pcmu"}, {"type": "audio/pcma"}])
SCHEMA: Event = {"type": "object", "properties": {"some_place": {"type": "string"}}, "required": ["some_place"]}


def numbers(whose: str = "") -> Callable[[str], str]:
    """Ids that count up."""
    count = itertools.count(1)
    return lambda kind: f"{kind}_{whose}{next(count)}"


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Event]:
    """An object with any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


FUNCTIONS = st.lists(
    st.fixed_dictionaries(
        {"type": st.just("function"), "name": NAME}, optional={"description": TEXT, "parameters": st.just(SCHEMA)}
    ),
    max_size=2,
    unique_by=lambda tool: tool["name"],
)
CHOICE = st.sampled_from(["auto", "none", "required"])
SERVER_VAD = some(
    threshold=st.sampled_from([0.25, 0.5]),
    prefix_padding_ms=st.integers(0, 500),
    silence_duration_ms=st.integers(100, 900),
    create_response=st.booleans(),
    interrupt_response=st.booleans(),
).map(lambda vad: {"type": "server_vad", **vad})
SEMANTIC_VAD = some(create_response=st.booleans(), interrupt_response=st.booleans()).map(
    lambda vad: {"type": "semantic_vad", **vad}
)
EAGER = st.sampled_from(["low", "medium", "high", "auto"])
LIMIT = st.integers(1, 4096) | st.just("inf")
MODALITIES = st.sampled_from([["audio"], ["text"]])
VOICE = st.sampled_from(["alloy", "marin", "a voice"])


HEARING = st.fixed_dictionaries({"model": NAME}, optional={"language": st.sampled_from(["en", "de"])})


@st.composite
def sessions(draw: st.DrawFn) -> Event:
    """What every flat dialect can say of a session, as GA says it."""
    session = draw(
        some(
            instructions=TEXT,
            output_modalities=MODALITIES,
            max_output_tokens=LIMIT,
            tools=FUNCTIONS,
            tool_choice=CHOICE,
        )
    )
    heard = draw(
        some(
            format=FORMAT,
            transcription=HEARING | st.none(),
            noise_reduction=st.sampled_from([{"type": "near_field"}, {"type": "far_field"}]) | st.none(),
            turn_detection=SERVER_VAD | SEMANTIC_VAD | st.none(),
        )
    )
    spoken = draw(some(format=FORMAT, voice=VOICE))
    audio = {name: value for name, value in (("input", heard), ("output", spoken)) if value}
    return {"type": "realtime", **session, **({"audio": audio} if audio else {})}


USER_PART = st.one_of(
    st.builds(lambda text: {"type": "input_text", "text": text}, TEXT),
    st.builds(lambda audio: {"type": "input_audio", "audio": audio}, PCM),
)
ITEM = st.one_of(
    st.builds(lambda parts: {"type": "message", "role": "user", "content": parts}, st.lists(USER_PART, max_size=2)),
    st.builds(
        lambda text: {"type": "message", "role": "system", "content": [{"type": "input_text", "text": text}]}, TEXT
    ),
    st.builds(
        lambda text: {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}, TEXT
    ),
    st.builds(
        lambda name, value: {"type": "function_call", "name": name, "call_id": "call_1", "arguments": value},
        NAME,
        st.just('{"some_place": "Ulm"}'),
    ),
    st.builds(lambda out: {"type": "function_call_output", "call_id": "call_1", "output": out}, TEXT),
)
RESPONSE = st.builds(
    lambda response, output: {**response, **({"audio": {"output": output}} if output else {})},
    some(
        instructions=TEXT,
        output_modalities=MODALITIES,
        max_output_tokens=LIMIT,
        tools=FUNCTIONS,
        tool_choice=CHOICE,
        metadata=st.dictionaries(NAME, TEXT, max_size=2),
        input=st.lists(ITEM, max_size=2),
    ),
    some(format=FORMAT, voice=VOICE),
)

_PLAIN = st.sampled_from(
    [
        {"type": "input_audio_buffer.commit"},
        {"type": "input_audio_buffer.clear"},
        {"type": "response.cancel"},
        {"type": "response.cancel", "response_id": "resp_1"},
        {"type": "response.create"},
        {"type": "conversation.item.delete", "item_id": "item_1"},
        {"type": "conversation.item.retrieve", "item_id": "item_1"},
        {"type": "conversation.item.truncate", "item_id": "item_1", "content_index": 0, "audio_end_ms": 120},
    ]
)
CLIENT_EVENT = st.builds(
    lambda event, event_id: {**event, **({"event_id": event_id} if event_id else {})},
    st.one_of(
        _PLAIN,
        st.builds(lambda session: {"type": "session.update", "session": session}, sessions()),
        st.builds(lambda audio: {"type": "input_audio_buffer.append", "audio": audio}, PCM),
        st.builds(lambda item: {"type": "conversation.item.create", "item": item}, ITEM),
        st.builds(lambda item: {"type": "conversation.item.create", "item": item, "previous_item_id": "root"}, ITEM),
        st.builds(lambda response: {"type": "response.create", "response": response}, RESPONSE),
    ),
    st.none() | NAME,
)


class Server:
    """Says what a GA server says, in order, with ids of its own."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.id = numbers()
        self.last: str | None = None

    def say(self, kind: str, **fields: Any) -> None:
        self.events.append({"type": kind, "event_id": self.id("event"), **fields})

    def begin(self, session: Event) -> None:
        told = {**session, "id": "sess_1", "object": "realtime.session", "model": "m", "expires_at": 1_790_000_000}
        self.say("session.created", session=told)
        self.say("session.updated", session=told)

    def item(self, item: Event) -> None:
        """An item that no response makes."""
        for kind in ("added", "done"):
            self.say(f"conversation.item.{kind}", item=item, previous_item_id=self.last)
        self.last = item["id"]

    def heard(self, words: str | None, vad: bool) -> None:
        """A spoken turn of the user; `words`: its transcription."""
        item = self.id("item")
        if vad:
            self.say("input_audio_buffer.speech_started", audio_start_ms=100, item_id=item)
            self.say("input_audio_buffer.speech_stopped", audio_end_ms=1300, item_id=item)
        self.say("input_audio_buffer.committed", item_id=item, previous_item_id=self.last)
        content = [{"type": "input_audio", "transcript": None}]
        self.item(
            {
                "id": item, "object": "realtime.item", "type": "message", "role": "user", "status": "completed",
                "content": content,
            }
        )  # fmt: skip
        if words is not None:
            about = {"item_id": item, "content_index": 0}
            self.say("conversation.item.input_audio_transcription.delta", **about, delta=words)
            usage = {"type": "duration", "seconds": 1.2}
            self.say("conversation.item.input_audio_transcription.completed", **about, transcript=words, usage=usage)

    def reply(self, makes: list[tuple[str, list[str]]], status: str, aside: bool = False) -> None:
        """A response: `makes` is what it makes, each "audio", "text" or a function's name, with its pieces."""
        response = self.id("resp")
        about = {"id": response, "object": "realtime.response", "conversation_id": None if aside else "conv_1",
                 "output_modalities": ["audio"], "metadata": None}  # fmt: skip
        self.say("response.created", response={**about, "status": "in_progress", "output": []})
        made = []
        for index, (kind, pieces) in enumerate(makes):
            cut = status == "cancelled" and index == len(makes) - 1
            on = {"response_id": response, "output_index": index}
            made.append(self._message(on, kind, pieces, aside, cut) if kind in ("audio", "text") else
                        self._call(on, kind, pieces, aside))  # fmt: skip
        reason = {"type": status, **({"reason": "turn_detected"} if status == "cancelled" else {})}
        usage = {"total_tokens": 9, "input_tokens": 4, "output_tokens": 5,
                 "input_token_details": {"text_tokens": 1, "audio_tokens": 3, "cached_tokens": 0},
                 "output_token_details": {"text_tokens": 2, "audio_tokens": 3}}  # fmt: skip
        self.say(
            "response.done",
            response={**about, "status": status, "status_details": reason, "output": made, "usage": usage},
        )

    def _open(self, on: Event, item: Event, aside: bool) -> str | None:
        self.say("response.output_item.added", **on, item=item)
        before = self.last
        if not aside:
            self.say("conversation.item.added", item=item, previous_item_id=before)
            self.last = item["id"]
        return before

    def _close(self, on: Event, item: Event, aside: bool, before: str | None) -> Event:
        if not aside:
            self.say("conversation.item.done", item=item, previous_item_id=before)
        self.say("response.output_item.done", **on, item=item)
        return item

    def _message(self, on: Event, kind: str, pieces: list[str], aside: bool, cut: bool) -> Event:
        begun = {"id": self.id("item"), "object": "realtime.item", "type": "message", "role": "assistant",
                 "status": "in_progress", "content": []}  # fmt: skip
        before = self._open(on, begun, aside)
        at = {**on, "item_id": begun["id"], "content_index": 0}
        whole = "".join(pieces)
        said = {"type": kind, "transcript" if kind == "audio" else "text": whole}
        self.say("response.content_part.added", **at, part={**said, "transcript" if kind == "audio" else "text": ""})
        for piece in pieces:
            if kind == "audio":
                self.say("response.output_audio_transcript.delta", **at, delta=piece)
                self.say("response.output_audio.delta", **at, delta="AAAA")
            else:
                self.say("response.output_text.delta", **at, delta=piece)
        if kind == "audio":
            self.say("response.output_audio.done", **at)
            self.say("response.output_audio_transcript.done", **at, transcript=whole)
        else:
            self.say("response.output_text.done", **at, text=whole)
        self.say("response.content_part.done", **at, part=said)
        part = {**said, "type": f"output_{kind}"}
        ended = {**begun, "status": "incomplete" if cut else "completed", "content": [part]}
        return self._close(on, ended, aside, before)

    def _call(self, on: Event, name: str, pieces: list[str], aside: bool) -> Event:
        begun = {"id": self.id("item"), "object": "realtime.item", "type": "function_call", "status": "in_progress",
                 "name": name, "call_id": self.id("call"), "arguments": ""}  # fmt: skip
        before = self._open(on, begun, aside)
        at = {**on, "item_id": begun["id"], "call_id": begun["call_id"]}
        for piece in pieces:
            self.say("response.function_call_arguments.delta", **at, delta=piece)
        whole = "".join(pieces)
        self.say("response.function_call_arguments.done", **at, arguments=whole, name=name)
        return self._close(on, {**begun, "status": "completed", "arguments": whole}, aside, before)


_PIECES = st.lists(TEXT.filter(bool), min_size=1, max_size=3)
_MADE = st.tuples(st.sampled_from(["audio", "text"]), _PIECES) | st.tuples(
    NAME.map(lambda name: f"f_{name}"), st.just(['{"some_place"', ': "Ulm"}'])
)


@st.composite
def server_events(draw: st.DrawFn, aside: bool = True) -> list[Event]:
    """The events of a session, in order. `aside`: with responses outside the conversation."""
    server = Server()
    server.begin(draw(sessions()))
    for _ in range(draw(st.integers(0, 3))):
        server.heard(draw(st.none() | TEXT), draw(st.booleans()))
        server.reply(
            draw(st.lists(_MADE, min_size=1, max_size=2)),
            draw(st.sampled_from(["completed", "cancelled"])),
            draw(st.booleans()) and aside,
        )
    return server.events
