"""Cohere's API, version 2: `/v2/chat`, `/v2/embed`, `/v1/models`."""

import base64
import json
from typing import Any, Literal

import typing_extensions
from cohere.types import (
    ChatMessages,
    CitationOptions,
    EmbedInput,
    ResponseFormatV2,
    Thinking,
    ToolV2,
)

from . import brain, shape
from .brain import JSON
from .fake import Fake, Refused, pieces, reply_json, sse
from .openai_media import vector
from .scenario import Scenario
from .server import Reply, Request

_FINISH = {
    "stop": "COMPLETE",
    "length": "MAX_TOKENS",
    "tools": "TOOL_CALL",
    "filter": "ERROR",
    "refusal": "COMPLETE",
}
_Required = typing_extensions.Required


class _Chat(typing_extensions.TypedDict, total=False):
    model: _Required[str]
    messages: _Required[ChatMessages]
    tools: list[ToolV2]
    strict_tools: bool
    documents: list[Any]
    citation_options: CitationOptions
    response_format: ResponseFormatV2
    safety_mode: Literal["CONTEXTUAL", "STRICT", "OFF", "NONE"]
    max_tokens: int
    stop_sequences: list[str]
    temperature: float
    seed: int
    frequency_penalty: float
    presence_penalty: float
    k: int
    p: float
    logprobs: bool
    tool_choice: Literal["REQUIRED", "NONE"]
    thinking: Thinking
    priority: int
    stream: bool


class _Embed(typing_extensions.TypedDict, total=False):
    model: _Required[str]
    input_type: _Required[Literal["search_document", "search_query", "classification", "clustering", "image"]]
    texts: list[str]
    images: list[str]
    inputs: list[EmbedInput]
    max_tokens: int
    output_dimension: int
    embedding_types: list[Literal["float", "int8", "uint8", "binary", "ubinary", "base64"]]
    truncate: Literal["NONE", "START", "END"]
    priority: int


class Cohere(Fake):
    """Models with `reason` in their names think unless told not to."""

    dialect = "cohere"
    default_key = "co-fake"
    routes = (
        ("POST", "/v2/chat", "chat"),
        ("POST", "/v2/embed", "embed"),
        ("GET", "/v1/models", "list_models"),
    )

    def authorise(self, request: Request) -> str:
        bearer = request.headers.get("authorization", "")
        key = bearer[7:] if bearer[:7].lower() == "bearer " else ""
        if not key:
            raise Refused(401, "no api key supplied")
        if key not in self.keys:
            raise Refused(401, "invalid api token")
        return key

    def envelope(self, refused: Refused) -> bytes:
        return json.dumps({"id": self.next_id("", 12), "message": refused.message}).encode()

    def status_refusal(self, scenario: Scenario) -> Refused:
        words = {429: "You are past the per minute request limit, please wait and try again later."}
        status = 500 if scenario.status == 200 else scenario.status
        return Refused(status, scenario.message or words.get(status, "internal server error, this has been reported"))

    def broken_frames(self, refused: Refused) -> list[bytes]:
        """The stream ends with the finish reason ERROR."""
        delta = {"finish_reason": "ERROR", "error": refused.message}
        return [sse({"type": "message-end", "delta": delta}, "message-end")]

    def bad_json(self, why: str) -> Refused:
        return Refused(400, f"invalid request: failed to parse body: {why}")

    def misshaped(self, wrong: shape.Wrong) -> Refused:
        name = ".".join(str(step) for step in wrong.plain)
        if wrong.code == "missing":
            return Refused(400, f"invalid request: {name} is required")
        if wrong.code == "extra":
            return Refused(422, f"unknown field: parameter '{name}' is not a valid field")
        return Refused(
            400,
            f"invalid type: parameter {name} is of type {shape.kind(wrong.got)} but should be of type {wrong.expected}",
        )

    def _has(self, model: str) -> None:
        if self.models and model not in self.models:
            raise Refused(404, f"model '{model}' not found, make sure the correct model ID was used")

    def list_models(self, request: Request) -> Reply:
        """`GET /v1/models`."""
        names = self.models or ("command-mock",)
        return reply_json(
            {"models": [{"name": name, "endpoints": ["chat"], "context_length": 256000} for name in names]}
        )

    def embed(self, request: Request) -> Reply:
        """`POST /v2/embed`."""
        body = self.read_json(request)
        self.conform(_Embed, body)
        self._has(body["model"])
        given = [name for name in ("texts", "images", "inputs") if name in body]
        if len(given) != 1:
            raise Refused(400, "invalid request: exactly one of texts, images or inputs must be provided")
        texts = [one if isinstance(one, str) else json.dumps(one) for one in body[given[0]]]
        vectors = [vector(text, body.get("output_dimension", 1536)) for text in texts]
        found = {kind: _as(kind, vectors) for kind in body.get("embedding_types", ["float"])}
        billed = {"billed_units": {"input_tokens": sum(map(brain.tokens, texts))}, "api_version": {"version": "2"}}
        reply = {"id": self.next_id("", 12), "embeddings": found, "texts": texts if given == ["texts"] else []}
        return reply_json({**reply, "meta": billed, "response_type": "embeddings_by_type"})

    def chat(self, request: Request) -> Reply:
        """`POST /v2/chat`."""
        body = self.read_json(request)
        self.conform(_Chat, _with_documents_as_objects(body))
        _check(body)
        self._has(body["model"])
        said = self.answer(_turn(body), [body.get("tools"), *body["messages"]])
        reason = "STOP_SEQUENCE" if said.stopped_by else _FINISH[said.finish]
        usage = _usage(said.usage)
        message = self._message(said)
        if body.get("stream"):
            frames = _frames(self.next_id("", 12), message, reason, usage)
            return Reply(200, {"content-type": "text/event-stream"}, frames)
        return reply_json({"id": self.next_id("", 12), "finish_reason": reason, "message": message, "usage": usage})

    def _message(self, said: brain.Answer) -> JSON:
        message: JSON = {"role": "assistant"}
        content: list[JSON] = [{"type": "thinking", "thinking": thought.text} for thought in said.thoughts]
        text = said.text or said.refusal or ""
        if said.calls:
            if text:
                message["tool_plan"] = text
            message["tool_calls"] = [
                {
                    "id": self.next_id(f"{call.name}_", 12),
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in said.calls
            ]
        elif text:
            content.append({"type": "text", "text": text})
        return {**message, "content": content} if content else message


def _as(kind: str, vectors: list[list[float]]) -> Any:
    if kind == "float":
        return vectors
    if kind == "base64":
        return [base64.b64encode(json.dumps(v).encode()).decode() for v in vectors]
    return [[int(x * 127) + (128 if kind.startswith("u") else 0) for x in v] for v in vectors]


def _usage(usage: brain.Usage) -> JSON:
    counted = {"input_tokens": usage.prompt, "output_tokens": usage.output}
    return {"billed_units": counted, "tokens": counted, "cached_tokens": usage.cached}


def _frames(id: str, message: JSON, reason: str, usage: JSON) -> list[bytes]:
    frames = [_event("message-start", id=id, delta={"message": {"role": "assistant"}})]
    plan = pieces(message.get("tool_plan", ""))
    frames += [_event("tool-plan-delta", delta={"message": {"tool_plan": piece}}) for piece in plan]
    for index, part in enumerate(message.get("content", ())):
        field = part["type"]
        start = {"message": {"content": {"type": field, field: ""}}}
        frames.append(_event("content-start", index=index, delta=start))
        deltas = [{"message": {"content": {field: piece}}} for piece in pieces(part[field])]
        frames += [_event("content-delta", index=index, delta=delta) for delta in deltas]
        frames.append(_event("content-end", index=index))
    for index, call in enumerate(message.get("tool_calls", ())):
        empty = {**call, "function": {**call["function"], "arguments": ""}}
        frames.append(_event("tool-call-start", index=index, delta={"message": {"tool_calls": empty}}))
        for piece in pieces(call["function"]["arguments"], 5):
            delta = {"message": {"tool_calls": {"function": {"arguments": piece}}}}
            frames.append(_event("tool-call-delta", index=index, delta=delta))
        frames.append(_event("tool-call-end", index=index))
    return [*frames, _event("message-end", id=id, delta={"finish_reason": reason, "usage": usage})]


def _event(name: str, **fields: Any) -> bytes:
    return sse({"type": name, **fields}, name)


def _with_documents_as_objects(body: JSON) -> JSON:
    """The guides give a tool result's document as JSON text, which the API takes; the SDK's type has only objects."""
    if not isinstance(body.get("messages"), list):
        return body
    return {**body, "messages": [_document_as_object(message) for message in body["messages"]]}


def _document_as_object(message: Any) -> Any:
    if not isinstance(message, dict) or message.get("role") != "tool" or not isinstance(message.get("content"), list):
        return message
    content = [
        {**part, "document": {**part["document"], "data": {}}}
        if isinstance(part, dict) and isinstance((part.get("document") or {}).get("data"), str)
        else part
        for part in message["content"]
    ]
    return {**message, "content": content}


def _check(body: JSON) -> None:
    messages = body["messages"]
    if not messages:
        raise Refused(400, "invalid request: messages must not be empty")
    for name, low, high in (("temperature", 0, 2), ("p", 0.01, 0.99), ("k", 0, 500), ("max_tokens", 1, 1 << 20)):
        if not low <= body.get(name, low) <= high:
            raise Refused(400, f"invalid request: {name} must be between {low} and {high} inclusive.")
    if len(body.get("stop_sequences", ())) > 5:
        raise Refused(400, "invalid request: stop_sequences must have at most 5 elements.")
    if body.get("tool_choice") == "REQUIRED" and not body.get("tools"):
        raise Refused(400, "invalid request: tool_choice requires tools to be provided")
    for i, tool in enumerate(body.get("tools", ())):
        if "function" not in tool:
            raise Refused(400, f"invalid request: tools[{i}].function is required")
    format = body.get("response_format", {"type": "text"})
    if format["type"] == "json_object" and (body.get("tools") or body.get("documents")):
        raise Refused(400, "invalid request: response_format is not supported in combination with tools or documents")
    _check_pairs(messages)


def _check_pairs(messages: list[JSON]) -> None:
    waiting: list[str] = []
    for i, message in enumerate([*messages, {"role": "end"}]):
        role = message.get("role")
        if role == "tool":
            if message["tool_call_id"] not in waiting:
                raise Refused(
                    400, f"invalid request: messages[{i}]: tool_call_id does not match any preceding tool call"
                )
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            raise Refused(
                400,
                "invalid request: all elements in history must have a corresponding tool result for each tool call: "
                + ", ".join(waiting),
            )
        if role == "assistant":
            waiting = [call["id"] for call in message.get("tool_calls") or ()]
            if not waiting and not message.get("content"):
                raise Refused(400, f"invalid request: messages[{i}]: must have content or tool_calls")
        elif role is None:
            raise Refused(400, f"invalid request: messages[{i}].role is required")
        elif role in ("user", "system") and not message["content"]:
            raise Refused(400, f"invalid request: messages[{i}].content must not be empty")


def _turn(body: JSON) -> brain.Turn:
    thinking = body.get("thinking", {}).get("type", "enabled" if "reason" in body["model"] else "disabled")
    turn = brain.Turn(max_tokens=body.get("max_tokens"), stop=body.get("stop_sequences", []))
    turn.thinking = thinking == "enabled"
    turn.tools = [brain.Tool(t["function"]["name"], t["function"].get("parameters", {})) for t in body.get("tools", ())]
    turn.choice = {"REQUIRED": "any", "NONE": "none"}.get(body.get("tool_choice", ""), "auto")
    format = body.get("response_format", {"type": "text"})
    turn.schema = format.get("json_schema")
    turn.json_mode = format["type"] == "json_object" and turn.schema is None
    messages = body["messages"]
    turn.prompt = json.dumps([messages, body.get("tools"), body.get("documents")])
    names = {c["id"]: c["function"]["name"] for m in messages for c in m.get("tool_calls") or ()}
    last = max((i for i, m in enumerate(messages) if m["role"] == "assistant"), default=-1)
    for message in messages[last + 1 :]:
        _hear(turn, message, names)
    return turn


def _hear(turn: brain.Turn, message: JSON, names: dict[str, str]) -> None:
    content = message["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    text = " ".join(_text(part) for part in parts)
    if message["role"] == "tool":
        turn.results.append((names[message["tool_call_id"]], text.strip()))
    elif message["role"] == "user":
        turn.text = f"{turn.text} {text}".strip()
        turn.media += [_image(part["image_url"]["url"]) for part in parts if part["type"] == "image_url"]


def _text(part: JSON) -> str:
    if part["type"] == "document":
        data = part["document"]["data"]
        return data if isinstance(data, str) else " ".join(str(value) for value in data.values())
    return str(part.get("text", ""))


def _image(url: str) -> str:
    if not url.startswith("data:"):
        return brain.linked("image", url)
    head, _, data = url.removeprefix("data:").partition(",")
    try:
        return brain.seen("image", head.removesuffix(";base64"), base64.b64decode(data, validate=True))
    except ValueError:
        raise Refused(400, "invalid request: image_url must be a valid base64 data URL") from None
