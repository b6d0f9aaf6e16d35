"""Tools and tool choice, and the names under which functions inside namespaces reach other dialects.

| canon                   | wire                                                                                  |
|-------------------------|---------------------------------------------------------------------------------------|
| Tool function           | `function`; without `strict` the API tries strict, so others' tools get `strict: false` |
| Tool custom             | `custom` with `format`                                                                |
| Tool function or custom | one in a `namespace`: `name` is `namespace__name`, `raw` says where it belongs         |
| Tool function           | `tool_search` executed by the client: a function that any model can call               |
| Tool provider           | every other type, whole in `raw`                                                      |

A namespace is a group of tools; a call inside it has both a `name` and a `namespace`. Other dialects have one flat
list of names, so the canon name joins the two, and `Names` turns it back. Tools may also stand in input items
(`additional_tools`, the tools that a `tool_search_output` found): they are tools like any other for a foreign model,
and `raw["item"]` keeps this dialect's writer from listing them twice.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from dragoman.canon import JSON, Request, Tool, ToolCall, ToolChoice
from dragoman.dialects import ids
from dragoman.dialects.dialect import Unsayable
from dragoman.dialects.fields import Fields, Malformed, Path
from dragoman.dialects.losses import Losses
from dragoman.dialects.openai_responses.name import NAME

_DEFAULT_NAMESPACE = "functions"  # the same as none: Codex may put all its own tools there, and calls go without it
_NO_PARAMETERS: JSON = {"type": "object", "properties": {}}
_MODES = frozenset({"auto", "none", "required"})


def flat_name(namespace: str | None, name: str) -> str:
    """The one name, valid in every dialect, that stands for a name in a namespace."""
    if not namespace or namespace == _DEFAULT_NAMESPACE:
        return name
    return ids.fit(f"{namespace}__{name}")


class Place(Struct, frozen=True):
    """How this dialect names a tool: the type of its calls, its bare name and its namespace."""

    kind: str  # function | custom | tool_search
    name: str
    namespace: str | None = None


class Names:
    """Where each of a request's tools belongs, by its canon name."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._places: dict[str, Place] = {}
        self._bare: dict[str, str] = {}
        for tool in tools:
            if tool.kind == "provider":
                continue
            raw = tool.raw if tool.dialect == NAME and tool.raw is not None else {}
            kind = "tool_search" if raw.get("type") == "tool_search" else tool.kind
            namespace = raw.get("namespace")
            place = Place(kind, raw.get("name", tool.name), namespace if namespace != _DEFAULT_NAMESPACE else None)
            self._places[tool.name] = place
            self._bare.setdefault(place.name, tool.name)

    def place(self, name: str) -> Place:
        """Where the tool with this canon name belongs; unknown names are plain functions."""
        return self._places.get(name) or Place("function", name)

    def knows(self, name: str) -> bool:
        return name in self._places

    def flat(self, name: str) -> str:
        """The canon name for a name that the client gave, perhaps without its namespace."""
        return name if name in self._places else self._bare.get(name, name)


# reading


def read_tools(items: list[Fields]) -> list[Tool]:
    """The tools of a `tools` array. Raises `Malformed`."""
    tools: list[Tool] = []
    for fields in items:
        kind = fields.must_text("type")
        if kind == "namespace":
            tools += _read_namespace(fields)
        else:
            tools.append(_read_tool(fields, kind))
    return tools


def _read_tool(fields: Fields, kind: str) -> Tool:
    if kind == "tool_search" and fields.data.get("execution") == "client":
        raw = {"type": kind, **fields.data}
        parameters = fields.plain("parameters")
        return Tool(name=kind, description=fields.text("description"), parameters=parameters, dialect=NAME, raw=raw)
    if kind not in {"function", "custom"}:
        return Tool(kind="provider", name=kind, dialect=NAME, raw={"type": kind, **fields.data})
    tool = Tool(name=fields.must_text("name"), description=fields.text("description"))
    if not tool.name:
        raise Malformed(fields.at("name"), "a name", tool.name)
    if kind == "custom":
        tool.kind, tool.format = "custom", fields.plain("format")
    else:
        tool.parameters, tool.strict = fields.plain("parameters"), fields.flag("strict")
    tool.extra = fields.rest()
    return tool


def _read_namespace(fields: Fields) -> list[Tool]:
    namespace = fields.must_text("name")
    members = fields.objects("tools")
    if not members:
        raw = {"type": "namespace", "name": namespace, "tools": [], **fields.data}
        return [Tool(kind="provider", name="namespace", dialect=NAME, raw=raw)]
    tools = [_read_tool(member, member.must_text("type")) for member in members]
    for tool in tools:
        if tool.kind == "provider":
            raise Malformed(fields.at("tools"), "function and custom tools in a namespace", tool.name)
        tool.dialect, tool.raw = NAME, {"namespace": namespace, "name": tool.name}
        tool.name = flat_name(namespace, tool.name)
    tools[0].raw = {**(tools[0].raw or {}), "group": fields.data}
    return tools


def read_item_tools(items: list[Any], path: Path) -> list[Tool]:
    """The tools that an input item brings along. They are marked as its own."""
    tools = read_tools([Fields(_copied(item), (path, i)) for i, item in enumerate(items)])
    for tool in tools:
        tool.dialect, tool.raw = NAME, {**(tool.raw or {}), "item": True}
    return tools


def _copied(item: object) -> object:
    """`Fields` takes apart what it reads, and the item must stay whole."""
    if isinstance(item, dict):
        return {key: [_copied(each) for each in value] if key == "tools" and isinstance(value, list) else value
                for key, value in item.items()}  # fmt: skip
    return item


def read_tool_choice(value: object, names: Names) -> ToolChoice | None:
    """Every form of `tool_choice`. Raises `Malformed`."""
    if value is None:
        return None
    if isinstance(value, str):
        if value in _MODES:
            return ToolChoice(mode=value)  # type: ignore[arg-type]  # one of the modes, as just checked
        raise Malformed("tool_choice", "auto, none, required or an object", value)
    fields = Fields(dict(value) if isinstance(value, dict) else value, "tool_choice")
    kind = fields.must_text("type")
    if kind == "allowed_tools":
        mode = fields.one_of("mode", {"auto", "required"}) or "auto"
        allowed = [_allowed_name(tool, names) for tool in fields.array("tools") or ()]
        return ToolChoice(mode=mode, names=allowed, raw=value)  # type: ignore[arg-type]  # auto or required
    if kind in {"function", "custom"}:
        namespace = fields.text("namespace")
        bare = fields.must_text("name")
        name = flat_name(namespace, bare) if namespace else names.flat(bare)
        return ToolChoice(mode="tool", names=[name], raw=value)  # type: ignore[arg-type]  # Fields saw an object
    return ToolChoice(mode="tool", names=[kind], raw=value)  # type: ignore[arg-type]  # Fields saw an object


def _allowed_name(tool: object, names: Names) -> str:
    if not isinstance(tool, dict):
        raise Malformed("tool_choice.tools", "an array of objects", tool)
    name = tool.get("name")
    return names.flat(name) if isinstance(name, str) else str(tool.get("type", ""))


# writing


def write_tools(tools: list[Tool], losses: Losses) -> list[JSON]:
    """A `tools` array, namespaces grouped again."""
    written: list[JSON] = []
    group: JSON | None = None
    for tool in tools:
        raw = tool.raw if tool.dialect == NAME and tool.raw is not None else {}
        if raw.get("item") and losses.same_dialect:
            continue
        namespace = raw.get("namespace") if losses.same_dialect else None
        if namespace is None:
            group = None
            if (body := _write_tool(tool, raw, losses)) is not None:
                written.append(body)
            continue
        if group is None or "group" in raw or group["name"] != namespace:
            about = raw.get("group") or {"description": f"Tools in the {namespace} namespace."}
            group = {"type": "namespace", "name": namespace, **about, "tools": []}
            written.append(group)
        if (body := _write_tool(tool, {}, losses)) is not None:
            group["tools"].append({**body, "name": raw["name"]})
    return written


def _write_tool(tool: Tool, raw: JSON, losses: Losses) -> JSON | None:
    if tool.kind == "provider":
        if tool.dialect == NAME:
            return tool.raw
        losses.note(f"tools.{tool.name}")
        return None
    if raw.get("type") == "tool_search":
        return raw
    body: JSON = {"type": tool.kind, "name": tool.name}
    if tool.description is not None:
        body["description"] = tool.description
    if tool.kind == "custom":
        if tool.format is not None:
            body["format"] = _flat_format(tool.format)
    elif losses.same_dialect:
        body.update({k: v for k, v in (("parameters", tool.parameters), ("strict", tool.strict)) if v is not None})
    else:
        body["parameters"] = tool.parameters or _NO_PARAMETERS
        body["strict"] = tool.strict is True
    if tool.cache is not None:
        losses.note("tools.cache")
    losses.carry(body, tool.extra, "tools")
    return body


def _flat_format(format: JSON) -> JSON:
    """Chat Completions nests what a grammar is; here it lies flat."""
    nested = format.get("grammar")
    return {"type": "grammar", **nested} if isinstance(nested, dict) else format


def write_tool_choice(request: Request, losses: Losses) -> str | JSON | None:
    """`tool_choice`. Raises `Unsayable` where another dialect's provider tool is forced."""
    choice = request.tool_choice
    if choice is None:
        return None
    if choice.raw is not None and losses.same_dialect:
        return choice.raw
    kinds = {tool.name: tool.kind for tool in request.tools}
    if choice.mode == "tool" and choice.names:
        name = choice.names[0]
        if kinds.get(name) == "provider":
            raise Unsayable(f"tool_choice forces {name}, a tool that only another API has; choose one of the functions")
        return {"type": kinds.get(name, "function"), "name": name}
    if choice.mode == "tool":
        return "required"
    if choice.names and choice.mode != "none":
        allowed = [{"type": kinds.get(name, "function"), "name": name} for name in choice.names]
        return {"type": "allowed_tools", "mode": choice.mode, "tools": allowed}
    return choice.mode


def place_of(call: ToolCall, names: Names) -> Place:
    """How this dialect names a call of a reply: what the provider said itself, else what the request's tools say."""
    extra = call.extra or {}
    if extra.get("type") == "tool_search_call":
        return Place("tool_search", call.name)
    if isinstance(extra.get("namespace"), str):
        return Place(call.kind, str(extra.get("name", call.name)), extra["namespace"])
    place = names.place(call.name)
    return Place("custom", place.name, place.namespace) if call.kind == "custom" else place
