"""The error envelope: {"type": "error", "error": {"type": …, "message": …}}.

| error type | status | canon kind |
|---|---|---|
| invalid_request_error | 400 | bad_request, budget_spent; context_length, content_filter, unsupported (see `faults`) |
| authentication_error | 401 | unauthorized |
| billing_error | 402 | budget_spent |
| permission_error | 403 | forbidden |
| not_found_error | 404 | unknown_model, not_found |
| request_too_large | 413 | too_large |
| rate_limit_error | 429 | rate_limited |
| api_error | 500 | upstream_error |
| timeout_error | 504 | upstream_timeout |
| overloaded_error | 529 | overloaded |

Source: the provider's page on errors, and the SDK's `ErrorResponse`.
"""

from typing import Any

import msgspec

from dragoman.canon import JSON, Failure, FailureKind
from dragoman.dialects import faults
from dragoman.dialects.anthropic.names import NAME

_KINDS: dict[str, tuple[FailureKind, int]] = {
    "invalid_request_error": ("bad_request", 400),
    "authentication_error": ("unauthorized", 401),
    "billing_error": ("budget_spent", 402),
    "permission_error": ("forbidden", 403),
    "not_found_error": ("not_found", 404),
    "request_too_large": ("too_large", 413),
    "rate_limit_error": ("rate_limited", 429),
    "api_error": ("upstream_error", 502),
    "timeout_error": ("upstream_timeout", 504),
    "overloaded_error": ("overloaded", 529),
}
_BY_STATUS: dict[int, FailureKind] = {
    400: "bad_request",
    401: "unauthorized",
    402: "budget_spent",
    403: "forbidden",
    404: "not_found",
    408: "upstream_timeout",
    413: "too_large",
    422: "bad_request",
    429: "rate_limited",
    503: "overloaded",
    504: "upstream_timeout",
    529: "overloaded",
}
_TYPES: dict[int, str] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_UNPAID = ("credit balance is too low", "usage limits", "billing")


def read_error(status: int, body: bytes) -> Failure:
    """What went wrong, from a status and a body that may be anything. `status` 200 or 0: an error inside a stream."""
    envelope = _decoded(body)
    error = envelope.get("error")
    if isinstance(error, str):
        error = {"message": error}
    if not isinstance(error, dict):
        error = envelope
    return failure_of(status, error, body)


def failure_of(status: int, error: JSON, body: bytes = b"") -> Failure:
    """The failure that an envelope's `error` object tells of."""
    kind_name = error.get("type") if isinstance(error.get("type"), str) else None
    message = error.get("message")
    if not isinstance(message, str) or not message:
        message = _excerpt(body) or f"the provider answered {status} without a message"
    if status >= 400:
        kind, shown = _BY_STATUS.get(status, "bad_request" if status < 500 else "upstream_error"), status
        if kind == "upstream_error":
            shown = 502
            if kind_name in ("overloaded_error", "timeout_error", "rate_limit_error"):
                kind, shown = _KINDS[kind_name]
    else:
        kind, shown = _KINDS.get(kind_name or "", ("upstream_error", 502))
    kind, shown = _closer(kind, shown, message.lower())
    details = error.get("details")
    code = details.get("error_code") if isinstance(details, dict) else error.get("code")
    return Failure(
        kind=kind,
        message=message,
        status=shown,
        type=kind_name,
        code=str(code) if isinstance(code, str | int) else None,
        dialect=NAME,
    )


def _closer(kind: FailureKind, status: int, message: str) -> tuple[FailureKind, int]:
    """What the type is too coarse to say."""
    if kind == "bad_request" and any(words in message for words in _UNPAID):
        return "budget_spent", 402
    if kind == "not_found" and "model" in message:
        return "unknown_model", status
    return faults.closer(kind, message), status


def write_error(failure: Failure) -> bytes:
    """The envelope for a failure. The type is the original one where the failure was read from this dialect."""
    error: JSON = {"type": error_type(failure), "message": failure.message}
    if failure.code is not None and failure.dialect == NAME:
        error["details"] = {"error_code": failure.code}
    return msgspec.json.encode({"type": "error", "error": error})


def error_type(failure: Failure) -> str:
    if failure.type is not None and failure.dialect == NAME:
        return failure.type
    named = _TYPES.get(failure.status)
    if named is not None:
        return named
    return "invalid_request_error" if 400 <= failure.status < 500 else "api_error"


def _decoded(body: bytes) -> JSON:
    value: Any
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    if isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, dict) else {}


def _excerpt(body: bytes) -> str:
    """The beginning of a body that is no envelope, on one line."""
    return " ".join(body[:400].decode("utf-8", "replace").split())[:200]
