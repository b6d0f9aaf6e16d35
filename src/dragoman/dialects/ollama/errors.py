"""Failures in Ollama's envelope, `{"error": "…"}`, which has neither type nor code."""

import msgspec

from dragoman.canon import Failure, FailureKind
from dragoman.dialects import faults

_KINDS: dict[int, FailureKind] = {
    400: "bad_request",
    401: "unauthorized",
    402: "budget_spent",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "upstream_timeout",
    413: "too_large",
    429: "rate_limited",
    503: "overloaded",
    504: "upstream_timeout",
    529: "overloaded",
}


def read_error(status: int, body: bytes) -> Failure:
    """What went wrong, from whatever came back with `status`."""
    message = _message(body) or f"the Ollama server answered with status {status} and no message"
    return failure_of(status, message)


def failure_of(status: int, message: str) -> Failure:
    """The failure that `message` with `status` amounts to."""
    kind = _KINDS.get(status, "bad_request" if 400 <= status < 500 else "upstream_error")
    lowered = message.lower()
    if status == 404 and "model" in lowered:
        kind = "unknown_model"
    else:
        kind = faults.closer(kind, message)
    return Failure(
        kind=kind,
        message=message,
        status=status if 400 <= status < 500 or status in (503, 504, 529) else 502,
        dialect="ollama",
    )


def _message(body: bytes) -> str:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body[:500].decode("utf-8", "replace").strip()
    error = value.get("error") if isinstance(value, dict) else None
    if isinstance(error, dict):
        error = error.get("message")
    return error if isinstance(error, str) else ""


def write_error(failure: Failure) -> bytes:
    """The envelope, whole or as a stream's last line (without its line end)."""
    return msgspec.json.encode({"error": failure.message})
