"""OpenAI's API and its Azure flavour: who may, what errors look like, and where each call is handled."""

import json
from typing import Any

from . import openai_chat, openai_media, openai_responses, shape
from .fake import Fake, Refused
from .scenario import Scenario
from .server import Reply, Request, reply_json

_TYPES = {401: "invalid_request_error", 429: "requests", 403: "invalid_request_error"}
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded", 404: "model_not_found"}
_AZURE = "(?:/openai/deployments/(?P<deployment>[^/]+)|/openai/v1|/openai(?=/responses)|/v1)"


class OpenAI(Fake):
    """`azure`: answers on Azure's paths, with Azure's key header, errors and content filter results.

    For services that imitate OpenAI's API: `reasoning_field` is where they show thinking in chat completions (None:
    not at all, as OpenAI itself), and `refuses` names what they don't know: top-level parameters, `role:developer`,
    `tools.strict`, `content:file`.
    """

    dialect = "openai-chat"
    prefix = _AZURE
    routes = (
        ("POST", f"{_AZURE}/chat/completions", "chat"),
        ("POST", f"{_AZURE}/responses", "responses"),
        ("GET", f"{_AZURE}/responses/(?P<id>[^/]+)", "get_response"),
        ("DELETE", f"{_AZURE}/responses/(?P<id>[^/]+)", "delete_response"),
        ("GET", f"{_AZURE}/responses/(?P<id>[^/]+)/input_items", "input_items"),
        ("POST", f"{_AZURE}/embeddings", "embeddings"),
        ("POST", f"{_AZURE}/moderations", "moderations"),
        ("POST", f"{_AZURE}/images/generations", "images"),
        ("POST", f"{_AZURE}/audio/speech", "speech"),
        ("POST", f"{_AZURE}/audio/transcriptions", "transcriptions"),
        ("GET", f"{_AZURE}/models", "list_models"),
        ("GET", f"{_AZURE}/models/(?P<model>.+)", "get_model"),
    )

    def __init__(
        self,
        *,
        azure: bool = False,
        reasoning_field: str | None = None,
        refuses: frozenset[str] = frozenset(),
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.azure = azure
        self.reasoning_field = reasoning_field
        self.refuses = refuses
        self.stored: dict[str, openai_responses.Stored] = {}
        self.items: dict[str, dict[str, Any]] = {}

    @property
    def base_url(self) -> str:
        return self.url if self.azure else f"{self.url}/v1"

    def authorise(self, request: Request) -> str:
        bearer = request.headers.get("authorization", "")
        key = request.headers.get("api-key") if self.azure else None
        key = key or (bearer[7:] if bearer.startswith("Bearer ") else "")
        if self.azure:
            self._azure_path(request)
        if key in self.keys:
            return key
        if self.azure:
            raise Refused(
                401,
                "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key "
                "for an active subscription and use a correct regional API endpoint for your resource.",
                code="401",
            )
        if not key:
            raise Refused(
                401,
                "You didn't provide an API key. You need to provide your API key in an Authorization header using "
                "Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if "
                "you're accessing the API from your browser and are prompted for a username and password.",
                code=None,
            )
        raise Refused(
            401,
            f"Incorrect API key provided: {key[:3]}***{key[-4:]}. You can find your API key at "
            "https://platform.openai.com/account/api-keys.",
            code="invalid_api_key",
        )

    def _azure_path(self, request: Request) -> None:
        if not request.path.startswith("/openai/"):
            raise Refused(404, "Resource not found", code="404")
        if request.path.startswith("/openai/deployments/") and "api-version" not in request.query:
            raise Refused(404, "Resource not found", code="404")

    def envelope(self, refused: Refused) -> bytes:
        if self.azure and refused.code is not None and refused.code.isdigit():
            return json.dumps({"error": {"code": refused.code, "message": refused.message}}).encode()
        error = {
            "message": refused.message,
            "type": refused.type or ("server_error" if refused.status >= 500 else "invalid_request_error"),
            "param": refused.param,
            "code": refused.code,
        }
        return json.dumps({"error": error}, indent=2).encode()

    def error_headers(self, status: int) -> dict[str, str]:
        return {"content-type": "application/json; charset=utf-8", "x-request-id": self.next_id("req_")}

    def status_refusal(self, scenario: Scenario) -> Refused:
        status = 500 if scenario.status == 200 else scenario.status
        words = {
            401: "Incorrect API key provided.",
            429: "Rate limit reached for requests. Please try again later.",
            500: "The server had an error while processing your request. Sorry about that!",
            503: "The engine is currently overloaded, please try again later.",
        }
        message = scenario.message or words.get(status, "The fake was told to fail.")
        return Refused(status, message, type=_TYPES.get(status), code=scenario.code or _CODES.get(status))

    def broken_frames(self, refused: Refused) -> list[bytes]:
        if self.last_path.endswith("/responses"):
            return openai_responses.broken(refused, self.scenario.after)
        return [b"data: " + json.dumps(json.loads(self.envelope(refused))).encode() + b"\n\n"]

    def bad_json(self, why: str) -> Refused:
        return Refused(
            400,
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP "
            "library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)",
        )

    def misshaped(self, wrong: shape.Wrong) -> Refused:
        name = _dotted(wrong.plain)
        match wrong.code:
            case "missing":
                return Refused(
                    400, f"Missing required parameter: '{name}'.", code="missing_required_parameter", param=name
                )
            case "extra" if len(wrong.plain) == 1 and self.last_path.endswith("/chat/completions"):
                return Refused(400, f"Unrecognized request argument supplied: {name}")
            case "extra":
                return Refused(400, f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name)
            case "value":
                known = [f"'{v}'" for v in wrong.expected]
                listed = ", ".join(known[:-1]) + (", and " if len(known) > 1 else "") + known[-1]
                message = f"Invalid value: '{wrong.got}'. Supported values are: {listed}."
                return Refused(400, message, code="invalid_value", param=name)
        expected = (
            wrong.expected if isinstance(wrong.expected, str) else "one of " + ", ".join(map(str, wrong.expected))
        )
        return Refused(
            400,
            f"Invalid type for '{name}': expected {expected}, but got {shape.kind(wrong.got)} instead.",
            code="invalid_type",
            param=name,
        )

    def has(self, model: str) -> None:
        """Raise `Refused` where it has no such model."""
        if self.models and model not in self.models:
            raise Refused(
                404,
                f"The model `{model}` does not exist or you do not have access to it.",
                code="model_not_found",
            )

    def read(self, request: Request, deployment: str | None) -> Any:
        """The body, with the model that an Azure deployment stands for."""
        self.last_path = request.path
        body = self.read_json(request)
        if deployment is not None:
            body["model"] = deployment
        for name in sorted(self.refuses & set(body)):
            raise Refused(400, f"Unrecognized request argument supplied: {name}")
        return body

    def chat(self, request: Request, deployment: str | None = None) -> Reply:
        """`POST /chat/completions`."""
        return openai_chat.chat(self, self.read(request, deployment))

    def responses(self, request: Request, deployment: str | None = None) -> Reply:
        """`POST /responses`."""
        return openai_responses.create(self, self.read(request, deployment))

    def get_response(self, request: Request, id: str, deployment: str | None = None) -> Reply:
        """`GET /responses/{id}`."""
        return openai_responses.get(self, id)

    def delete_response(self, request: Request, id: str, deployment: str | None = None) -> Reply:
        """`DELETE /responses/{id}`."""
        return openai_responses.delete(self, id)

    def input_items(self, request: Request, id: str, deployment: str | None = None) -> Reply:
        """`GET /responses/{id}/input_items`."""
        return openai_responses.input_items(self, id)

    def embeddings(self, request: Request, deployment: str | None = None) -> Reply:
        """`POST /embeddings`."""
        return openai_media.embeddings(self, self.read(request, deployment))

    def moderations(self, request: Request, deployment: str | None = None) -> Reply:
        """`POST /moderations`."""
        return openai_media.moderations(self, self.read(request, deployment))

    def images(self, request: Request, deployment: str | None = None) -> Reply:
        """`POST /images/generations`."""
        return openai_media.images(self, self.read(request, deployment))

    def speech(self, request: Request, deployment: str | None = None) -> Reply:
        """`POST /audio/speech`."""
        return openai_media.speech(self, self.read(request, deployment))

    def transcriptions(self, request: Request, deployment: str | None = None) -> Reply:
        """`POST /audio/transcriptions`."""
        self.last_path = request.path
        return openai_media.transcriptions(self, request, deployment)

    def list_models(self, request: Request, deployment: str | None = None) -> Reply:
        """`GET /models`."""
        return reply_json({"object": "list", "data": [_model(name) for name in self.models or ("mock-1",)]})

    def get_model(self, request: Request, model: str, deployment: str | None = None) -> Reply:
        """`GET /models/{id}`."""
        self.has(model)
        return reply_json(_model(model))

    last_path = ""


class Azure(OpenAI):
    """Azure's flavour."""

    default_key = "azure-fake"

    def __init__(self, **options: Any) -> None:
        super().__init__(azure=True, **options)


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1767225600, "owned_by": "system"}


def _dotted(path: shape.Path) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")
