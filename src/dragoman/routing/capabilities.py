"""What well-known families of models can do, where the config's `capabilities` does not say: by name, newest first; and
which of them do not answer text at all."""

import re

_EYES = ("tools", "vision", "documents")
_FAMILIES: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(pattern), tuple(sorted(capabilities)))
    for pattern, capabilities in (
        (r"gpt-5.*chat", (*_EYES, "json_schema")),
        (r"gpt-5|o[34](-|$)", (*_EYES, "json_schema", "reasoning")),
        (r"gpt-4o.*audio|gpt-audio", ("audio", "tools")),
        (r"gpt-4o|gpt-4\.1", (*_EYES, "json_schema")),
        (r"gpt-4-turbo", ("tools", "vision")),
        (r"gpt-3\.5|gpt-4", ("tools",)),
        (r"claude-3-7|claude-(opus|sonnet|haiku)-\d", (*_EYES, "json_schema", "reasoning")),
        (r"claude-3", _EYES),
        (r"gemini-(2\.5|[3-9])", (*_EYES, "audio", "video", "json_schema", "reasoning")),
        (r"gemini-(1\.5|2\.0)", (*_EYES, "audio", "video", "json_schema")),
    )
)

_OTHER_WORK: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), work)
    for pattern, work in (
        (r"whisper|transcribe|(^|-)asr(-|$)", "it only transcribes speech"),
        (r"(^|[-_.])tts([-_.]|$)", "it only speaks"),
        (r"realtime|native-audio|(^|-)live(-|$)|-sonic", "it answers in realtime sessions only"),
        (r"embed", "it only embeds"),
        (r"dall-e|gpt-image|^imagen", "it only draws"),
        (r"moderation", "it only moderates"),
    )
)


def other_work(model_id: str) -> str | None:
    """What else `model_id` is for, if not for answers in text."""
    name = model_id.lower().rpartition("/")[2]
    return next((work for pattern, work in _OTHER_WORK if pattern.search(name)), None)


def of_family(model_id: str) -> tuple[str, ...] | None:
    """The capabilities of the family that `model_id` (without its provider) is of; None where it is of none."""
    name = model_id.lower().rpartition("/")[2]
    return next((found for pattern, found in _FAMILIES if pattern.search(name)), None)
