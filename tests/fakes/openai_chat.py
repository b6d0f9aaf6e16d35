"""OpenAI's chat completions."""

import base64
import copy
import itertools
import json
import math
from functools import cache
from typing import TYPE_CHECKING, Any

import typing_extensions
from openai.types.chat import completion_create_params

from . import brain
from . import openai_rules as rules
from .brain import JSON
from .fake import Refused, pieces, reply_json, sse
from .server import Reply

if TYPE_CHECKING:
    from .openai import OpenAI

CREATED = 1767225600
_FINISH = {
    "stop": "stop",
    "length": "length",
    "tools": "tool_calls",
    "filter": "content_filter",
    "refusal": "stop",
}


@cache
def _body_type() -> Any:
    tp = completion_create_params.CompletionCreateParamsBase
    hints = typing_extensions.get_type_hints(tp, include_extras=True)
    return typing_extensions.TypedDict("Body", {**hints, "stream": bool | None}, total=False)  # type: ignore[operator]  # made from the SDK's


def chat(fake: "OpenAI", body: JSON) -> Reply:
    """Answer a request. Raises `Refused`."""
    fake.conform(_body_type(), _without_imitators_fields(fake, body))
    _check(fake, body)
    fake.has(body["model"])
    said = fake.answer(_turn(fake, body), [body.get("tools"), *body["messages"]])
    completion = _completion(fake, body, said)
    headers = {"x-request-id": fake.next_id("req_"), "openai-processing-ms": "5"}
    if body.get("stream"):
        headers["content-type"] = "text/event-stream; charset=utf-8"
        return Reply(200, headers, _frames(fake, body, completion))
    reply = reply_json(completion)
    reply.headers.update(headers)
    return reply


def _without_imitators_fields(fake: "OpenAI", body: JSON) -> JSON:
    """The body as OpenAI's types know it, where the service shows (and takes back) its thinking."""
    if fake.reasoning_field is None or not isinstance(body.get("messages"), list):
        return body
    plain = copy.deepcopy(body)
    for message in plain["messages"]:
        if isinstance(message, dict) and message.get("role") == "assistant":
            message.pop(fake.reasoning_field, None)
    goes_on = plain.pop("continue_final_message", False)
    if plain.pop("add_generation_prompt", not goes_on) and goes_on:
        raise Refused(400, "Cannot set both `continue_final_message` and `add_generation_prompt` to True.")
    return plain


def _check(fake: "OpenAI", body: JSON) -> None:
    messages = body["messages"]
    if not messages:
        raise Refused(
            400,
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            code="empty_array",
            param="messages",
        )
    if fake.reasoning_field is None:
        rules.sampling(body)
        rules.chat_tools(body)
    rules.between(body, "n", 1, 128)
    rules.between(body, "max_tokens", 1, 1 << 30)
    rules.between(body, "max_completion_tokens", 1, 1 << 30)
    rules.between(body, "presence_penalty", -2, 2)
    rules.between(body, "frequency_penalty", -2, 2)
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        raise Refused(
            400,
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            code="invalid_parameter_combination",
            param="max_tokens",
        )
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        raise Refused(400, "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.")
    if body.get("stream_options") is not None and not body.get("stream"):
        raise Refused(
            400, "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )
    if isinstance(body.get("stop"), list) and len(body["stop"]) > 4:
        raise Refused(
            400,
            "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length "
            f"{len(body['stop'])} instead.",
            code="array_above_max_length",
            param="stop",
        )
    _check_tools(fake, body)
    _check_format(body)
    _check_pairs(messages)
    for i, message in enumerate(messages):
        _check_message(fake, f"messages[{i}]", message)


def _check_tools(fake: "OpenAI", body: JSON) -> None:
    tools = body.get("tools")
    if tools == []:
        raise Refused(
            400,
            "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            code="empty_array",
            param="tools",
        )
    if len(tools or ()) > 128:
        raise Refused(400, "Invalid 'tools': array too long.", code="array_above_max_length", param="tools")
    for i, tool in enumerate(tools or ()):
        if tool["type"] == "function":
            if "tools.strict" in fake.refuses and "strict" in tool["function"]:
                raise Refused(400, f"Unknown parameter: 'tools[{i}].function.strict'.", code="unknown_parameter")
            rules.function(f"tools[{i}].function", tool["function"])
        else:
            rules.name(f"tools[{i}].custom.name", tool["custom"]["name"])
    if not tools:
        for field in ("tool_choice", "parallel_tool_calls"):
            if field in body:
                raise Refused(400, f"'{field}' is only allowed when 'tools' are specified.", param=field)
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice["type"] in ("function", "custom"):
        wanted = choice[choice["type"]]["name"]
        if wanted not in [t[t["type"]]["name"] for t in tools]:
            raise Refused(400, f"Tool choice '{wanted}' not found in 'tools' parameter.", param="tool_choice")


def _check_format(body: JSON) -> None:
    format = body.get("response_format") or {"type": "text"}
    if format["type"] == "json_schema":
        schema = format["json_schema"]
        rules.name("response_format.json_schema.name", schema["name"])
        if schema.get("strict"):
            what = f"Invalid schema for response_format '{schema['name']}'"
            rules.closed(schema.get("schema", {}), what, "response_format")
    if format["type"] == "json_object" and "json" not in json.dumps(body["messages"]).lower():
        raise Refused(
            400,
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            param="messages",
        )


def _check_pairs(messages: list[JSON]) -> None:
    """Every call is answered by the tool messages that follow it, and nothing else is."""
    waiting: list[str] = []
    asked: list[str] = []
    for i, message in enumerate([*messages, {"role": "end"}]):
        if message["role"] == "tool":
            if message["tool_call_id"] not in asked:
                raise Refused(
                    400,
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
                    "'tool_calls'.",
                    param=f"messages.[{i}].role",
                )
            if message["tool_call_id"] in waiting:
                waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            raise Refused(
                400,
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
                "'tool_call_id'. The following tool_call_ids did not have response messages: " + ", ".join(waiting),
                param=f"messages.[{i}].role",
            )
        asked = [call["id"] for call in message.get("tool_calls") or ()]
        if len(set(asked)) < len(asked):
            raise Refused(400, f"Duplicate tool_call_id in messages[{i}].tool_calls", param=f"messages[{i}].tool_calls")
        waiting = list(asked)


def _check_message(fake: "OpenAI", where: str, message: JSON) -> None:
    role, content = message["role"], message.get("content")
    if role == "developer" and "role:developer" in fake.refuses:
        raise Refused(400, "Invalid value: 'developer'. Supported values are: 'system', 'assistant', 'user', 'tool'.")
    if role == "assistant":
        if message.get("tool_calls") == []:
            raise Refused(
                400,
                f"Invalid '{where}.tool_calls': empty array. Expected an array with minimum length 1, but got an empty "
                "array instead.",
                code="empty_array",
                param=f"{where}.tool_calls",
            )
        if content is None and not any(message.get(k) for k in ("tool_calls", "function_call", "refusal", "audio")):
            raise Refused(
                400,
                "Invalid value for 'content': expected a string, got null.",
                param=f"{where}.content",
            )
    for j, call in enumerate(message.get("tool_calls") or ()):
        rules.too_long(f"{where}.tool_calls[{j}].id", call["id"], 40)
        rules.name(f"{where}.tool_calls[{j}].{call['type']}.name", call[call["type"]]["name"])
    if role == "tool":
        rules.too_long(f"{where}.tool_call_id", message["tool_call_id"], 40)
    if content == []:
        raise Refused(
            400,
            f"Invalid '{where}.content': empty array. Expected an array with minimum length 1, but got an empty array "
            "instead.",
            code="empty_array",
            param=f"{where}.content",
        )
    for j, part in enumerate(content if isinstance(content, list) else ()):
        if f"content:{part['type']}" in fake.refuses:
            raise Refused(400, f"Invalid value: '{part['type']}'.", code="invalid_value", param=f"{where}.content[{j}]")
        media(part, f"{where}.content[{j}]")


def media(part: JSON, where: str) -> str | None:
    """How an image, sound or file of a chat message is acknowledged; None for text. Raises `Refused`."""
    match part["type"]:
        case "image_url":
            return image(part["image_url"]["url"], f"{where}.image_url.url")
        case "input_audio":
            sound = part["input_audio"]
            return brain.seen("audio", f"audio/{sound['format']}", decode(sound["data"], f"{where}.input_audio.data"))
        case "file":
            return file(part["file"], f"{where}.file")
    return None


def image(url: str, where: str) -> str:
    """How an image by URL is acknowledged."""
    if url.startswith("data:"):
        return data_url(url, "image", where)
    if not url.startswith(("http://", "https://")):
        raise Refused(400, f"Invalid '{where}'. Expected a valid URL.", code="invalid_value", param=where)
    return brain.linked("image", url)


def file(file: JSON, where: str) -> str:
    """How a file is acknowledged."""
    if file.get("file_id"):
        return brain.linked("document", file["file_id"])
    if not file.get("file_data"):
        raise Refused(400, f"Missing required parameter: '{where}.file_id'.", code="missing_required_parameter")
    if not file.get("filename"):
        raise Refused(
            400,
            f"Missing required parameter: '{where}.filename'.",
            code="missing_required_parameter",
            param=f"{where}.filename",
        )
    if not file["file_data"].startswith("data:"):
        raise Refused(
            400,
            f"Invalid '{where}.file_data'. Expected a base64-encoded data URL with a MIME type (e.g. "
            "'data:application/pdf;base64,aW1nIGJ5dGVzIGhlcmU='), but got a value without the 'data:' prefix.",
            code="invalid_value",
            param=f"{where}.file_data",
        )
    return data_url(file["file_data"], "document", f"{where}.file_data")


def data_url(url: str, kind: str, where: str) -> str:
    """How a data URL is acknowledged."""
    head, comma, data = url.removeprefix("data:").partition(",")
    if not comma or not head.endswith(";base64"):
        raise Refused(400, f"Invalid '{where}'. Expected a base64-encoded data URL.", code="invalid_value", param=where)
    return brain.seen(kind, head.removesuffix(";base64"), decode(data, where))


def decode(data: str, where: str) -> bytes:
    """The bytes of standard base64. Raises `Refused`."""
    try:
        return base64.b64decode(data, validate=True)
    except ValueError:
        raise Refused(400, f"Invalid base64 in '{where}'.", code="invalid_base64", param=where) from None


def _turn(fake: "OpenAI", body: JSON) -> brain.Turn:
    turn = brain.Turn(max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"))
    turn.thinking = rules.reasons(body["model"]) or fake.reasoning_field is not None
    stop = body.get("stop") or []
    turn.stop = [stop] if isinstance(stop, str) else stop
    turn.parallel = body.get("parallel_tool_calls", True)
    turn.tools = [
        brain.Tool(t[t["type"]]["name"], t[t["type"]].get("parameters", {}), free=t["type"] == "custom")
        for t in body.get("tools") or ()
    ]
    turn.choice = _choice(body.get("tool_choice") or "auto")
    format = body.get("response_format") or {"type": "text"}
    turn.json_mode = format["type"] == "json_object"
    turn.schema = format.get("json_schema", {}).get("schema")
    turn.prompt = json.dumps([body["messages"], body.get("tools")])
    names = {c["id"]: c[c["type"]]["name"] for m in body["messages"] for c in m.get("tool_calls") or ()}
    last = max((i for i, m in enumerate(body["messages"]) if m["role"] == "assistant"), default=-1)
    for message in body["messages"][last + 1 :]:
        _hear(turn, message, names)
    return turn


def _choice(choice: Any) -> str:
    if isinstance(choice, str):
        return "any" if choice == "required" else choice
    if choice["type"] == "allowed_tools":
        return "any" if choice["allowed_tools"]["mode"] == "required" else "auto"
    return "=" + str(choice[choice["type"]]["name"])


def _hear(turn: brain.Turn, message: JSON, names: dict[str, str]) -> None:
    content = message.get("content") or []
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    text = " ".join(part["text"] for part in parts if part["type"] == "text")
    if message["role"] == "tool":
        turn.results.append((names[message["tool_call_id"]], text))
    elif message["role"] == "user":
        turn.text = f"{turn.text} {text}".strip()
        turn.media += [kind for part in parts if (kind := media(part, "content"))]


def _completion(fake: "OpenAI", body: JSON, said: brain.Answer) -> JSON:
    completion = {
        "id": fake.next_id("chatcmpl-"),
        "object": "chat.completion",
        "created": CREATED,
        "model": body["model"],
        "choices": [_one(fake, body, said, index) for index in range(body.get("n") or 1)],
        "usage": usage(said.usage),
        "service_tier": "default",
        "system_fingerprint": "fp_fake",
    }
    if fake.azure:
        completion["prompt_filter_results"] = [{"prompt_index": 0, "content_filter_results": _harmless()}]
    return completion


def _one(fake: "OpenAI", body: JSON, said: brain.Answer, index: int) -> JSON:
    text = said.text if index == 0 else f"{said.text} ({index})"
    message: JSON = {"role": "assistant", "content": text or None, "refusal": said.refusal, "annotations": []}
    if fake.reasoning_field and said.thoughts:
        message[fake.reasoning_field] = "".join(t.text for t in said.thoughts)
    if said.calls:
        message["tool_calls"] = [_call(fake, call) for call in said.calls]
    choice: JSON = {"index": index, "message": message, "finish_reason": _FINISH[said.finish], "logprobs": None}
    if body.get("logprobs"):
        choice["logprobs"] = {"content": _logprobs(text, body.get("top_logprobs") or 0), "refusal": None}
    if fake.azure:
        choice["content_filter_results"] = _harmless()
    return choice


def _harmless() -> JSON:
    return {kind: {"filtered": False, "severity": "safe"} for kind in ("hate", "self_harm", "sexual", "violence")}


def _call(fake: "OpenAI", call: brain.Call) -> JSON:
    if call.free:
        return {"id": fake.next_id("call_"), "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": fake.next_id("call_"), "type": "function", "function": function}


def _logprobs(text: str, top: int) -> list[JSON]:
    def one(token: str, logprob: float) -> JSON:
        return {"token": token, "logprob": logprob, "bytes": list(token.encode())}

    likely = [(token, math.log(0.9 - 0.01 * (i % 20))) for i, token in enumerate(pieces(text))]
    return [
        one(token, p) | {"top_logprobs": [one(token, p), *(one(f"alt{k}", p - k) for k in range(1, 20))][:top]}
        for token, p in likely
    ]


def usage(usage: brain.Usage) -> JSON:
    """Cached tokens are among the prompt's, reasoning tokens among the completion's."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.output,
        "total_tokens": usage.prompt + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _frames(fake: "OpenAI", body: JSON, completion: JSON) -> list[bytes]:
    options = body.get("stream_options") or {}
    shared = {k: completion[k] for k in ("id", "created", "model", "service_tier", "system_fingerprint")}
    shared["object"] = "chat.completion.chunk"

    def chunk(choices: list[JSON], **more: Any) -> bytes:
        value = {**shared, "choices": choices, **({"usage": None} if options.get("include_usage") else {}), **more}
        if options.get("include_obfuscation", True) and choices:
            value["obfuscation"] = "fAk3"
        return sse(value)

    frames = []
    if fake.azure:
        frames.append(chunk([], prompt_filter_results=completion["prompt_filter_results"], id="", model=""))
    streams = [_choice_deltas(fake, choice) for choice in completion["choices"]]
    for step in itertools.zip_longest(*streams):
        frames += [chunk([delta]) for delta in step if delta is not None]
    if options.get("include_usage"):
        frames.append(chunk([], usage=completion["usage"]))
    return [*frames, b"data: [DONE]\n\n"]


def _choice_deltas(fake: "OpenAI", choice: JSON) -> list[JSON]:
    message = choice["message"]
    content = "" if message["content"] is not None else None
    deltas: list[JSON] = [{"role": "assistant", "content": content, "refusal": None}]
    if fake.reasoning_field and (thought := message.get(fake.reasoning_field)):
        deltas += [{fake.reasoning_field: piece} for piece in pieces(thought, 11)]
    deltas += [{"content": piece} for piece in pieces(message["content"] or "")]
    deltas += [{"refusal": piece} for piece in pieces(message["refusal"] or "")]
    deltas += _call_deltas(message.get("tool_calls", []), fake.scenario.interleave)
    frames = [{"index": choice["index"], "delta": delta, "logprobs": None, "finish_reason": None} for delta in deltas]
    if choice["logprobs"]:
        told = iter(choice["logprobs"]["content"])
        for frame in frames:
            if frame["delta"].get("content"):
                frame["logprobs"] = {"content": [next(told)], "refusal": None}
    end = {"index": choice["index"], "delta": {}, "logprobs": None, "finish_reason": choice["finish_reason"]}
    return [*frames, end]


def _call_deltas(calls: list[JSON], interleave: bool) -> list[JSON]:
    streams = []
    for index, call in enumerate(calls):
        kind = call["type"]
        field = "arguments" if kind == "function" else "input"
        first = {"index": index, "id": call["id"], "type": kind, kind: {"name": call[kind]["name"], field: ""}}
        rest = [{"index": index, kind: {field: piece}} for piece in pieces(call[kind][field], 5)]
        streams.append([{"tool_calls": [delta]} for delta in (first, *rest)])
    if interleave:
        return [delta for step in itertools.zip_longest(*streams) for delta in step if delta is not None]
    return [delta for stream in streams for delta in stream]
