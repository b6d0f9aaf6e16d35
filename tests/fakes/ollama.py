"""Ollama's own API: `/api/chat`, `/api/generate`, `/api/embed`, `/api/tags`, …

The real server overlooks unknown fields in a request; this one refuses them, as a field that is overlooked is a field
that was lost. `tolerant=True` makes it overlook them too.
"""

import base64
import json
from typing import Any, Literal

import typing_extensions

from . import brain, shape
from .brain import JSON
from .fake import Fake, Refused, pieces, reply_json
from .openai_media import vector
from .scenario import Scenario
from .server import Reply, Request

TypedDict = typing_extensions.TypedDict
Required = typing_extensions.Required

_CREATED = "2026-11-01T12:00:00.000000000Z"
_REASON = {"stop": "stop", "length": "length", "tools": "stop", "filter": "stop", "refusal": "stop"}


class _Function(TypedDict, total=False):
    name: Required[str]
    arguments: Required[dict[str, Any]]
    index: int
    description: str


class _Call(TypedDict, total=False):
    id: str
    type: str
    function: Required[_Function]


class _Message(TypedDict, total=False):
    role: Required[str]
    content: str
    thinking: str
    images: list[str] | None
    tool_calls: list[_Call] | None
    tool_name: str
    tool_call_id: str


class _ToolFunction(TypedDict, total=False):
    name: Required[str]
    description: str
    parameters: dict[str, Any]


class _Tool(TypedDict, total=False):
    type: Required[str]
    function: Required[_ToolFunction]


class _Options(TypedDict, total=False):
    num_keep: int
    seed: int
    num_predict: int
    top_k: int
    top_p: float
    min_p: float
    typical_p: float
    repeat_last_n: int
    temperature: float
    repeat_penalty: float
    presence_penalty: float
    frequency_penalty: float
    penalize_newline: bool
    stop: list[str]
    numa: bool
    num_ctx: int
    num_batch: int
    num_gpu: int
    main_gpu: int
    use_mmap: bool
    num_thread: int


class _Shared(TypedDict, total=False):
    model: Required[str]
    stream: bool | None
    format: Literal["", "json"] | dict[str, Any] | None
    keep_alive: str | float | None
    options: _Options | None
    think: bool | str | None
    logprobs: bool
    top_logprobs: int
    truncate: bool
    shift: bool


class _Chat(_Shared, total=False):
    messages: list[_Message] | None
    tools: list[_Tool] | None


class _Generate(_Shared, total=False):
    prompt: str
    suffix: str
    system: str
    template: str
    context: list[int]
    raw: bool
    images: list[str] | None


class _Embed(TypedDict, total=False):
    model: Required[str]
    input: str | list[str]
    truncate: bool
    dimensions: int
    keep_alive: str | float
    options: _Options


class Ollama(Fake):
    """`keys` given: a bearer token is wanted, as by Ollama's cloud. Models whose names end in `-plain` can neither
    think nor call tools."""

    dialect = "ollama"
    default_key = ""
    routes = (
        ("POST", "/api/chat", "chat"),
        ("POST", "/api/generate", "generate"),
        ("POST", "/api/embed", "embed"),
        ("POST", "/api/show", "show"),
        ("GET", "/api/tags", "tags"),
        ("GET", "/api/version", "version"),
    )

    def __init__(self, *, tolerant: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.tolerant = tolerant

    def authorise(self, request: Request) -> str:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.keys != {""} and key not in self.keys:
            raise Refused(401, "unauthorized")
        return key

    def envelope(self, refused: Refused) -> bytes:
        return json.dumps({"error": refused.message}).encode()

    def status_refusal(self, scenario: Scenario) -> Refused:
        status = 500 if scenario.status == 200 else scenario.status
        return Refused(status, scenario.message or "llama runner process has terminated: exit status 2")

    def broken_frames(self, refused: Refused) -> list[bytes]:
        return [self.envelope(refused) + b"\n"]

    def no_route(self, request: Request) -> Refused:
        return Refused(404, "404 page not found")

    def bad_json(self, why: str) -> Refused:
        return Refused(400, why)

    def misshaped(self, wrong: shape.Wrong) -> Refused:
        name = ".".join(str(step) for step in wrong.plain)
        if wrong.code == "missing":
            return Refused(400, f"{name} is required")
        if wrong.code == "extra":
            return Refused(400, f'json: unknown field "{name}"')
        return Refused(
            400, f"json: cannot unmarshal {shape.kind(wrong.got)} into Go struct field .{name} of type {wrong.expected}"
        )

    def _read(self, tp: Any, request: Request) -> JSON:
        body: JSON = self.read_json(request)
        while True:
            try:
                shape.conform(tp, body)
            except shape.Wrong as wrong:
                if wrong.code != "extra" or not self.tolerant:
                    raise self.misshaped(wrong) from wrong
                holder: Any = body
                for step in wrong.plain[:-1]:
                    holder = holder[step]
                del holder[wrong.plain[-1]]
            else:
                self._has(body["model"])
                return body

    def _has(self, model: str) -> None:
        if self.models and model not in self.models:
            raise Refused(404, f"model '{model}' not found")

    def tags(self, request: Request) -> Reply:
        """`GET /api/tags`."""
        return reply_json({"models": [_model(name) for name in self.models or ("mock:latest",)]})

    def version(self, request: Request) -> Reply:
        """`GET /api/version`."""
        return reply_json({"version": "0.20.0"})

    def show(self, request: Request) -> Reply:
        """`POST /api/show`."""
        body = self.read_json(request)
        model = body.get("model") or body.get("name")
        if not model:
            raise Refused(400, "model is required")
        self._has(model)
        able = ["completion"] if model.endswith("-plain") else ["completion", "tools", "thinking", "vision"]
        known = {"general.architecture": "llama", "llama.context_length": 131072}
        details = _model(model)["details"]
        return reply_json({"details": details, "model_info": known, "capabilities": able, "template": ""})

    def embed(self, request: Request) -> Reply:
        """`POST /api/embed`."""
        body = self._read(_Embed, request)
        given = body.get("input", [])
        texts = [given] if isinstance(given, str) else given
        size = body.get("dimensions", 768)
        told = {"total_duration": 1_000_000, "load_duration": 1000, "prompt_eval_count": sum(map(brain.tokens, texts))}
        return reply_json({"model": body["model"], "embeddings": [vector(text, size) for text in texts], **told})

    def chat(self, request: Request) -> Reply:
        """`POST /api/chat`."""
        body = self._read(_Chat, request)
        messages = body.get("messages") or []
        if not messages:
            return reply_json(_last(body["model"], {"message": {"role": "assistant", "content": ""}}, "load", None))
        _check(body, messages)
        turn = _turn(body)
        turn.tools = [
            brain.Tool(t["function"]["name"], t["function"].get("parameters", {})) for t in body.get("tools") or ()
        ]
        turn.prompt = json.dumps([messages, body.get("tools")])
        last = max((i for i, m in enumerate(messages) if m["role"] == "assistant"), default=-1)
        called = [call["function"]["name"] for call in messages[last].get("tool_calls") or ()] if last >= 0 else []
        for message in messages[last + 1 :]:
            _hear(turn, message, called)
        said = self.answer(turn, [body.get("tools"), *messages])
        return self._reply(body, said, [{"message": {"role": "assistant", **part}} for part in self._parts(said)])

    def generate(self, request: Request) -> Reply:
        """`POST /api/generate`."""
        body = self._read(_Generate, request)
        turn = _turn(body)
        turn.text = turn.prompt = body.get("prompt", "")
        turn.media = [_image(data) for data in body.get("images") or ()]
        said = self.answer(turn, [body.get("system"), turn.text])
        parts = [
            {"response": p["content"], **({"thinking": p["thinking"]} if "thinking" in p else {})}
            for p in self._parts(said)
        ]
        return self._reply(body, said, parts)

    def _parts(self, said: brain.Answer) -> list[JSON]:
        """What the chunks of a stream bring."""
        parts: list[JSON] = []
        for part in said.parts:
            match part:
                case brain.Thought(text):
                    parts += [{"content": "", "thinking": piece} for piece in pieces(text, 11)]
                case brain.Say(text) | brain.Refusal(text):
                    parts += [{"content": piece} for piece in pieces(text)]
                case brain.Call(name, arguments):
                    index = sum("tool_calls" in p for p in parts)
                    function = {"index": index, "name": name, "arguments": json.loads(arguments)}
                    call = {"id": self.next_id("call_", 8), "function": function}
                    parts.append({"content": "", "tool_calls": [call]})
        return parts

    def _reply(self, body: JSON, said: brain.Answer, parts: list[JSON]) -> Reply:
        reason = _REASON[said.finish]
        empty: JSON = {"message": {"role": "assistant", "content": ""}} if "messages" in body else {"response": ""}
        if body.get("stream") is not False:
            lines = [{"model": body["model"], "created_at": _CREATED, **part, "done": False} for part in parts]
            lines.append(_last(body["model"], empty, reason, said.usage))
            frames = [json.dumps(line).encode() + b"\n" for line in lines]
            return Reply(200, {"content-type": "application/x-ndjson"}, frames)
        return reply_json(_last(body["model"], _joined(empty, parts), reason, said.usage))


def _joined(empty: JSON, parts: list[JSON]) -> JSON:
    """All the chunks as one."""
    if "response" in empty:
        whole = {"response": "".join(part["response"] for part in parts)}
        thinking = "".join(part.get("thinking", "") for part in parts)
        return {**whole, "thinking": thinking} if thinking else whole
    messages = [part["message"] for part in parts]
    message: JSON = {"role": "assistant", "content": "".join(m["content"] for m in messages)}
    if thinking := "".join(m.get("thinking", "") for m in messages):
        message["thinking"] = thinking
    if calls := [call for m in messages for call in m.get("tool_calls", ())]:
        message["tool_calls"] = calls
    return {"message": message}


def _last(model: str, content: JSON, reason: str, usage: brain.Usage | None) -> JSON:
    last = {"model": model, "created_at": _CREATED, **content, "done": True, "done_reason": reason}
    if usage is not None:
        last |= {"total_duration": 5_000_000, "load_duration": 1000, "prompt_eval_count": usage.prompt}
        last |= {"prompt_eval_duration": 1_000_000, "eval_count": usage.output, "eval_duration": 3_000_000}
    return last


def _model(name: str) -> JSON:
    details = {"format": "gguf", "family": "llama", "parameter_size": "3.2B", "quantization_level": "Q4_K_M"}
    details |= {"parent_model": "", "families": ["llama"]}  # type: ignore[dict-item]  # a JSON object
    return {"name": name, "model": name, "modified_at": _CREATED, "size": 1, "digest": "0" * 64, "details": details}


def _check(body: JSON, messages: list[JSON]) -> None:
    model = body["model"]
    if model.endswith("-plain") and body.get("tools"):
        raise Refused(400, f"registry.ollama.ai/library/{model} does not support tools")
    for message in messages:
        if message["role"] not in ("system", "user", "assistant", "tool"):
            raise Refused(400, f"invalid role: {message['role']}, must be one of [system user assistant tool]")
        for data in message.get("images") or ():
            _image(data)


def _turn(body: JSON) -> brain.Turn:
    think = body.get("think")
    if think and body["model"].endswith("-plain"):
        raise Refused(400, f'"{body["model"]}" does not support thinking')
    if isinstance(think, str) and think not in ("high", "medium", "low", "max"):
        raise Refused(400, f'invalid think value: "{think}" (must be "high", "medium", "low", "max", true, or false)')
    options = body.get("options") or {}
    limit = options.get("num_predict")
    turn = brain.Turn(thinking=bool(think), max_tokens=limit if limit and limit > 0 else None)
    turn.stop = options.get("stop", [])
    format = body.get("format") or None
    turn.schema = format if isinstance(format, dict) else None
    turn.json_mode = format == "json"
    return turn


def _hear(turn: brain.Turn, message: JSON, called: list[str]) -> None:
    text = message.get("content", "")
    if message["role"] == "tool":
        name = message.get("tool_name") or (called[len(turn.results)] if len(turn.results) < len(called) else "tool")
        turn.results.append((name, text))
    elif message["role"] == "user":
        turn.text = f"{turn.text} {text}".strip()
    turn.media += [_image(data) for data in message.get("images") or ()]


def _image(data: str) -> str:
    try:
        raw = base64.b64decode(data, validate=True)
    except ValueError:
        raise Refused(400, "illegal base64 data at input byte 0") from None
    mime = "image/png" if raw.startswith(b"\x89PNG") else "image/jpeg" if raw.startswith(b"\xff\xd8") else "unknown"
    return brain.seen("image", mime, raw)
