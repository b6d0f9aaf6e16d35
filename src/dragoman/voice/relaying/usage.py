"""Tokens of a turn, as a realtime provider counts them (pure).

Totals are inclusive, as ours are (`canon.usage`): cached tokens are in the input, sound is in either total.
Source: OpenAI's `response.done` and `conversation.item.input_audio_transcription.completed`.
"""

from typing import Any

from dragoman.canon import Usage, token_count


def of_response(response: dict[str, Any]) -> Usage | None:
    """What a finished response took; None where the provider does not say."""
    usage = response.get("usage")
    if not isinstance(usage, dict):
        return None
    given, said = _table(usage, "input_token_details"), _table(usage, "output_token_details")
    cached = _table(given, "cached_tokens_details")
    return Usage(
        input=token_count(usage.get("input_tokens")),
        output=token_count(usage.get("output_tokens")),
        cached=token_count(given.get("cached_tokens")),
        audio_input=token_count(given.get("audio_tokens")),
        cached_audio=token_count(cached.get("audio_tokens")),
        audio_output=token_count(said.get("audio_tokens")),
        reasoning=token_count(said.get("reasoning_tokens")),
    )


def of_transcription(usage: dict[str, Any]) -> Usage | None:
    """What writing down what the user said took; None where it is not counted in tokens."""
    if usage.get("type") != "tokens":
        return None
    given = _table(usage, "input_token_details")
    return Usage(
        input=token_count(usage.get("input_tokens")),
        output=token_count(usage.get("output_tokens")),
        audio_input=token_count(given.get("audio_tokens")),
    )


def seconds(usage: dict[str, Any]) -> float | None:
    """How much sound was written down, where that is what is counted."""
    found = usage.get("seconds")
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) and found > 0 else None


def _table(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}
