"""Failures: `{"error": {"message", "type", "param", "code"}}`, and the other shapes that compatible providers send."""

from typing import Any

import msgspec

from dragoman.canon import JSON, Failure, FailureKind
from dragoman.dialects import faults
from dragoman.dialects.openai_chat.names import NAME

_BY_STATUS: dict[int, FailureKind] = {
    400: "bad_request",
    401: "unauthorized",
    402: "budget_spent",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "upstream_timeout",
    413: "too_large",
    422: "bad_request",
    429: "rate_limited",
    503: "overloaded",
    504: "upstream_timeout",
    529: "overloaded",
}
_BY_CODE: dict[str, FailureKind] = {
    **faults.CODES,
    "model_not_found": "unknown_model",
    "DeploymentNotFound": "unknown_model",
    "invalid_api_key": "unauthorized",
    "rate_limit_exceeded": "rate_limited",
    "insufficient_quota": "rate_limited",
}
# what llama.cpp answers with status 500, though the request is at fault
_BY_WORDS: dict[str, FailureKind] = {
    "input is not supported": "unsupported",  # images, audio
    "unsupported tool type": "unsupported",
    "is too large to process": "context_length",  # texts to embed
    "context size has been exceeded": "context_length",
}
_OURS: tuple[FailureKind, ...] = ("unsupported", "context_length")  # the request's fault, whatever the status says
_STATUS: dict[FailureKind, int] = {"overloaded": 503, "upstream_timeout": 504, "upstream_error": 502}

# kind -> (type, code) in our own envelopes, as OpenAI words them
_WORDS: dict[FailureKind, tuple[str, str | None]] = {
    "bad_request": ("invalid_request_error", None),
    "unauthorized": ("invalid_request_error", "invalid_api_key"),
    "forbidden": ("invalid_request_error", "forbidden"),
    "budget_spent": ("insufficient_quota", "insufficient_quota"),
    "unknown_model": ("invalid_request_error", "model_not_found"),
    "not_found": ("invalid_request_error", None),
    "method_not_allowed": ("invalid_request_error", None),
    "too_large": ("invalid_request_error", "request_too_large"),
    "rate_limited": ("requests", "rate_limit_exceeded"),
    "context_length": ("invalid_request_error", "context_length_exceeded"),
    "content_filter": ("invalid_request_error", "content_filter"),
    "unsupported": ("invalid_request_error", "unsupported"),
    "no_feasible_model": ("invalid_request_error", "no_feasible_model"),
    "unknown_price": ("invalid_request_error", "unknown_price"),
}


def read_error(status: int, body: bytes) -> Failure:
    """What a provider's error answer means. Never fails, whatever the body is."""
    try:
        envelope = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        envelope = None
    return failure_of(envelope, status)


def failure_of(envelope: Any, status: int) -> Failure:
    """The failure in a decoded envelope; `status` 0 where there is none (mid-stream), then its `code` may tell."""
    if isinstance(envelope, list):  # Google wraps the envelope in an array
        envelope = envelope[0] if envelope else None
    error = envelope if isinstance(envelope, dict) else {}
    inner = error.get("error")
    if isinstance(inner, dict):
        error = inner
    elif isinstance(inner, str):
        error = {**error, "message": inner}
    code = error.get("code")
    if not status:
        status = code if isinstance(code, int) and 400 <= code < 600 else 502
    message = _message(error) or f"the provider answered with status {status} and no message"
    text_code = str(code) if isinstance(code, str | int) and not isinstance(code, bool) else None
    kind = _kind(status, text_code, message)
    mended = status >= 500 and kind in _OURS
    return Failure(
        kind=kind,
        message=message,
        status=_STATUS.get(kind) or (400 if mended else status if 400 <= status < 500 else 502),
        type=None if mended else _text(error.get("type")),
        code=None if mended else text_code,
        param=_text(error.get("param")),
        dialect=NAME,
    )


def _kind(status: int, code: str | None, message: str) -> FailureKind:
    if status < 500 and code in _BY_CODE:
        return _BY_CODE[code]
    if status == 500:
        found = (kind for words, kind in _BY_WORDS.items() if words in message.lower())
        return next(found, "upstream_error")
    kind = _BY_STATUS.get(status) or ("bad_request" if 400 <= status < 500 else "upstream_error")
    if kind == "not_found" and "model" in message.lower():
        return "unknown_model"
    return faults.closer(kind, message, code)


def _message(error: JSON) -> str | None:
    for key in ("message", "detail", "msg"):
        value = error.get(key)
        if isinstance(value, str) and value:
            return value
        if value:
            return msgspec.json.encode(value).decode()[:1000]
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def error_envelope(failure: Failure) -> JSON:
    """The envelope, as a whole answer's body and as a stream's last event have it."""
    own = failure.dialect == NAME
    type, code = _WORDS.get(failure.kind, ("server_error", failure.kind))
    return {
        "error": {
            "message": failure.message,
            "type": (failure.type if own else None) or type,
            "param": failure.param,
            "code": (failure.code if own else None) or code,
        }
    }


def write_error(failure: Failure) -> bytes:
    """The body of an error answer."""
    return msgspec.json.encode(error_envelope(failure))
