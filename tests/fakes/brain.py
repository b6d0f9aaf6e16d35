"""What a fake model says: a deterministic answer to the last turn, with directives in the user's text.

| in the user's text (or in a tool's result) | the answer |
|---|---|
| anything | `You said: …`, then one `[image image/png sha256:…]` for each medium that arrived |
| `call:NAME` or `call:NAME{"a": 1}` or `call:NAME(free text)` | calls this tool, if offered; several in order |
| `preamble` | some text before the calls |
| `refuse` | a refusal, in the dialect's own way |
| `filter` | stopped by the content filter after some text |
| `redact` | with thinking on: a part of the thinking is redacted |
| `words:N` | a text of N words |
| `exact:TEXT` | TEXT to the end of the line, and nothing else |

After tool results: `NAME returned: …` for each. With a schema for the output: JSON that satisfies it.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal

JSON = dict[str, Any]
_CALL = re.compile(r"call:([A-Za-z0-9_.-]+)")


@dataclass
class Tool:
    """A tool that was offered. `free` tools take text and no JSON."""

    name: str
    schema: JSON = field(default_factory=dict)
    free: bool = False


@dataclass
class Turn:
    """What the model is asked: the last turn, out of its dialect. Tokens are counted as four characters each."""

    text: str = ""
    media: list[str] = field(default_factory=list)
    results: list[tuple[str, str]] = field(default_factory=list)
    tools: list[Tool] = field(default_factory=list)
    choice: str = "auto"  # auto, none, any, or the name of a tool behind "="
    parallel: bool = True
    schema: JSON | None = None
    json_mode: bool = False
    thinking: bool = False
    max_tokens: int | None = None
    stop: list[str] = field(default_factory=list)
    prompt: str = ""  # the whole prompt as text, for counting


@dataclass
class Thought:
    text: str
    redacted: bool = False


@dataclass
class Say:
    text: str


@dataclass
class Refusal:
    text: str


@dataclass
class Call:
    """A tool call; `arguments` is JSON text, or free text for a free tool."""

    name: str
    arguments: str = "{}"
    free: bool = False


@dataclass
class Usage:
    """`prompt` counts all input tokens, those `cached` and `written` to the cache among them; `output` all output
    tokens, those for `reasoning` among them."""

    prompt: int
    output: int
    cached: int = 0
    written: int = 0
    reasoning: int = 0


@dataclass
class Answer:
    parts: list[Thought | Say | Refusal | Call] = field(default_factory=list)
    finish: Literal["stop", "length", "tools", "filter", "refusal"] = "stop"
    stopped_by: str | None = None
    usage: Usage = field(default_factory=lambda: Usage(0, 0))

    @property
    def text(self) -> str:
        return "".join(p.text for p in self.parts if isinstance(p, Say))

    @property
    def calls(self) -> list[Call]:
        return [p for p in self.parts if isinstance(p, Call)]

    @property
    def thoughts(self) -> list[Thought]:
        return [p for p in self.parts if isinstance(p, Thought)]

    @property
    def refusal(self) -> str | None:
        return "".join(p.text for p in self.parts if isinstance(p, Refusal)) or None


def tokens(text: str) -> int:
    """How many tokens the fakes count for a text."""
    return (len(text) + 3) // 4


def seen(kind: str, mime: str | None, data: bytes) -> str:
    """How a medium is acknowledged in the answer."""
    return f"[{kind} {mime or 'unknown'} sha256:{hashlib.sha256(data).hexdigest()[:16]}]"


def linked(kind: str, url: str) -> str:
    """How a medium that was given by its address is acknowledged."""
    return f"[{kind} {url}]"


def answer(turn: Turn) -> Answer:
    """The model's answer, without the count of cached tokens, which depends on what was asked before."""
    said = Answer()
    if turn.thinking:
        said.parts.append(Thought(f"Let me think about {turn.text[:40] or 'the results'!r} step by step."))
        if "redact" in turn.text:
            said.parts.append(Thought("nobody may read this", redacted=True))
    _speak(turn, said)
    count(turn, said)
    return said


def _speak(turn: Turn, said: Answer) -> None:
    asked = turn.text + " ".join(text for _, text in turn.results)
    calls = _calls(turn, asked)
    if re.search(r"\brefuse\b", turn.text):
        said.parts.append(Refusal("I'm sorry, I can't help with that."))
        said.finish = "refusal"
    elif calls:
        if "preamble" in asked:
            said.parts.append(Say("Let me look that up."))
        said.parts.extend(calls)
        said.finish = "tools"
    else:
        _say(turn, said)


def _calls(turn: Turn, asked: str) -> list[Call]:
    if turn.choice == "none":
        return []
    offered = {tool.name: tool for tool in turn.tools}
    found = [
        Call(tool.name, _arguments(asked[match.end() :], tool), tool.free)
        for match in _CALL.finditer(asked)
        if (tool := offered.get(match[1].rstrip(".")))
    ]
    if turn.choice.startswith("="):
        found = [call for call in found if call.name == turn.choice[1:]] or _forced(offered.get(turn.choice[1:]))
    elif turn.choice == "any":
        found = found or _forced(next(iter(turn.tools), None))
    return found if turn.parallel else found[:1]


def _forced(tool: Tool | None) -> list[Call]:
    if tool is None:
        return []
    return [Call(tool.name, "free text" if tool.free else json.dumps(example(tool.schema)), tool.free)]


def _arguments(rest: str, tool: Tool) -> str:
    if tool.free:
        return rest[1:].partition(")")[0] if rest.startswith("(") else ""
    if not rest.startswith("{"):
        return "{}"
    value, _ = json.JSONDecoder().raw_decode(rest)
    return json.dumps(value)


def _say(turn: Turn, said: Answer) -> None:
    text = _text(turn)
    if re.search(r"\bfilter\b", turn.text):
        said.finish = "filter"
    for stop in turn.stop:
        head, mark, _ = text.partition(stop)
        if mark:
            text, said.stopped_by = head, stop
    if turn.max_tokens is not None and tokens(text) > turn.max_tokens:
        text, said.finish, said.stopped_by = text[: turn.max_tokens * 4], "length", None
    said.parts.append(Say(text))


def _text(turn: Turn) -> str:
    if turn.schema is not None:
        return json.dumps(example(turn.schema))
    if turn.json_mode:
        return json.dumps({"said": turn.text})
    if match := re.search(r"\bwords:(\d+)", turn.text):
        return " ".join(f"word{i}" for i in range(int(match[1])))
    if match := re.search(r"\bexact:(.*)", turn.text):
        return match[1]
    heard = [f"{name} returned: {text}" for name, text in turn.results]
    if turn.text:
        heard.append(f"You said: {turn.text}")
    return " ".join([*heard, *turn.media]) or "You said nothing."


def count(turn: Turn, said: Answer) -> None:
    """Fill in the tokens of an answer."""
    reasoning = sum(tokens(t.text) for t in said.thoughts)
    spoken = sum(tokens(p.text) for p in said.parts if isinstance(p, Say | Refusal))
    called = sum(tokens(c.name + c.arguments) for c in said.calls)
    said.usage = Usage(max(1, tokens(turn.prompt)), reasoning + spoken + called, reasoning=reasoning)


def example(schema: JSON, root: JSON | None = None) -> Any:
    """A value that satisfies a JSON schema of the kind the providers take."""
    root = schema if root is None else root
    if ref := schema.get("$ref"):
        target: Any = root
        for step in ref.removeprefix("#/").split("/") if ref != "#" else []:
            target = target[step]
        return example(target, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for union in ("anyOf", "oneOf", "any_of"):
        if union in schema:
            return example(schema[union][-1 if schema[union][0].get("$ref") else 0], root)
    if "allOf" in schema:
        return example({k: v for part in schema["allOf"] for k, v in part.items()}, root)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return _example_of(str(kind[0] if isinstance(kind, list) else kind).lower(), schema, root)


def _example_of(kind: str, schema: JSON, root: JSON) -> Any:
    match kind:
        case "object":
            return {name: example(inner, root) for name, inner in schema.get("properties", {}).items()}
        case "array":
            return [example(schema.get("items", {}), root)] * max(1, int(schema.get("minItems", 1)))
        case "integer":
            return int(schema.get("minimum", 7))
        case "number":
            return schema.get("minimum", 1.5)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return "sample".ljust(int(schema.get("minLength", 0)), "x")
