"""How a response ends, in the original's words: cut short by a limit or a filter, cancelled, or failed."""

from dragoman.canon import Failure, FinishReason
from dragoman.voice.events import JSON

# why a reply that ended is not whole
_CUT_SHORT: dict[FinishReason, str] = {
    "length": "max_output_tokens",
    "context_length": "max_output_tokens",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}
# what a client is told of a model's failure: type and code, as the original has them
_FAILURES: dict[str, tuple[str, str]] = {
    "rate_limited": ("rate_limit_error", "rate_limit_exceeded"),
    "overloaded": ("server_error", "server_overloaded"),
    "budget_spent": ("insufficient_quota", "insufficient_quota"),
    "unknown_model": ("invalid_request_error", "model_not_found"),
    "context_length": ("invalid_request_error", "context_length_exceeded"),
    "unauthorized": ("invalid_request_error", "invalid_api_key"),
}
_CLIENTS_OWN = frozenset({"bad_request", "unsupported", "forbidden", "not_found", "too_large", "no_feasible_model"})


def incomplete(finish: FinishReason) -> JSON | None:
    """The `status_details` of a reply that is not whole; None: it is."""
    reason = _CUT_SHORT.get(finish)
    return None if reason is None else {"type": "incomplete", "reason": reason}


def failed(failure: Failure) -> JSON:
    """The `status_details` of one that failed."""
    usual = ("invalid_request_error" if failure.kind in _CLIENTS_OWN else "server_error", failure.kind)
    kind, code = _FAILURES.get(failure.kind, usual)
    return {"type": "failed", "error": {"type": kind, "code": code, "message": failure.message}}
