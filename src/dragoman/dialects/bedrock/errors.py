"""Failures: the service's exceptions, whole (`{"message": …}` with a status) and in mid-stream (a name)."""

import msgspec

from dragoman.canon import Failure, FailureKind
from dragoman.dialects import faults

_KINDS: dict[int, FailureKind] = {
    400: "bad_request",
    401: "unauthorized",
    402: "budget_spent",
    403: "forbidden",
    404: "unknown_model",
    408: "upstream_timeout",
    413: "too_large",
    429: "rate_limited",
    503: "overloaded",
    504: "upstream_timeout",
    529: "overloaded",
}
# exceptions in a stream have a name and no status
_STATUS = {
    "accessDeniedException": 403,
    "internalServerException": 500,
    "modelErrorException": 500,
    "modelNotReadyException": 429,
    "modelStreamErrorException": 500,
    "modelTimeoutException": 408,
    "resourceNotFoundException": 404,
    "serviceQuotaExceededException": 400,
    "serviceUnavailableException": 503,
    "throttlingException": 429,
    "validationException": 400,
}
_KEPT = frozenset({503, 504, 529})
_BAD_CREDENTIALS = ("security token", "signature", "api key", "bearer token")


def read_error(status: int, body: bytes) -> Failure:
    """What went wrong, from whatever came back with `status`."""
    name, message = _parts(body)
    return _failure(status, name, message or f"Bedrock answered with status {status} and no message")


def read_exception(name: str, payload: bytes) -> Failure:
    """An exception message of a stream. Unknown names count as an upstream error."""
    _, message = _parts(payload)
    key = name[:1].lower() + name[1:]
    return _failure(_STATUS.get(key, 500), name, message or f"Bedrock broke the stream off: {name}")


def _failure(status: int, name: str | None, message: str) -> Failure:
    return Failure(
        kind=_kind(status, message.lower()),
        message=message,
        status=status if 400 <= status < 500 or status in _KEPT else 502,
        type=name,
        dialect="bedrock",
    )


def _kind(status: int, message: str) -> FailureKind:
    """By status, and where that says too little, by the service's words."""
    if status == 400 and "model identifier is invalid" in message:
        return "unknown_model"
    if status == 403 and any(words in message for words in _BAD_CREDENTIALS):
        return "unauthorized"
    if 400 <= status < 500 and status != 424:
        return faults.closer(_KINDS.get(status, "bad_request"), message)
    return _KINDS.get(status, "upstream_error")


def _parts(body: bytes) -> tuple[str | None, str]:
    """The exception's name, where the body says it, and its message."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, body[:500].decode("utf-8", "replace").strip()
    if not isinstance(value, dict):
        return None, ""
    name = value.get("__type")
    message = value.get("message") or value.get("Message") or value.get("originalMessage")
    return (
        name.rpartition("#")[2] if isinstance(name, str) else None,
        message if isinstance(message, str) else "",
    )
