"""A request's body into the canon.

| canon                         | wire                                                                          |
|-------------------------------|-------------------------------------------------------------------------------|
| messages                      | `instructions` (a first system message with the id `instructions`), `input`    |
| tools, tool_choice            | the same (see `tools`)                                                        |
| output, verbosity             | `text.format`, `text.verbosity`                                               |
| thinking                      | `reasoning`: `effort`, `summary`                                              |
| logprobs, top_logprobs        | `include: message.output_text.logprobs`, `top_logprobs`                       |
| user                          | `safety_identifier`, or `user` where that is all there is                     |
| cache_key                     | `prompt_cache_key`                                                            |
| max_output_tokens, temperature, top_p, presence_penalty, frequency_penalty, parallel_tool_calls, service_tier, metadata, truncation, previous_response_id, stream | the same |
| extra                         | all others: `background`, `conversation`, `prompt`, `max_tool_calls`, …       |

Fields that lose nothing by being left out (`store`, which the gateway keeps itself; encrypted reasoning, which seals
provide; defaults written out) are in `ResponsesRequest.silent` instead of `extra`, so that they are not named as lost.

Reading and writing again is the identity up to: `null` for absent; a string for one plain text part and the reverse in
`input`; `arguments: ""` for `{}`; `status: completed` and `annotations: []` on items with an id.
"""  # noqa: E501

from msgspec import field

from dragoman.canon import JSON, Message, OutputFormat, Request, Text, Thinking
from dragoman.dialects.fields import Fields, Malformed, Readings
from dragoman.dialects.openai_responses.items import Items
from dragoman.dialects.openai_responses.name import NAME
from dragoman.dialects.openai_responses.tools import Names, read_tool_choice, read_tools

INSTRUCTIONS = "instructions"  # the id of the message that is the request's `instructions`
LOGPROBS = "message.output_text.logprobs"
ENCRYPTED = "reasoning.encrypted_content"
_SILENT_DEFAULTS: dict[str, object] = {"truncation": "disabled", "background": False, "metadata": {}}


class ResponsesRequest(Request, kw_only=True):
    """A request read from this dialect. `silent`: top-level fields that go back in the same dialect and are no loss
    in any other."""

    silent: JSON = field(default_factory=dict)


def read_request(body: JSON) -> ResponsesRequest:
    """Takes the decoded body over. Raises `Malformed`."""
    fields = Fields(body)
    request = ResponsesRequest(dialect=NAME, model=fields.must_text("model"))
    if not request.model:
        raise Malformed("model", "a model's name", request.model)
    request.silent = _silent(fields)
    request.stream = fields.flag("stream") or False
    request.tools = read_tools(fields.objects("tools"))
    _read_messages(fields, request)
    fields.into(request, _SETTINGS)
    if body:  # many requests have nothing of what follows
        request.tool_choice = read_tool_choice(fields.any("tool_choice"), Names(request.tools))
        _read_text(fields, request)
        _read_reasoning(fields, request)
        _read_include(fields, request)
        _read_user(fields, request)
        request.extra = {key: value for key, value in fields.data.items() if value is not None} or None
    return request


def _silent(fields: Fields) -> JSON:
    silent: JSON = {}
    if (store := fields.flag("store")) is not None:
        silent["store"] = store
    options = fields.data.get("stream_options")
    if isinstance(options, dict) and options.keys() <= {"include_obfuscation"}:
        silent["stream_options"] = fields.any("stream_options")
    for name, default in _SILENT_DEFAULTS.items():
        if name in fields.data and fields.data[name] == default:
            silent[name] = fields.any(name)
    return silent


def _read_messages(fields: Fields, request: ResponsesRequest) -> None:
    items = Items(Names(request.tools))
    if (instructions := fields.text("instructions")) is not None:
        items.messages.append(Message(role="system", parts=[Text(text=instructions)], id=INSTRUCTIONS))
    given = fields.any("input")
    if isinstance(given, str):
        items.messages.append(Message(role="user", parts=[Text(text=given)]))
    elif isinstance(given, list):
        for i, item in enumerate(given):
            items.add(Fields(item, ("input", i)))
    elif given is not None or not ({"prompt", "previous_response_id", "conversation"} & fields.data.keys()):
        raise Malformed("input", "a string or an array of items", given)
    request.messages = items.messages
    known = {tool.name for tool in request.tools}
    for tool in items.tools:
        if tool.name not in known:
            known.add(tool.name)
            request.tools.append(tool)


def _read_text(fields: Fields, request: ResponsesRequest) -> None:
    text = fields.object("text")
    if text is None:
        return
    request.verbosity = text.text("verbosity")
    if (form := text.object("format")) is not None:
        request.output = _read_format(form)
    if rest := text.rest():
        fields.data["text"] = rest


def _read_format(form: Fields) -> OutputFormat:
    kind = form.must_text("type")
    match kind:
        case "text":
            return OutputFormat()
        case "json_object":
            return OutputFormat(kind="json")
        case "json_schema":
            return OutputFormat(
                kind="json_schema",
                name=form.must_text("name"),
                description=form.text("description"),
                schema=form.plain("schema"),
                strict=form.flag("strict"),
            )
        case _:
            raise Malformed(form.at("type"), "one of json_object, json_schema, text", kind)


def _read_reasoning(fields: Fields, request: ResponsesRequest) -> None:
    reasoning = fields.object("reasoning")
    if reasoning is None:
        return
    thinking = Thinking(effort=reasoning.text("effort"), summary=reasoning.text("summary"))
    if thinking.effort == "none":
        thinking.mode = "off"
    if thinking.summary is not None:
        thinking.visible = True
    thinking.extra = {key: value for key, value in reasoning.data.items() if value is not None} or None
    if thinking != Thinking():
        request.thinking = thinking


def _read_include(fields: Fields, request: ResponsesRequest) -> None:
    include = fields.texts("include")
    if LOGPROBS in include:
        request.logprobs = True
    if include:
        if set(include) <= {LOGPROBS, ENCRYPTED}:
            request.silent["include"] = include
        else:
            fields.data["include"] = include


def _read_user(fields: Fields, request: ResponsesRequest) -> None:
    """`user` beside a `safety_identifier` stays where it is: the two are then not the same thing."""
    request.user = fields.text("safety_identifier")
    if request.user is None and (user := fields.text("user")) is not None:
        request.user, request.silent["user"] = user, user


def _metadata(fields: Fields, key: str) -> dict[str, str] | None:
    metadata = fields.plain(key)
    for name, value in (metadata or {}).items():
        if not isinstance(value, str):
            raise Malformed((fields.at(key), name), "a string", value)
    return metadata


_SETTINGS: Readings = {
    "parallel_tool_calls": ("parallel_tool_calls", Fields.flag),
    "max_output_tokens": ("max_output_tokens", Fields.whole),
    "temperature": ("temperature", Fields.number),
    "top_p": ("top_p", Fields.number),
    "presence_penalty": ("presence_penalty", Fields.number),
    "frequency_penalty": ("frequency_penalty", Fields.number),
    "top_logprobs": ("top_logprobs", Fields.whole),
    "service_tier": ("service_tier", Fields.text),
    "metadata": ("metadata", _metadata),
    "prompt_cache_key": ("cache_key", Fields.text),
    "previous_response_id": ("previous_response_id", Fields.text),
    "truncation": ("truncation", Fields.text),
}
