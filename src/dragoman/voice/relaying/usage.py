"""Tokens of a turn, as a realtime provider counts them (pure).

Totals are inclusive, as ours are (`canon.usage`): cached tokens are in the input, sound is in either total.
Source: OpenAI's `response.done` and `conversation.item.input_audio_transcription.completed`.
"""

from typing import Any

from dragoman.canon import Usage


def of_response(response: dict[str, Any]) -> Usage | None:
    """What a finished response took; None where the provider does not say."""
    usage = response.get("usage")
    if not isinstance(usage, dict):
        return None
    given, said = _table(usage, "input_token_details"), _table(usage, "output_token_details")
    cached = _table(given, "cached_tokens_details")
    return Usage(
        input=_count(usage, "input_tokens"),
        output=_count(usage, "output_tokens"),
        cached=_count(given, "cached_tokens"),
        audio_input=_count(given, "audio_tokens"),
        cached_audio=_count(cached, "audio_tokens"),
        audio_output=_count(said, "audio_tokens"),
        reasoning=_count(said, "reasoning_tokens"),
    )


def of_transcription(usage: dict[str, Any]) -> Usage | None:
    """What writing down what the user said took; None where it is not counted in tokens."""
    if usage.get("type") != "tokens":
        return None
    given = _table(usage, "input_token_details")
    return Usage(
        input=_count(usage, "input_tokens"),
        output=_count(usage, "output_tokens"),
        audio_input=_count(given, "audio_tokens"),
    )


def _table(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _count(value: dict[str, Any], name: str) -> int:
    found = value.get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 2**53 else 0
