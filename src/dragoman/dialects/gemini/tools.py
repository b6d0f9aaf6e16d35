"""`tools` and `toolConfig`, both ways.

| canon                        | gemini                                                                        |
|------------------------------|-------------------------------------------------------------------------------|
| Tool function                | `functionDeclarations[]`: name, description, `parametersJsonSchema`           |
|                              | (read also from `parameters`)                                                 |
| Tool custom                  | a function with one string `input`                                            |
| Tool provider                | `googleSearch`, `codeExecution`, `urlContext`, …                              |
| Tool.strict                  | mode `VALIDATED`                                                              |
| ToolChoice auto              | mode `AUTO`; with names `VALIDATED`                                           |
| ToolChoice none              | mode `NONE`                                                                   |
| ToolChoice required          | mode `ANY`                                                                    |
| ToolChoice tool              | mode `ANY` with one of `allowedFunctionNames`                                 |

Normal forms: all declarations stand in the first tool, and every schema is JSON Schema.
"""

from dragoman.canon import JSON, Request, Tool, ToolChoice
from dragoman.dialects import custom
from dragoman.dialects.dialect import Unsayable
from dragoman.dialects.fields import Fields
from dragoman.dialects.gemini.names import NAME, fields
from dragoman.dialects.gemini.schema import to_json_schema
from dragoman.dialects.losses import Losses

_MODES = frozenset({"AUTO", "ANY", "NONE", "VALIDATED", "MODE_UNSPECIFIED"})


def read_tools(items: list[object], path: str) -> list[Tool]:
    """Raises `Malformed`."""
    tools: list[Tool] = []
    for i, item in enumerate(items):
        tool = fields(item, (path, i))
        for j, declared in enumerate(tool.array("functionDeclarations") or ()):
            tools.append(_read_function(fields(declared, (tool.at("functionDeclarations"), j))))
        for name, setting in tool.data.items():
            tools.append(Tool(name=name, kind="provider", dialect=NAME, raw={name: setting}))
    return tools


def _read_function(declared: Fields) -> Tool:
    name, description = declared.must_text("name"), declared.text("description")
    openapi, schema = declared.plain("parameters"), declared.plain("parametersJsonSchema")
    if schema is None and openapi is not None:
        schema = to_json_schema(openapi)
    return Tool(name=name, description=description, parameters=schema, extra=declared.rest())


def read_choice(config: Fields) -> ToolChoice | None:
    """`functionCallingConfig` of a `toolConfig`."""
    calling = config.any("functionCallingConfig")
    if calling is None:
        return None
    calling = fields(calling, config.at("functionCallingConfig"))
    if isinstance(mode := calling.data.get("mode"), str):
        calling.data["mode"] = mode.upper()
    mode = calling.one_of("mode", _MODES)
    names = calling.texts("allowedFunctionNames")
    raw = {"mode": mode, **calling.data} if mode == "VALIDATED" or calling.data else None
    match mode:
        case "NONE":
            return ToolChoice(mode="none", names=names, raw=raw)
        case "ANY":
            return ToolChoice(mode="tool" if len(names) == 1 else "required", names=names, raw=raw)
        case _:
            return ToolChoice(mode="auto", names=names, raw=raw)


def write_tools(request: Request, losses: Losses) -> tuple[list[JSON], JSON | None]:
    """`tools` and `functionCallingConfig`. Raises `Unsayable` where the choice insists on a tool that is not there."""
    declared: list[JSON] = []
    others: list[JSON] = []
    lost: set[str] = set()
    strict = False
    for tool in request.tools:
        if tool.kind == "provider":
            if tool.dialect == NAME and tool.raw is not None:
                others.append(tool.raw)
            else:
                losses.note(f"tools.{_provider_type(tool)}")
                lost.add(tool.name)
        else:
            strict = strict or tool.strict is True
            declared.append(_write_function(tool, losses))
    tools = [{"functionDeclarations": declared}, *others] if declared else others
    return tools, _write_choice(request, bool(declared), strict, lost, losses)


def _provider_type(tool: Tool) -> str:
    kind = (tool.raw or {}).get("type")
    return kind if isinstance(kind, str) else tool.name


def _write_function(tool: Tool, losses: Losses) -> JSON:
    if tool.kind == "custom":
        tool = custom.as_function(tool)
    written: JSON = {"name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    if tool.parameters is not None:
        written["parametersJsonSchema"] = tool.parameters
    if tool.cache is not None:
        losses.note("tools.cache_control")
    losses.carry(written, tool.extra, "tools")
    return written


def _write_choice(request: Request, declared: bool, strict: bool, lost: set[str], losses: Losses) -> JSON | None:
    choice = request.tool_choice
    if choice is not None and choice.mode == "tool" and choice.names and choice.names[0] in lost:
        raise Unsayable(f'tool_choice insists on "{choice.names[0]}", a tool that Gemini does not have: leave it out')
    if choice is not None and losses.same_dialect:
        return _as_said(choice)
    if not declared:
        return None
    if choice is None:
        return {"mode": "VALIDATED"} if strict else None
    return _calling(choice, strict)


def _as_said(choice: ToolChoice) -> JSON:
    raw = choice.raw or {}
    return {**_calling(choice, raw.get("mode") == "VALIDATED"), **raw}


def _calling(choice: ToolChoice, strict: bool) -> JSON:
    match choice.mode:
        case "none":
            calling: JSON = {"mode": "NONE"}
        case "required" | "tool":
            calling = {"mode": "ANY"}
        case _:
            # only ANY and VALIDATED hold the model to some of the tools
            calling = {"mode": "VALIDATED" if strict or choice.names else "AUTO"}
    if choice.names:
        calling["allowedFunctionNames"] = choice.names
    return calling
