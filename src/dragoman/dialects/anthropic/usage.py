"""Token counts: this dialect keeps cached and cache-write tokens beside `input_tokens`."""

from typing import Any

from dragoman.canon import JSON, Usage, inclusive, stated_input, stated_output, token_count
from dragoman.dialects.anthropic.names import NAME, TIERS_USED

_KNOWN = frozenset(
    {
        "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation",
        "output_tokens_details", "service_tier",
    }
)  # fmt: skip
_TIERS = {ours: theirs for theirs, ours in TIERS_USED.items()}


def read_usage(stated: JSON) -> Usage:
    """The usage object of a reply, of `message_start`, or of both and `message_delta` laid over each other."""
    creation = stated.get("cache_creation")
    details = stated.get("output_tokens_details")
    written_1h = _count(creation, "ephemeral_1h_input_tokens")
    extra = None
    if not _KNOWN.issuperset(stated):
        extra = {name: value for name, value in stated.items() if name not in _KNOWN and value is not None}
    return inclusive(
        NAME,
        Usage(
            input=_count(stated, "input_tokens"),
            output=_count(stated, "output_tokens"),
            cached=_count(stated, "cache_read_input_tokens"),
            cache_write=_count(stated, "cache_creation_input_tokens")
            or written_1h + _count(creation, "ephemeral_5m_input_tokens"),
            cache_write_1h=written_1h,
            reasoning=_count(details, "thinking_tokens"),
            extra=extra or None,
        ),
    )


def write_usage(usage: Usage | None, service_tier: str | None, same_dialect: bool) -> JSON:
    """A usage object; all zeros where nothing is known."""
    usage = usage or Usage()
    stated: JSON = {
        "input_tokens": max(stated_input(NAME, usage), 0),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": max(usage.cache_write - usage.cache_write_1h, 0),
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens": stated_output(NAME, usage),
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
        "server_tool_use": None,
        "service_tier": None if service_tier is None else _TIERS.get(service_tier, "standard"),
        "inference_geo": None,
    }
    if same_dialect and usage.extra:
        stated.update(usage.extra)
    return stated


def read_tier(stated: JSON) -> str | None:
    """The service tier that a usage object names, in the canon's word."""
    tier = stated.get("service_tier")
    return TIERS_USED.get(tier, tier) if isinstance(tier, str) else None


def _count(stated: Any, name: str) -> int:
    return token_count(stated.get(name)) if isinstance(stated, dict) else 0
