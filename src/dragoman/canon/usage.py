"""Token counts, in one convention: the place where the dialects' conventions are converted (law 10).

Here every total is inclusive: `input` counts all input tokens (fresh, read from cache, written to cache), `output` all
output tokens, reasoning included. The dialects differ in what their totals leave out:

| dialect          | cached and cache-write tokens | reasoning tokens  |
|------------------|-------------------------------|-------------------|
| openai-chat      | inside the input total        | inside the output |
| openai-responses | inside                        | inside            |
| anthropic        | beside `input_tokens`         | inside            |
| bedrock          | beside `inputTokens`          | inside            |
| gemini           | inside `promptTokenCount`     | beside `candidatesTokenCount` |
| ollama, cohere   | not counted apart             | inside            |
"""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from dragoman.canon.parts import JSON

MOST = 10**8  # tokens: ten times what the largest window takes in; a provider that counts more counts nonsense
Stated: TypeAlias = Annotated[int, Meta(ge=0, le=MOST)]  # a count that can be believed

CACHE_BESIDE = frozenset({"anthropic", "bedrock"})
REASONING_BESIDE = frozenset({"gemini"})


class Usage(Struct, kw_only=True):
    """Tokens of one reply; totals inclusive. `cache_write_1h` is the part of `cache_write` kept for an hour,
    `cached_audio` what is in `cached` and in `audio_input` both.

    `estimated` says that no provider counted these. `extra`: the provider's further counters, as `dialect` names them.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    audio_input: int = 0
    cached_audio: int = 0
    audio_output: int = 0
    estimated: bool = False
    extra: JSON | None = None


def token_count(value: object) -> int:
    """A number of tokens as a provider states it: decimals are cut, and what is no believable number counts as 0. Every
    count is read here, or as a `Stated`: so no sum and no cost of them is too large for journal and ledger."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST:
        return int(value)
    return 0


def added(one: Usage, other: Usage) -> Usage:
    """What both took together."""
    names = Usage.__struct_fields__[:-2]
    sums = {name: getattr(one, name) + getattr(other, name) for name in names}
    return Usage(**sums, estimated=one.estimated or other.estimated, extra=other.extra)


def inclusive(dialect: str, usage: Usage) -> Usage:
    """The counts as `dialect` states them, turned into ours. Call it once, on what was just read."""
    if dialect in CACHE_BESIDE:
        usage.input += usage.cached + usage.cache_write
    if dialect in REASONING_BESIDE:
        usage.output += usage.reasoning
    return usage


def stated_input(dialect: str, usage: Usage) -> int:
    """The input total as `dialect` would state it."""
    return usage.input - usage.cached - usage.cache_write if dialect in CACHE_BESIDE else usage.input


def stated_output(dialect: str, usage: Usage) -> int:
    """The output total as `dialect` would state it."""
    return usage.output - usage.reasoning if dialect in REASONING_BESIDE else usage.output
