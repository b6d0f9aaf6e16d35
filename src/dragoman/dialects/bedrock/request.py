"""Requests: canon -> the body of Converse and ConverseStream (they are the same)."""

import re

import msgspec

from dragoman.canon import JSON, OutputFormat, Request, Tool, ToolCall, ToolChoice, ToolResult
from dragoman.dialects import custom
from dragoman.dialects.anthropic.schema import accepted
from dragoman.dialects.bedrock import content, settings
from dragoman.dialects.dialect import Unsayable, Written
from dragoman.dialects.losses import Losses
from dragoman.dialects.quirks import Quirks

CAN_SAY = frozenset({
    "output", "thinking", "max_output_tokens", "temperature", "top_p", "top_k", "stop", "service_tier", "metadata",
    "cache", "n",
})  # fmt: skip
# Bedrock's own fields, which a client may send along in any dialect's body
OWN_FIELDS = frozenset({
    "guardrailConfig", "performanceConfig", "promptVariables", "requestMetadata", "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
})  # fmt: skip
_TIERS = {"priority": "priority", "default": "default", "flex": "flex", "reserved": "reserved", "auto": None}
_METADATA = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,\-.]{0,256}\Z")
_START = "…"  # what the user is made to say where a history begins with the assistant


def write_request(request: Request, quirks: Quirks) -> Written:
    """Raises `Unsayable` for media that Bedrock cannot take."""
    own = {name: value for name, value in (request.extra or {}).items() if name in OWN_FIELDS}
    foreign = {name: value for name, value in (request.extra or {}).items() if name not in OWN_FIELDS}
    losses = Losses(msgspec.structs.replace(request, extra=foreign or None), "bedrock", CAN_SAY)
    writer = content.Writer(losses, settings.caches(request.model))
    system, messages = _conversation(request, writer, losses)
    body: JSON = {"messages": messages}
    if system:
        body["system"] = system
    if tools := _tool_config(request, writer, losses):
        body["toolConfig"] = tools
    body.update(own)
    _write_output(request, body, losses)
    settings.write(request, body, _interrupted(messages), losses)
    _write_rest(request, body, losses)
    for name in quirks.refuses & body.keys():
        del body[name]
        losses.note(name)
    return Written(body, losses.names)


# ---------------------------------------------------------------- messages


def _conversation(request: Request, writer: content.Writer, losses: Losses) -> tuple[list[JSON], list[JSON]]:
    """System blocks and messages in the order the API insists on: users and assistants alternate, the user first; a
    turn's tool results stand before anything else in the next message, its thinking before the rest of it."""
    system: list[JSON] = []
    turns: list[JSON] = []
    for message in request.messages:
        if message.name:
            losses.note("messages.name")
        losses.carry({}, message.extra, "messages")
        blocks = writer.blocks(message.parts)
        if message.role in ("system", "developer"):
            system.extend(_sayable_as_system(blocks, losses))
        elif blocks and turns and turns[-1]["role"] == message.role:
            turns[-1]["content"] = turns[-1]["content"] + blocks
        elif blocks:
            turns.append({"role": message.role, "content": blocks})
    for turn in turns:
        turn["content"] = _first("toolResult" if turn["role"] == "user" else "reasoningContent", turn["content"])
    if turns and turns[0]["role"] == "assistant":
        turns.insert(0, {"role": "user", "content": [{"text": _START}]})
    if turns and request.cache is not None:
        turns[-1]["content"].extend(writer.cache_point(request.cache, "cache"))
    return system, turns


def _sayable_as_system(blocks: list[JSON], losses: Losses) -> list[JSON]:
    kept = [block for block in blocks if "text" in block or "cachePoint" in block]
    if len(kept) < len(blocks):
        losses.note("messages.content")
    return kept


def _first(kind: str, blocks: list[JSON]) -> list[JSON]:
    """The blocks of `kind` first (each with its cache point), unless some already are: thinking between calls stays."""
    if kind == "reasoningContent" and kind in blocks[0]:
        return blocks
    front: list[JSON] = []
    rest: list[JSON] = []
    target = rest
    for block in blocks:
        if "cachePoint" not in block:
            target = front if kind in block else rest
        target.append(block)
    return front + rest


def _interrupted(turns: list[JSON]) -> bool:
    """Whether tool results follow a turn without thinking of this provider."""
    if len(turns) < 2 or "toolResult" not in turns[-1]["content"][0]:
        return False
    return "reasoningContent" not in turns[-2]["content"][0]


# ---------------------------------------------------------------- tools


def _tool_config(request: Request, writer: content.Writer, losses: Losses) -> JSON | None:
    """None where there are no tools. A history with calls in it needs tools, so there `none` cannot be said by leaving
    them out, and tools that are gone are declared by name alone."""
    choice = request.tool_choice or ToolChoice()
    called = _called(request)
    if choice.mode == "none":
        if not called:
            return None
        losses.note("tool_choice")
    written: list[JSON] = []
    for tool in request.tools:
        if tool.kind == "provider":
            _refuse_provider_tool(tool, choice, losses)
        elif not choice.names or choice.mode == "tool" or tool.name in choice.names:
            written.append(_tool(tool, losses))
            written.extend(writer.cache_point(tool.cache, "tools.cache_control"))
    if not written:
        if not called:
            return None
        written = [_spec(name, None, None) for name in called]
    config: JSON = {"tools": written}
    if request.tool_choice is not None:
        config["toolChoice"] = _choice(choice)
    return config


def _called(request: Request) -> list[str]:
    """The names of the tools that the history calls, or has results of."""
    parts = [part for message in request.messages for part in message.parts]
    names = [part.name for part in parts if isinstance(part, ToolCall) and part.name]
    if not names and any(isinstance(part, ToolResult) for part in parts):
        names = ["tool"]
    return list(dict.fromkeys(names))


def _choice(choice: ToolChoice) -> JSON:
    if choice.mode == "required":
        return {"any": {}}
    if choice.mode == "tool" and choice.names:
        return {"tool": {"name": choice.names[0]}}
    return {"auto": {}}


def _refuse_provider_tool(tool: Tool, choice: ToolChoice, losses: Losses) -> None:
    kind = str((tool.raw or {}).get("type") or tool.name)
    if choice.mode == "tool" and tool.name in choice.names:
        raise Unsayable(
            f"tool_choice forces the provider's own tool {kind}, which Bedrock does not have; "
            "choose a model whose provider runs it, or leave tool_choice out"
        )
    losses.note(f"tools.{kind}")


def _tool(tool: Tool, losses: Losses) -> JSON:
    if tool.kind == "custom":
        tool = custom.as_function(tool)
    losses.carry({}, tool.extra, "tools")
    spec = _spec(tool.name, tool.description, tool.parameters)
    if tool.strict:
        spec["toolSpec"]["strict"] = True
    return spec


def _spec(name: str, description: str | None, parameters: JSON | None) -> JSON:
    spec: JSON = {"name": name}
    if description:
        spec["description"] = description
    schema = parameters or {"type": "object", "properties": {}}
    spec["inputSchema"] = {"json": schema if "type" in schema else {"type": "object", **schema}}
    return {"toolSpec": spec}


# ---------------------------------------------------------------- the rest


def _write_output(request: Request, body: JSON, losses: Losses) -> None:
    output = request.output
    if output is None or (output.kind == "text" and not output.mime):
        return
    if output.kind != "json_schema" or output.schema is None:
        losses.note("output")
        return
    body["outputConfig"] = {
        "textFormat": {"type": "json_schema", "structure": {"jsonSchema": _json_schema(request, output, losses)}}
    }


def _json_schema(request: Request, output: OutputFormat, losses: Losses) -> JSON:
    schema = output.schema or {}
    if settings.family(request.model) == "claude":
        schema, whole = accepted(schema)
        if not whole:
            losses.note("output.schema")
    written: JSON = {"schema": msgspec.json.encode(schema).decode()}
    if output.name:
        written["name"] = output.name
    if output.description:
        written["description"] = output.description
    return written


def _write_rest(request: Request, body: JSON, losses: Losses) -> None:
    if request.n is not None and request.n > 1:
        losses.note("n")
    if request.service_tier is not None:
        tier = _TIERS.get(request.service_tier, "")
        if tier:
            body["serviceTier"] = {"type": tier}
        elif tier is not None:
            losses.note("service_tier")
    if request.metadata:
        _write_metadata(request.metadata, body, losses)
    if request.stop and settings.family(request.model) == "claude":
        # only so does the reply tell which stop sequence was met
        body.setdefault("additionalModelResponseFieldPaths", ["/stop_sequence"])


def _write_metadata(metadata: dict[str, str], body: JSON, losses: Losses) -> None:
    """At most 16 pairs, of a few characters only; what has others is left out."""
    kept = {
        name: value for name, value in metadata.items() if name and _METADATA.match(name) and _METADATA.match(value)
    }
    kept = dict(list(kept.items())[:16])
    if len(kept) < len(metadata):
        losses.note("metadata")
    if kept:
        body.setdefault("requestMetadata", kept)
