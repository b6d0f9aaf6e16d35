"""Chat requests: body -> canon and back."""

from collections.abc import Iterable

import msgspec

from dragoman.canon import (
    JSON,
    CacheMark,
    Media,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Request,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from dragoman.dialects import custom
from dragoman.dialects.dialect import Unsayable, Written
from dragoman.dialects.fields import Fields, Malformed
from dragoman.dialects.losses import Losses
from dragoman.dialects.ollama import hidden, images, options
from dragoman.dialects.quirks import Quirks
from dragoman.dialects.seal import unseal_id

CAN_SAY = options.CAN_SAY
_ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant", "tool": "user"}
# what only /api/generate understands
_GENERATE_ONLY = frozenset({"suffix", "template", "raw", "context"})


# ---------------------------------------------------------------- reading


def read_request(body: JSON) -> Request:
    """Takes the decoded body over. Raises `Malformed`."""
    fields = Fields(body)
    request = Request(dialect="ollama", model=fields.must_text("model"))
    request.tools = [_read_tool(tool) for tool in fields.objects("tools")]
    calls = _Calls()
    request.messages = [_read_message(message, calls, at) for at, message in enumerate(fields.objects("messages"))]
    options.read(fields, request)
    return request


class _Calls:
    """The history's calls without an answer so far: what a tool message without an id answers."""

    def __init__(self) -> None:
        self._open: list[ToolCall] = []

    def add(self, calls: Iterable[ToolCall]) -> None:
        self._open.extend(calls)

    def answered(self, call_id: str | None, name: str | None, at: int) -> str:
        """The id of the call that is answered here: by id, else the oldest of that name, else the oldest."""
        for call in self._open:
            if (call.id == call_id) if call_id else (name is None or call.name == name):
                self._open.remove(call)
                return call.id
        return call_id or f"call_{at}_0"


def _read_message(fields: Fields, calls: _Calls, at: int) -> Message:
    said = fields.must_text("role").lower()
    if said not in _ROLES:
        raise Malformed(fields.at("role"), "one of assistant, system, tool, user", said)
    content = fields.text("content") or ""
    pictures: list[Part] = [*images.read(fields)]
    text: list[Part] = [Text(text=content)] if content else []
    message = Message(role=_ROLES[said])
    if said == "assistant":
        message.parts = _read_turn(fields, [*pictures, *text], calls, at)
    elif said == "tool":
        call_id = fields.text("tool_call_id")
        name = fields.text("tool_name") or fields.text("name")
        call_id = unseal_id(call_id)[0] if call_id else None
        message.parts = [ToolResult(call_id=calls.answered(call_id, name, at), name=name, content=[*text, *pictures])]
    else:
        message.parts = [*pictures, *text]
    message.extra = fields.rest()
    return message


def _read_turn(fields: Fields, content: list[Part], calls: _Calls, at: int) -> list[Part]:
    """An assistant's turn: what it thought (as sealed, where it was), said and called."""
    thinking, found = hidden.reveal(fields.text("thinking") or "")
    made = [_read_call(call) for call in fields.objects("tool_calls")]
    sealed = [part for _, parts in made for part in parts]
    called = [call for call, _ in made]
    if not sealed:
        sealed = [part for parts in found for part in parts if not isinstance(part, ToolCall)]
        _give_back(called, found)
    for number, call in enumerate(called):
        call.id = call.id or f"call_{at}_{number}"
    calls.add(called)
    thought: list[Part] = [part for part in sealed if isinstance(part, Reasoning)]
    if not thought and thinking:
        thought = [Reasoning(text=thinking, dialect="ollama")]
    return [*thought, *content, *called]


def _give_back(called: list[ToolCall], found: list[list[Part]]) -> None:
    """Calls that lost their ids on the way get back id and signature, as was hidden in the thinking text."""
    nameless = [call for call in called if not call.id]
    for parts in found:
        original = hidden.call_in(parts)
        call = next((call for call in nameless if original and call.name == original.name), None)
        if original and call:
            nameless.remove(call)
            call.id, call.signature, call.dialect = original.id, original.signature, original.dialect


def _read_call(fields: Fields) -> tuple[ToolCall, list[Part]]:
    call_id, sealed = unseal_id(fields.text("id") or "")
    function = fields.object("function") or Fields({}, fields.at("function"))
    function.any("index")
    fields.any("type")  # always "function", where a client writes it
    call = ToolCall(id=call_id, name=function.must_text("name"), arguments=_read_arguments(function))
    if mark := next((part for part in sealed if isinstance(part, ToolCall)), None):
        call.signature, call.dialect = mark.signature, mark.dialect
    if further := function.rest():
        fields.data["function"] = further
    call.extra = fields.rest()
    return call, [part for part in sealed if not isinstance(part, ToolCall)]


def _read_arguments(function: Fields) -> str:
    value = function.any("arguments")
    match value:
        case None | "":
            return "{}"
        case str():
            return value
        case dict():
            return msgspec.json.encode(value).decode()
        case _:
            raise Malformed(function.at("arguments"), "an object", value)


def _read_tool(fields: Fields) -> Tool:
    fields.one_of("type", {"function"})
    function = fields.object("function")
    if function is None:
        raise Malformed(fields.at("function"), "an object")
    tool = Tool(
        name=function.must_text("name"),
        description=function.text("description"),
        parameters=function.plain("parameters"),
        strict=function.flag("strict"),
    )
    if further := function.rest():
        fields.data["function"] = further
    tool.extra = fields.rest()
    return tool


# ---------------------------------------------------------------- writing


def write_request(request: Request, quirks: Quirks) -> Written:
    """Raises `Unsayable` for pictures by address, sound, film and files."""
    losses = Losses(request, "ollama", CAN_SAY)
    body: JSON = {"model": request.model, "messages": write_messages(request, losses)}
    if tools := _write_tools(request, losses):
        body["tools"] = tools
    options.write(request, body, losses)
    _drop_generate_only(body, losses)
    for name in quirks.refuses & body.keys():
        del body[name]
        losses.note(name)
    return Written(body, losses.names)


def _drop_generate_only(body: JSON, losses: Losses) -> None:
    for name in _GENERATE_ONLY & body.keys():
        if body.pop(name):
            losses.note(name)


def write_messages(request: Request, losses: Losses) -> list[JSON]:
    """All messages, tool results in messages of their own before what else their message says."""
    written: list[JSON] = []
    names: dict[str, str] = {}
    for message in request.messages:
        if message.name:
            losses.note("messages.name")
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        written.extend(_write_result(result, names, losses) for result in results)
        others: list[Part] = [part for part in message.parts if not isinstance(part, ToolResult)]
        target = written[-1] if results and not others else None
        if target is None:
            target = _write_message(message.role, others, names, losses)
            written.append(target)
        losses.carry(target, message.extra, "messages")
    return written


def _write_message(role: Role, parts: list[Part], names: dict[str, str], losses: Losses) -> JSON:
    message: JSON = {"role": "system" if role == "developer" else role, "content": _text(parts, losses)}
    thoughts = [part for part in parts if isinstance(part, Reasoning)]
    if any(part.dialect != "ollama" for part in thoughts):
        losses.note("reasoning")
    if thinking := "".join(part.text for part in thoughts if part.dialect == "ollama"):
        message["thinking"] = thinking
    if pictures := [images.write(part) for part in parts if images.is_picture(part, losses)]:
        message["images"] = pictures
    if calls := [part for part in parts if isinstance(part, ToolCall)]:
        message["tool_calls"] = [_write_call(call, number, names, losses) for number, call in enumerate(calls)]
    return message


def _text(parts: list[Part], losses: Losses) -> str:
    """What the parts say in words; notes what of them stays unsaid."""
    said: list[str] = []
    for part in parts:
        match part:
            case Text():
                _note_marks(part.cache, losses)
                if part.citations:
                    losses.note("messages.citations")
                losses.carry({}, part.extra, "messages.content")
                said.append(part.text)
            case Refusal():
                said.append(part.text)
            case Media() if part.text is not None:
                said.append(f"{part.title}\n{part.text}" if part.title else part.text)
            case Opaque():
                losses.note(f"messages.{part.kind}")
            case _:
                pass
    return "\n".join(said)


def _note_marks(cache: CacheMark | None, losses: Losses) -> None:
    if cache is not None:
        losses.note("messages.cache_control")


def _write_call(call: ToolCall, number: int, names: dict[str, str], losses: Losses) -> JSON:
    names[call.id] = call.name
    function: JSON = {"index": number, "name": call.name, "arguments": arguments_object(call)}
    written: JSON = {"function": function}
    if call.id:
        written = {"id": call.id, **written}
    further: JSON = {}
    losses.carry(further, call.extra, "messages.tool_calls")
    function.update(further.pop("function", {}))
    written.update(further)
    return written


def arguments_object(call: ToolCall) -> JSON:
    """The call's arguments as the object that this dialect wants, whatever the model wrote."""
    if call.kind == "custom":
        return {"input": call.arguments}
    if not call.arguments.strip():
        return {}
    try:
        value = msgspec.json.decode(call.arguments)
    except (msgspec.DecodeError, RecursionError):
        return {"input": call.arguments}
    return value if isinstance(value, dict) else {"input": call.arguments}


def _write_result(result: ToolResult, names: dict[str, str], losses: Losses) -> JSON:
    _note_marks(result.cache, losses)
    if result.is_error:
        losses.note("messages.is_error")
    message: JSON = {"role": "tool", "content": _text(result.content, losses)}
    if pictures := [images.write(part) for part in result.content if images.is_picture(part, losses)]:
        message["images"] = pictures
    if name := result.name or names.get(result.call_id):
        message["tool_name"] = name
    if result.call_id:
        message["tool_call_id"] = result.call_id
    losses.carry(message, result.extra, "messages")
    return message


def _write_tools(request: Request, losses: Losses) -> list[JSON]:
    choice = request.tool_choice or ToolChoice()
    if choice.mode in ("required", "tool"):
        losses.note("tool_choice")
    written: list[JSON] = []
    for tool in request.tools:
        if tool.kind == "provider":
            _refuse_provider_tool(tool, choice, losses)
        elif choice.mode != "none" and (not choice.names or tool.name in choice.names):
            written.append(_write_tool(tool, losses))
    return written


def _refuse_provider_tool(tool: Tool, choice: ToolChoice, losses: Losses) -> None:
    kind = str((tool.raw or {}).get("type") or tool.name)
    if choice.mode == "tool" and tool.name in choice.names:
        raise Unsayable(
            f"tool_choice forces the provider's own tool {kind}, which Ollama does not have; "
            "choose a model whose provider runs it, or leave tool_choice out"
        )
    losses.note(f"tools.{kind}")


def _write_tool(tool: Tool, losses: Losses) -> JSON:
    if tool.kind == "custom":
        tool = custom.as_function(tool)
    if tool.cache is not None:
        losses.note("tools.cache_control")
    function: JSON = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    if tool.strict is not None and losses.same_dialect:
        function["strict"] = tool.strict
    elif tool.strict:
        losses.note("tools.strict")
    further: JSON = {}
    losses.carry(further, tool.extra, "tools")
    function.update(further.pop("function", {}))
    return {"type": "function", "function": function, **further}
