"""Requests: canon -> the body of `/v2/chat`."""

import msgspec

from dragoman.canon import (
    JSON,
    CacheMark,
    Citation,
    Media,
    Message,
    Opaque,
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
from dragoman.dialects import custom
from dragoman.dialects.dialect import Unsayable, Written
from dragoman.dialects.losses import Losses
from dragoman.dialects.quirks import Quirks
from dragoman.dialects.thinking import budget_for

CAN_SAY = frozenset({
    "output", "thinking", "max_output_tokens", "temperature", "top_p", "top_k", "frequency_penalty",
    "presence_penalty", "seed", "stop", "n", "logprobs",
})  # fmt: skip
# Cohere's own fields, which a client may send along in any dialect's body
OWN_FIELDS = frozenset({"citation_options", "documents", "priority", "safety_mode", "strict_tools"})
_MAX_STOP = 5
PLAN = {"tool_plan": True}  # marks the thinking that this dialect keeps in `tool_plan`


def write_request(request: Request, quirks: Quirks) -> Written:
    """Raises `Unsayable` for sound, film and files."""
    own = {name: value for name, value in (request.extra or {}).items() if name in OWN_FIELDS}
    foreign = {name: value for name, value in (request.extra or {}).items() if name not in OWN_FIELDS}
    losses = Losses(msgspec.structs.replace(request, extra=foreign or None), "cohere", CAN_SAY)
    conversation = _Conversation(losses)
    for message in request.messages:
        conversation.add(message)
    body: JSON = {"model": request.model, "messages": conversation.messages, "stream": request.stream}
    _write_tools(request, body, losses)
    _write_settings(request, body, quirks, losses)
    body.update(own)
    if conversation.documents:
        body["documents"] = [*body.get("documents", []), *conversation.documents]
    for name in quirks.refuses & body.keys():
        del body[name]
        losses.note(name)
    return Written(body, losses.names)


# ---------------------------------------------------------------- messages


class _Conversation:
    """The messages as they grow, and the documents taken out of them."""

    def __init__(self, losses: Losses) -> None:
        self.messages: list[JSON] = []
        self.documents: list[JSON] = []
        self._losses = losses

    def add(self, message: Message) -> None:
        """Writes `message`: its tool results as messages of their own, before what else it says."""
        losses = self._losses
        if message.name:
            losses.note("messages.name")
        losses.carry({}, message.extra, "messages")
        shown: list[Part] = []  # pictures in results, which a tool's message cannot hold
        for part in message.parts:
            if isinstance(part, ToolResult):
                self._result(part)
                shown += [item for item in part.content if isinstance(item, Media) and item.text is None]
        rest: list[Part] = [*shown, *(part for part in message.parts if not isinstance(part, ToolResult))]
        if message.role == "assistant":
            self._assistant(rest)
        elif content := self._content(rest):
            role = "user" if message.role == "user" else "system"
            self.messages.append({"role": role, "content": _shortest(content)})

    def _result(self, result: ToolResult) -> None:
        if result.is_error:
            self._losses.note("messages.is_error")
        _note_cache(result.cache, self._losses)
        self._losses.carry({}, result.extra, "messages")
        content = self._content([part for part in result.content if not isinstance(part, Media) or part.text])
        self.messages.append(
            {"role": "tool", "tool_call_id": result.call_id, "content": _shortest(content) if content else ""}
        )

    def _assistant(self, parts: list[Part]) -> None:
        message: JSON = {"role": "assistant"}
        plan = "".join(part.text for part in parts if isinstance(part, Reasoning) and _is_plan(part))
        citations: list[JSON] = []
        if content := self._content(parts, citations):
            message["content"] = _shortest(content)
        calls = [part for part in parts if isinstance(part, ToolCall)]
        if calls:
            message["tool_calls"] = [self._call(call) for call in calls]
        if plan and calls:
            message["tool_plan"] = plan
        if citations:
            message["citations"] = citations
        if len(message) > 1:
            self.messages.append(message)

    def _call(self, call: ToolCall) -> JSON:
        _note_cache(call.cache, self._losses)
        self._losses.carry({}, call.extra, "messages.tool_calls")
        arguments = custom.wrap(call.arguments) if call.kind == "custom" else call.arguments.strip() or "{}"
        return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}

    def _content(self, parts: list[Part], citations: list[JSON] | None = None) -> list[JSON]:
        """Content blocks; this dialect's own citations of them go into `citations`."""
        blocks: list[JSON] = []
        losses = self._losses
        for part in parts:
            match part:
                case Text():
                    _note_cache(part.cache, losses)
                    losses.carry({}, part.extra, "messages.content")
                    if part.text:
                        self._cite(part.citations, citations, len(blocks))
                        blocks.append({"type": "text", "text": part.text})
                case Refusal() if part.text:
                    blocks.append({"type": "text", "text": part.text})
                case Reasoning():
                    blocks.extend(self._thinking(part))
                case Media():
                    blocks.extend(self._media(part))
                case Opaque():
                    losses.note(f"messages.{part.kind}")
                case _:
                    pass
        return blocks

    def _cite(self, found: list[Citation], citations: list[JSON] | None, index: int) -> None:
        for citation in found:
            if citations is not None and citation.dialect == "cohere" and citation.raw:
                citations.append({**citation.raw, "content_index": index})
            else:
                self._losses.note("messages.citations")

    def _thinking(self, part: Reasoning) -> list[JSON]:
        if part.dialect != "cohere":
            self._losses.note("reasoning")
            return []
        if _is_plan(part) or not part.text:
            return []
        return [{"type": "thinking", "thinking": part.text}]

    def _media(self, part: Media) -> list[JSON]:
        _note_cache(part.cache, self._losses)
        self._losses.carry({}, part.extra, "messages.content")
        if part.text is not None:
            return self._document(part)
        if part.kind != "image" or part.file_id is not None:
            how = " by file id" if part.file_id is not None else ""
            raise Unsayable(
                f"Cohere takes no {part.kind}{how}: send text and images (as a data: or https: address), "
                "or choose a model of another provider"
            )
        url = part.url if part.url is not None else f"data:{part.mime or 'image/png'};base64,{part.data or ''}"
        image: JSON = {"url": url}
        if part.detail in ("auto", "low", "high"):
            image["detail"] = part.detail
        elif part.detail is not None:
            self._losses.note("messages.detail")
        return [{"type": "image_url", "image_url": image}]

    def _document(self, part: Media) -> list[JSON]:
        title = part.title or part.name
        if not part.cited:
            return [{"type": "text", "text": f"{title}\n{part.text}" if title else part.text}]
        data = {"text": part.text}
        if title:
            data["title"] = title
        if part.context:
            data["context"] = part.context
        self.documents.append({"data": data})
        return []


def _shortest(content: list[JSON]) -> list[JSON] | str:
    """One text stands alone, as text."""
    if len(content) == 1 and content[0]["type"] == "text":
        text = content[0]["text"]
        return text if isinstance(text, str) else content
    return content


def _is_plan(part: Reasoning) -> bool:
    return part.dialect == "cohere" and part.extra == PLAN


def _note_cache(cache: CacheMark | None, losses: Losses) -> None:
    if cache is not None:
        losses.note("messages.cache_control")


# ---------------------------------------------------------------- tools


def _write_tools(request: Request, body: JSON, losses: Losses) -> None:
    choice = request.tool_choice or ToolChoice()
    offered: list[Tool] = []
    for tool in request.tools:
        if tool.kind == "provider":
            _refuse_provider_tool(tool, choice, losses)
        elif not choice.names or tool.name in choice.names:
            offered.append(tool)
    if not offered:
        return
    body["tools"] = [_tool(tool, losses) for tool in offered]
    strict = [tool.strict is True for tool in offered]
    if all(strict):
        body["strict_tools"] = True
    elif any(strict):
        losses.note("tools.strict")
    if choice.mode == "none":
        body["tool_choice"] = "NONE"
    elif choice.mode in ("required", "tool"):
        body["tool_choice"] = "REQUIRED"


def _refuse_provider_tool(tool: Tool, choice: ToolChoice, losses: Losses) -> None:
    kind = str((tool.raw or {}).get("type") or tool.name)
    if choice.mode == "tool" and tool.name in choice.names:
        raise Unsayable(
            f"tool_choice forces the provider's own tool {kind}, which Cohere does not have; "
            "choose a model whose provider runs it, or leave tool_choice out"
        )
    losses.note(f"tools.{kind}")


def _tool(tool: Tool, losses: Losses) -> JSON:
    if tool.kind == "custom":
        tool = custom.as_function(tool)
    if tool.cache is not None:
        losses.note("tools.cache_control")
    losses.carry({}, tool.extra, "tools")
    function: JSON = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}


# ---------------------------------------------------------------- settings


def _write_settings(request: Request, body: JSON, quirks: Quirks, losses: Losses) -> None:
    _write_output(request, body, losses)
    if request.thinking is not None:
        _write_thinking(request.thinking, request.max_output_tokens, body, losses)
    if request.n is not None and request.n > 1:
        losses.note("n")
    if stop := request.stop[: quirks.max_stop or _MAX_STOP]:
        body["stop_sequences"] = stop
        if len(stop) < len(request.stop):
            losses.note("stop")
    settings = {
        "max_tokens": request.max_output_tokens,
        "temperature": request.temperature,
        "p": None if request.top_p is None else min(max(request.top_p, 0.01), 0.99),
        "k": request.top_k,
        "seed": request.seed,
        "frequency_penalty": _share(request.frequency_penalty, "frequency_penalty", losses),
        "presence_penalty": _share(request.presence_penalty, "presence_penalty", losses),
        "logprobs": request.logprobs,
    }
    body.update({name: value for name, value in settings.items() if value is not None})


def _share(value: float | None, name: str, losses: Losses) -> float | None:
    """Penalties go from 0 to 1 here."""
    if value is None or 0 <= value <= 1:
        return value
    losses.note(name)
    return min(max(value, 0.0), 1.0)


def _write_output(request: Request, body: JSON, losses: Losses) -> None:
    output = request.output
    if output is None or (output.kind == "text" and not output.mime):
        return
    if output.kind == "text" or "tools" in body:
        losses.note("output")
        return
    written: JSON = {"type": "json_object"}
    if output.kind == "json_schema" and output.schema is not None:
        written["json_schema"] = output.schema
    body["response_format"] = written


def _write_thinking(thinking: Thinking, limit: int | None, body: JSON, losses: Losses) -> None:
    losses.carry({}, thinking.extra, "thinking")
    if thinking.mode == "off" or thinking.effort == "none" or thinking.budget == 0:
        body["thinking"] = {"type": "disabled"}
        return
    budget = thinking.budget if thinking.budget is not None else budget_for(thinking.effort, limit)
    if budget is not None and budget > 0:
        body["thinking"] = {"type": "enabled", "token_budget": budget}
    elif thinking.mode is not None or budget is not None:
        body["thinking"] = {"type": "enabled"}
