"""Errors: `{"error": {"message", "type", "param", "code"}}`, and the same inside a failed response or error event."""

import msgspec

from dragoman.canon import JSON, Failure, FailureKind
from dragoman.dialects import faults
from dragoman.dialects.openai_responses.name import NAME

_BY_CODE: dict[str, tuple[FailureKind, int]] = {
    **{code: (kind, 400) for code, kind in faults.CODES.items()},
    "invalid_prompt": ("bad_request", 400),
    "model_not_found": ("unknown_model", 404),
    "rate_limit_exceeded": ("rate_limited", 429),
    "insufficient_quota": ("rate_limited", 429),
    "server_is_overloaded": ("overloaded", 503),
    "slow_down": ("overloaded", 503),
    "server_error": ("upstream_error", 502),
}
_BY_STATUS: dict[int, FailureKind] = {
    400: "bad_request", 401: "unauthorized", 402: "budget_spent", 403: "forbidden", 404: "not_found",
    405: "method_not_allowed", 408: "upstream_timeout", 413: "too_large", 422: "bad_request", 429: "rate_limited",
    503: "overloaded", 504: "upstream_timeout", 529: "overloaded",
}  # fmt: skip
_TYPES: dict[int, str] = {
    401: "authentication_error", 402: "insufficient_quota", 403: "permission_error", 429: "rate_limit_error",
}  # fmt: skip
_CODES: dict[FailureKind, str] = {
    "unauthorized": "invalid_api_key",
    "budget_spent": "insufficient_quota",
    "unknown_model": "model_not_found",
    "rate_limited": "rate_limit_exceeded",
    "overloaded": "server_is_overloaded",
    "context_length": "context_length_exceeded",
    "content_filter": "content_filter",
}
_SHOWN = 300  # characters of a body that is not in the dialect


def read_error(status: int, body: bytes) -> Failure:
    """A provider's refusal, whatever its body is."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        decoded = None
    error = _error_in(decoded)
    if error is None:
        shown = body[:_SHOWN].decode("utf-8", "replace").strip()
        error = {"message": f"the provider answered {status}" + (f": {shown}" if shown else "")}
    return _failure(error, status)


def read_failure(source: JSON) -> Failure:
    """What an `error` event or a failed response object says."""
    error = _error_in(source) or {"message": "the provider ended the response with an error"}
    status = source.get("status")
    return _failure(error, status if isinstance(status, int) else 502)


def _error_in(decoded: object) -> JSON | None:
    if isinstance(decoded, list) and decoded:
        decoded = decoded[0]
    if not isinstance(decoded, dict):
        return None
    error = decoded.get("error")
    if isinstance(error, dict):
        return error
    if isinstance(error, str):
        return {**decoded, "message": error}
    for name in ("message", "detail"):
        if isinstance(decoded.get(name), str):
            return {**decoded, "message": decoded[name]}
    return None


def _failure(error: JSON, status: int) -> Failure:
    code, message = error.get("code"), error.get("message")
    code = str(code) if code is not None else None
    kind, by_code = _BY_CODE.get(code or "", (None, 502))
    if kind is None or (status < 500 and kind == "upstream_error"):
        kind = faults.closer(_BY_STATUS.get(status, "upstream_error"), str(message))
        status = status if 400 <= status < 500 or kind != "upstream_error" else 502
    elif status >= 500 or status < 400:
        status = by_code
    given = error.get("type")
    return Failure(
        kind=kind,
        message=message if isinstance(message, str) and message else f"the provider answered {status}",
        status=status,
        type=given if isinstance(given, str) and given != "error" else None,
        code=code,
        param=error["param"] if isinstance(error.get("param"), str) else None,
        dialect=NAME,
    )


def error_object(failure: Failure) -> JSON:
    """The error as this dialect says it; a provider's own words where it speaks this dialect too."""
    own = failure.dialect in {NAME, "openai-chat"}
    type_ = failure.type if own else None
    code = failure.code if own else None
    if type_ is None:
        type_ = _TYPES.get(failure.status, "server_error" if failure.status >= 500 else "invalid_request_error")
    return {
        "message": failure.message,
        "type": type_,
        "param": failure.param,
        "code": code or _CODES.get(failure.kind, "server_error" if failure.status >= 500 else None),
    }


def write_error(failure: Failure) -> bytes:
    """The error envelope."""
    return msgspec.json.encode({"error": error_object(failure)})
