"""Google's Gemini API and its Vertex flavour."""

import json
from functools import cache
from typing import Any

import typing_extensions
from google.genai import types

from . import brain, shape, signing
from . import gemini_rules as rules
from .brain import JSON
from .fake import Fake, Refused, pieces, reply_json
from .openai_media import vector
from .scenario import Scenario
from .server import Reply, Request

_MODEL = r"(?:/v1beta|/v1|/v1beta1)(?:/projects/[^/]+/locations/[^/]+/publishers/google)?/models"
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_FINISH = {"stop": "STOP", "tools": "STOP", "length": "MAX_TOKENS", "filter": "SAFETY", "refusal": "STOP"}


class _Config(types.GenerationConfig):
    # the SDK sends it in the generation config, but has it in no type
    image_config: types.ImageConfig | None = None


# what only Vertex takes, by the type that has it
_VERTEX_ONLY: dict[type, tuple[str, ...]] = {
    _Config: ("audioTimestamp", "modelSelectionConfig", "routingConfig"),
    types.FunctionCallingConfig: ("streamFunctionCallArguments",),
    types.FunctionCall: ("partialArgs", "willContinue"),
    types.Blob: ("displayName",),
    types.FileData: ("displayName",),
    types.SafetySetting: ("method",),
    types.Schema: ("additionalProperties", "defs", "ref"),
}
_HIDDEN = {
    True: frozenset[tuple[type, str]](),
    False: frozenset((owner, name) for owner, names in _VERTEX_ONLY.items() for name in names),
}


@cache
def _body_type(which: str) -> Any:
    generate = {
        "contents": list[types.Content],
        "systemInstruction": types.Content,
        "generationConfig": _Config,
        "tools": list[types.Tool],
        "toolConfig": types.ToolConfig,
        "safetySettings": list[types.SafetySetting],
        "cachedContent": str,
        "labels": dict[str, str],
        "serviceTier": str,
        "store": bool,
        "model": str,
    }
    embed = {"model": str, "content": types.Content, "taskType": str, "title": str, "outputDimensionality": int}
    embed["embedContentConfig"] = dict[str, Any]
    fields = {
        "generate": generate,
        "count": {
            "contents": list[types.Content],
            "generateContentRequest": typing_extensions.TypedDict("Generate", generate, total=False),  # type: ignore[operator]
        },
        "embed": embed,
        "batch": {"requests": list[typing_extensions.TypedDict("Embed", embed, total=False)]},  # type: ignore[operator, misc]
    }[which]
    return typing_extensions.TypedDict("Body", fields, total=False)  # type: ignore[operator]  # made from the SDK's


class Gemini(Fake):
    """`vertex`: on Vertex's paths, with an access token. `call_ids`: whether calls come with an id.

    Models named `gemini-1…` and `gemini-2…` don't insist on thought signatures; all others do.
    """

    dialect = "gemini"
    default_key = "AIza-fake"
    routes = (
        ("POST", f"{_MODEL}/(?P<model>[^/:]+):(?P<verb>\\w+)", "act"),
        ("GET", "/v1(?:beta)?/models", "list_models"),
        ("GET", "/v1(?:beta)?/models/(?P<model>[^/:]+)", "get_model"),
    )

    def __init__(self, *, vertex: bool = False, call_ids: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.vertex = vertex
        self.call_ids = call_ids
        self._as_list = False

    def authorise(self, request: Request) -> str:
        self._as_list = request.path.endswith(":streamGenerateContent") and request.query.get("alt") != "sse"
        if self.vertex:
            return self._token(request)
        key = request.headers.get("x-goog-api-key") or request.query.get("key") or ""
        if not key:
            raise Refused(
                403,
                "Method doesn't allow unregistered callers (callers without established identity). Please use API Key "
                "or other form of API consumer identity to call this API.",
            )
        if key not in self.keys:
            reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
            reason |= {"domain": "googleapis.com", "metadata": {"service": "generativelanguage.googleapis.com"}}  # type: ignore[dict-item]
            raise Refused(400, "API key not valid. Please pass a valid API key.", details=[reason])
        return key

    def _token(self, request: Request) -> str:
        bearer = request.headers.get("authorization", "")
        if not bearer.startswith("Bearer ") or bearer[7:] not in self.keys:
            raise Refused(
                401,
                "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other "
                "valid authentication credential. See "
                "https://developers.google.com/identity/sign-in/web/devconsole-project.",
            )
        if "/publishers/google/" not in request.path:
            raise Refused(404, "Not found")
        return bearer[7:]

    def envelope(self, refused: Refused) -> bytes:
        error: JSON = {"code": refused.status, "message": refused.message}
        error["status"] = refused.code or _STATUS.get(refused.status, "UNKNOWN")
        if refused.details:
            error["details"] = refused.details
        return json.dumps([{"error": error}] if self._as_list else {"error": error}, indent=2).encode()

    def error_headers(self, status: int) -> dict[str, str]:
        return {"content-type": "application/json; charset=UTF-8"}

    def status_refusal(self, scenario: Scenario) -> Refused:
        status = 503 if scenario.status == 200 else scenario.status
        words = {
            429: "You exceeded your current quota, please check your plan and billing details.",
            500: "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide",
            503: "The model is overloaded. Please try again later.",
        }
        details = None
        if status == 429:
            wait = scenario.headers.get("retry-after", "7")
            details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{wait}s"}]
        message = scenario.message or words.get(status, "The fake was told to fail.")
        return Refused(status, message, code=scenario.code, details=details)

    def broken_frames(self, refused: Refused) -> list[bytes]:
        if self._as_list:
            return [b"\n,\r\n" + self.envelope(refused)[1:-1] + b"]"]
        return [b"data: " + json.dumps(json.loads(self.envelope(refused))).encode() + b"\r\n\r\n"]

    def bad_json(self, why: str) -> Refused:
        return self._violation("", f"Invalid JSON payload received. {why}")

    def misshaped(self, wrong: shape.Wrong) -> Refused:
        where = _snake_path(wrong.path)
        if wrong.code == "extra":
            outer, name = _snake_path(wrong.path[:-1]), wrong.path[-1]
            at = f" at '{outer}'" if outer else ""
            return self._violation(
                outer, f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.'
            )
        if wrong.code == "missing":
            return Refused(400, f"* GenerateContentRequest.{where}: {where} is not specified\n")
        expected = wrong.expected.removesuffix(" or null") if isinstance(wrong.expected, str) else "enum"
        kind = f"TYPE_{expected.upper()}"
        return self._violation(where, f"Invalid value at '{where}' ({kind}), {json.dumps(wrong.got)}")

    def _violation(self, where: str, message: str) -> Refused:
        violation = {"description": message, **({"field": where} if where else {})}
        detail = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}
        return Refused(400, message, details=[detail])

    def no_route(self, request: Request) -> Refused:
        return Refused(404, f"The requested URL {request.path} was not found on this server.")

    def list_models(self, request: Request) -> Reply:
        """`GET /v1beta/models`."""
        return reply_json({"models": [_model(name) for name in self.models or ("gemini-mock",)]})

    def get_model(self, request: Request, model: str) -> Reply:
        """`GET /v1beta/models/{model}`."""
        self._has(model, "generateContent")
        return reply_json(_model(model))

    def _has(self, model: str, verb: str) -> None:
        if self.models and model not in self.models:
            raise Refused(
                404,
                f"models/{model} is not found for API version v1beta, or is not supported for {verb}. Call ListModels "
                "to see the list of available models and their supported methods.",
            )

    def act(self, request: Request, model: str, verb: str) -> Reply:
        """`POST /v1beta/models/{model}:{verb}`."""
        self._has(model, verb)
        body = self.read_json(request)
        match verb:
            case "generateContent" | "streamGenerateContent":
                return self._generate(request, body, model, stream=verb.startswith("stream"))
            case "countTokens":
                return self._count_tokens(body)
            case "embedContent":
                return self._embed(body)
            case "batchEmbedContents":
                return self._batch(body, model)
        raise self.no_route(request)

    def _read(self, which: str, body: JSON) -> JSON:
        """The body with camelCase names, after its shape was checked."""
        self.conform(_body_type(which), body, shape.How(loose=True, hidden=_HIDDEN[self.vertex]))
        plain = rules.camel(body)
        assert isinstance(plain, dict)
        return plain

    def _generate(self, request: Request, body: JSON, model: str, *, stream: bool) -> Reply:
        body = self._read("generate", body)
        rules.check(body, model, vertex=self.vertex)
        turn = _turn(body)
        turn.thinking = turn.thinking or rules.thinks(model)
        said = self.answer(turn, [body.get("tools"), body.get("systemInstruction"), *body["contents"]])
        shown = bool(body.get("generationConfig", {}).get("thinkingConfig", {}).get("includeThoughts"))
        parts = self._parts(said, shown)
        whole = self._reply(model, said, parts, body.get("generationConfig", {}))
        if not stream:
            return reply_json(whole)
        chunks = _chunks(whole, said)
        if request.query.get("alt") == "sse":
            frames = [f"data: {json.dumps(chunk)}\r\n\r\n".encode() for chunk in chunks]
            return Reply(200, {"content-type": "text/event-stream"}, frames)
        texts = [json.dumps(chunk, indent=2) for chunk in chunks]
        frames = [f"{'[' if i == 0 else ','}{text}\n\r\n".encode() for i, text in enumerate(texts)]
        return Reply(200, {"content-type": "application/json; charset=UTF-8"}, [*frames, b"]"])

    def _parts(self, said: brain.Answer, shown: bool) -> list[JSON]:
        parts: list[JSON] = []
        first_call = True
        for part in said.parts:
            match part:
                case brain.Thought(text):
                    if shown:
                        parts.append({"text": text, "thought": True})
                case brain.Say(text):
                    parts.append({"text": text})
                case brain.Call(name, arguments):
                    call: JSON = {"name": name, "args": json.loads(arguments)}
                    if self.call_ids:
                        call["id"] = self.next_id("fc", 8)
                    parts.append({"functionCall": call})
                    if first_call and said.thoughts:
                        parts[-1]["thoughtSignature"] = rules.sign_call(call)
                    first_call = False
        if said.thoughts and parts and not said.calls and "text" in parts[-1]:
            parts[-1]["thoughtSignature"] = signing.sign("gemini", "")
        return parts

    def _reply(self, model: str, said: brain.Answer, parts: list[JSON], config: JSON) -> JSON:
        reply: JSON = {
            "usageMetadata": _usage(said.usage),
            "modelVersion": model,
            "responseId": self.next_id("resp", 16),
        }
        if said.finish == "refusal":
            reply["promptFeedback"] = {"blockReason": "PROHIBITED_CONTENT"}
            return reply
        reason = _FINISH[said.finish]
        reply["candidates"] = []
        for index in range(config.get("candidateCount") or 1):
            content = {"parts": parts, "role": "model"}
            candidate: JSON = {"content": content, "finishReason": reason, "index": index}
            if config.get("responseLogprobs"):
                candidate |= _logprobs(said.text, config.get("logprobs") or 0)
            reply["candidates"].append(candidate)
        return reply

    def _count_tokens(self, body: JSON) -> Reply:
        body = self._read("count", body)
        asked = body.get("generateContentRequest", body)
        if not asked.get("contents"):
            raise Refused(400, "* CountTokensRequest.contents: contents is not specified\n")
        counted = brain.tokens(json.dumps(asked))
        return reply_json(
            {"totalTokens": counted, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": counted}]}
        )

    def _embed(self, body: JSON) -> Reply:
        return reply_json({"embedding": {"values": _embedding(self._read("embed", body))}})

    def _batch(self, body: JSON, model: str) -> Reply:
        asked = self._read("batch", body).get("requests", [])
        if not asked:
            raise Refused(400, "* BatchEmbedContentsRequest.requests: at least one request is required\n")
        for one in asked:
            if one.get("model") != f"models/{model}":
                raise Refused(400, f"* BatchEmbedContentsRequest.requests[0].model: must match models/{model}\n")
        return reply_json({"embeddings": [{"values": _embedding(one)} for one in asked]})


class Vertex(Gemini):
    """Vertex's flavour: `keys` are access tokens."""

    default_key = "ya29.fake"

    def __init__(self, **options: Any) -> None:
        super().__init__(vertex=True, **options)

    @property
    def base_url(self) -> str:
        return self.url


def _model(name: str) -> JSON:
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name,
        "inputTokenLimit": 1_000_000,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }


def _embedding(body: JSON) -> list[float]:
    text = "".join(part.get("text", "") for part in body.get("content", {}).get("parts", ()))
    if not text:
        raise Refused(400, "* EmbedContentRequest.content: content is not specified\n")
    config = body.get("embedContentConfig", {})
    return vector(text, body.get("outputDimensionality") or config.get("outputDimensionality") or 768)


def _usage(usage: brain.Usage) -> JSON:
    """Thoughts are counted beside the candidates' tokens, cached tokens among the prompt's."""
    told = {
        "promptTokenCount": usage.prompt,
        "candidatesTokenCount": usage.output - usage.reasoning,
        "totalTokenCount": usage.prompt + usage.output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.prompt}],
    }
    if usage.reasoning:
        told["thoughtsTokenCount"] = usage.reasoning
    if usage.cached:
        told["cachedContentTokenCount"] = usage.cached
    return told


def _logprobs(text: str, top: int) -> JSON:
    chosen = [{"token": token, "tokenId": i, "logProbability": -0.1} for i, token in enumerate(pieces(text))]
    result: JSON = {"chosenCandidates": chosen}
    if top:
        alternatives = [{"token": f"alt{k}", "tokenId": k, "logProbability": -1.0 - k} for k in range(top - 1)]
        result["topCandidates"] = [{"candidates": [one, *alternatives]} for one in chosen]
    return {"logprobsResult": result, "avgLogprobs": -0.1}


def _chunks(whole: JSON, said: brain.Answer) -> list[JSON]:
    if "candidates" not in whole:
        return [whole]
    parts = [piece for part in whole["candidates"][0]["content"]["parts"] for piece in _split(part)]
    chunks = []
    for i, part in enumerate(parts or [{"text": ""}]):
        last = i == max(len(parts), 1) - 1
        usage = whole["usageMetadata"] if last else _partial_usage(whole["usageMetadata"])
        candidates = []
        for candidate in whole["candidates"]:
            one: JSON = {"content": {"parts": [part], "role": "model"}, "index": candidate["index"]}
            if last:
                one = {**candidate, **one}
            candidates.append(one)
        chunks.append({**whole, "candidates": candidates, "usageMetadata": usage})
    return chunks


def _partial_usage(usage: JSON) -> JSON:
    told = {k: v for k, v in usage.items() if k != "candidatesTokenCount"}
    return {**told, "totalTokenCount": usage["totalTokenCount"] - usage["candidatesTokenCount"]}


def _split(part: JSON) -> list[JSON]:
    """A part as a stream brings it: text in pieces, a text's signature behind it on an empty text."""
    if "text" not in part:
        return [part]
    thought = {"thought": True} if part.get("thought") else {}
    split: list[JSON] = [{"text": piece, **thought} for piece in pieces(part["text"], 9)]
    if "thoughtSignature" in part:
        split.append({"text": "", "thoughtSignature": part["thoughtSignature"]})
    return split


def _snake_path(path: shape.Path) -> str:
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += "." + "".join(f"_{c.lower()}" if c.isupper() else c for c in str(step))
    return text.removeprefix(".")


def _turn(body: JSON) -> brain.Turn:
    config = body.get("generationConfig", {})
    turn = brain.Turn(max_tokens=config.get("maxOutputTokens"), stop=config.get("stopSequences", []))
    thinking = config.get("thinkingConfig", {})
    turn.thinking = bool(
        thinking.get("includeThoughts") or thinking.get("thinkingBudget") or "thinkingLevel" in thinking
    )
    for tool in body.get("tools", ()):
        for function in tool.get("functionDeclarations", ()):
            schema = function.get("parametersJsonSchema") or function.get("parameters") or {}
            turn.tools.append(brain.Tool(function["name"], schema))
    calling = body.get("toolConfig", {}).get("functionCallingConfig", {})
    allowed = calling.get("allowedFunctionNames", [])
    modes = {"NONE": "none", "ANY": "any", "AUTO": "auto", "VALIDATED": "auto"}
    turn.choice = modes.get(calling.get("mode", "AUTO"), "auto")
    if turn.choice == "any" and len(allowed) == 1:
        turn.choice = "=" + allowed[0]
    json_wanted = config.get("responseMimeType") == "application/json"
    turn.schema = config.get("responseJsonSchema") or config.get("responseSchema")
    turn.json_mode = json_wanted and turn.schema is None
    turn.prompt = json.dumps([body["contents"], body.get("systemInstruction"), body.get("tools")])
    last = max((i for i, content in enumerate(body["contents"]) if content.get("role") == "model"), default=-1)
    for content in body["contents"][last + 1 :]:
        for part in content["parts"]:
            _hear(turn, part)
    return turn


def _hear(turn: brain.Turn, part: JSON) -> None:
    if "text" in part:
        turn.text = f"{turn.text} {part['text']}".strip()
    elif "functionResponse" in part:
        response = part["functionResponse"]
        result = response["response"]
        turn.results.append((response["name"], str(result.get("output", result.get("result", json.dumps(result))))))
        turn.media += [_media(inner) for inner in response.get("parts", ())]
    elif "inlineData" in part or "fileData" in part:
        turn.media.append(_media(part))


def _media(part: JSON) -> str:
    if "fileData" in part:
        file = part["fileData"]
        return brain.linked(_kind(file.get("mimeType") or ""), file["fileUri"])
    blob = part["inlineData"]
    return brain.seen(_kind(blob["mimeType"]), blob["mimeType"], rules.decode(blob["data"]))


def _kind(mime: str) -> str:
    kind = mime.partition("/")[0]
    return kind if kind in ("image", "audio", "video") else "document"
