"""Gemini's `usageMetadata` and GA's usage of a response. In both the total input holds what was cached.

| `usageMetadata`                                | usage                                     |
|------------------------------------------------|-------------------------------------------|
| `promptTokenCount`, `toolUsePromptTokenCount`  | `input_tokens`                            |
| `promptTokensDetails`: `TEXT`, `AUDIO`, `IMAGE` | `input_token_details`                    |
| `cachedContentTokenCount`                      | `input_token_details.cached_tokens`       |
| `responseTokenCount`, `thoughtsTokenCount`     | `output_tokens`                           |
| `responseTokensDetails`                        | `output_token_details`                    |
| `totalTokenCount`                              | `total_tokens`                            |
"""

from typing import Any

from dragoman.dialects.gemini.names import keyed, listed
from dragoman.dialects.loose import count, object_in
from dragoman.voice.codecs.codec import Event

_KINDS = {"TEXT": "text_tokens", "AUDIO": "audio_tokens", "IMAGE": "image_tokens", "VIDEO": "image_tokens"}
_NAMES = {"text_tokens": "TEXT", "audio_tokens": "AUDIO", "image_tokens": "IMAGE"}


def read_usage(metadata: Any) -> Event:
    """GA's usage; tokens of thoughts are text."""
    said = keyed(metadata)
    thoughts = count(said.get("thoughtsTokenCount"))
    prompt = count(said.get("promptTokenCount")) + count(said.get("toolUsePromptTokenCount"))
    output = count(said.get("responseTokenCount")) + thoughts
    told = _by_kind(said.get("responseTokensDetails"))
    told["text_tokens"] = told.get("text_tokens", 0) + thoughts
    told.pop("image_tokens", None)
    return {
        "total_tokens": count(said.get("totalTokenCount")) or prompt + output,
        "input_tokens": prompt,
        "output_tokens": output,
        "input_token_details": {
            **_by_kind(said.get("promptTokensDetails")),
            "cached_tokens": count(said.get("cachedContentTokenCount")),
        },
        "output_token_details": told,
    }


def _by_kind(details: Any) -> Event:
    kinds: Event = {}
    for one in map(keyed, listed(details)):
        if name := _KINDS.get(str(one.get("modality"))):
            kinds[name] = kinds.get(name, 0) + count(one.get("tokenCount"))
    return kinds


def write_usage(usage: Any) -> Event:
    """Gemini's, of GA's."""
    told = object_in(usage)
    heard, said = object_in(told.get("input_token_details")), object_in(told.get("output_token_details"))
    metadata: Event = {
        "promptTokenCount": count(told.get("input_tokens")),
        "responseTokenCount": count(told.get("output_tokens")),
        "totalTokenCount": count(told.get("total_tokens")),
        "promptTokensDetails": _details(heard),
        "responseTokensDetails": _details(said),
    }
    if cached := count(heard.get("cached_tokens")):
        metadata["cachedContentTokenCount"] = cached
    return metadata


def _details(kinds: Event) -> list[Event]:
    return [
        {"modality": modality, "tokenCount": tokens}
        for name, modality in _NAMES.items()
        if (tokens := count(kinds.get(name)))
    ]
