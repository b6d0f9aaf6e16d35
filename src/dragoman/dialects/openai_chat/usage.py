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

from dragoman.canon import JSON, Usage, inclusive
from dragoman.dialects.openai_chat.names import NAME

_PROMPT = "prompt_tokens_details"
_COMPLETION = "completion_tokens_details"


def whole_number(value: object) -> int:
    """A count as providers give it; 0 for what is none."""
    if isinstance(value, int):
        return int(value)
    return int(value) if isinstance(value, float) and math.isfinite(value) else 0


def _count(source: JSON, key: str) -> int:
    return whole_number(source.pop(key, 0))


def _known(details: JSON) -> JSON:
    return {name: value for name, value in details.items() if value is not None}


def read_usage(stated: JSON) -> Usage:
    """Never fails: what is missing or of a wrong type counts as 0. Unknown counters go into `extra`."""
    rest = dict(stated)
    prompt = dict(value) if isinstance(value := rest.pop(_PROMPT, None), dict) else {}
    completion = dict(value) if isinstance(value := rest.pop(_COMPLETION, None), dict) else {}
    usage = Usage(
        input=_count(rest, "prompt_tokens"),
        output=_count(rest, "completion_tokens"),
        cached=_count(prompt, "cached_tokens"),
        cache_write=_count(prompt, "cache_write_tokens"),
        audio_input=_count(prompt, "audio_tokens"),
        reasoning=_count(completion, "reasoning_tokens"),
        audio_output=_count(completion, "audio_tokens"),
    )
    total = _count(rest, "total_tokens")
    if not usage.cached:
        usage.cached = _count(dict(rest), "prompt_cache_hit_tokens") or _count(dict(rest), "cached_tokens")
    if usage.reasoning and total == usage.input + usage.output + usage.reasoning:
        usage.output += usage.reasoning  # xAI counts reasoning beside the completion
    unread = {_PROMPT: _known(prompt), _COMPLETION: _known(completion)}
    rest |= {key: details for key, details in unread.items() if details}
    usage.extra = rest or None
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
