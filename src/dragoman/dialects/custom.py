"""Custom tools (free-text input) for dialects that only have functions.

A custom tool becomes a function with one string parameter `input`; a call of it becomes text again on the way back.
"""

import msgspec

from dragoman.canon import Request, Tool

SCHEMA = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}


def as_function(tool: Tool) -> Tool:
    """A function that stands for a custom tool. Its grammar, if any, goes into the description."""
    description = tool.description or ""
    if tool.format and (definition := _definition(tool.format)):
        description = f"{description}\n\nThe input must follow this grammar:\n{definition}".strip()
    return msgspec.structs.replace(
        tool, kind="function", description=description or None, parameters=SCHEMA, format=None
    )


def _definition(format: dict[str, object]) -> str | None:
    grammar = format.get("grammar", format)
    definition = grammar.get("definition") if isinstance(grammar, dict) else None
    return definition if isinstance(definition, str) else None


def names(request: Request) -> frozenset[str]:
    """The names of the request's custom tools: a call of one of these is answered in text."""
    return frozenset(tool.name for tool in request.tools if tool.kind == "custom")


def wrap(text: str) -> str:
    """A custom call's text as a function call's arguments."""
    return msgspec.json.encode({"input": text}).decode()


def unwrap(arguments: str) -> str:
    """A function call's arguments as a custom call's text; the arguments themselves where they have no `input`."""
    try:
        value = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return arguments
    text = value.get("input") if isinstance(value, dict) else None
    return text if isinstance(text, str) else arguments
