"""Names and tables that both directions of this dialect share."""

from dragoman.canon import FinishReason

NAME = "anthropic"
BILLING_LINE = "x-anthropic-billing-header"  # how Claude Code's first system block begins; differs on every request

STOP_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_length",
    "compaction": "stop",
}
FINISH: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
    "context_length": "model_context_window_exceeded",
    "pause": "pause_turn",
    "error": "end_turn",
}
# what the reply's `usage.service_tier` and the request's `service_tier` are called in the canon
TIERS_USED = {"standard": "default", "priority": "priority", "batch": "batch"}
TIERS_ASKED = {"auto": "auto", "standard_only": "default"}
TIERS_WRITTEN = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only", "priority": "auto"}


def stop_reason(reason: FinishReason, raw: str | None, stop_sequence: str | None, same_dialect: bool) -> str:
    """`stop_reason` for a finish: the original one where it was said in this dialect."""
    if same_dialect and raw:
        return raw
    return "stop_sequence" if reason == "stop" and stop_sequence else FINISH[reason]
