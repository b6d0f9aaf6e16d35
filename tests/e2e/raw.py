"""Plain HTTP calls of every surface, for what no SDK shows."""

from collections.abc import Callable
from typing import Any

JSON = dict[str, Any]


def call(surface: str, model: str, text: str = "hello", *, stream: bool = False, **more: Any) -> tuple[str, JSON]:
    """Path and body of one question at a surface."""
    path, body = _CALLS[surface](model, text, stream)
    return path, body | more


def _chat(model: str, text: str, stream: bool) -> tuple[str, JSON]:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    return "/v1/chat/completions", body | ({"stream": True} if stream else {})


def _responses(model: str, text: str, stream: bool) -> tuple[str, JSON]:
    return "/v1/responses", {"model": model, "input": text} | ({"stream": True} if stream else {})


def _anthropic(model: str, text: str, stream: bool) -> tuple[str, JSON]:
    body = {"model": model, "max_tokens": 1000, "messages": [{"role": "user", "content": text}]}
    return "/v1/messages", body | ({"stream": True} if stream else {})


def _gemini(model: str, text: str, stream: bool) -> tuple[str, JSON]:
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/v1beta/models/{model}:{verb}", {"contents": [{"role": "user", "parts": [{"text": text}]}]}


def _ollama(model: str, text: str, stream: bool) -> tuple[str, JSON]:
    return "/api/chat", {"model": model, "messages": [{"role": "user", "content": text}], "stream": stream}


def _generate(model: str, text: str, stream: bool) -> tuple[str, JSON]:
    return "/api/generate", {"model": model, "prompt": text, "stream": stream}


_CALLS: dict[str, Callable[[str, str, bool], tuple[str, JSON]]] = {
    "openai-chat": _chat,
    "openai-responses": _responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "ollama": _ollama,
    "ollama-generate": _generate,
}
SURFACES = tuple(_CALLS)


def is_error_of(surface: str, body: Any) -> bool:
    """Whether the body is an error as this surface's API writes it."""
    match surface:
        case "openai-chat" | "openai-responses":
            return set(body["error"]) >= {"message", "type", "param", "code"}
        case "anthropic":
            return body["type"] == "error" and set(body["error"]) >= {"type", "message"}
        case "gemini":
            return set(body["error"]) >= {"code", "message", "status"}
    return isinstance(body["error"], str)
