"""A canon request, written as a Messages API request.

One that was read from this same dialect is written as its caller said it. One from another dialect is made to keep the
API's rules (`turns`) and to say what is meant in the way the model takes (`models`); what cannot be said is noted.
"""

from dragoman.canon import JSON, Request, Tool, ToolChoice
from dragoman.dialects import custom
from dragoman.dialects.anthropic import reasoning
from dragoman.dialects.anthropic.blocks_out import collapse, mark, write_blocks, write_system
from dragoman.dialects.anthropic.models import Traits, traits
from dragoman.dialects.anthropic.names import NAME, TIERS_WRITTEN
from dragoman.dialects.anthropic.schema import accepted
from dragoman.dialects.anthropic.turns import Turn, arrange, thinking_is_missing
from dragoman.dialects.dialect import Unsayable, Written
from dragoman.dialects.losses import Losses
from dragoman.dialects.quirks import Quirks

CAN_SAY = frozenset(
    {
        "parallel_tool_calls", "output", "thinking", "max_output_tokens", "temperature", "top_p", "top_k", "stop",
        "service_tier", "user", "cache", "n", "logprobs", "frequency_penalty", "presence_penalty", "truncation",
        "modalities", "store", "verbosity", "logit_bias", "metadata",
    }
)  # fmt: skip
# values that ask for nothing but what this dialect does anyway
_NEUTRAL: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "truncation": ("disabled",),
    "modalities": (["text"], ["TEXT"]),
    "store": (False, True),  # kept by the gateway, where it keeps replies at all
    "verbosity": ("medium",),
    "logit_bias": ({},),
    "metadata": ({},),
}
JSON_ONLY = "Answer with one valid JSON value and nothing else: no prose around it, no code fence."


def write_request(request: Request, quirks: Quirks) -> Written:
    """Raises `Unsayable` for media the API has no way to take, and for a forced tool of another provider."""
    losses = Losses(request, NAME, CAN_SAY)
    for name, values in _NEUTRAL.items():
        value = getattr(request, name)
        if value is not None and value not in values:
            losses.note(name)
    model = traits(request.model)
    body: JSON = {"model": request.model}
    turns, system = _conversation(request, losses)
    _output(request, body, system, losses)
    if system:
        body["system"] = collapse(system)
    body["messages"] = [_message(turn, losses) for turn in turns]
    _tools(request, body, losses)
    _tool_choice(request, body, losses)
    reasoning.write(request, body, model, thinking_is_missing(turns), losses)
    _sampling(request, body, model, losses)
    _stop(request, body, quirks, losses)
    _accounting(request, body, losses)
    if request.stream:
        body["stream"] = True
    _carry(request, body, losses)
    for name in quirks.refuses & body.keys():
        del body[name]
        losses.note(name)
    return Written(body=body, lossy=losses.names)


def _conversation(request: Request, losses: Losses) -> tuple[list[Turn], list[JSON]]:
    """The turns and the system blocks. In this dialect itself only the leading system messages are the system field;
    those of other dialects are lifted into it, wherever they stand."""
    turns: list[Turn] = []
    system: list[JSON] = []
    for message in request.messages:
        if message.name is not None:
            losses.note("messages.name")
        if message.role in ("system", "developer"):
            blocks = write_system(message.parts, losses)
            if losses.same_dialect and turns:
                turns.append(Turn("system", blocks, message.extra))
            else:
                system += blocks
                losses.carry({}, message.extra, "messages")
        else:
            blocks = write_blocks(message, losses)
            if blocks or not message.parts:  # a turn of nothing but another provider's thinking is gone
                turns.append(Turn(message.role, blocks, message.extra))
    if losses.same_dialect:
        return turns, system
    for turn in turns:
        losses.carry({}, turn.extra, "messages")
    turns = arrange(turns)
    if not turns and system:  # the API wants a user message: a lone system prompt is one
        return [Turn("user", system)], []
    return turns, system


def _message(turn: Turn, losses: Losses) -> JSON:
    message: JSON = {"role": turn.role, "content": collapse(turn.blocks)}
    if losses.same_dialect and turn.extra:
        message.update(turn.extra)
    return message


def _output(request: Request, body: JSON, system: list[JSON], losses: Losses) -> None:
    """A schema goes into `output_config.format`. "Some JSON" has no such form here: the model is told so in words, and
    the loss is noted, since words promise nothing."""
    output = request.output
    if output is None or output.kind == "text":
        if output is not None and output.mime not in (None, "text/plain"):
            losses.note("output")
        return
    if output.schema is None:
        system.append({"type": "text", "text": JSON_ONLY})
        losses.note("output")
        return
    schema, whole = (output.schema, True) if losses.same_dialect else accepted(output.schema)
    if not whole:
        losses.note("output")
    if output.description and "description" not in schema:
        schema = {**schema, "description": output.description}
    body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}


def _tools(request: Request, body: JSON, losses: Losses) -> None:
    choice = request.tool_choice
    allowed = choice.names if choice is not None and choice.mode in ("auto", "required") else []
    tools = [
        written
        for tool in request.tools
        if (not allowed or tool.kind == "provider" or tool.name in allowed)
        and (written := _tool(tool, choice, losses)) is not None
    ]
    if tools:
        body["tools"] = tools


def _tool(tool: Tool, choice: ToolChoice | None, losses: Losses) -> JSON | None:
    if tool.kind == "provider":
        if tool.dialect == NAME and tool.raw is not None:
            return tool.raw
        kind = (tool.raw or {}).get("type") or tool.name
        if choice is not None and choice.mode == "tool" and tool.name in choice.names:
            raise Unsayable(f"the tool {kind} runs at another provider: choose a model there, or another tool_choice")
        losses.note(f"tools.{kind}")
        return None
    if tool.kind == "custom":
        tool = custom.as_function(tool)
    written: JSON = {"name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    written["input_schema"] = schema = tool.parameters if losses.same_dialect else _object_schema(tool.parameters)
    if tool.strict is not None and (losses.same_dialect or tool.strict):
        if losses.same_dialect or (accepted(schema or {}) == (schema, True)):
            written["strict"] = tool.strict
        else:
            losses.note("tools.strict")
    if tool.cache is not None:
        written["cache_control"] = mark(tool.cache)
    losses.carry(written, tool.extra, "tools")
    return written


def _object_schema(schema: JSON | None) -> JSON:
    """Arguments are always an object, and the schema must say so."""
    if not schema:
        return {"type": "object", "properties": {}}
    return schema if schema.get("type") == "object" else {**schema, "type": "object"}


def _tool_choice(request: Request, body: JSON, losses: Losses) -> None:
    choice = request.tool_choice
    if "tools" not in body and not losses.same_dialect:
        if choice is not None and choice.mode in ("required", "tool"):
            losses.note("tool_choice")
        return
    written: JSON = {}
    match choice.mode if choice is not None else None:
        case "tool" if choice is not None and choice.names:
            written = {"type": "tool", "name": choice.names[0]}
        case "required" | "tool":
            written = {"type": "any"}
        case "none":
            written = {"type": "none"}
        case "auto":
            written = {"type": "auto"}
    parallel = request.parallel_tool_calls
    if parallel is not None and (not parallel or losses.same_dialect) and written.get("type") != "none":
        written.setdefault("type", "auto")
        written["disable_parallel_tool_use"] = not parallel
    if choice is not None and choice.raw and losses.same_dialect:
        written.update(choice.raw)
    if written:
        body["tool_choice"] = written


def _sampling(request: Request, body: JSON, model: Traits, losses: Losses) -> None:
    values: JSON = {"temperature": request.temperature, "top_p": request.top_p, "top_k": request.top_k}
    said = {name: value for name, value in values.items() if value is not None}
    if not losses.same_dialect:
        _fit_sampling(said, reasoning.is_on(body), model, losses)
    body.update(said)


def _fit_sampling(said: JSON, thinking: bool, model: Traits, losses: Losses) -> None:
    """Takes out of `said`, and notes, what the model would refuse; clamps the temperature to 0..1."""
    refused: set[str] = set()
    if not model.sampling:
        refused = {name for name, value in said.items() if name == "top_k" or value != 1}
        said_anyway = said.keys() - refused  # 1 is the default of temperature and top_p: leaving it out says the same
        for name in said_anyway:
            del said[name]
    elif thinking:
        refused = {
            name
            for name, value in said.items()
            if name == "top_k" or (name == "temperature" and value != 1) or (name == "top_p" and value < 0.95)
        }
    for name in sorted(refused):
        del said[name]
        losses.note(name)
    if "temperature" in said and not 0 <= said["temperature"] <= 1:
        said["temperature"] = min(max(said["temperature"], 0), 1)
        losses.note("temperature")
    if model.one_of_temperature_top_p and "temperature" in said and "top_p" in said:
        if said["top_p"] != 1:
            losses.note("top_p")
        del said["top_p"]


def _stop(request: Request, body: JSON, quirks: Quirks, losses: Losses) -> None:
    stop = request.stop
    if not losses.same_dialect:
        stop = [text for text in stop if text.strip()]  # the API refuses stops of nothing but white space
    if quirks.max_stop is not None:
        stop = stop[: quirks.max_stop]
    if len(stop) < len(request.stop):
        losses.note("stop")
    if stop:
        body["stop_sequences"] = stop


def _accounting(request: Request, body: JSON, losses: Losses) -> None:
    if request.user is not None:
        body["metadata"] = {"user_id": request.user}
    if request.cache is not None:
        body["cache_control"] = mark(request.cache)
    tier = request.service_tier
    if tier is not None:
        written = TIERS_WRITTEN.get(tier, tier if losses.same_dialect else None)
        if written is None:
            losses.note("service_tier")
        else:
            body["service_tier"] = written


def _carry(request: Request, body: JSON, losses: Losses) -> None:
    """Unknown fields go back; those of an object read in part (`metadata`, `output_config`) go back into it."""
    if not losses.same_dialect:
        return
    for name, value in (request.extra or {}).items():
        here = body.get(name)
        body[name] = {**here, **value} if isinstance(here, dict) and isinstance(value, dict) else value
