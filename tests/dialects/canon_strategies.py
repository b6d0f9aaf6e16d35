"""Anything that can be said, for the laws: requests, replies and event streams in the canon's own words."""

import base64
import itertools
from collections.abc import Sequence as Many
from typing import Any

import msgspec
from hypothesis import strategies as st

from dragoman.canon import (
    Begin,
    Choice,
    End,
    Event,
    Finish,
    FinishReason,
    Media,
    Message,
    OutputFormat,
    Part,
    PartDelta,
    PartEnd,
    PartPatch,
    PartStart,
    Reasoning,
    Refusal,
    Reply,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Usage,
    Used,
)

WORDS = [
    "hello",
    "häß 你好 😀",
    'quo"te \\ back',
    "line\nbreak",
    "<b>&amp;",
    "{}",
    "data: x",
    "[DONE]",
    "tab\tend",
    "\u2028sep",
]
NAMES = ["weather", "search_web", "f", "run-it", "Get_Time2"]
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"x" * 24).decode()
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "description": "where"}}, "required": ["city"]}

texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)
names = st.sampled_from(NAMES)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b c", "é"]), inner, max_size=2),
    max_leaves=4,
)
arguments = st.dictionaries(st.sampled_from(["city", "n", "deep"]), values, max_size=3).map(
    lambda value: msgspec.json.encode(value).decode()
)
blobs = st.binary(min_size=3, max_size=30).map(lambda raw: base64.b64encode(raw).decode())


@st.composite
def calls(draw: st.DrawFn, most: int = 3, signer: str = "") -> list[ToolCall]:
    """Parallel calls, perhaps without arguments; with `signer`, some signed by that dialect's provider."""
    found = []
    for number in range(draw(st.integers(0, most))):
        call = ToolCall(id=f"call_{number}abc", name=draw(names), arguments=draw(arguments | st.just("{}")))
        if signer == "gemini" and draw(st.booleans()):
            call.signature, call.dialect = draw(blobs), signer
        found.append(call)
    return found


@st.composite
def reasonings(draw: st.DrawFn, dialect: str, least: int = 0) -> list[Reasoning]:
    """Thinking as the provider of `dialect` gives it, each part with what proves it."""
    found: list[Reasoning] = []
    for number in range(draw(st.integers(least, 3))):
        text = draw(texts)
        match dialect:
            case "anthropic" if draw(st.booleans()):
                found.append(Reasoning(encrypted=draw(blobs), dialect=dialect))
            case "anthropic" | "bedrock":
                found.append(Reasoning(text=text, signature=draw(blobs), dialect=dialect))
            case "openai-responses":
                shown = text if draw(st.booleans()) else ""
                sealed = draw(blobs)
                found.append(Reasoning(text=shown, summary=True, encrypted=sealed, id=f"rs_{number}", dialect=dialect))
            case _:
                found.append(Reasoning(text=text, dialect=dialect))
    return found


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    cached, written, fresh = (draw(st.integers(0, 5000)) for _ in range(3))
    reasoning, said = draw(st.integers(0, 3000)), draw(st.integers(0, 3000))
    return Usage(
        input=cached + written + fresh, output=reasoning + said, cached=cached, cache_write=written, reasoning=reasoning
    )


@st.composite
def replies(draw: st.DrawFn, dialect: str = "openai-chat", *, least_calls: int = 0, thinks: int = 0) -> Reply:
    """One answer: thinking, then text or a refusal, then calls."""
    parts: list[Part] = list(draw(reasonings(dialect, thinks)))
    kind = draw(st.sampled_from(["text", "text", "none"]))
    if kind == "text":
        parts.append(Text(text=draw(texts)))
    called = draw(calls(3, dialect).filter(lambda found: len(found) >= least_calls))
    parts += called
    if not parts:
        parts = [Text(text=draw(texts))]
    finish: FinishReason = "tool_calls" if called else draw(st.sampled_from(["stop", "length"]))  # type: ignore[assignment]
    return Reply(
        dialect=dialect,
        id="reply_1",
        model="model-1",
        created=1_790_000_000,
        choices=[Choice(parts=parts, finish=finish)],
        usage=draw(usages()),
    )


@st.composite
def refusing_replies(draw: st.DrawFn) -> Reply:
    reply = draw(replies())
    reply.choices = [Choice(parts=[Refusal(text=draw(texts))], finish="refusal")]
    return reply


def _cuts(draw: st.DrawFn, text: str) -> list[str]:
    """`text` in one to four pieces, none empty."""
    if not text:
        return []
    at = sorted({0, len(text), *draw(st.lists(st.integers(0, len(text)), max_size=3))})
    return [text[a:b] for a, b in itertools.pairwise(at)]


@st.composite
def part_events(draw: st.DrawFn, part: Part, index: int) -> list[Event]:
    """One part's way through its states, in random pieces."""
    match part:
        case ToolCall():
            hollow: Part = msgspec.structs.replace(part, arguments="")
            grown = part.arguments if part.arguments != "{}" or draw(st.booleans()) else ""
        case Text() | Refusal():
            hollow, grown = msgspec.structs.replace(part, text=""), part.text
        case Reasoning():
            hollow, grown = msgspec.structs.replace(part, text="", signature=None), part.text
        case _:
            hollow, grown = part, ""
    events: list[Event] = [PartStart(index=index, part=hollow)]
    events += [PartDelta(index=index, text=piece) for piece in _cuts(draw, grown)]
    if isinstance(part, Reasoning) and part.signature:
        events.append(PartPatch(index=index, signature=part.signature))
    return [*events, PartEnd(index=index)]


@st.composite
def interleaved(draw: st.DrawFn, ways: Many[Many[Event]]) -> list[Event]:
    """The ways side by side: each in its own order, starts in the order of the indexes."""
    queues = [list(way) for way in ways]
    found: list[Event] = []
    begun = 0
    while any(queues):
        choices = [number for number, queue in enumerate(queues[:begun]) if queue]
        if begun < len(queues):
            choices.append(begun)
        number = draw(st.sampled_from(choices))
        begun = max(begun, number + 1)
        found.append(queues[number].pop(0))
    return found


@st.composite
def streams(draw: st.DrawFn, reply: Reply, side_by_side: bool = True) -> list[Event]:
    """A legal stream that amounts to `reply` (of one choice)."""
    (choice,) = reply.choices
    ways = [draw(part_events(part, index)) for index, part in enumerate(choice.parts)]
    middle = draw(interleaved(ways)) if side_by_side else [event for way in ways for event in way]
    begin = Begin(id=reply.id, model=reply.model, created=reply.created, dialect=reply.dialect)
    used: list[Event] = [Used(usage=reply.usage)] if reply.usage else []
    return [begin, *middle, Finish(reason=choice.finish), *used, End()]


@st.composite
def histories(draw: st.DrawFn) -> list[Message]:
    """A conversation as the strictest dialect has it: turns alternate, every call is answered in the next turn."""
    found: list[Message] = []
    if draw(st.booleans()):
        found.append(Message(role="system", parts=[Text(text=draw(texts))]))
    found.append(Message(role="user", parts=draw(_said(True))))
    for turn in range(draw(st.integers(0, 2))):
        called = draw(calls(2))
        for call in called:
            call.id = f"{call.id}{turn}"
        spoken: list[Part] = [Text(text=draw(texts))] if draw(st.booleans()) or not called else []
        found.append(Message(role="assistant", parts=[*spoken, *called]))
        results: list[Part] = [
            ToolResult(call_id=call.id, name=call.name, content=[Text(text=draw(texts))]) for call in called
        ]
        found.append(Message(role="user", parts=[*results, *(draw(_said(False)) if not results else [])]))
    return found


@st.composite
def _said(draw: st.DrawFn, images: bool) -> list[Part]:
    parts: list[Part] = [Text(text=draw(texts))]
    if images and draw(st.booleans()):
        parts.append(Media(kind="image", mime="image/png", data=PNG))
    return parts


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """A request that every dialect can say the heart of, with settings that some can."""

    def maybe(strategy: st.SearchStrategy[Any]) -> Any:
        return draw(st.none() | strategy)

    offered = [
        Tool(name=name, description=f"does {name}", parameters=SCHEMA)
        for name in sorted(draw(st.sets(names, max_size=3)))
    ]
    choice = None
    if offered:
        choice = maybe(st.sampled_from(["auto", "none", "required"]).map(lambda mode: ToolChoice(mode=mode)))
    return Request(
        dialect="canon",
        model="model-1",
        messages=draw(histories()),
        tools=offered,
        tool_choice=choice,
        output=maybe(st.just(OutputFormat(kind="json_schema", name="answer", schema=SCHEMA))) if not offered else None,
        max_output_tokens=draw(st.integers(2000, 9000)),
        temperature=maybe(st.sampled_from([0.0, 0.25, 1.0])),
        top_p=maybe(st.sampled_from([0.5, 0.95])),
        top_k=maybe(st.integers(1, 50)),
        seed=maybe(st.integers(0, 1000)),
        stop=draw(st.lists(st.sampled_from(["END", "##"]), max_size=2, unique=True)),
        frequency_penalty=maybe(st.sampled_from([0.5])),
    )
