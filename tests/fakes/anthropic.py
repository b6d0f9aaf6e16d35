"""Anthropic's Messages API: `/v1/messages`, `/v1/messages/count_tokens`, `/v1/models`."""

import base64
import json
from functools import cache
from typing import Any

import typing_extensions
from anthropic.types import message_count_tokens_params, message_create_params
from anthropic.types.beta import message_create_params as beta_create_params

from . import anthropic_rules as rules
from . import brain, shape
from .brain import JSON
from .fake import Fake, Refused, pieces, reply_json, sse
from .scenario import Scenario
from .server import Reply, Request
from .signing import encrypt, sign

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
FIRST_VERSION = "2023-06-01"
LATEST_VERSION = "2026-10-21"  # the SDK's since 2.0; took the sampling parameters away
_HEADERS_NOT_BODY = ("workspace_id", "user_profile_id", "betas")
_STOP = {"stop": "end_turn", "length": "max_tokens", "tools": "tool_use", "refusal": "refusal", "filter": "refusal"}


@cache
def _body_type(which: str, version: str) -> Any:
    """The SDK's parameters of a call, without those it sends as headers, as the API version knows them."""
    tp = {
        "create": message_create_params.MessageCreateParamsBase,
        "beta": beta_create_params.MessageCreateParamsBase,
        "count": message_count_tokens_params.MessageCountTokensParams,
    }[which]
    hints = typing_extensions.get_type_hints(tp, include_extras=True)
    fields = {name: hint for name, hint in hints.items() if name not in _HEADERS_NOT_BODY}
    if which != "count":
        fields["stream"] = bool
        if version == FIRST_VERSION:
            fields |= {"temperature": float, "top_p": float, "top_k": int}
    return typing_extensions.TypedDict("Body", fields, total=False)  # type: ignore[operator]  # made from the SDK's


class Anthropic(Fake):
    """Models named like those after Opus 4.6 (`claude-opus-4-8`, `claude-modern`) refuse sampling parameters, manual
    thinking and prefill; all others (`claude-mock`) take them. In API version 2026-10-21 no model takes sampling
    parameters."""

    version = LATEST_VERSION

    dialect = "anthropic"
    default_key = "sk-ant-fake"
    routes = (
        ("POST", "/v1/messages", "messages"),
        ("POST", "/v1/messages/count_tokens", "count_tokens"),
        ("GET", "/v1/models", "list_models"),
        ("GET", "/v1/models/(?P<model>.+)", "get_model"),
    )

    def authorise(self, request: Request) -> str:
        if "anthropic-version" not in request.headers:
            raise Refused(400, "anthropic-version: header is required")
        if request.headers["anthropic-version"] not in (FIRST_VERSION, LATEST_VERSION):
            raise Refused(
                400, f'anthropic-version: "{request.headers["anthropic-version"]}" is not a valid version for this API'
            )
        self.version = request.headers["anthropic-version"]
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        key = request.headers.get("x-api-key") or bearer
        if not key:
            raise Refused(401, "x-api-key header is required")
        if key not in self.keys:
            raise Refused(401, "invalid x-api-key" if "x-api-key" in request.headers else "Invalid bearer token")
        return key

    def envelope(self, refused: Refused) -> bytes:
        kind = refused.type or _TYPES.get(refused.status, "api_error")
        error = {"type": kind, "message": refused.message}
        return json.dumps({"type": "error", "error": error, "request_id": self.next_id("req_")}).encode()

    def error_headers(self, status: int) -> dict[str, str]:
        return {"content-type": "application/json", "request-id": self.next_id("req_")}

    def status_refusal(self, scenario: Scenario) -> Refused:
        words = {429: "This request would exceed your account's rate limit. Please try again later.", 529: "Overloaded"}
        status = 529 if scenario.fault == "error" and scenario.status == 200 else scenario.status
        message = scenario.message or words.get(status, "The fake was told to fail.")
        return Refused(status, message, type=scenario.code)

    def broken_frames(self, refused: Refused) -> list[bytes]:
        return [b"event: error\ndata: " + self.envelope(refused) + b"\n\n"]

    def no_route(self, request: Request) -> Refused:
        return Refused(404, "Not found")

    def bad_json(self, why: str) -> Refused:
        return Refused(400, f"The request body is not valid JSON: {why}")

    def misshaped(self, wrong: shape.Wrong) -> Refused:
        words = {
            "missing": "Field required",
            "extra": "Extra inputs are not permitted",
            "value": f"Input should be {' or '.join(map(repr, _literals(wrong.expected)))}",
            "type": f"Input should be a valid {_python_name(wrong.expected)}",
        }
        return Refused(400, f"{'.'.join(map(str, wrong.path))}: {words[wrong.code]}")

    def list_models(self, request: Request) -> Reply:
        """`GET /v1/models`."""
        data = [self._model(name) for name in self.models or ("claude-mock",)]
        return reply_json({"data": data, "has_more": False, "first_id": data[0]["id"], "last_id": data[-1]["id"]})

    def get_model(self, request: Request, model: str) -> Reply:
        """`GET /v1/models/{id}`."""
        self._has(model)
        return reply_json(self._model(model))

    def _model(self, name: str) -> JSON:
        return {
            "type": "model",
            "id": name,
            "display_name": name.title(),
            "created_at": "2026-01-01T00:00:00Z",
            "lifecycle": "active",
            "max_input_tokens": 200_000,
            "max_tokens": 64_000,
        }

    def _has(self, model: str) -> None:
        if self.models and model not in self.models:
            raise Refused(404, f"model: {model}")

    def count_tokens(self, request: Request) -> Reply:
        """`POST /v1/messages/count_tokens`."""
        body = self.read_json(request)
        self.conform(_body_type("count", self.version), body)
        rules.check(body, self.version == LATEST_VERSION, count=True)
        self._has(body["model"])
        return reply_json({"input_tokens": brain.tokens(_prompt(body))})

    def messages(self, request: Request) -> Reply:
        """`POST /v1/messages`."""
        body = self.read_json(request)
        which = "beta" if "anthropic-beta" in request.headers or "beta" in request.query else "create"
        self.conform(_body_type(which, self.version), body)
        rules.check(body, self.version == LATEST_VERSION)
        self._has(body["model"])
        said = self.answer(_turn(body), [body.get("tools"), body.get("system"), *body["messages"]])
        if "cache_control" not in request.body.decode():
            said.usage.cached = said.usage.written = 0
        message = self._message(body, said)
        if body.get("stream"):
            headers = {"content-type": "text/event-stream; charset=utf-8", "request-id": self.next_id("req_")}
            return Reply(200, headers, _frames(message))
        return reply_json(message, request_id=self.next_id("req_"))

    def _message(self, body: JSON, said: brain.Answer) -> JSON:
        omitted = body.get("thinking", {}).get("display") == "omitted"
        content = [self._block(part, omitted) for part in said.parts if not isinstance(part, brain.Refusal)]
        if said.stopped_by is None:
            stop_reason = _STOP[said.finish]
        else:
            stop_reason = "stop_sequence"
        refused = said.refusal and {"type": "refusal", "category": None, "explanation": said.refusal}
        return {
            "id": self.next_id("msg_01"),
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [block for block in content if block.get("text") != ""],
            "stop_reason": stop_reason,
            "stop_sequence": said.stopped_by,
            "stop_details": refused,
            "container": None,
            "usage": _usage(said.usage),
        }

    def _block(self, part: Any, omitted: bool) -> JSON:
        match part:
            case brain.Say(text):
                return {"type": "text", "text": text, "citations": None}
            case brain.Thought(text, redacted=True):
                return {"type": "redacted_thinking", "data": encrypt("anthropic", text)}
            case brain.Thought(text):
                shown = "" if omitted else text
                return {"type": "thinking", "thinking": shown, "signature": sign("anthropic", shown)}
            case brain.Call(name, arguments):
                call = {"id": self.next_id("toolu_01", 22), "name": name, "input": json.loads(arguments)}
                return {"type": "tool_use", "caller": {"type": "direct"}, **call}
        raise AssertionError(part)


def _usage(usage: brain.Usage) -> JSON:
    """`input_tokens` counts neither what was read from the cache nor what was written to it."""
    return {
        "input_tokens": usage.prompt - usage.cached - usage.written,
        "cache_creation_input_tokens": usage.written,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
        "server_tool_use": None,
        "service_tier": "standard",
        "inference_geo": "not_available",
    }


def _frames(message: JSON) -> list[bytes]:
    usage = message["usage"]
    start = {**message, "content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None}
    start["usage"] = {k: v for k, v in usage.items() if k != "output_tokens_details"} | {"output_tokens": 1}
    frames = [_event("message_start", message=start)]
    for index, block in enumerate(message["content"]):
        empty, deltas = _deltas(block)
        frames.append(_event("content_block_start", index=index, content_block=empty))
        if index == 0:
            frames.append(_event("ping"))
        frames += [_event("content_block_delta", index=index, delta=delta) for delta in deltas]
        frames.append(_event("content_block_stop", index=index))
    delta = {k: message[k] for k in ("stop_reason", "stop_sequence", "stop_details", "container")}
    told = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
    final = {k: usage[k] for k in (*told, "output_tokens_details", "server_tool_use")}
    return [*frames, _event("message_delta", delta=delta, usage=final), _event("message_stop")]


def _deltas(block: JSON) -> tuple[JSON, list[JSON]]:
    """A block as it starts in a stream, and what follows of it."""
    match block["type"]:
        case "text":
            return {**block, "text": ""}, [{"type": "text_delta", "text": p} for p in pieces(block["text"])]
        case "thinking":
            deltas = [{"type": "thinking_delta", "thinking": p} for p in pieces(block["thinking"], 11)]
            signature = {"type": "signature_delta", "signature": block["signature"]}
            return {**block, "thinking": "", "signature": ""}, [*deltas, signature]
        case "tool_use":
            text = json.dumps(block["input"]) if block["input"] else ""
            deltas = [{"type": "input_json_delta", "partial_json": p} for p in ["", *pieces(text, 5)]]
            return {**block, "input": {}}, deltas
    return block, []


def _event(name: str, **fields: Any) -> bytes:
    return sse({"type": name, **fields}, name)


def _literals(expected: Any) -> tuple[Any, ...]:
    return expected if isinstance(expected, tuple) else (expected,)


def _python_name(expected: Any) -> str:
    names = {"array": "list", "object": "dictionary"}
    if not isinstance(expected, str):
        return " or ".join(map(repr, expected))
    return " or ".join(names.get(name, name) for name in expected.split(" or "))


def _prompt(body: JSON) -> str:
    return json.dumps([body.get("system"), body.get("tools"), body["messages"]])


def _turn(body: JSON) -> brain.Turn:
    thinking = body.get("thinking", {}).get("type") in ("enabled", "adaptive")
    turn = brain.Turn(thinking=thinking, max_tokens=body["max_tokens"], stop=body.get("stop_sequences", []))
    turn.prompt = _prompt(body)
    turn.tools = [brain.Tool(t["name"], t["input_schema"]) for t in body.get("tools", ()) if "input_schema" in t]
    choice = body.get("tool_choice", {"type": "auto"})
    turn.choice = "=" + choice["name"] if choice["type"] == "tool" else choice["type"]
    turn.parallel = not choice.get("disable_parallel_tool_use")
    turn.schema = ((body.get("output_config") or {}).get("format") or {}).get("schema")
    names = {b["id"]: b["name"] for m in body["messages"] for b in rules.blocks(m) if b["type"] == "tool_use"}
    for message in rules.last_turn(body["messages"]):
        for block in rules.blocks(message):
            _hear(turn, block, names)
    return turn


def _hear(turn: brain.Turn, block: JSON, names: dict[str, str]) -> None:
    match block["type"]:
        case "text":
            turn.text = f"{turn.text} {block['text']}".strip()
        case "image" | "document":
            turn.media.append(_media(block))
        case "tool_result":
            content = block.get("content", "")
            inner = [{"type": "text", "text": content}] if isinstance(content, str) else content
            texts = [b["text"] for b in inner if b["type"] == "text"]
            turn.media += [_media(b) for b in inner if b["type"] in ("image", "document")]
            failed = "error: " if block.get("is_error") else ""
            turn.results.append((names[block["tool_use_id"]], failed + " ".join(texts)))


def _media(block: JSON) -> str:
    source = block["source"]
    match source["type"]:
        case "base64":
            return brain.seen(block["type"], source["media_type"], base64.b64decode(source["data"], validate=True))
        case "text":
            return brain.seen(block["type"], source["media_type"], source["data"].encode())
        case "url":
            return brain.linked(block["type"], source["url"])
        case "file":
            return brain.linked(block["type"], source["file_id"])
    return brain.seen(block["type"], None, json.dumps(source).encode())
