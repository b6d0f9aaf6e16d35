"""The dialect's name and its words for what the canon names otherwise."""

from collections.abc import Mapping

from dragoman.canon import FinishReason

NAME = "openai-chat"

# canon `Request` field -> this dialect's name, where they differ
FIELD_NAMES: Mapping[str, str] = {
    "output": "response_format",
    "thinking": "reasoning_effort",
    "max_output_tokens": "max_completion_tokens",
    "audio_output": "audio",
    "cache_key": "prompt_cache_key",
    "cache": "cache_control",
}

# finish reasons as providers write them; OpenAI's own five first
FINISHES: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "tool_calls",
    "eos": "stop",
    "end_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_length": "context_length",
    "abort": "error",
    "error": "error",
    "insufficient_system_resource": "error",
}
OWN_FINISHES = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})

_WRITTEN = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "context_length": "length",
    "pause": "stop",
    "error": "length",  # the nearest word for "not whole": clients must not take it for a finished answer
}


def finish_reason(raw: str | None, has_calls: bool, has_refusal: bool) -> FinishReason:
    """What `raw` means. Providers (OpenAI too, when a tool is forced) say `stop` after tool calls and refusals."""
    reason = FINISHES.get(raw or "stop", "stop")
    if reason == "stop":
        if has_calls:
            return "tool_calls"
        if has_refusal:
            return "refusal"
    return reason


def written_finish(reason: FinishReason, raw: str | None, own: bool, has_refusal: bool, legacy: bool) -> str:
    """The finish reason for the client. `own`: `raw` is this dialect's; `legacy`: the client sent `functions`."""
    if own and raw in OWN_FINISHES:
        word = raw
    elif reason == "refusal":
        word = "stop" if has_refusal else "content_filter"
    else:
        word = _WRITTEN[reason]
    return "function_call" if legacy and word == "tool_calls" else word
