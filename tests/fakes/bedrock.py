"""Amazon Bedrock's runtime: `converse`, `converse-stream`, `count-tokens`, with signed requests.

The body is held to botocore's own service model, and the signature is made again with botocore's signer.
"""

import base64
import binascii
import hmac
import json
import re
import struct
import time
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import unquote

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.validate import ParamValidator

from . import brain
from .brain import JSON
from .fake import Fake, Refused, pieces, reply_json
from .scenario import Scenario
from .server import Reply, Request
from .signing import decrypt, encrypt, sign, signed

_ERRORS = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
_STOP = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tools": "tool_use",
    "filter": "content_filtered",
    "refusal": "guardrail_intervened",
}
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<id>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, ?"
    r"SignedHeaders=(?P<headers>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)


@cache
def _service() -> Any:
    return botocore.session.get_session().get_service_model("bedrock-runtime")


class Bedrock(Fake):
    """`credentials`: secret access keys by their id. `keys`: Bedrock API keys, sent as bearer tokens.

    `skew`: how many seconds a signature may be old.
    """

    dialect = "bedrock"
    default_key = "ABSKfake"
    routes = (
        ("POST", "/model/(?P<model>.+)/converse", "converse"),
        ("POST", "/model/(?P<model>.+)/converse-stream", "converse_stream"),
        ("POST", "/model/(?P<model>.+)/count-tokens", "count_tokens"),
        ("GET", "/foundation-models", "list_models"),
    )

    def __init__(
        self,
        *,
        credentials: dict[str, str] | None = None,
        session_token: str | None = None,
        skew: int = 300,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.credentials = {"AKIAFAKE": "fake-secret"} if credentials is None else credentials
        self.session_token = session_token
        self.skew = skew

    def authorise(self, request: Request) -> str:
        given = request.headers.get("authorization", "")
        if given.startswith("Bearer "):
            if given[7:] not in self.keys:
                raise Refused(403, "Authentication failed: Please make sure your API Key is valid.")
            return given[7:]
        if not given:
            raise Refused(403, "Missing Authentication Token", code="MissingAuthenticationTokenException")
        match = _AUTHORIZATION.fullmatch(given)
        if match is None or match["service"] != "bedrock":
            raise Refused(
                403, "Credential should be scoped to correct service: 'bedrock'.", code="InvalidSignatureException"
            )
        if match["id"] not in self.credentials:
            raise Refused(
                403, "The security token included in the request is invalid.", code="UnrecognizedClientException"
            )
        self._check_signature(request, match)
        return match["id"]

    def _check_signature(self, request: Request, match: re.Match[str]) -> None:
        stamp = request.headers.get("x-amz-date", "")
        sent = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        if abs(time.time() - sent) > self.skew:
            raise Refused(403, f"Signature expired: {stamp}", code="InvalidSignatureException")
        if self.session_token != request.headers.get("x-amz-security-token"):
            raise Refused(
                403, "The security token included in the request is invalid.", code="UnrecognizedClientException"
            )
        headers = {name: request.headers.get(name, "") for name in match["headers"].split(";")}
        if "host" not in headers:
            raise Refused(
                403, "'Host' must be a 'SignedHeader' in the AWS Authorization.", code="InvalidSignatureException"
            )
        again = AWSRequest(request.method, f"{self.url}{request.raw_path}", headers=headers, data=request.body)
        again.context["timestamp"] = stamp
        auth = SigV4Auth(Credentials(match["id"], self.credentials[match["id"]]), "bedrock", match["region"])
        signature = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
        if not hmac.compare_digest(signature, match["signature"]):
            raise Refused(
                403,
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
                "Access Key and signing method. Consult the service documentation for details.",
                code="InvalidSignatureException",
            )

    def envelope(self, refused: Refused) -> bytes:
        self._error = refused.code or _ERRORS.get(refused.status, "InternalServerException")
        return json.dumps({"message": refused.message}).encode()

    def error_headers(self, status: int) -> dict[str, str]:
        headers = {"content-type": "application/json", "x-amzn-requestid": self.next_id("", 32)}
        return {
            **headers,
            "x-amzn-errortype": f"{_ERRORS.get(status, 'InternalServerException')}:http://internal.amazon.com/",
        }

    def _handle(self, request: Request) -> Reply:
        reply = super()._handle(request)
        if reply.status >= 400 and reply.scenario.status < 400:
            reply.headers["x-amzn-errortype"] = f"{self._error}:http://internal.amazon.com/coral/"
        return reply

    _error = "InternalServerException"

    def status_refusal(self, scenario: Scenario) -> Refused:
        status = 500 if scenario.status == 200 else scenario.status
        words = {429: "Too many requests, please wait before trying again."}
        message = scenario.message or words.get(status, "The system encountered an unexpected error during processing.")
        return Refused(status, message, code=scenario.code)

    def broken_frames(self, refused: Refused) -> list[bytes]:
        name = refused.code or _ERRORS.get(refused.status, "InternalServerException")
        kind = name[0].lower() + name[1:]
        headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
        return [message(headers, json.dumps({"message": refused.message}).encode())]

    def no_route(self, request: Request) -> Refused:
        return Refused(404, "Unknown operation", code="UnknownOperationException")

    def bad_json(self, why: str) -> Refused:
        return Refused(400, f"Malformed request: {why}", code="SerializationException")

    def list_models(self, request: Request) -> Reply:
        """`GET /foundation-models`, which is the control plane's."""
        return reply_json({"modelSummaries": [{"modelId": name} for name in self.models or ("anthropic.claude-mock",)]})

    def _read(self, request: Request, operation: str, model: str) -> JSON:
        body: JSON = self.read_json(request)
        model = unquote(model)
        expected = _service().operation_model(operation).input_shape
        report = ParamValidator().validate({**body, "modelId": model}, expected)
        if report.has_errors():
            raise Refused(400, f"Malformed input request: {report.generate_report()}")
        _constraints(body, expected, "")
        if self.models and model not in self.models:
            raise Refused(404, "Could not resolve the foundation model from the provided model identifier.")
        return body

    def count_tokens(self, request: Request, model: str) -> Reply:
        """`POST /model/{id}/count-tokens`."""
        return reply_json({"inputTokens": brain.tokens(json.dumps(self._read(request, "CountTokens", model)))})

    def converse(self, request: Request, model: str) -> Reply:
        """`POST /model/{id}/converse`."""
        content, stop, usage = self._converse(request, "Converse", model)
        metrics = {"latencyMs": 12}
        output = {"message": {"role": "assistant", "content": content}}
        return reply_json({"output": output, "stopReason": stop, "usage": usage, "metrics": metrics})

    def converse_stream(self, request: Request, model: str) -> Reply:
        """`POST /model/{id}/converse-stream`."""
        frames = _frames(*self._converse(request, "ConverseStream", model))
        return Reply(200, {"content-type": "application/vnd.amazon.eventstream"}, frames)

    def _converse(self, request: Request, operation: str, model: str) -> tuple[list[JSON], str, JSON]:
        body = self._read(request, operation, model)
        check(body)
        said = self.answer(_turn(body), [body.get("toolConfig"), body.get("system"), *body["messages"]])
        if '"cachePoint"' not in request.body.decode():
            said.usage.cached = said.usage.written = 0
        content = [self._block(part) for part in said.parts if part != brain.Say("")]
        stop = "stop_sequence" if said.stopped_by else _STOP[said.finish]
        return content, stop, _usage(said.usage)

    def _block(self, part: Any) -> JSON:
        match part:
            case brain.Thought(text, redacted=True):
                hidden = base64.b64encode(encrypt("bedrock", text).encode()).decode()
                return {"reasoningContent": {"redactedContent": hidden}}
            case brain.Thought(text):
                return {"reasoningContent": {"reasoningText": {"text": text, "signature": sign("bedrock", text)}}}
            case brain.Call(name, arguments):
                return {
                    "toolUse": {"toolUseId": self.next_id("tooluse_", 22), "name": name, "input": json.loads(arguments)}
                }
        return {"text": part.text}


def _constraints(value: Any, shape: Any, where: str) -> None:
    """What botocore leaves to the server: enumerations, patterns, greatest lengths."""
    match shape.type_name:
        case "structure" if not getattr(shape, "is_document_type", False):
            for name, inner in value.items():
                _constraints(inner, shape.members[name], f"{where}.{name}".removeprefix("."))
        case "list":
            for i, inner in enumerate(value, 1):
                _constraints(inner, shape.member, f"{where}.{i}.member")
        case "string":
            pattern, longest = shape.metadata.get("pattern"), shape.metadata.get("max")
            if getattr(shape, "enum", None) and value not in shape.enum:
                raise _constraint(value, where, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
            if pattern and "arn:" not in pattern and not re.fullmatch(pattern, value):
                raise _constraint(value, where, f"Member must satisfy regular expression pattern: {pattern}")
            if longest and len(value) > longest:
                raise _constraint(value, where, f"Member must have length less than or equal to {longest}")
        case "blob":
            try:
                base64.b64decode(value, validate=True)
            except ValueError:
                raise Refused(400, f"{where}: not base64", code="SerializationException") from None


def _constraint(value: Any, where: str, why: str) -> Refused:
    return Refused(
        400, f"1 validation error detected: Value '{value}' at '{where}' failed to satisfy constraint: {why}"
    )


def check(body: JSON) -> None:
    """Raise `Refused` where Bedrock would refuse the conversation."""
    messages = [m for m in body.get("messages", ()) if m["role"] != "system"]
    if not messages:
        raise Refused(400, "A conversation must have at least one message. Try again with a message.")
    if messages[0]["role"] != "user":
        raise Refused(
            400,
            "A conversation must start with a user message. Try again with a conversation that starts with a user "
            "message.",
        )
    waiting: list[str] = []
    for i, message_ in enumerate(messages):
        if i and message_["role"] == messages[i - 1]["role"]:
            raise Refused(
                400,
                "A conversation must alternate between user and assistant roles. Make sure the conversation alternates "
                "between user and assistant roles and try again.",
            )
        waiting = _check_message(f"messages.{i}", message_, waiting)
    if waiting:
        raise Refused(
            400,
            f"Expected toolResult blocks at messages.{len(messages)}.content for the following Ids: "
            f"{', '.join(waiting)}",
        )
    used = any("toolUse" in b or "toolResult" in b for m in messages for b in m["content"])
    if used and "toolConfig" not in body:
        raise Refused(400, "The toolConfig field must be defined when using toolUse and toolResult content blocks.")
    _check_thinking(body, messages)


def _check_message(where: str, message: JSON, waiting: list[str]) -> list[str]:
    results = [b["toolResult"]["toolUseId"] for b in message["content"] if "toolResult" in b]
    missing = [id for id in waiting if id not in results]
    if missing:
        raise Refused(400, f"Expected toolResult blocks at {where}.content for the following Ids: {', '.join(missing)}")
    if len(results) > len(waiting):
        raise Refused(
            400,
            f"The number of toolResult blocks at {where}.content exceeds the number of toolUse blocks of previous "
            "turn.",
        )
    if not message["content"]:
        raise Refused(
            400,
            f"The content field in the Message object at {where} is empty. Add a ContentBlock object to the content "
            "field and try again.",
        )
    for j, block in enumerate(message["content"]):
        if "text" in block and not block["text"].strip():
            raise Refused(
                400,
                f"The text field in the ContentBlock object at {where}.content.{j} is blank. Add text to the text "
                "field, and try again.",
            )
        _check_reasoning(f"{where}.content.{j}", block.get("reasoningContent"))
    return [b["toolUse"]["toolUseId"] for b in message["content"] if "toolUse" in b]


def _check_reasoning(where: str, reasoning: JSON | None) -> None:
    if reasoning is None:
        return
    if "redactedContent" in reasoning:
        hidden = base64.b64decode(reasoning["redactedContent"]).decode("utf-8", "replace")
        if decrypt("bedrock", hidden) is None:
            raise Refused(
                400, f"The model returned the following errors: {where}: Invalid `data` in `redacted_thinking` block"
            )
        return
    text = reasoning["reasoningText"]
    if not signed("bedrock", text["text"], text.get("signature", "")):
        raise Refused(400, f"The model returned the following errors: {where}: Invalid `signature` in `thinking` block")


def _thinking(body: JSON) -> JSON:
    found = (body.get("additionalModelRequestFields") or {}).get("thinking") or {}
    return found if isinstance(found, dict) else {}


def _check_thinking(body: JSON, messages: list[JSON]) -> None:
    thinking = _thinking(body)
    if thinking.get("type") != "enabled":
        return
    budget = thinking.get("budget_tokens", 0)
    if budget < 1024 or budget >= body.get("inferenceConfig", {}).get("maxTokens", 4096):
        raise Refused(
            400, "The model returned the following errors: `max_tokens` must be greater than `thinking.budget_tokens`."
        )
    last = next((m for m in reversed(messages) if m["role"] == "assistant"), None)
    calls = last is not None and any("toolUse" in b for b in last["content"])
    if last is not None and calls and "reasoningContent" not in last["content"][0]:
        raise Refused(
            400,
            "The model returned the following errors: messages.1.content.0.type: Expected `thinking` or "
            "`redacted_thinking`, but found `tool_use`. When `thinking` is enabled, a final `assistant` message must "
            "start with a thinking block.",
        )


def _usage(usage: brain.Usage) -> JSON:
    """As Anthropic counts: what was read from the cache or written to it is not among the input tokens."""
    counted = {
        "inputTokens": usage.prompt - usage.cached - usage.written,
        "outputTokens": usage.output,
        "totalTokens": usage.prompt + usage.output,
    }
    if usage.cached or usage.written:
        counted |= {"cacheReadInputTokens": usage.cached, "cacheWriteInputTokens": usage.written}
    return counted


def _turn(body: JSON) -> brain.Turn:
    config = body.get("inferenceConfig", {})
    turn = brain.Turn(max_tokens=config.get("maxTokens"), stop=config.get("stopSequences", []))
    turn.thinking = _thinking(body).get("type") in ("enabled", "adaptive")
    offered = body.get("toolConfig", {})
    for tool in offered.get("tools", ()):
        if spec := tool.get("toolSpec"):
            turn.tools.append(brain.Tool(spec["name"], spec["inputSchema"].get("json", {})))
    choice = offered.get("toolChoice", {"auto": {}})
    turn.choice = "=" + choice["tool"]["name"] if "tool" in choice else next(iter(choice))
    if structure := body.get("outputConfig", {}).get("textFormat", {}).get("structure"):
        turn.schema = json.loads(structure["jsonSchema"]["schema"])
    messages = body["messages"]
    turn.prompt = json.dumps([messages, body.get("system"), offered])
    names = {b["toolUse"]["toolUseId"]: b["toolUse"]["name"] for m in messages for b in m["content"] if "toolUse" in b}
    last = max((i for i, m in enumerate(messages) if m["role"] == "assistant"), default=-1)
    for heard in messages[last + 1 :]:
        for block in heard["content"]:
            _hear(turn, block, names)
    return turn


def _hear(turn: brain.Turn, block: JSON, names: dict[str, str]) -> None:
    if "text" in block:
        turn.text = f"{turn.text} {block['text']}".strip()
    elif "toolResult" in block:
        result = block["toolResult"]
        texts = [
            inner["text"] if "text" in inner else json.dumps(inner.get("json"))
            for inner in result["content"]
            if "text" in inner or "json" in inner
        ]
        failed = "error: " if result.get("status") == "error" else ""
        turn.results.append((names[result["toolUseId"]], failed + " ".join(texts)))
        for inner in result["content"]:
            _hear_media(turn, inner)
    else:
        _hear_media(turn, block)


def _hear_media(turn: brain.Turn, block: JSON) -> None:
    for kind in ("image", "document", "video", "audio"):
        if kind in block:
            given = block[kind]
            source = given["source"]
            if "bytes" in source:
                mime = {"pdf": "application/pdf", "txt": "text/plain"}.get(
                    given.get("format", ""), f"{kind}/{given.get('format')}"
                )
                turn.media.append(brain.seen(kind, mime, base64.b64decode(source["bytes"])))
            else:
                turn.media.append(brain.linked(kind, source.get("s3Location", {}).get("uri", "text")))


def message(headers: dict[str, str], payload: bytes) -> bytes:
    """One message of an AWS event stream; all its headers are strings."""
    packed = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    body = prelude + struct.pack(">I", binascii.crc32(prelude)) + packed + payload
    return body + struct.pack(">I", binascii.crc32(body))


def _event(name: str, **fields: Any) -> bytes:
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return message(headers, json.dumps({**fields, "p": "abcdef"}).encode())


def _frames(content: list[JSON], stop: str, usage: JSON) -> list[bytes]:
    frames = [_event("messageStart", role="assistant")]
    for index, block in enumerate(content):
        if "toolUse" in block:
            call = block["toolUse"]
            start = {"toolUse": {"toolUseId": call["toolUseId"], "name": call["name"]}}
            frames.append(_event("contentBlockStart", contentBlockIndex=index, start=start))
        frames += [_event("contentBlockDelta", contentBlockIndex=index, delta=delta) for delta in _deltas(block)]
        frames.append(_event("contentBlockStop", contentBlockIndex=index))
    frames.append(_event("messageStop", stopReason=stop))
    return [*frames, _event("metadata", usage=usage, metrics={"latencyMs": 12})]


def _deltas(block: JSON) -> list[JSON]:
    if "text" in block:
        return [{"text": piece} for piece in pieces(block["text"])]
    if "toolUse" in block:
        given = block["toolUse"]["input"]
        return (
            [{"toolUse": {"input": piece}} for piece in pieces(json.dumps(given), 5)]
            if given
            else [{"toolUse": {"input": ""}}]
        )
    reasoning = block["reasoningContent"]
    if "redactedContent" in reasoning:
        return [{"reasoningContent": {"redactedContent": reasoning["redactedContent"]}}]
    text = reasoning["reasoningText"]
    deltas = [{"reasoningContent": {"text": piece}} for piece in pieces(text["text"], 11)]
    return [*deltas, {"reasoningContent": {"signature": text["signature"]}}]
