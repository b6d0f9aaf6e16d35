"""What is answered: whole replies, the events of a stream, and failures."""

from typing import Literal, TypeAlias

from msgspec import Struct, field

from dragoman.canon.parts import JSON, Citation, Part, TokenLogprob
from dragoman.canon.usage import Usage

FinishReason: TypeAlias = Literal[
    "stop",  # the model was done, or met a stop sequence (then `stop_sequence` says which, where known)
    "length",  # max_output_tokens
    "tool_calls",
    "content_filter",  # the provider's filter cut it
    "refusal",  # the model declined
    "context_length",  # the context window is full
    "pause",  # a provider-side tool wants the turn continued (Anthropic `pause_turn`)
    "error",
]


class Choice(Struct, kw_only=True):
    """One of the `n` answers. `raw_finish` is the finish reason as `Reply.dialect` wrote it."""

    parts: list[Part] = field(default_factory=list)
    finish: FinishReason = "stop"
    stop_sequence: str | None = None
    raw_finish: str | None = None
    extra: JSON | None = None


class Reply(Struct, kw_only=True):
    """A whole reply. `model` is the one that answered, `created` is Unix seconds, `dialect` its source."""

    dialect: str
    id: str = ""
    model: str = ""
    created: int = 0
    choices: list[Choice] = field(default_factory=list)
    usage: Usage | None = None
    service_tier: str | None = None
    extra: JSON | None = None


FailureKind: TypeAlias = Literal[
    "bad_request",
    "unauthorized",
    "forbidden",
    "budget_spent",
    "unknown_model",
    "not_found",
    "method_not_allowed",
    "too_large",
    "rate_limited",
    "overloaded",
    "no_feasible_model",
    "unknown_price",
    "context_length",
    "content_filter",
    "unsupported",
    "upstream_error",
    "upstream_timeout",
    "timeout",
    "stream_broken",
    "draining",
    "internal",
]


class Failure(Struct, kw_only=True):
    """Why there is no (whole) answer. Written in any dialect's error envelope, whole or as a stream's last event.

    `status` is the HTTP status towards the client. `message` names the mend. `retry_after` is seconds. `type`, `code`
    and `param` are the provider's own words where `dialect` gave them; they are written back in the same dialect.
    """

    kind: FailureKind
    message: str
    status: int = 400
    type: str | None = None
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None
    dialect: str = ""


# Stream events. `choice` counts the n answers; `index` counts the parts within one choice, in order of first sight.


class Begin(Struct, kw_only=True):
    """The reply has begun. First event of every stream."""

    id: str = ""
    model: str = ""
    created: int = 0
    service_tier: str | None = None
    dialect: str = ""


class PartStart(Struct, kw_only=True):
    """Part `index` opens as `part`: whatever is known of it already (a tool call's id and name), possibly all of it."""

    index: int
    part: Part
    choice: int = 0


class PartDelta(Struct, kw_only=True):
    """More text for part `index`: of a text, a refusal, thinking, tool-call arguments, or an audio transcript; `data`
    is more base64 of a media part. Never empty."""

    index: int
    text: str = ""
    choice: int = 0
    data: str | None = None
    logprobs: list[TokenLogprob] | None = None


class PartPatch(Struct, kw_only=True):
    """What became known of part `index` on the way: its signature, its encrypted form, one more citation, an id."""

    index: int
    choice: int = 0
    signature: str | None = None
    encrypted: str | None = None
    citation: Citation | None = None
    id: str | None = None


class PartEnd(Struct, kw_only=True):
    """Part `index` is complete."""

    index: int
    choice: int = 0


class Finish(Struct, kw_only=True):
    """Choice `choice` is complete, and why."""

    reason: FinishReason
    choice: int = 0
    stop_sequence: str | None = None
    raw: str | None = None


class Used(Struct, kw_only=True):
    """The tokens so far: each such event replaces the one before."""

    usage: Usage


class End(Struct, kw_only=True):
    """The dialect's own end mark was seen: the stream is whole. Last event of a stream that did not fail."""


class Broken(Struct, kw_only=True):
    """The stream ends here without being whole. Last event of a stream that failed."""

    failure: Failure


Event: TypeAlias = Begin | PartStart | PartDelta | PartPatch | PartEnd | Finish | Used | End | Broken
