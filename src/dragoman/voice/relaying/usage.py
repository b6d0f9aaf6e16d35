"""Tokens of a turn, as a realtime provider counts them (pure).

Source: OpenAI's `response.done` and `conversation.item.input_audio_transcription.completed`.
"""

from typing import Any

from dragoman.canon import Usage
from dragoman.dialects.counts import AUDIO_DETAILS, read_counts


def of_response(response: dict[str, Any]) -> Usage | None:
    """What a finished response took; None where the provider does not say."""
    return read_counts(response.get("usage"), AUDIO_DETAILS)


def of_transcription(usage: dict[str, Any]) -> Usage | None:
    """What writing down what the user said took; None where it is not counted in tokens."""
    return read_counts(usage, AUDIO_DETAILS) if usage.get("type") == "tokens" else None


def seconds(usage: dict[str, Any]) -> float | None:
    """How much sound was written down, where that is what is counted."""
    found = usage.get("seconds")
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) and found > 0 else None
