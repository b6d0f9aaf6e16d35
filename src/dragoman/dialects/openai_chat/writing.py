"""Requests to providers: canon to JSON, with what could not be said noted.

Normal forms: one plain text part is written as a string; `stop` as an array; `max_tokens` and `user` under the name the
provider takes; a refusal part as the message's `refusal`; a call without arguments as `{}`. A streamed request always
asks for usage.
"""

from collections.abc import Mapping

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
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from dragoman.dialects import custom
from dragoman.dialects.dialect import Unsayable, Written
from dragoman.dialects.ids import fit
from dragoman.dialects.losses import Losses
from dragoman.dialects.openai_chat.names import FIELD_NAMES, NAME
from dragoman.dialects.openai_chat.parts import write_cache, write_content
from dragoman.dialects.openai_chat.reading import is_legacy
from dragoman.dialects.openai_chat.turns import LEGACY_ID, details_of, google_content, write_annotation
from dragoman.dialects.openai_models import drop_refused, traits
from dragoman.dialects.quirks import Quirks
from dragoman.dialects.thinking import effort_for

_SAME_NAME = (
    "temperature", "top_p", "frequency_penalty", "presence_penalty", "logit_bias", "seed", "n", "logprobs",
    "top_logprobs", "verbosity", "modalities", "metadata", "store",
)  # fmt: skip
_EXTRAS = ("top_k", "min_p", "repetition_penalty")
_CAN_SAY = frozenset(
    {*_SAME_NAME, "parallel_tool_calls", "output", "thinking", "max_output_tokens", "stop", "audio_output",
     "service_tier", "user", "cache", "cache_key"}
)  # fmt: skip
_CAN_SAY_EXTRAS = _CAN_SAY | set(_EXTRAS)
_TIERS = {"auto", "default", "flex", "scale", "priority", "fast"}
_FOREIGN_TIERS = {"standard": "default", "standard_only": "default"}
_CANON_NAMES = {name: field for field, name in FIELD_NAMES.items()} | {
    "max_tokens": "max_output_tokens",
    "safety_identifier": "user",
}
_ID_LIMIT = 40  # OpenAI refuses longer tool-call ids in Chat Completions
_OWN_ID_LIMIT = 64  # compatible providers make longer ones (vLLM: 46) and want them back


def write_request(request: Request, quirks: Quirks) -> Written:
    """`request.model` is already the provider's model id. Raises `Unsayable`."""
    losses = Losses(request, NAME, _CAN_SAY_EXTRAS if quirks.sampling_extras else _CAN_SAY)
    body: JSON = {"model": request.model, "messages": _Messages(request, losses, quirks).write()}
    _tools(body, request, losses, quirks)
    _settings(body, request, losses, quirks)
    if not losses.same_dialect:
        drop_refused(body, request.model, body.get("reasoning_effort"), losses)
    _identity(body, request, losses, quirks)
    if losses.same_dialect and request.extra:
        body.update(request.extra)
    if request.stream:
        body["stream"] = True
        if quirks.stream_usage:
            body["stream_options"] = {**body.get("stream_options", {}), "include_usage": True}
    for name in sorted(quirks.refuses & body.keys()) if quirks.refuses else ():
        del body[name]
        if name != "stream_options":
            losses.note(_CANON_NAMES.get(name, name))
    return Written(body, losses.names)


def _settings(body: JSON, request: Request, losses: Losses, quirks: Quirks) -> None:
    for name in (*_SAME_NAME, *_EXTRAS) if quirks.sampling_extras else _SAME_NAME:
        if (value := getattr(request, name)) is not None:
            body[name] = value
    if request.max_output_tokens is not None:
        body[quirks.max_tokens_field] = request.max_output_tokens
    if request.stop:
        body["stop"] = request.stop[: quirks.max_stop]
        if len(body["stop"]) < len(request.stop):
            losses.note("stop")
    if request.audio_output is not None:
        body["audio"] = request.audio_output
    if request.thinking is not None and (effort := _effort(request, losses)) is not None:
        body["reasoning_effort"] = effort
    if request.output is not None:
        _output(body, request.output, losses)


def _effort(request: Request, losses: Losses) -> str | None:
    thinking = request.thinking
    if thinking is None:
        return None
    effort = thinking.effort or ("none" if thinking.mode == "off" else effort_for(thinking.budget))
    if effort is None or losses.same_dialect:
        return effort
    said = traits(request.model).effort(effort)
    if said is None and effort != "none":
        losses.note("thinking")
    return said


def _output(body: JSON, output: OutputFormat, losses: Losses) -> None:
    if output.mime is not None:
        losses.note("output")
    if output.kind == "text":
        if losses.same_dialect:
            body["response_format"] = {"type": "text"}
        return
    if output.kind == "json":
        body["response_format"] = {"type": "json_object"}
        return
    schema: JSON = {"name": output.name or "response"}
    if output.description is not None:
        schema["description"] = output.description
    if output.schema is not None:
        schema["schema"] = output.schema
    if output.strict is not None:
        schema["strict"] = output.strict
    body["response_format"] = {"type": "json_schema", "json_schema": schema}


def _identity(body: JSON, request: Request, losses: Losses, quirks: Quirks) -> None:
    if request.user is not None:
        body[quirks.user_field] = request.user
    if request.cache_key is not None:
        body["prompt_cache_key"] = request.cache_key
    if request.cache is not None:
        if quirks.cache_control:
            write_cache(body, request.cache, losses, quirks, "")
        else:
            losses.note("cache")
    if (tier := request.service_tier) is not None:
        if not losses.same_dialect:
            tier = _FOREIGN_TIERS.get(tier, tier)
        if losses.same_dialect or tier in _TIERS:
            body["service_tier"] = tier
        else:
            losses.note("service_tier")


# tools


def _tools(body: JSON, request: Request, losses: Losses, quirks: Quirks) -> None:
    legacy = losses.same_dialect and is_legacy(request)
    tools: list[JSON] = []
    functions: list[JSON] = []
    for tool in request.tools:
        if legacy and tool.kind == "function" and tool.raw is not None:
            functions.append(tool.raw)
        elif (written := _tool(tool, losses, quirks)) is not None:
            tools.append(written)
    if tools:
        body["tools"] = tools
    if functions:
        body["functions"] = functions
    if request.tool_choice is not None:
        _tool_choice(body, request.tool_choice, request, losses, quirks)
    if request.parallel_tool_calls is not None and (tools or losses.same_dialect) and not functions:
        if quirks.parallel_tool_calls:
            body["parallel_tool_calls"] = request.parallel_tool_calls
        elif not request.parallel_tool_calls:
            losses.note("parallel_tool_calls")


def _tool(tool: Tool, losses: Losses, quirks: Quirks) -> JSON | None:
    if tool.kind == "provider":
        if tool.dialect == NAME and tool.raw is not None:
            return tool.raw
        losses.note(f"tools.{_provider_type(tool)}")
        return None
    if tool.kind == "custom" and not quirks.custom_tools:
        tool = custom.as_function(tool)
    inner: JSON = {"name": tool.name}
    if tool.description is not None:
        inner["description"] = tool.description
    if tool.kind == "custom":
        if tool.format is not None:
            inner["format"] = _custom_format(tool.format)
    else:
        if tool.parameters is not None:
            inner["parameters"] = tool.parameters
        if tool.strict is not None:
            if quirks.strict_tools:
                inner["strict"] = tool.strict
            elif tool.strict:
                losses.note("tools.strict")
    written: JSON = {"type": tool.kind, tool.kind: inner}
    write_cache(written, tool.cache, losses, quirks, "tools")
    extra = dict(tool.extra or {})
    if losses.same_dialect and isinstance(extra.get(tool.kind), dict):
        inner.update(extra.pop(tool.kind))
    losses.carry(written, extra, "tools")
    return written


def _custom_format(format: JSON) -> JSON:
    """Responses writes a grammar's fields beside its type; here they stand in an object of their own."""
    if format.get("type") == "grammar" and "grammar" not in format:
        return {"type": "grammar", "grammar": {key: value for key, value in format.items() if key != "type"}}
    return format


def _provider_type(tool: Tool) -> str:
    kind = (tool.raw or {}).get("type")
    return kind if isinstance(kind, str) else tool.name


def _tool_choice(body: JSON, choice: ToolChoice, request: Request, losses: Losses, quirks: Quirks) -> None:
    if is_legacy(request) and losses.same_dialect:
        body["function_call"] = {"name": choice.names[0]} if choice.mode == "tool" else choice.mode
        return
    kinds = {tool.name: tool.kind for tool in request.tools}
    if choice.mode == "tool" and kinds.get(choice.names[0]) == "provider" and not losses.same_dialect:
        raise Unsayable(f"tool_choice forces {choice.names[0]}, a tool that only its own provider runs")
    if "tools" not in body and not losses.same_dialect:
        return  # OpenAI refuses a choice without tools
    if choice.raw is not None and losses.same_dialect and quirks.custom_tools:
        body["tool_choice"] = choice.raw
    elif choice.mode == "tool":
        body["tool_choice"] = _named(choice.names[0], kinds, quirks)
    elif choice.names and choice.mode != "none":
        allowed = [_named(name, kinds, quirks) for name in choice.names if kinds.get(name) != "provider"]
        body["tool_choice"] = {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": allowed}}
    else:
        body["tool_choice"] = choice.mode


def _named(name: str, kinds: Mapping[str, str], quirks: Quirks) -> JSON:
    kind = "custom" if kinds.get(name) == "custom" and quirks.custom_tools else "function"
    return {"type": kind, kind: {"name": name}}


# messages


class _Messages:
    """Writes the messages of one request."""

    def __init__(self, request: Request, losses: Losses, quirks: Quirks) -> None:
        self.messages = request.messages
        self.losses = losses
        self.quirks = quirks

    def write(self) -> list[JSON]:
        written: list[JSON] = []
        for message in self.messages:
            if message.role == "assistant":
                written += self._assistant(message)
            elif message.role == "user":
                written += self._user(message)
            else:
                role = message.role if self.quirks.developer_role else "system"
                written.append(self._plain(role, message, message.parts))
        return written

    def _plain(self, role: str, message: Message, parts: list[Part]) -> JSON:
        item: JSON = {"role": role, "content": write_content(parts, self.losses, self.quirks)}
        self._carry(item, message)
        return item

    def _carry(self, item: JSON, message: Message) -> None:
        if message.name is not None:
            item["name"] = message.name
        if message.extra is not None:
            self.losses.carry(item, message.extra, "messages")

    def _user(self, message: Message) -> list[JSON]:
        """Tool results first, each a message of its own; then what the user says."""
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        if not results:
            return [self._plain("user", message, message.parts)]
        said: list[Part] = []
        written: list[JSON] = []
        for result in results:
            item, beside = self._result(result)
            written.append(item)
            said += beside
        said += [part for part in message.parts if not isinstance(part, ToolResult)]
        if said:
            written.append(self._plain("user", message, said))
        return written

    def _result(self, result: ToolResult) -> tuple[JSON, list[Part]]:
        """The tool message, and the media in the result: OpenAI takes only text there, so they follow as the user's."""
        if result.is_error:
            self.losses.note("messages.is_error")
        inside, beside = result.content, list[Part]()
        if not self.losses.same_dialect:
            inside = [part for part in result.content if not isinstance(part, Media) or part.text is not None]
            beside = [part for part in result.content if isinstance(part, Media) and part.text is None]
        if beside:
            beside.insert(0, Text(text=f"From the result of tool call {self._id(result.call_id)}:"))
        content = write_content(inside, self.losses, self.quirks)
        if result.cache is not None:
            content = self._marked(content, result)
        if self.losses.same_dialect and result.call_id.startswith(LEGACY_ID):
            item: JSON = {"role": "function", "name": result.name, "content": content}
        else:
            item = {"role": "tool", "tool_call_id": self._id(result.call_id), "content": content}
            if self.losses.same_dialect and result.name is not None:
                item["name"] = result.name
        self.losses.carry(item, result.extra, "messages")
        return item, beside

    def _marked(self, content: "str | list[JSON]", result: ToolResult) -> "str | list[JSON]":
        """The content with the result's cache mark on its last part."""
        parts: list[JSON] = [{"type": "text", "text": content}] if isinstance(content, str) else content
        write_cache(parts[-1], result.cache, self.losses, self.quirks, "messages")
        return parts if len(parts[-1]) > 2 else content

    def _id(self, call_id: str) -> str:
        if self.losses.same_dialect and len(call_id) <= _OWN_ID_LIMIT:
            return call_id
        return fit(call_id, _ID_LIMIT)

    def _assistant(self, message: Message) -> list[JSON]:
        said: list[Part] = []
        reasoning: list[Reasoning] = []
        refusals: list[str] = []
        calls: list[ToolCall] = []
        audio: Media | None = None
        for part in message.parts:
            match part:
                case Reasoning():
                    reasoning.append(part)
                case Refusal():
                    refusals.append(part.text)
                    self.losses.carry({}, part.extra, "messages")
                case ToolCall():
                    calls.append(part)
                case Media(kind="audio"):
                    audio = part
                case _:
                    said.append(part)
        if audio is not None and audio.id is None:
            self._spoken(audio, said)
            audio = None
        content = write_content(said, self.losses, self.quirks)
        item: JSON = {"role": "assistant", "content": content}
        self._reasoning(item, reasoning)
        self._annotations(item, said)
        if refusals:
            item["refusal"] = "".join(refusals)
        if audio is not None:
            item["audio"] = {"id": audio.id}
        self._calls(item, calls)
        if len(item) > 2 and content == "":
            item["content"] = None
        elif message.parts and content == "" and not any(isinstance(part, Text) for part in said):
            return []  # nothing of this turn can be said here
        self._carry(item, message)
        return [item]

    def _spoken(self, audio: Media, said: list[Part]) -> None:
        """Audio that the provider does not know by id: what was spoken, as text."""
        if audio.transcript:
            said.append(Text(text=audio.transcript))
        self.losses.note("messages.audio")

    def _reasoning(self, item: JSON, reasoning: list[Reasoning]) -> None:
        field = self.quirks.reasoning_field
        own = [part for part in reasoning if part.dialect == NAME and field is not None]
        if len(own) < len(reasoning):
            self.losses.note("reasoning")
        if field is not None and (text := "".join(part.text for part in own)):
            item[field] = text
        if details := details_of(own):
            item["reasoning_details"] = details

    def _annotations(self, item: JSON, said: list[Part]) -> None:
        citations = [citation for part in said if isinstance(part, Text) for citation in part.citations]
        if citations and self.losses.same_dialect:
            item["annotations"] = [one for c in citations if (one := write_annotation(c, 0, 0)) is not None]
        elif citations:
            self.losses.note("messages.citations")

    def _calls(self, item: JSON, calls: list[ToolCall]) -> None:
        written: list[JSON] = []
        for call in calls:
            if self.losses.same_dialect and call.id.startswith(LEGACY_ID):
                item["function_call"] = {"name": call.name, "arguments": call.arguments or "{}"}
            else:
                written.append(self._call(call))
        if written:
            item["tool_calls"] = written

    def _call(self, call: ToolCall) -> JSON:
        item: JSON = {"id": self._id(call.id)}
        if call.kind == "custom" and self.quirks.custom_tools:
            item |= {"type": "custom", "custom": {"name": call.name, "input": call.arguments}}
        else:
            arguments = custom.wrap(call.arguments) if call.kind == "custom" else call.arguments or "{}"
            item |= {"type": "function", "function": {"name": call.name, "arguments": arguments}}
        if call.signature is not None:
            if call.dialect == NAME:
                item["extra_content"] = google_content(call.signature)
            else:
                self.losses.note("reasoning")
        if call.cache is not None:
            self.losses.note("messages.cache_control")
        self.losses.carry(item, call.extra, "messages.tool_calls")
        return item
