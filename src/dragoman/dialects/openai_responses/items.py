"""Input items into messages.

One turn of the model is several items (reasoning, message, calls): they become one assistant message with its parts in
order. Tool outputs become `ToolResult` parts of a user message. `Text.id`, `Reasoning.id` and `ToolCall.item_id` keep
the items' ids, and parts of one message item share its id.

| item                                                   | canon                                                      |
|--------------------------------------------------------|------------------------------------------------------------|
| `message` of user, system, developer                   | Message                                                    |
| `message` of assistant                                 | Text, Refusal parts; `phase` in the first part's `extra`   |
| `reasoning`                                            | Reasoning, or what is sealed in its `encrypted_content`    |
| `function_call`, `custom_tool_call`, `tool_search_call` by the client | ToolCall                                    |
| `function_call_output`, `custom_tool_call_output`, `tool_search_output` to the client | ToolResult                  |
| `compaction` that holds a seal                         | the sealed parts, in a user message                        |
| all others                                             | Opaque: `…_call` as the assistant's, the rest as the user's |

`status: completed` says nothing that an id does not: it is dropped, and written again where the item has an id.
"""

import msgspec

from dragoman.canon import JSON, Message, Opaque, Part, Reasoning, Text, Tool, ToolCall, ToolResult
from dragoman.dialects.fields import Fields, Malformed
from dragoman.dialects.openai_responses.content import read_content
from dragoman.dialects.openai_responses.name import NAME
from dragoman.dialects.openai_responses.tools import Names, flat_name, read_item_tools
from dragoman.dialects.seal import MARK, unseal

_ROLES = frozenset({"user", "assistant", "system", "developer"})
BETWEEN_SUMMARIES = "\n\n"  # summary parts of one reasoning item, joined into one text


class Items:
    """Grows messages out of items. `messages` and `tools` (those that items brought along) are the result."""

    def __init__(self, names: Names) -> None:
        self.messages: list[Message] = []
        self.tools: list[Tool] = []
        self._names = names
        self._signed: ToolCall | None = None  # an unsealed signature that waits for its call

    def add(self, fields: Fields) -> None:
        """One item. Raises `Malformed`."""
        kind = fields.text("type")
        if kind is None and "role" in fields.data:
            kind = "message"
        match kind:
            case "message":
                self._message(fields)
            case "reasoning":
                self._reasoning(fields)
            case "function_call" | "custom_tool_call":
                self._call(fields, kind)
            case "tool_search_call" if fields.data.get("execution") == "client":
                self._search_call(fields)
            case "function_call_output" | "custom_tool_call_output":
                self._output(fields, kind)
            case "tool_search_output" if fields.data.get("execution") == "client":
                self._search_output(fields)
            case None if isinstance(fields.data.get("id"), str):
                self._opaque("item_reference", fields.data)
            case None:
                raise Malformed(fields.at("type"), "the item's type")
            case _:
                self._other(fields, kind)

    # who speaks

    def _assistant(self) -> list[Part]:
        """The parts of the turn that is being read."""
        return self._parts("assistant")

    def _user(self) -> list[Part]:
        """The parts of the user message that holds results and other items (never one with words of the user)."""
        return self._parts("user")

    def _parts(self, role: str) -> list[Part]:
        last = self.messages[-1] if self.messages else None
        if last is None or last.role != role or (role == "user" and not _holds_items(last)):
            last = Message(role=role)  # type: ignore[arg-type]  # one of two roles, as passed above
            self.messages.append(last)
        return last.parts

    # kinds of items

    def _message(self, fields: Fields) -> None:
        role = fields.must_text("role")
        if role not in _ROLES:
            raise Malformed(fields.at("role"), "one of " + ", ".join(sorted(_ROLES)), role)
        if "content" not in fields.data:
            raise Malformed(fields.at("content"), "a string or an array of content parts")
        parts = read_content(fields, "content")
        if role == "assistant":
            self._said(parts, fields)
            return
        item_id = fields.text("id")
        _drop_completed(fields)
        message = Message(role=role, parts=parts, id=item_id, extra=fields.rest())  # type: ignore[arg-type]  # checked
        self.messages.append(message)

    def _said(self, parts: list[Part], fields: Fields) -> None:
        """An assistant's message item. Its id and further fields ride on its parts."""
        item_id = fields.text("id")
        _drop_completed(fields)
        extra = fields.rest()
        turn = self._assistant()
        if turn and isinstance(turn[-1], Text) and (item_id is None or turn[-1].id == item_id):
            self.messages.append(Message(role="assistant"))  # two message items with nothing to tell them apart by
            turn = self.messages[-1].parts
        for part in parts or [Text(text="")]:
            if not isinstance(part, Opaque | ToolCall | ToolResult):
                part.id = item_id
            if extra and isinstance(part, Text):
                part.extra = {**(part.extra or {}), **extra}
                extra = None
            turn.append(part)

    def _reasoning(self, fields: Fields) -> None:
        sealed = fields.data.get("encrypted_content")
        if isinstance(sealed, str) and sealed.startswith(MARK):
            for part in unseal(sealed) or ():
                self._unsealed(part)
            return
        self._assistant().append(read_reasoning(fields))

    def _unsealed(self, part: Part) -> None:
        turn = self._assistant()
        match part:
            case Reasoning():
                turn.append(part)
            case ToolCall():
                self._signed = part
            case Text() if turn and isinstance(last := turn[-1], Text):
                last.signature, last.dialect = part.signature, part.dialect
            case _:
                pass

    def _call(self, fields: Fields, kind: str) -> None:
        bare, namespace = fields.must_text("name"), fields.text("namespace")
        call = ToolCall(id=fields.must_text("call_id"), name=flat_name(namespace, bare), item_id=fields.text("id"))
        if kind == "custom_tool_call":
            call.kind, call.arguments = "custom", fields.must_text("input")
        else:
            call.arguments = fields.must_text("arguments") or "{}"
        _drop_completed(fields)
        call.extra = fields.rest()
        place = self._names.place(call.name)
        if (place.name, place.namespace) != (bare, namespace):
            call.extra = {"name": bare, "namespace": namespace, **(call.extra or {})}
        self._add_call(call)

    def _search_call(self, fields: Fields) -> None:
        arguments = msgspec.json.encode(fields.any("arguments") or {}).decode()
        call = ToolCall(
            id=fields.text("call_id") or "", name="tool_search", arguments=arguments, item_id=fields.text("id")
        )
        _drop_completed(fields)
        fields.text("execution")
        call.extra = fields.rest()
        if not self._names.knows("tool_search"):
            call.extra = {"type": "tool_search_call", **(call.extra or {})}
        self._add_call(call)

    def _add_call(self, call: ToolCall) -> None:
        if self._signed is not None:
            call.signature, call.dialect, self._signed = self._signed.signature, self._signed.dialect, None
        self._assistant().append(call)

    def _output(self, fields: Fields, kind: str) -> None:
        if "output" not in fields.data:
            raise Malformed(fields.at("output"), "a string or an array of content parts")
        result = ToolResult(call_id=fields.text("call_id") or "", content=read_content(fields, "output"))
        if kind == "custom_tool_call_output":
            result.kind = "custom"
        if fields.data.get("id") is not None:
            result.extra = {"id": fields.text("id")}
        _drop_completed(fields)
        if rest := fields.rest():
            result.extra = {**(result.extra or {}), **rest}
        self._user().append(result)

    def _search_output(self, fields: Fields) -> None:
        """The tools that the client found. The model is told their names; from here on it may call them."""
        found = fields.array("tools") or []
        tools = read_item_tools(found, fields.at("tools"))
        self.tools += tools
        told = ", ".join(tool.name for tool in tools) or "none"
        result = ToolResult(call_id=fields.text("call_id") or "", content=[Text(text=f"Tools found: {told}")])
        result.extra = {"type": "tool_search_output", "tools": found, **fields.data}
        self._user().append(result)

    def _other(self, fields: Fields, kind: str) -> None:
        data = {"type": kind, **fields.data}
        if kind == "additional_tools" and isinstance(data.get("tools"), list):
            self.tools += read_item_tools(data["tools"], fields.at("tools"))
        sealed = data.get("encrypted_content") if "compaction" in kind else None
        parts = unseal(sealed) if isinstance(sealed, str) else None
        if parts is not None:
            self.messages.append(Message(role="user", parts=parts))
        else:
            self._opaque(kind, data)

    def _opaque(self, kind: str, data: JSON) -> None:
        turn = self._assistant() if kind.endswith("_call") else self._user()
        turn.append(Opaque(dialect=NAME, kind=kind, data=data))


def _holds_items(message: Message) -> bool:
    """Whether the message is made of outputs and other items, not of what the user said."""
    return bool(message.parts) and all(isinstance(part, ToolResult) or is_item(part) for part in message.parts)


def is_item(part: Part) -> bool:
    """Whether the part is an item of its own, not content of a message."""
    return isinstance(part, Opaque) and part.dialect == NAME and not part.kind.startswith(("input_", "output_"))


def _drop_completed(fields: Fields) -> None:
    if fields.data.get("status") in (None, "completed"):
        fields.data.pop("status", None)


def read_reasoning(fields: Fields) -> Reasoning:
    """A reasoning item, of a request or reply. Lenient: what is not as it should be reads as absent."""
    summary = texts_of(fields.any("summary"))
    content = texts_of(fields.data.get("content"))
    part = Reasoning(dialect=NAME, id=fields.text("id"), encrypted=fields.text("encrypted_content"))
    part.summary = not content
    part.text = "".join(content) if content else BETWEEN_SUMMARIES.join(text for text in summary if text)
    if content:
        fields.data.pop("content")
        if summary:
            fields.data["summary"] = [{"type": "summary_text", "text": text} for text in summary]
    elif len(summary) > 1:
        fields.data["summary"] = [{"type": "summary_text", "text": text} for text in summary]
    if fields.data.get("content") in (None, []):
        fields.data.pop("content", None)
    _drop_completed(fields)
    part.extra = fields.rest()
    return part


def texts_of(items: object) -> list[str]:
    """The texts of a list of text parts."""
    if not isinstance(items, list):
        return []
    return [text for item in items if isinstance(item, dict) and isinstance(text := item.get("text"), str)]
