"""Requests of clients: JSON to canon. Raises `Malformed` with the path of what is wrong."""

from dragoman.canon import (
    JSON,
    Media,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from dragoman.dialects.fields import Fields, Malformed, Readings
from dragoman.dialects.openai_chat.names import NAME
from dragoman.dialects.openai_chat.parts import read_cache, read_content
from dragoman.dialects.openai_chat.turns import (
    LEGACY_ID,
    details_text,
    google_signature,
    open_seal,
    read_annotation,
)
from dragoman.dialects.seal import unseal_id

_MODES = frozenset({"none", "auto", "required", "any"})  # "any" is what Mistral's clients say for "required"


def read_request(body: JSON) -> Request:
    """Takes the decoded body over. Raises `Malformed`."""
    fields = Fields(body)
    request = Request(dialect=NAME, model=fields.must_text("model"))
    request.messages = _messages(fields)
    request.include_usage = _include_usage(fields)
    fields.into(request, _SETTINGS)
    request.stream = bool(fields.flag("stream"))
    limit, older_limit = fields.whole("max_completion_tokens"), fields.whole("max_tokens")
    request.max_output_tokens = older_limit if limit is None else limit
    if body:  # most requests have nothing of what follows
        _tools(request, fields)
        request.output = _output(fields)
        if (effort := fields.text("reasoning_effort")) is not None:
            request.thinking = Thinking(mode="off" if effort == "none" else None, effort=effort)
        request.user = fields.text("safety_identifier")
        if request.user is None:
            request.user = fields.text("user")
        request.cache = read_cache(fields)
        request.extra = fields.rest()
    return request


def _include_usage(fields: Fields) -> bool:
    options = fields.object("stream_options")
    if options is None:
        return False
    asked = bool(options.flag("include_usage"))
    options.flag("include_obfuscation")  # padding between client and gateway: nobody else's business
    if rest := options.rest():
        fields.data["stream_options"] = rest
    return asked


def _stop(fields: Fields, key: str) -> list[str]:
    return [fields.must_text(key)] if isinstance(fields.data[key], str) else fields.texts(key)


def _modalities(fields: Fields, key: str) -> list[str] | None:
    return fields.texts(key) or None


def _numbers(fields: Fields, key: str) -> dict[str, float] | None:
    values = fields.plain(key)
    for name, value in (values or {}).items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise Malformed((fields.at(key), name), "a number", value)
    return values


def _metadata(fields: Fields, key: str) -> dict[str, str] | None:
    values = fields.plain(key)
    for name, value in (values or {}).items():
        if not isinstance(value, str):
            raise Malformed((fields.at(key), name), "a string", value)
    return values


_SETTINGS: Readings = {
    "temperature": ("temperature", Fields.number),
    "top_p": ("top_p", Fields.number),
    "top_k": ("top_k", Fields.whole),
    "min_p": ("min_p", Fields.number),
    "frequency_penalty": ("frequency_penalty", Fields.number),
    "presence_penalty": ("presence_penalty", Fields.number),
    "repetition_penalty": ("repetition_penalty", Fields.number),
    "logit_bias": ("logit_bias", _numbers),
    "seed": ("seed", Fields.whole),
    "stop": ("stop", _stop),
    "n": ("n", Fields.whole),
    "logprobs": ("logprobs", Fields.flag),
    "top_logprobs": ("top_logprobs", Fields.whole),
    "verbosity": ("verbosity", Fields.text),
    "modalities": ("modalities", _modalities),
    "audio": ("audio_output", Fields.plain),
    "service_tier": ("service_tier", Fields.text),
    "metadata": ("metadata", _metadata),
    "prompt_cache_key": ("cache_key", Fields.text),
    "store": ("store", Fields.flag),
    "parallel_tool_calls": ("parallel_tool_calls", Fields.flag),
}


def _output(fields: Fields) -> OutputFormat | None:
    """What the canon has no words for (a grammar, a schema beside `json_object`) stays among the unknown fields."""
    asked = fields.plain("response_format")
    if asked is None:
        return None
    format = Fields(dict(asked), fields.at("response_format"))
    kind = format.must_text("type")
    found: OutputFormat | None = None
    if kind == "text":
        found = OutputFormat()
    elif kind == "json_object":
        found = OutputFormat(kind="json")
    elif kind == "json_schema":
        schema = format.object("json_schema")
        if schema is None:
            raise Malformed(format.at("json_schema"), "an object", None)
        schema = Fields(dict(schema.data), schema.path)
        found = OutputFormat(
            kind="json_schema",
            name=schema.must_text("name"),
            description=schema.text("description"),
            schema=schema.plain("schema"),
            strict=schema.flag("strict"),
        )
        if schema.rest():
            found = None
    if found is None or format.rest():
        fields.data["response_format"] = asked
        return None
    return found


# tools


def _tools(request: Request, fields: Fields) -> None:
    request.tools = [_tool(tool) for tool in fields.objects("tools")]
    request.tool_choice = _tool_choice(fields)
    if legacy := [_legacy_tool(tool) for tool in fields.objects("functions")]:
        request.tools += legacy
        request.parallel_tool_calls = False  # `function_call` has room for one
    if request.tool_choice is None:
        request.tool_choice = _function_call_choice(fields)


def _tool(fields: Fields) -> Tool:
    kind = fields.must_text("type")
    if kind not in ("function", "custom"):
        name = fields.data.get("name")
        raw = {"type": kind, **fields.data}
        return Tool(name=name if isinstance(name, str) else kind, kind="provider", dialect=NAME, raw=raw)
    inner = fields.object(kind)
    if inner is None:
        raise Malformed(fields.at(kind), "an object", None)
    tool = Tool(name=inner.must_text("name"), description=inner.text("description"), cache=read_cache(fields))
    if kind == "function":
        tool.parameters, tool.strict = inner.plain("parameters"), inner.flag("strict")
    else:
        tool.kind, tool.format = "custom", inner.plain("format")
    extra = fields.rest() or {}
    if rest := inner.rest():
        extra[kind] = rest
    tool.extra = extra or None
    return tool


def _legacy_tool(fields: Fields) -> Tool:
    """One of `functions`. `raw` on a function tool is the mark of a client that speaks the older form."""
    raw = dict(fields.data)
    return Tool(
        name=fields.must_text("name"),
        description=fields.text("description"),
        parameters=fields.plain("parameters"),
        dialect=NAME,
        raw=raw,
    )


def is_legacy(request: Request) -> bool:
    """Whether the client sent `functions`, and so waits for a `function_call`."""
    return any(tool.raw is not None and tool.kind == "function" and tool.dialect == NAME for tool in request.tools)


def _tool_choice(fields: Fields) -> ToolChoice | None:
    if not isinstance(fields.data.get("tool_choice"), dict):
        mode = fields.one_of("tool_choice", _MODES)
        return None if mode is None else _mode(mode)
    raw = dict(fields.data["tool_choice"])
    choice = fields.object("tool_choice")
    assert choice is not None  # it is a dict
    kind = choice.must_text("type")
    if kind in ("function", "custom"):
        named = choice.object(kind)
        if named is None:
            raise Malformed(choice.at(kind), "an object", None)
        raw[kind] = dict(named.data)
        return ToolChoice(mode="tool", names=[named.must_text("name")], raw=raw)
    if kind == "allowed_tools":
        allowed = choice.object("allowed_tools")
        if allowed is None:
            raise Malformed(choice.at("allowed_tools"), "an object", None)
        raw[kind] = dict(allowed.data)
        found = _mode(allowed.one_of("mode", {"auto", "required"}) or "auto")
        found.names = [_allowed_name(tool) for tool in allowed.objects("tools")]
        found.raw = raw
        return found
    return ToolChoice(mode="tool", names=[kind], raw=raw)  # a provider's own tool


def _mode(mode: str) -> ToolChoice:
    if mode == "none":
        return ToolChoice(mode="none")
    return ToolChoice(mode="required") if mode in ("required", "any") else ToolChoice()


def _allowed_name(fields: Fields) -> str:
    kind = fields.data.get("type")
    inner = fields.data.get(kind) if isinstance(kind, str) else None
    name = inner.get("name") if isinstance(inner, dict) else fields.data.get("name", kind)
    if not isinstance(name, str):
        raise Malformed(fields.at("name"), "a string", name)
    return name


def _function_call_choice(fields: Fields) -> ToolChoice | None:
    asked = fields.data.get("function_call")
    if isinstance(asked, dict):
        named = fields.object("function_call")
        assert named is not None  # it is a dict
        return ToolChoice(mode="tool", names=[named.must_text("name")])
    mode = fields.one_of("function_call", {"none", "auto"})
    return None if mode is None else _mode(mode)


# messages


def _messages(fields: Fields) -> list[Message]:
    items = fields.objects("messages")
    if not items:
        raise Malformed(fields.at("messages"), "a non-empty array", None)
    messages: list[Message] = []
    for place, item in enumerate(items):
        messages.append(_message(item, place, messages))
    return messages


def _message(fields: Fields, place: int, before: list[Message]) -> Message:
    role = fields.must_text("role")
    if role == "assistant":
        return _assistant(fields, place)
    if role == "tool":
        return Message(role="user", parts=[_tool_result(fields)])
    if role == "function":
        return Message(role="user", parts=[_function_result(fields, before)])
    if role not in ("system", "developer", "user"):
        expected = "one of assistant, developer, function, system, tool, user"
        raise Malformed(fields.at("role"), expected, role)
    _must_have_content(fields)
    parts = read_content(fields)
    message = Message(role="user", parts=parts)
    if role != "user":
        message.role = "system" if role == "system" else "developer"
    if fields.data:
        message.name, message.extra = fields.text("name"), fields.rest()
    return message


def _must_have_content(fields: Fields) -> None:
    if fields.data.get("content") is None:
        raise Malformed(fields.at("content"), "a string or an array", None)


def _tool_result(fields: Fields) -> ToolResult:
    _must_have_content(fields)
    call_id, _ = unseal_id(fields.must_text("tool_call_id"))
    content = read_content(fields)
    return ToolResult(call_id=call_id, name=fields.text("name"), content=content, extra=fields.rest())


def _function_result(fields: Fields, before: list[Message]) -> ToolResult:
    """The result belongs to the latest call of that name."""
    name = fields.must_text("name")
    call_id = LEGACY_ID + name
    for message in reversed(before):
        calls = [p.id for p in message.parts if isinstance(p, ToolCall) and p.name == name]
        if calls:
            call_id = calls[-1]
            break
    content = read_content(fields)
    return ToolResult(call_id=call_id, name=name, content=content, extra=fields.rest())


def _assistant(fields: Fields, place: int) -> Message:
    said = read_content(fields)
    if not fields.data:
        return Message(role="assistant", parts=said)
    calls, first_sealed, sealed = _calls(fields, place)
    parts: list[Part] = list(first_sealed)
    own = _reasoning(fields)
    if own is not None and not sealed:
        parts.append(own)
    parts += said
    _annotations(fields, parts)
    if refusal := fields.text("refusal"):
        parts.append(Refusal(text=refusal))
    if (audio := fields.object("audio")) is not None:
        audio_id = audio.must_text("id")
        parts.append(Media(kind="audio", file_id=audio_id, id=audio_id))
    parts += calls
    return Message(role="assistant", parts=parts, name=fields.text("name"), extra=fields.rest())


def _reasoning(fields: Fields) -> Reasoning | None:
    text, other = fields.text("reasoning_content"), fields.text("reasoning")
    details = fields.array("reasoning_details")
    text = text or other or ""
    if not text and not details:
        return None
    return Reasoning(text=text, encrypted=details_text(details) if details else None, dialect=NAME)


def _annotations(fields: Fields, parts: list[Part]) -> None:
    items = fields.array("annotations") or []
    text = next((part for part in reversed(parts) if isinstance(part, Text)), None)
    if text is None:
        return
    text.citations = [citation for item in items if (citation := read_annotation(item)) is not None]


def _calls(fields: Fields, place: int) -> tuple[list[Part], list[Reasoning], bool]:
    """The turn's calls, each after the thinking sealed into it (but the first call's thinking, which led the turn), and
    whether any seal held thinking."""
    parts: list[Part] = []
    leading: list[Reasoning] = []
    sealed = False
    for item in fields.objects("tool_calls"):
        call = _call(item)
        thinking = open_seal(call)
        sealed = sealed or bool(thinking)
        if parts:
            parts += thinking
        else:
            leading = thinking
        parts.append(call)
    if (legacy := fields.object("function_call")) is not None:
        call = ToolCall(id=f"{LEGACY_ID}{place}", name=legacy.must_text("name"))
        call.arguments = legacy.text("arguments") or "{}"
        parts.append(call)
    return parts, leading, sealed


def _call(fields: Fields) -> ToolCall:
    fields.any("index")  # left over from streaming
    call = ToolCall(id=fields.must_text("id"))
    kind = fields.one_of("type", {"function", "custom"}) or "function"
    inner = fields.object(kind)
    if inner is None:
        raise Malformed(fields.at(kind), "an object", None)
    call.name = inner.must_text("name")
    if kind == "custom":
        call.kind, call.arguments = "custom", inner.text("input") or ""
    else:
        call.arguments = inner.text("arguments") or "{}"
    content = fields.any("extra_content")
    if signature := google_signature(content):
        call.signature, call.dialect = signature, NAME
    elif content is not None:
        fields.data["extra_content"] = content
    call.extra = fields.rest()
    return call
