"""What a stream repeats is read the short way: it must be read as the long way reads it."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dragoman import dialects
from dragoman.canon import Event, PartDelta, Used
from dragoman.dialects.repeats import Repeats

# texts that also stand elsewhere in frames, that JSON must escape, that say nothing, and plain ones
TEXTS = st.sampled_from(
    ["a", "b", "", " ", "id", "content", "text", "content_block_delta", "chunk-1", '"', "\\", "\n", "é", "\u2028", "🦊"]
)
T = "<text>"  # where a frame's text goes
CHAT_DELTAS: list[Any] = [
    {"content": T},
    {"content": T},
    {"reasoning_content": T},
    {"reasoning": T},
    {"content": T, "role": "assistant"},
    {"content": T, "reasoning_content": "a"},
    {"content": T, "tool_calls": [{"index": 0, "function": {"arguments": "1"}}]},
    {"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f", "arguments": ""}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": T}}]},
    {"content": T, "reasoning_details": [{"type": "reasoning.text", "text": "a", "signature": "s"}]},
    {"refusal": T},
]
ANTHROPIC_DELTAS: list[Any] = [
    {"type": "text_delta", "text": T},
    {"type": "text_delta", "text": T},
    {"type": "thinking_delta", "thinking": T},
    {"type": "input_json_delta", "partial_json": T},
    {"type": "signature_delta", "signature": T},
    {"type": "citations_delta", "citation": {"type": "x", "cited_text": T}},
]
BLOCKS: list[Any] = [
    {"type": "text", "text": ""},
    {"type": "thinking", "thinking": ""},
    {"type": "tool_use", "id": "t", "name": "f", "input": {}},
    {"type": "server_tool_use", "id": "t", "name": "f", "input": {}},
]


@st.composite
def chat_shapes(draw: st.DrawFn) -> str:
    choice: Any = {"index": draw(st.sampled_from([0, 0, 1])), "delta": draw(st.sampled_from(CHAT_DELTAS))}
    chunk: Any = {"id": "chunk-1", "model": "m", "choices": [choice], "usage": None}
    match draw(st.integers(0, 12)):
        case 0:
            choice["finish_reason"] = draw(st.sampled_from(["stop", "length"]))
        case 1 | 2:
            chunk["usage"] = {"prompt_tokens": draw(st.integers(0, 1)), "completion_tokens": 1}
        case 3:
            chunk = {"note": {"content": T}, **chunk}
        case 4:
            choice["logprobs"] = {"content": [{"token": "a", "logprob": -1.0}]}
        case 5:
            chunk["choices"] = [choice, {**choice, "index": 1}]
        case 6:
            chunk["x_groq"] = {"usage": {"prompt_tokens": draw(st.integers(0, 1))}}
    return "data: " + json.dumps(chunk)


@st.composite
def anthropic_shapes(draw: st.DrawFn) -> str:
    index, delta = draw(st.sampled_from([0, 0, 0, 1])), draw(st.sampled_from(ANTHROPIC_DELTAS))
    event: Any = {"type": "content_block_delta", "index": index, "delta": delta}
    match draw(st.integers(0, 7)):
        case 0 | 1:
            event = {"type": "content_block_start", "index": index, "content_block": draw(st.sampled_from(BLOCKS))}
        case 2 | 3:
            event = {"type": "content_block_stop", "index": 0}
        case 4:
            event = {"type": "ping", "delta": delta}
        case 5:
            event = {"note": {"delta": delta}, **event}
        case 6:
            event = {"type": T, "delta": {"type": "text_delta", "text": "a"}}
    named = f"event: {event['type']}\n" if draw(st.booleans()) else ""
    return named + "data: " + json.dumps(event)


SHAPES = {"openai-chat": chat_shapes(), "anthropic": anthropic_shapes()}


@st.composite
def streams(draw: st.DrawFn, name: str) -> list[bytes]:
    """Frames of a few shapes, in runs."""
    shapes = draw(st.lists(SHAPES[name], min_size=1, max_size=4))
    runs = draw(st.lists(st.tuples(st.sampled_from(shapes), st.lists(TEXTS, min_size=1, max_size=4)), max_size=10))
    escapes = draw(st.booleans())
    texts = [(shape, json.dumps(text, ensure_ascii=escapes)) for shape, run in runs for text in run]
    frames = [shape.replace(json.dumps(T), text).encode() for shape, text in texts]
    return [OPENING, *frames, b'data: {"type":"message_stop"}'] if name == "anthropic" else [*frames, b"data: [DONE]"]


OPENING = b'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}'


def events(name: str, frames: list[bytes]) -> list[Event]:
    reader = dialects.upstream(name).StreamReader()
    return [event for frame in frames for event in reader.feed(frame + b"\n\n")] + reader.close()


@pytest.mark.parametrize("name", SHAPES)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_frames_that_repeat_say_what_frames_that_differ_say(name: str, data: st.DataObject) -> None:
    said = data.draw(streams(name))
    differing = [frame + b" " * number for number, frame in enumerate(said)]  # blanks no two have alike
    assert events(name, said) == events(name, differing)


def test_usage_that_changes_and_changes_back_is_told_each_time() -> None:
    chunk = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}],"usage":{"completion_tokens":%d}}'
    counts = [1, 1, 1, 2, 1, 1]
    told = [
        event.usage.output for event in events("openai-chat", [chunk % n for n in counts]) if isinstance(event, Used)
    ]
    assert told == [1, 2, 1]


def test_a_frame_of_another_type_says_nothing_after_one_whose_text_is_that_type() -> None:
    ping = b'data: {"type":"ping","index":0,"delta":{"type":"text_delta","text":"%b"}}'
    said = events("anthropic", [OPENING, ping % b"content_block_delta", ping % b"a"])
    assert "a" not in [event.text for event in said if isinstance(event, PartDelta)]


FRAME = b'data: {"id":"a","say":"%b"}\n\n'


def says(frame: bytes) -> str | None:
    found = json.loads(frame.removeprefix(b"data: "))["say"]
    return found if isinstance(found, str) else None


def test_a_frame_like_the_learned_one_is_known() -> None:
    repeats = Repeats(says)
    assert repeats.read(FRAME % b"b") is None
    repeats.learn(FRAME % b"b", PartDelta(index=3, choice=1, text="b"))
    assert repeats.read(FRAME % rb"c\n") == PartDelta(index=3, choice=1, text="c\n")
    repeats.forget()
    assert repeats.read(FRAME % b"c") is None


def test_a_text_that_stands_elsewhere_too_is_not_mistaken() -> None:
    repeats = Repeats(says)
    repeats.learn(FRAME % b"a", PartDelta(index=0, text="a"))
    assert repeats.read(b'data: {"id":"x","say":"a"}\n\n') is None
    assert repeats.read(FRAME % b"a") is None


@given(st.binary(max_size=8))
@example(b'x","say":"y')
@example(b'"')
@example(b"\n")
@example(b'x","more":{"say":"y"},"z":"')
def test_what_is_not_one_string_is_not_known(inside: bytes) -> None:
    """A frame that the short way knows is one that the long way reads, and as the same."""
    repeats = Repeats(says)
    repeats.learn(FRAME % b"b", PartDelta(index=0, text="b"))
    known = repeats.read(FRAME % inside)
    try:
        text = says(FRAME % inside)
    except ValueError:
        text = None
    assert known is None or known.text == text


def test_a_stream_whose_frames_differ_elsewhere_is_given_up() -> None:
    asked: list[bytes] = []

    def never(frame: bytes) -> str | None:
        asked.append(frame)
        return None

    repeats = Repeats(never)
    for number in range(1000):
        repeats.learn(b'data: {"n":%d,"say":"b"}\n\n' % number, PartDelta(index=0, text="b"))
    assert len(asked) < 10
