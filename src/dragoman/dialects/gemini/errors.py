"""Gemini's error envelope (google.rpc.Status in JSON), both ways.

| canon Failure | gemini                                                                          |
|---------------|---------------------------------------------------------------------------------|
| status        | the HTTP status, `error.code`                                                   |
| message       | `error.message`                                                                 |
| type          | `error.status`: `INVALID_ARGUMENT`, `RESOURCE_EXHAUSTED`, …                     |
| code          | `reason` of the detail `ErrorInfo`: `API_KEY_INVALID`, …                        |
| param         | `field` of the first violation in the detail `BadRequest`                       |
| retry_after   | `retryDelay` of the detail `RetryInfo` ("34s")                                  |

Some endpoints wrap the envelope in an array. Source: https://google.aip.dev/193
"""

from typing import Any

import msgspec

from dragoman.canon import JSON, Failure, FailureKind
from dragoman.dialects import faults
from dragoman.dialects.gemini.names import NAME, keyed, listed

_TYPE_URL = "type.googleapis.com/google.rpc."

_KINDS: dict[int, FailureKind] = {
    400: "bad_request",
    401: "unauthorized",
    402: "budget_spent",
    403: "forbidden",
    404: "not_found",
    408: "upstream_timeout",
    413: "too_large",
    429: "rate_limited",
    503: "overloaded",
    504: "upstream_timeout",
    529: "overloaded",
}

# HTTP status -> canonical code; https://cloud.google.com/apis/design/errors#handling_errors
_STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def read_error(status: int, body: bytes) -> Failure:
    """What a provider's error says, whatever is left of its body."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        decoded = None
    error = error_in(decoded)
    if error is None:
        text = body[:500].decode("utf-8", "replace").strip()
        shown = text if text and not text.startswith(("<", "{", "[")) else f"the provider answered with status {status}"
        return _failure(status, shown, {})
    return read_envelope(status, error)


def error_in(decoded: Any) -> JSON | None:
    """The `error` object in a decoded body, which may be wrapped in an array."""
    if isinstance(decoded, list) and decoded:
        decoded = decoded[0]
    error = decoded.get("error") if isinstance(decoded, dict) else None
    if isinstance(error, str) and error:
        return {"message": error}
    return error if isinstance(error, dict) else None


def read_envelope(status: int, error: JSON) -> Failure:
    """The failure in an `error` object, whose own code counts where `status` is 200 (an error in mid-stream)."""
    code = error.get("code")
    if status < 400:
        status = code if isinstance(code, int) and 400 <= code < 600 else 502
    message = error.get("message")
    return _failure(status, message if isinstance(message, str) and message else f"status {status}", error)


def _failure(status: int, message: str, error: JSON) -> Failure:
    name = error.get("status")
    details = _details(error.get("details"))
    reason = details.get("ErrorInfo", {}).get("reason")
    kind = _kind(status, name, reason, message)
    violations = listed(details.get("BadRequest", {}).get("fieldViolations"))
    return Failure(
        kind=kind,
        message=message,
        status=_status(status, kind),
        type=name if isinstance(name, str) else None,
        code=reason if isinstance(reason, str) else None,
        param=_text(keyed(violations[0]).get("field")) if violations else None,
        retry_after=_seconds(details.get("RetryInfo", {}).get("retryDelay")),
        dialect=NAME,
    )


def _kind(status: int, name: Any, reason: Any, message: str) -> FailureKind:
    lowered = message.lower()
    if status == 400:
        if reason in ("API_KEY_INVALID", "API_KEY_EXPIRED") or "api key not valid" in lowered:
            return "unauthorized"  # a wrong key is a 400 here
        if name == "FAILED_PRECONDITION":
            return "forbidden"  # billing or the account's region
    if status == 404 and "model" in lowered:
        return "unknown_model"
    kind = _KINDS.get(status, "bad_request" if 400 <= status < 500 else "upstream_error")
    return faults.closer(kind, message)


def _status(status: int, kind: FailureKind) -> int:
    if kind == "unauthorized":
        return 401
    if kind == "forbidden":
        return 403
    if kind == "overloaded":
        return 503
    if kind == "upstream_timeout":
        return 504
    return 502 if kind == "upstream_error" else status


def _details(details: Any) -> dict[str, JSON]:
    """The details by the last word of their type."""
    found: dict[str, JSON] = {}
    for item in listed(details):
        if isinstance(item, dict) and isinstance(url := item.get("@type"), str):
            found.setdefault(url.rpartition(".")[2], item)
    return found


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _seconds(delay: Any) -> float | None:
    """A protobuf Duration in JSON: "34.07s"."""
    if not isinstance(delay, str) or not delay.endswith("s"):
        return None
    try:
        seconds = float(delay[:-1])
    except ValueError:
        return None
    return seconds if 0 <= seconds < 1e9 else None


def write_error(failure: Failure) -> bytes:
    return msgspec.json.encode(envelope(failure))


def envelope(failure: Failure) -> JSON:
    """The error body that Gemini would answer with."""
    own = failure.dialect == NAME
    name = failure.type if own and failure.type else _status_name(failure)
    error: JSON = {"code": failure.status, "message": failure.message, "status": name}
    if details := _written_details(failure, own):
        error["details"] = details
    return {"error": error}


def _status_name(failure: Failure) -> str:
    known = _STATUS_NAMES.get(failure.status)
    return known or ("INVALID_ARGUMENT" if failure.status < 500 else "INTERNAL")


def _written_details(failure: Failure, own: bool) -> list[JSON]:
    details: list[JSON] = []
    if own and failure.code:
        details.append({"@type": _TYPE_URL + "ErrorInfo", "reason": failure.code, "domain": "googleapis.com"})
    if own and failure.param:
        violation = {"field": failure.param, "description": failure.message}
        details.append({"@type": _TYPE_URL + "BadRequest", "fieldViolations": [violation]})
    if failure.retry_after is not None:
        details.append({"@type": _TYPE_URL + "RetryInfo", "retryDelay": f"{failure.retry_after:g}s"})
    return details
