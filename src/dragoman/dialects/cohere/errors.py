"""Failures in Cohere's envelope, `{"message": "…"}`, which has neither type nor code."""

import msgspec

from dragoman.canon import Failure, FailureKind
from dragoman.dialects import faults

_KINDS: dict[int, FailureKind] = {
    400: "bad_request",
    401: "unauthorized",
    402: "budget_spent",
    403: "forbidden",
    404: "not_found",
    408: "upstream_timeout",
    413: "too_large",
    429: "rate_limited",
    498: "unauthorized",
    499: "upstream_error",
    503: "overloaded",
    504: "upstream_timeout",
    529: "overloaded",
}
_KEPT = frozenset({503, 504, 529})


def read_error(status: int, body: bytes) -> Failure:
    """What went wrong, from whatever came back with `status`."""
    return failure_of(status, _message(body) or f"Cohere answered with status {status} and no message")


def failure_of(status: int, message: str) -> Failure:
    """The failure that `message` with `status` amounts to."""
    lowered = message.lower()
    kind = _KINDS.get(status, "bad_request" if 400 <= status < 500 else "upstream_error")
    if status == 404 and "model" in lowered:
        kind = "unknown_model"
    else:
        kind = faults.closer(kind, message)
    return Failure(
        kind=kind,
        message=message,
        status=status if 400 <= status < 500 or status in _KEPT else 502,
        dialect="cohere",
    )


def _message(body: bytes) -> str:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body[:500].decode("utf-8", "replace").strip()
    if not isinstance(value, dict):
        return ""
    message = value.get("message") or value.get("error")
    return message if isinstance(message, str) else ""
