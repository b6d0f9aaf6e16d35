"""In what a provider differs from the maker of the dialect it speaks. Data; the catalog has one for each provider."""

from typing import Literal

from msgspec import Struct


class Quirks(Struct, frozen=True, kw_only=True):
    """The defaults are the behaviour of the dialect's own maker."""

    # openai-chat
    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    developer_role: bool = True  # else developer messages are sent as system messages
    stream_usage: bool = True  # understands stream_options.include_usage
    reasoning_field: Literal["reasoning_content", "reasoning"] | None = None  # where it shows (and takes) thinking text
    user_field: Literal["user", "safety_identifier"] = "safety_identifier"
    strict_tools: bool = True  # takes `strict` in function tools
    parallel_tool_calls: bool = True
    cache_control: bool = False  # takes Anthropic's cache_control marks on content parts
    documents: bool = True  # takes `file` parts
    sampling_extras: bool = False  # takes top_k, min_p and repetition_penalty (vLLM, OpenRouter, …)
    custom_tools: bool = True  # takes tools of free text; else they are written as functions
    prefill: Literal["none", "trailing", "continue", "prefix"] = (
        "none"  # how it goes on with a trailing assistant message
    )
    prefill_echo: bool = False  # … and repeats it first
    # any dialect
    refuses: frozenset[str] = frozenset()  # further top-level request fields it rejects: dropped and named
    max_stop: int | None = None
