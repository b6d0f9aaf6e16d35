"""OpenAI's responses."""

import json
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import typing_extensions
from openai.types.responses import response_create_params

from . import brain, openai_chat, signing
from . import openai_rules as rules
from .brain import JSON
from .fake import Refused, pieces, reply_json, sse
from .openai_chat import CREATED
from .server import Reply

if TYPE_CHECKING:
    from .openai import OpenAI

_PREFIX = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fc",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctc",
}
_CALLS = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}
_MADE_BY_MODEL = {"message", "reasoning", *_CALLS}


@dataclass
class Stored:
    """A response that was stored: what it was asked (with what came before), and what it said."""

    response: JSON
    input: list[JSON]
    given: list[JSON] = field(default_factory=list)


@cache
def _body_type() -> Any:
    tp = response_create_params.ResponseCreateParamsBase
    hints = typing_extensions.get_type_hints(tp, include_extras=True)
    return typing_extensions.TypedDict("Body", {**hints, "stream": bool | None}, total=False)  # type: ignore[operator]  # made from the SDK's


def create(fake: "OpenAI", body: JSON) -> Reply:
    """Answer a request. Raises `Refused`."""
    _required(body)
    fake.conform(_body_type(), _completed(body))
    given = _items(body)
    items = _history(fake, body) + given
    _check(fake, body, items)
    fake.has(body["model"])
    turn = _turn(body, items)
    said = fake.answer(turn, [body.get("tools"), body.get("instructions"), *items])
    response = _response(fake, body, said)
    _remember(fake, body, response, items, given)
    headers = {"x-request-id": fake.next_id("req_")}
    if body.get("stream"):
        headers["content-type"] = "text/event-stream; charset=utf-8"
        return Reply(200, headers, _frames(response, body))
    reply = reply_json(response)
    reply.headers.update(headers)
    return reply


def get(fake: "OpenAI", id: str) -> Reply:
    """A stored response. Raises `Refused`."""
    return reply_json(_stored(fake, id).response)


def delete(fake: "OpenAI", id: str) -> Reply:
    """Forget a stored response. Raises `Refused`."""
    _stored(fake, id)
    del fake.stored[id]
    return reply_json({"id": id, "object": "response", "deleted": True})


def input_items(fake: "OpenAI", id: str) -> Reply:
    """What a stored response was asked, newest first. Raises `Refused`."""
    data = [{"id": fake.next_id("msg_"), **item} for item in reversed(_stored(fake, id).input)]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return reply_json({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": False})


def broken(refused: Refused, number: int) -> list[bytes]:
    """The frames of an error in mid-stream."""
    code = refused.code or "server_error"
    event = {
        "type": "error",
        "code": code,
        "message": refused.message,
        "param": refused.param,
        "sequence_number": number,
    }
    return [sse(event, "error")]


def _stored(fake: "OpenAI", id: str) -> Stored:
    if id not in fake.stored:
        raise Refused(404, f"Response with id '{id}' not found.")
    return fake.stored[id]


def _required(body: JSON) -> None:
    for name in ("model", "input"):
        if name not in body and "prompt" not in body:
            raise Refused(400, f"Missing required parameter: '{name}'.", code="missing_required_parameter", param=name)


def _completed(body: JSON) -> JSON:
    """The body with what the SDK's types require but the API fills in."""
    full = {k: v for k, v in body.items() if k != "client_metadata"}  # Codex sends it, the SDK does not know it
    if isinstance(body.get("tools"), list):
        full["tools"] = [_complete_tool(tool) if isinstance(tool, dict) else tool for tool in body["tools"]]
    if isinstance(body.get("input"), list):
        full["input"] = [_complete_item(item, i) for i, item in enumerate(body["input"])]
    return full


def _complete_tool(tool: JSON) -> JSON:
    if tool.get("type") == "function":
        return {"strict": None, "parameters": None, **tool}
    if tool.get("type") == "web_search":
        return {k: v for k, v in tool.items() if k != "search_content_types"}  # the API takes it of Codex
    return tool


def _complete_item(item: Any, index: int) -> Any:
    if isinstance(item, dict) and item.get("type") == "custom_tool_call":
        return {k: v for k, v in item.items() if k != "status"}  # the API shows and takes it, the SDK does not know it
    if isinstance(item, dict) and item.get("type") == "reasoning" and item.get("content", ...) is None:
        return {k: v for k, v in item.items() if k != "content"}  # so Codex says that there is none
    if isinstance(item, dict) and item.get("role") in ("user", "developer", "system"):
        named = {k: v for k, v in item.items() if k != "id"}  # the same: Codex names its messages
        if isinstance(item.get("content"), list):
            named["content"] = [_with_detail(part) for part in item["content"]]
        return named
    if not isinstance(item, dict) or item.get("role") != "assistant" or not isinstance(item.get("content"), list):
        return item
    content = []
    for j, part in enumerate(item["content"]):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in ("output_text", "refusal"):
            where = f"input[{index}].content[{j}]"
            raise Refused(
                400,
                f"Invalid value: '{kind}'. Supported values are: 'output_text' and 'refusal'.",
                code="invalid_value",
                param=where,
            )
        content.append({"annotations": [], **part} if kind == "output_text" else part)
    return {"type": "message", "id": "msg_0", "status": "completed", **item, "content": content}


def _with_detail(part: Any) -> Any:
    """The SDK's type wants `detail` with an image, the API does not."""
    return {"detail": "auto", **part} if isinstance(part, dict) and part.get("type") == "input_image" else part


def _items(body: JSON) -> list[JSON]:
    given = body.get("input", [])
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": given}]}]
    return [{"type": "message", **item} if "role" in item else item for item in given]


def _history(fake: "OpenAI", body: JSON) -> list[JSON]:
    previous = body.get("previous_response_id")
    if previous is None:
        return []
    if previous not in fake.stored:
        raise Refused(
            400,
            f"Previous response with id '{previous}' not found.",
            code="previous_response_not_found",
            param="previous_response_id",
        )
    stored = fake.stored[previous]
    return stored.input + stored.response["output"]


def _remember(fake: "OpenAI", body: JSON, response: JSON, items: list[JSON], given: list[JSON]) -> None:
    if body.get("store") is False:
        return
    fake.stored[response["id"]] = Stored(response, items, given)
    thought: str | None = None
    for item in response["output"]:
        fake.items[item["id"]] = {"item": item, "reasoning": thought}
        thought = item["id"] if item["type"] == "reasoning" else thought


def _check(fake: "OpenAI", body: JSON, items: list[JSON]) -> None:
    sampled = {k: v for k, v in body.items() if k != "reasoning"}
    rules.sampling(sampled)
    rules.between(body, "max_output_tokens", 16, 1 << 30)
    if body.get("reasoning") and not rules.reasons(body["model"]):
        raise Refused(
            400,
            "Unsupported parameter: 'reasoning.effort' is not supported with this model.",
            code="unsupported_parameter",
            param="reasoning.effort",
        )
    if "reasoning.encrypted_content" in (body.get("include") or ()) and not rules.reasons(body["model"]):
        raise Refused(400, "Encrypted content is not supported with this model.", param="include")
    if not items:
        raise Refused(400, "Invalid 'input': empty array.", code="empty_array", param="input")
    for i, tool in enumerate(body.get("tools") or ()):
        if tool["type"] == "function":
            rules.function(f"tools[{i}]", {**tool, "parameters": tool.get("parameters")})
        elif tool["type"] == "custom":
            rules.name(f"tools[{i}].name", tool["name"])
    _check_format(body, items)
    _check_choice(body)
    _check_pairs(items)
    for i, item in enumerate(items):
        _check_item(fake, f"input[{i}]", item)
    _check_reasoning(fake, items)


def _check_format(body: JSON, items: list[JSON]) -> None:
    format = (body.get("text") or {}).get("format") or {"type": "text"}
    if format["type"] == "json_schema":
        rules.name("text.format.name", format["name"])
        if format.get("strict") is not False:
            what = f"Invalid schema for response_format '{format['name']}'"
            rules.closed(format["schema"], what, "text.format.schema", "invalid_json_schema")
    asked = json.dumps([items, body.get("instructions")]).lower()
    if format["type"] == "json_object" and "json" not in asked.replace("json_object", ""):
        raise Refused(
            400,
            "Response input messages must contain the word 'json' in some form to use 'text.format' of type "
            "'json_object'.",
            param="input",
        )


def _check_choice(body: JSON) -> None:
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice["type"] in ("function", "custom"):
        if choice["name"] not in [t.get("name") for t in body.get("tools") or ()]:
            raise Refused(400, f"Tool choice '{choice['type']}' not found in 'tools' parameter.", param="tool_choice")
    elif choice == "required" and not body.get("tools"):
        raise Refused(400, "Tool choice 'required' must be specified with 'tools' parameter.", param="tool_choice")


def _check_pairs(items: list[JSON]) -> None:
    calls: dict[str, str] = {}
    answered: set[str] = set()
    for i, item in enumerate(items):
        kind = item["type"]
        if "call_id" in item and item["call_id"] is not None:
            rules.too_long(f"input[{i}].call_id", item["call_id"], 64)
            if not item["call_id"]:
                raise Refused(
                    400,
                    f"Invalid 'input[{i}].call_id': empty string. Expected a string with minimum length 1, but got an "
                    "empty string instead.",
                    code="empty_string",
                    param=f"input[{i}].call_id",
                )
        if kind in _CALLS:
            calls[item["call_id"]] = kind
        elif kind in _CALLS.values():
            if _CALLS.get(calls.get(item["call_id"], "")) != kind:
                what = "custom tool call" if kind.startswith("custom") else "function call"
                raise Refused(
                    400, f"No tool call found for {what} output with call_id {item['call_id']}.", param="input"
                )
            answered.add(item["call_id"])
    for call, kind in calls.items():
        if call not in answered:
            what = "custom tool call" if kind.startswith("custom") else "function call"
            raise Refused(400, f"No tool output found for {what} {call}.", param="input")


def _check_item(fake: "OpenAI", where: str, item: JSON) -> None:
    prefix, id = _PREFIX.get(item["type"]), item.get("id")
    if prefix and id is not None:
        rules.too_long(f"{where}.id", id, 64)
        if not id.startswith(prefix):
            raise Refused(
                400,
                f"Invalid '{where}.id': '{id}'. Expected an ID that begins with '{prefix}'.",
                code="invalid_value",
                param=f"{where}.id",
            )
    if item["type"] == "item_reference" and id not in fake.items:
        raise _not_found(str(id))
    if item["type"] == "function_call":
        rules.name(f"{where}.name", item["name"])
    if item["type"] == "message" and item["role"] != "assistant" and isinstance(item["content"], list):
        for j, part in enumerate(item["content"]):
            _media(part, f"{where}.content[{j}]")


def _not_found(id: str) -> Refused:
    return Refused(
        404,
        f"Item with id '{id}' not found. Items are not persisted when `store` is set to false. Try again with `store` "
        "set to true, or remove this item from your input.",
        param="input",
    )


def _check_reasoning(fake: "OpenAI", items: list[JSON]) -> None:
    """Thinking must be the fake's own, and stand before what the model made of it."""
    for i, item in enumerate(items):
        if item["type"] != "reasoning":
            continue
        if item.get("encrypted_content") is not None:
            _check_encrypted(item)
        elif item["id"] not in fake.items:
            raise _not_found(item["id"])
        following = items[i + 1] if i + 1 < len(items) else {"type": "end"}
        if following["type"] not in _MADE_BY_MODEL or following.get("role", "assistant") != "assistant":
            raise Refused(
                400,
                f"Item '{item['id']}' of type 'reasoning' was provided without its required following item.",
                param="input",
            )
    present = {item.get("id") for item in items}
    for item in items:
        needed = fake.items.get(str(item.get("id")), {}).get("reasoning")
        if needed and needed not in present:
            raise Refused(
                400,
                f"Item '{item['id']}' of type '{item['type']}' was provided without its required 'reasoning' item: "
                f"'{needed}'.",
                param="input",
            )


def _check_encrypted(item: JSON) -> None:
    plain = signing.decrypt("openai", item["encrypted_content"])
    if plain is None:
        raise Refused(
            400,
            f"The encrypted content for item {item['id']} could not be verified. Reason: Encrypted content could not "
            "be decrypted or parsed.",
            code="invalid_encrypted_content",
        )
    if json.loads(plain)["id"] != item["id"]:
        raise Refused(
            400,
            f"The encrypted content for item {item['id']} could not be verified. Reason: Encrypted content item_id did "
            "not match the target item id.",
            code="invalid_encrypted_content",
        )


def _media(part: JSON, where: str) -> str | None:
    match part["type"]:
        case "input_image":
            if part.get("file_id"):
                return brain.linked("image", part["file_id"])
            return openai_chat.image(part.get("image_url") or "", f"{where}.image_url")
        case "input_file":
            if part.get("file_url"):
                return brain.linked("document", part["file_url"])
            return openai_chat.file(part, where)
        case "input_audio":
            sound = part["input_audio"]
            return brain.seen("audio", f"audio/{sound['format']}", openai_chat.decode(sound["data"], where))
    return None


def _turn(body: JSON, items: list[JSON]) -> brain.Turn:
    turn = brain.Turn(max_tokens=body.get("max_output_tokens"), thinking=rules.reasons(body["model"]))
    turn.parallel = body.get("parallel_tool_calls") is not False
    turn.tools = [
        brain.Tool(t["name"], t.get("parameters") or {}, free=t["type"] == "custom")
        for t in body.get("tools") or ()
        if t["type"] in ("function", "custom")
    ]
    turn.choice = _choice(body.get("tool_choice") or "auto")
    format = (body.get("text") or {}).get("format") or {"type": "text"}
    turn.schema, turn.json_mode = format.get("schema"), format["type"] == "json_object"
    turn.prompt = json.dumps([items, body.get("instructions"), body.get("tools")])
    names = {item["call_id"]: item["name"] for item in items if item["type"] in _CALLS}
    last = max((i for i, item in enumerate(items) if _by_model(item)), default=-1)
    for item in items[last + 1 :]:
        _hear(turn, item, names)
    return turn


def _by_model(item: JSON) -> bool:
    return item["type"] in _MADE_BY_MODEL and item.get("role", "assistant") == "assistant"


def _choice(choice: Any) -> str:
    if isinstance(choice, str):
        return "any" if choice == "required" else choice
    if choice["type"] == "allowed_tools":
        return "any" if choice["mode"] == "required" else "auto"
    return "=" + str(choice.get("name", ""))


def _hear(turn: brain.Turn, item: JSON, names: dict[str, str]) -> None:
    content = item.get("content") if item["type"] == "message" else item.get("output")
    parts = [{"type": "input_text", "text": content}] if isinstance(content, str) else content or []
    text = " ".join(part["text"] for part in parts if part["type"] in ("input_text", "output_text"))
    media = [kind for part in parts if (kind := _media(part, "content"))]
    if item["type"] in _CALLS.values():
        turn.results.append((names[item["call_id"]], text))
        turn.media += media
    elif item.get("role") == "user":
        turn.text = f"{turn.text} {text}".strip()
        turn.media += media


def _response(fake: "OpenAI", body: JSON, said: brain.Answer) -> JSON:
    incomplete = {"length": "max_output_tokens", "filter": "content_filter"}.get(said.finish)
    output = [item for part in said.parts for item in _output(fake, body, part)]
    format = (body.get("text") or {}).get("format") or {"type": "text"}
    return {
        "id": fake.next_id("resp_", 48),
        "object": "response",
        "created_at": CREATED,
        "status": "incomplete" if incomplete else "completed",
        "background": False,
        "completed_at": None if incomplete else CREATED + 1,
        "error": None,
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": body.get("max_tool_calls"),
        "model": body["model"],
        "output": output,
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "previous_response_id": body.get("previous_response_id"),
        "prompt_cache_key": body.get("prompt_cache_key"),
        "reasoning": {"effort": None, "summary": None, **(body.get("reasoning") or {})},
        "safety_identifier": body.get("safety_identifier"),
        "service_tier": "default",
        "store": body.get("store") is not False,
        "temperature": body.get("temperature", 1.0),
        "text": {"format": format, "verbosity": (body.get("text") or {}).get("verbosity", "medium")},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": [_echo_tool(tool) for tool in body.get("tools") or ()],
        "top_logprobs": 0,
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": _usage(said.usage),
        "user": body.get("user"),
        "metadata": body.get("metadata") or {},
    }


def _echo_tool(tool: JSON) -> JSON:
    if tool["type"] != "function":
        return tool
    return {"description": None, "parameters": None, **tool, "strict": tool.get("strict") is not False}


def _usage(usage: brain.Usage) -> JSON:
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.output,
    }


def _output(fake: "OpenAI", body: JSON, part: Any) -> list[JSON]:
    """The output items for one part; a redacted thought is one whose summary is empty."""
    match part:
        case brain.Thought(text, redacted):
            return [_reasoning(fake, body, text, hidden=redacted)]
        case brain.Call(name, arguments, free):
            call = {"call_id": fake.next_id("call_"), "name": name}
            if free:
                return [{"id": fake.next_id("ctc_", 48), "type": "custom_tool_call", **call, "input": arguments}]
            return [
                {
                    "id": fake.next_id("fc_", 48),
                    "type": "function_call",
                    "status": "completed",
                    **call,
                    "arguments": arguments,
                }
            ]
        case brain.Say(text):
            content: JSON = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        case brain.Refusal(text):
            content = {"type": "refusal", "refusal": text}
    message = {"id": fake.next_id("msg_", 48), "type": "message", "status": "completed", "role": "assistant"}
    return [{**message, "content": [content]}]


def _reasoning(fake: "OpenAI", body: JSON, text: str, *, hidden: bool) -> JSON:
    asked = (body.get("reasoning") or {}).get("summary")
    item: JSON = {"id": fake.next_id("rs_", 48), "type": "reasoning", "summary": []}
    if asked and not hidden:
        item["summary"] = [{"type": "summary_text", "text": text}]
    if "reasoning.encrypted_content" in (body.get("include") or ()):
        item["encrypted_content"] = signing.encrypt("openai", json.dumps({"id": item["id"], "text": text}))
    return item


class _Events:
    """Numbers the events of one stream."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def add(self, name: str, **fields: Any) -> None:
        self.frames.append(sse({"type": name, "sequence_number": len(self.frames), **fields}, name))


def _frames(response: JSON, body: JSON) -> list[bytes]:
    events = _Events()
    fresh = {**response, "status": "in_progress", "output": [], "usage": None, "completed_at": None}
    fresh["incomplete_details"] = None
    events.add("response.created", response=fresh)
    events.add("response.in_progress", response=fresh)
    obfuscated = (body.get("stream_options") or {}).get("include_obfuscation", True)
    for index, item in enumerate(response["output"]):
        _item_events(events, index, item, {"obfuscation": "fAk3"} if obfuscated else {})
    events.add(f"response.{response['status']}", response=response)
    return events.frames


def _item_events(events: _Events, index: int, item: JSON, extra: JSON) -> None:
    at = {"item_id": item["id"], "output_index": index}
    match item["type"]:
        case "reasoning":
            empty = {**item, "summary": []}
            events.add("response.output_item.added", output_index=index, item=empty)
            for k, part in enumerate(item["summary"]):
                _summary_events(events, {**at, "summary_index": k}, part, extra)
        case "message":
            empty = {**item, "status": "in_progress", "content": []}
            events.add("response.output_item.added", output_index=index, item=empty)
            for k, part in enumerate(item["content"]):
                _content_events(events, {**at, "content_index": k}, part, extra)
        case "function_call":
            empty = {**item, "status": "in_progress", "arguments": ""}
            events.add("response.output_item.added", output_index=index, item=empty)
            for piece in pieces(item["arguments"], 5):
                events.add("response.function_call_arguments.delta", **at, delta=piece, **extra)
            events.add("response.function_call_arguments.done", **at, arguments=item["arguments"])
        case "custom_tool_call":
            empty = {**item, "input": ""}
            events.add("response.output_item.added", output_index=index, item=empty)
            for piece in pieces(item["input"], 5):
                events.add("response.custom_tool_call_input.delta", **at, delta=piece, **extra)
            events.add("response.custom_tool_call_input.done", **at, input=item["input"])
    events.add("response.output_item.done", output_index=index, item=item)


def _summary_events(events: _Events, at: JSON, part: JSON, extra: JSON) -> None:
    events.add("response.reasoning_summary_part.added", **at, part={**part, "text": ""})
    for piece in pieces(part["text"], 11):
        events.add("response.reasoning_summary_text.delta", **at, delta=piece, **extra)
    events.add("response.reasoning_summary_text.done", **at, text=part["text"])
    events.add("response.reasoning_summary_part.done", **at, part=part)


def _content_events(events: _Events, at: JSON, part: JSON, extra: JSON) -> None:
    if part["type"] == "refusal":
        events.add("response.content_part.added", **at, part={**part, "refusal": ""})
        for piece in pieces(part["refusal"]):
            events.add("response.refusal.delta", **at, delta=piece, **extra)
        events.add("response.refusal.done", **at, refusal=part["refusal"])
    else:
        events.add("response.content_part.added", **at, part={**part, "text": ""})
        for piece in pieces(part["text"]):
            events.add("response.output_text.delta", **at, delta=piece, logprobs=[], **extra)
        events.add("response.output_text.done", **at, text=part["text"], logprobs=[])
    events.add("response.content_part.done", **at, part=part)
