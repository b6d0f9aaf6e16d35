"""Upstreams that say one text, whole or from where another broke off."""

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from fake_wire import Says, Sent

from dragoman import dialects
from dragoman.canon import (
    Begin,
    Broken,
    End,
    Event,
    Finish,
    Fold,
    PartDelta,
    PartEnd,
    PartStart,
    Reply,
    Request,
    Text,
    ToolCall,
    Usage,
    Used,
)  # fmt: skip
from dragoman.wire.errors import ConnectionLost, WireError

TEXT = "The ship sails at dawn,  and the harbour master\n\nwants his fee: häß 你好 😀, before it does. The end."
USED = Usage(input=30, output=20)


def written(dialect: str, text: str, size: int = 5) -> bytes:
    """A whole stream with this text."""
    events: list[Event] = [Begin(id="x1", model="m-up", created=1), PartStart(index=0, part=Text())]
    events += [PartDelta(index=0, text=text[i : i + size]) for i in range(0, len(text), size)]
    events += [PartEnd(index=0), Finish(reason="stop"), Used(usage=USED), End()]
    return dialects.client(dialect).StreamWriter(Request(dialect=dialect, include_usage=True)).write(events)


def calling(dialect: str, text: str, mark: str) -> bytes:
    """A whole stream with this text (where there is any), and two tool calls."""
    events: list[Event] = [Begin(id="x1", model="m-up", created=1)]
    parts: list[tuple[Text | ToolCall, str]] = [(Text(), text)] if text else []
    parts += [(ToolCall(id=city + mark, name="weather"), json.dumps({"city": city})) for city in ("Rome", "Oslo")]
    for index, (part, filling) in enumerate(parts):
        events.append(PartStart(index=index, part=part))
        events += [PartDelta(index=index, text=filling[i : i + 5]) for i in range(0, len(filling), 5)]
        events.append(PartEnd(index=index))
    events += [Finish(reason="tool_calls"), Used(usage=USED), End()]
    return dialects.client(dialect).StreamWriter(Request(dialect=dialect, include_usage=True)).write(events)


def breaks(dialect: str, at: int, error: WireError | None = None, text: str = TEXT) -> Says:
    """The stream, broken after `at` bytes."""
    lost = ConnectionLost("gone") if error is None else error
    return Says(pieces=[written(dialect, text)[:at]], error=lost) if at else Says(pieces=[], error=lost)


def rest(
    dialect: str, text: str = TEXT, how: str = "exact", cuts: Sequence[int] = (), **more: Any
) -> Callable[[Sent], Says]:
    """Goes on with the text as `how` says (see `canon.joined.Mode`), and minds how it was asked."""

    def answer(sent: Sent) -> Says:
        said, asked = beginning(sent.json)
        assert text.startswith(said)
        assert said == said.rstrip()
        assert asked == (how == "asked" and said != "")
        start = len(said)
        if how == "echo":
            start = 0
        elif asked:
            start = len(said) - len(anchor(sent.json))
            assert said.endswith(anchor(sent.json))
        stream = written("openai-responses" if "input" in sent.json else dialect, text[start:])
        edges = [0, *sorted(cut % len(stream) for cut in cuts), len(stream)]
        return Says(pieces=[stream[a:b] for a, b in pairwise(edges)], **more)

    return answer


def _messages(body: Any) -> Any:
    return body["messages"] if "messages" in body else body["input"]


def _content(message: Any) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def beginning(body: Any) -> tuple[str, bool]:
    """The beginning of the answer that a request carries; and whether it is asked in words to go on."""
    messages = _messages(body)
    if messages[-1]["role"] == "assistant":
        return _content(messages[-1]), False
    if len(messages) > 1 and messages[-2]["role"] == "assistant":
        return _content(messages[-2]), True
    return "", False


def anchor(body: Any) -> str:
    """What the model is to repeat."""
    return _content(_messages(body)[-1]).partition(":\n")[2]


def heard(dialect: str, body: bytes) -> tuple[Reply, Event]:
    """What a client made of its stream, and the last event of it."""
    reader, fold = dialects.upstream(dialect).StreamReader(), Fold()
    events = [*reader.feed(body), *reader.close()]
    for event in events:
        if not isinstance(event, Broken):
            fold.add(event)
    return fold.reply, events[-1]


def text_of(reply: Reply) -> str:
    return "".join(part.text for choice in reply.choices for part in choice.parts if isinstance(part, Text))
