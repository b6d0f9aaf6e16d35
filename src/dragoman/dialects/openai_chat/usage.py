"""Token counts as this dialect states them. Its totals are inclusive, like the canon's.

| canon          | openai-chat                                              |
|----------------|----------------------------------------------------------|
| `input`        | `prompt_tokens`                                          |
| `output`       | `completion_tokens`                                      |
| `cached`       | `prompt_tokens_details.cached_tokens`                    |
| `cache_write`  | `prompt_tokens_details.cache_write_tokens`               |
| `audio_input`  | `prompt_tokens_details.audio_tokens`                     |
| `reasoning`    | `completion_tokens_details.reasoning_tokens`             |
| `audio_output` | `completion_tokens_details.audio_tokens`                 |
| (the sum)      | `total_tokens`                                           |

DeepSeek states cached tokens as `prompt_cache_hit_tokens`, Moonshot as `cached_tokens`.
"""

import math

from dragoman.canon import JSON, Usage, inclusive, token_count
from dragoman.dialects.openai_chat.names import NAME

_PROMPT = "prompt_tokens_details"
_COMPLETION = "completion_tokens_details"


_KNOWN = frozenset({"prompt_tokens", "completion_tokens", "total_tokens", _PROMPT, _COMPLETION})
_KNOWN_PROMPT = frozenset({"cached_tokens", "cache_write_tokens", "audio_tokens"})
_KNOWN_COMPLETION = frozenset({"reasoning_tokens", "audio_tokens"})
_NONE: JSON = {}


def whole_number(value: object) -> int:
    """A number as providers give it; 0 for what is none."""
    if type(value) is int:
        return value
    if isinstance(value, int):
        return int(value)
    return int(value) if isinstance(value, float) and math.isfinite(value) else 0


def _unread(details: JSON, known: frozenset[str]) -> JSON:
    if known.issuperset(details):
        return _NONE
    return {name: value for name, value in details.items() if name not in known and value is not None}


def read_usage(stated: JSON) -> Usage:
    """Never fails: what is missing or no believable number counts as 0. Unknown counters go into `extra`."""
    prompt = details if isinstance(details := stated.get(_PROMPT), dict) else _NONE
    completion = details if isinstance(details := stated.get(_COMPLETION), dict) else _NONE
    usage = Usage(
        input=token_count(stated.get("prompt_tokens")),
        output=token_count(stated.get("completion_tokens")),
        cached=token_count(prompt.get("cached_tokens")),
        cache_write=token_count(prompt.get("cache_write_tokens")),
        audio_input=token_count(prompt.get("audio_tokens")),
        reasoning=token_count(completion.get("reasoning_tokens")),
        audio_output=token_count(completion.get("audio_tokens")),
    )
    if not usage.cached:
        usage.cached = token_count(stated.get("prompt_cache_hit_tokens")) or token_count(stated.get("cached_tokens"))
    if usage.reasoning and token_count(stated.get("total_tokens")) == usage.input + usage.output + usage.reasoning:
        usage.output += usage.reasoning  # xAI counts reasoning beside the completion
    extra = {} if _KNOWN.issuperset(stated) else {name: stated[name] for name in stated if name not in _KNOWN}
    if unread := _unread(prompt, _KNOWN_PROMPT):
        extra[_PROMPT] = unread
    if unread := _unread(completion, _KNOWN_COMPLETION):
        extra[_COMPLETION] = unread
    usage.extra = extra or None
    return inclusive(NAME, usage)


def write_usage(usage: Usage, own: bool) -> JSON:
    """`own`: `usage.extra` was read from this dialect, and is written back."""
    extra = (usage.extra or {}) if own else {}
    prompt = {
        "cached_tokens": usage.cached,
        "cache_write_tokens": usage.cache_write,
        "audio_tokens": usage.audio_input,
        **extra.get(_PROMPT, {}),
    }
    completion = {
        "reasoning_tokens": usage.reasoning,
        "audio_tokens": usage.audio_output,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
        **extra.get(_COMPLETION, {}),
    }
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        **extra,
        _PROMPT: prompt,
        _COMPLETION: completion,
    }
