"""`usageMetadata`, both ways. Gemini counts three things where the canon counts two:

| canon          | gemini                                                        |
|----------------|---------------------------------------------------------------|
| input          | promptTokenCount + toolUsePromptTokenCount                    |
| output         | candidatesTokenCount + thoughtsTokenCount (`canon.inclusive`) |
| cached         | cachedContentTokenCount (inside promptTokenCount)             |
| reasoning      | thoughtsTokenCount                                            |
| audio_input    | AUDIO of promptTokensDetails                                  |
| audio_output   | AUDIO of candidatesTokensDetails                              |
| extra          | the rest, as it came                                          |
"""

from typing import Any

from dragoman.canon import JSON, Usage, inclusive, stated_input, stated_output, token_count
from dragoman.dialects.gemini.names import NAME, keyed, listed

_TOTALS = (
    "promptTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "cachedContentTokenCount",
    "totalTokenCount",
)
_FROM_AUDIO = {"audio_input": "promptTokensDetails", "audio_output": "candidatesTokensDetails"}


def read_usage(data: Any) -> Usage | None:
    """The tokens that a reply states; None where it states none."""
    if not isinstance(data, dict) or not data:
        return None
    data = dict(keyed(data))
    prompt, candidates, thoughts, cached, _ = [token_count(data.pop(name, None)) for name in _TOTALS]
    usage = Usage(
        input=prompt + token_count(data.get("toolUsePromptTokenCount")),
        output=candidates,
        cached=cached,
        reasoning=thoughts,
        audio_input=_audio(data.get("promptTokensDetails")),
        audio_output=_audio(data.get("candidatesTokensDetails")),
        extra=data or None,
    )
    return inclusive(NAME, usage)


def write_usage(usage: Usage, dialect: str) -> JSON:
    """`usageMetadata` for a reply that came from `dialect`."""
    extra = (usage.extra if dialect == NAME else None) or {}
    prompt = stated_input(NAME, usage) - token_count(extra.get("toolUsePromptTokenCount"))
    written: JSON = {"promptTokenCount": max(prompt, 0), "candidatesTokenCount": max(stated_output(NAME, usage), 0)}
    written["totalTokenCount"] = usage.input + usage.output
    if usage.reasoning:
        written["thoughtsTokenCount"] = usage.reasoning
    if usage.cached:
        written["cachedContentTokenCount"] = usage.cached
    for field, name in _FROM_AUDIO.items():
        if count := getattr(usage, field):
            written[name] = [{"modality": "AUDIO", "tokenCount": count}]
    written.update(extra)
    return written


def _audio(details: Any) -> int:
    if not details:
        return 0
    return sum(
        token_count(keyed(item).get("tokenCount")) for item in listed(details) if keyed(item).get("modality") == "AUDIO"
    )
