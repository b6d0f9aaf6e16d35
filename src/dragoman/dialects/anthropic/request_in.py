"""A Messages API request, read into the canon."""

from typing import Any

from dragoman.canon import JSON, Message, OutputFormat, Request, Role, Thinking, Tool, ToolChoice
from dragoman.dialects.anthropic.blocks_in import read_cache, read_content, read_system
from dragoman.dialects.anthropic.names import NAME, TIERS_ASKED
from dragoman.dialects.fields import Fields, Malformed, Readings

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
_THINKING = frozenset({"enabled", "disabled", "adaptive", "between_tools"})
_SETTINGS: Readings = {
    "temperature": ("temperature", Fields.number),
    "top_p": ("top_p", Fields.number),
    "top_k": ("top_k", Fields.whole),
    "stop_sequences": ("stop", Fields.texts),
}
_CHOICES = {"auto": "auto", "any": "required", "none": "none", "tool": "tool"}


def read_request(body: JSON, counting: bool = False) -> Request:
    """Takes the decoded body over. `counting`: it is a count_tokens request, which has no `max_tokens`."""
    fields = Fields(body)
    request = Request(dialect=NAME, model=fields.must_text("model"))
    request.max_output_tokens = fields.whole("max_tokens")
    if request.max_output_tokens is None and not counting:
        raise Malformed("max_tokens", "a whole number (this API requires it)")
    if request.max_output_tokens is not None and request.max_output_tokens < 0:
        raise Malformed("max_tokens", "0 or more", request.max_output_tokens)
    _messages(fields, request)
    fields.into(request, _SETTINGS)
    request.stream = fields.flag("stream") or False
    if body:  # most requests have nothing of what follows
        _tools(fields, request)
        thinking = fields.object("thinking")
        if thinking is not None:
            request.thinking = _thinking(thinking)
        _output(fields, request)
        _accounting(fields, request)
        request.extra = fields.rest()
    return request


def _messages(fields: Fields, request: Request) -> None:
    system = read_system(fields.any("system"), "system")
    if system:
        request.messages.append(Message(role="system", parts=system))
    messages = fields.objects("messages")
    if not messages:
        raise Malformed("messages", "at least one message")
    for message in messages:
        role = _ROLES.get(message.must_text("role"))
        if role is None:
            raise Malformed(message.at("role"), "one of assistant, system, user")
        path = message.at("content")
        content = message.any("content")
        parts = read_system(content, path) if role == "system" else read_content(content, path)
        request.messages.append(Message(role=role, parts=parts, extra=message.rest()))


def _tools(fields: Fields, request: Request) -> None:
    request.tools = [_tool(tool) for tool in fields.objects("tools")]
    choice = fields.object("tool_choice")
    if choice is None:
        return
    kind = choice.one_of("type", frozenset(_CHOICES))
    if kind is None:
        raise Malformed(choice.at("type"), "one of any, auto, none, tool")
    names = [choice.must_text("name")] if kind == "tool" else []
    disabled = choice.flag("disable_parallel_tool_use")
    if disabled is not None:
        request.parallel_tool_calls = not disabled
    match kind:
        case "tool":
            request.tool_choice = ToolChoice(mode="tool", names=names, raw=choice.rest())
        case "any":
            request.tool_choice = ToolChoice(mode="required", raw=choice.rest())
        case "none":
            request.tool_choice = ToolChoice(mode="none", raw=choice.rest())
        case _:
            request.tool_choice = ToolChoice(mode="auto", raw=choice.rest())


def _tool(fields: Fields) -> Tool:
    kind = fields.text("type")
    if kind is not None and kind != "custom":
        raw = {"type": kind, **fields.data}
        name = raw.get("name") or raw.get("mcp_server_name") or kind
        return Tool(name=name if isinstance(name, str) else kind, kind="provider", dialect=NAME, raw=raw)
    tool = Tool(name=fields.must_text("name"), parameters=fields.plain("input_schema"))
    if tool.parameters is None:
        raise Malformed(fields.at("input_schema"), "a JSON schema (an object)")
    tool.description = fields.text("description")
    tool.strict = fields.flag("strict")
    tool.cache = read_cache(fields)
    tool.extra = fields.rest()
    return tool


def _thinking(fields: Fields) -> Thinking:
    kind = fields.one_of("type", _THINKING)
    thinking = Thinking()
    match kind:
        case "enabled":
            budget = fields.whole("budget_tokens")
            if budget is None:
                raise Malformed(fields.at("budget_tokens"), "a whole number of at least 1024")
            thinking.mode, thinking.budget = "on", budget
        case "disabled":
            thinking.mode = "off"
        case "adaptive":
            thinking.mode = "adaptive"
        case "between_tools":  # adaptive, held to the places between tool calls: no other dialect says the second half
            thinking.mode = "adaptive"
            fields.data["type"] = kind
        case _:
            raise Malformed(fields.at("type"), "one of " + ", ".join(sorted(_THINKING)))
    display = fields.text("display")
    if display in ("summarized", "omitted"):
        thinking.visible = display == "summarized"
    elif display is not None:
        thinking.visible = True
        fields.data["display"] = display
    thinking.extra = fields.rest()
    return thinking


def _output(fields: Fields, request: Request) -> None:
    """`output_config` with its `format` and `effort`, and the older `output_format`. What else is in `output_config`
    stays among the unread fields."""
    config = fields.object("output_config")
    older = fields.object("output_format")
    if config is not None:
        older = config.object("format") or older
        effort = config.text("effort")
        if effort is not None:
            request.thinking = request.thinking or Thinking()
            request.thinking.effort = effort
        if rest := config.rest():
            fields.data["output_config"] = rest
    if older is not None:
        if (kind := older.text("type")) != "json_schema":
            raise Malformed(older.at("type"), '"json_schema"', kind)
        schema = older.plain("schema")
        if schema is None:
            raise Malformed(older.at("schema"), "a JSON schema (an object)")
        request.output = OutputFormat(kind="json_schema", schema=schema)


def _accounting(fields: Fields, request: Request) -> None:
    request.cache = read_cache(fields)
    metadata = fields.object("metadata")
    if metadata is not None:
        request.user = metadata.text("user_id")
        if rest := metadata.rest():
            fields.data["metadata"] = rest
    tier: Any = fields.text("service_tier")
    request.service_tier = TIERS_ASKED.get(tier, tier)
