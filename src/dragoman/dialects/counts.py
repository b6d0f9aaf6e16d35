"""Token counts as OpenAI's newer endpoints state them. Totals are inclusive, as ours are (`canon.usage`).

| canon          | Responses (`DETAILS`)                     | audio, realtime (`AUDIO_DETAILS`)        |
|----------------|-------------------------------------------|------------------------------------------|
| `input`        | `input_tokens`                            | the same                                 |
| `output`       | `output_tokens`                           | the same                                 |
| `cached`       | `input_tokens_details.cached_tokens`      | `input_token_details.cached_tokens`      |
| `cache_write`  | `input_tokens_details.cache_write_tokens` |                                          |
| `cached_audio` |                                           | `….cached_tokens_details.audio_tokens`   |
| `audio_input`  | `input_tokens_details.audio_tokens`       | `input_token_details.audio_tokens`       |
| `reasoning`    | `output_tokens_details.reasoning_tokens`  | `output_token_details.reasoning_tokens`  |
| `audio_output` | `output_tokens_details.audio_tokens`      | `output_token_details.audio_tokens`      |
"""

from dragoman.canon import JSON, Usage, token_count

DETAILS, AUDIO_DETAILS = "tokens_details", "token_details"


def read_counts(stated: object, details: str) -> Usage | None:
    """`details`: what the tables of the parts are called, behind `input_` and `output_`. None where nothing is counted;
    what is no believable number counts as 0."""
    if not isinstance(stated, dict):
        return None
    given, said = _table(stated, f"input_{details}"), _table(stated, f"output_{details}")
    return Usage(
        input=token_count(stated.get("input_tokens")),
        output=token_count(stated.get("output_tokens")),
        cached=token_count(given.get("cached_tokens")),
        cache_write=token_count(given.get("cache_write_tokens")),
        audio_input=token_count(given.get("audio_tokens")),
        cached_audio=token_count(_table(given, "cached_tokens_details").get("audio_tokens")),
        reasoning=token_count(said.get("reasoning_tokens")),
        audio_output=token_count(said.get("audio_tokens")),
    )


def _table(stated: JSON, name: str) -> JSON:
    found = stated.get(name)
    return found if isinstance(found, dict) else {}
