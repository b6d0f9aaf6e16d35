"""Which path is which dialect's: the client surfaces of the contract, as data where they can be."""

from urllib.parse import parse_qs

from msgspec import Struct

from dragoman import dialects
from dragoman.dialects.dialect import Dialect


class Surface(Struct, frozen=True):
    """An endpoint a client may call: its dialect and what is done there (`op`)."""

    dialect: str
    op: str = "generate"
    model: str | None = None  # where the path says it
    stream: bool | None = None  # where the path says it


# below /v1, and below every prefix in _OPENAI_HOMES
_OPENAI = {
    "/chat/completions": Surface("openai-chat"),
    "/responses": Surface("openai-responses", "respond"),
    "/responses/input_tokens": Surface("openai-responses", "count"),
    "/embeddings": Surface("openai-chat", "embed"),
    "/audio/transcriptions": Surface("openai-chat", "audio/transcriptions"),
    "/audio/translations": Surface("openai-chat", "audio/translations"),
    "/audio/speech": Surface("openai-chat", "audio/speech"),
    "/images/generations": Surface("openai-chat", "images/generations"),
    "/images/edits": Surface("openai-chat", "images/edits"),
    "/moderations": Surface("openai-chat", "moderations"),
}
# some clients leave the /v1 out of their base URL; Azure's SDKs of an api-version have /openai; Gemini's OpenAI API
# has a home of its own
_OPENAI_HOMES = ("/v1", "/openai/v1", "/openai", "/v1beta/openai", "")
_EXACT: dict[str, Surface] = {
    **{home + path: surface for home in _OPENAI_HOMES for path, surface in _OPENAI.items()},
    **{
        home + path: surface
        for home in ("/v1", "/anthropic/v1", "", "/anthropic", "/v1/v1")  # base URLs with a /v1 too few or too many
        for path, surface in {
            "/messages": Surface("anthropic"),
            "/messages/count_tokens": Surface("anthropic", "count"),
        }.items()
    },
    "/api/chat": Surface("ollama"),
    "/api/generate": Surface("ollama.generate"),
    "/api/embed": Surface("ollama", "embed"),
    "/api/embeddings": Surface("ollama", "embed"),
}
_GEMINI_OPS: dict[str, tuple[str, bool | None]] = {
    "generateContent": ("generate", False),
    "streamGenerateContent": ("generate", True),
    "countTokens": ("count", None),
    "embedContent": ("embed", None),
    "batchEmbedContents": ("embed", None),
}


def find(path: str) -> Surface | None:
    """The surface at `path` (percent-decoded, without the query)."""
    return _EXACT.get(path) or _gemini(path) or _azure(path)


def _gemini(path: str) -> Surface | None:
    """`…/models/{model}:{op}`, whatever stands before: /v1beta, /v1, Vertex's projects and publishers."""
    head, colon, op = path.rpartition(":")
    if not colon or op not in _GEMINI_OPS:
        return None
    _, found, model = head.partition("/models/")
    if not found:
        return None
    name, stream = _GEMINI_OPS[op]
    return Surface("gemini", name, model, stream)


def _azure(path: str) -> Surface | None:
    """`/openai/deployments/{deployment}/…`"""
    if not path.startswith("/openai/deployments/"):
        return None
    deployment, slash, rest = path.removeprefix("/openai/deployments/").partition("/")
    surface = _OPENAI.get("/" + rest)
    return Surface(surface.dialect, surface.op, deployment) if surface and slash else None


def guess_dialect(path: str) -> Dialect:
    """In whose envelope to answer at a path that is no surface."""
    if path.startswith(("/v1beta", "/v1alpha")):
        return dialects.client("gemini")
    if path == "/api" or path.startswith("/api/"):
        return dialects.client("ollama")
    if path.startswith(("/v1/messages", "/anthropic", "/messages", "/v1/v1/messages")):
        return dialects.client("anthropic")
    if "/responses" in path:
        return dialects.client("openai-responses")
    return dialects.client("openai-chat")


def gateway_key(headers: dict[bytes, bytes], query: bytes) -> str | None:
    """The key the client sent, in whichever way its dialect sends keys."""
    bearer = headers.get(b"authorization")
    if bearer is not None and bearer[:7].lower() == b"bearer ":
        return bearer[7:].strip().decode("latin-1") or None
    for name in (b"x-api-key", b"api-key", b"x-goog-api-key"):
        if value := headers.get(name):
            return value.decode("latin-1")
    if b"key=" in query:
        values = parse_qs(query.decode("latin-1")).get("key")
        return values[0] if values else None
    return None
