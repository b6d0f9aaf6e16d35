"""What is asked: one request to a model, as every dialect's reader makes it and every dialect's writer takes it."""

from typing import Literal, TypeAlias

from msgspec import Struct, field

from dragoman.canon.parts import JSON, CacheMark, Part

Role: TypeAlias = Literal["system", "developer", "user", "assistant"]


class Message(Struct, kw_only=True):
    """One utterance. Tool results stand in user messages; system and developer messages stand wherever they were said
    (a writer whose dialect has one system field lifts them out, in order)."""

    role: Role
    parts: list[Part] = field(default_factory=list)
    name: str | None = None
    id: str | None = None
    extra: JSON | None = None


class Tool(Struct, kw_only=True):
    """A tool the model may call.

    `function` takes one JSON object described by `parameters` (JSON Schema); `custom` takes free text, perhaps held to
    a grammar (`format`, as OpenAI writes it); `provider` runs at the provider and only `dialect` can say it (`raw`).
    """

    name: str
    kind: Literal["function", "custom", "provider"] = "function"
    description: str | None = None
    parameters: JSON | None = None
    strict: bool | None = None
    format: JSON | None = None
    cache: CacheMark | None = None
    dialect: str = ""
    raw: JSON | None = None
    extra: JSON | None = None


class ToolChoice(Struct, kw_only=True):
    """`auto`: the model decides; `none`: no call; `required`: at least one call; `tool`: this one (`names[0]`).

    With `auto` and `required`, `names` (if not empty) are the only tools allowed.
    """

    mode: Literal["auto", "none", "required", "tool"] = "auto"
    names: list[str] = field(default_factory=list)
    raw: JSON | None = None


class OutputFormat(Struct, kw_only=True):
    """The shape the answer must have. `json_schema` with `schema`; `json` is any valid JSON; `text` is no demand.
    `mime` is Gemini's `responseMimeType` where it is neither JSON nor plain text (`text/x.enum`)."""

    kind: Literal["text", "json", "json_schema"] = "text"
    name: str | None = None
    description: str | None = None
    schema: JSON | None = None
    strict: bool | None = None
    mime: str | None = None


class Thinking(Struct, kw_only=True):
    """How much the model should think, and what of it the caller wants to see.

    `mode`: `off`, `on`, `adaptive` (the model decides how much), or None (the provider's default).
    `effort`: none | minimal | low | medium | high | xhigh | max. `budget`: tokens; -1 leaves it to the model.
    `visible`: the caller wants thinking text. `summary`: auto | concise | detailed.
    """

    mode: Literal["off", "on", "adaptive"] | None = None
    effort: str | None = None
    budget: int | None = None
    visible: bool | None = None
    summary: str | None = None
    extra: JSON | None = None


class Request(Struct, kw_only=True):
    """One request. `dialect` is the one it was read from; `extra` its top-level fields the canon has no word for.

    A field's name here is the name by which a writer reports its loss; `Dialect.FIELD_NAMES` turns that into the name
    the client used.
    """

    dialect: str
    model: str = ""
    messages: list[Message] = field(default_factory=list)
    stream: bool = False
    include_usage: bool = True
    tools: list[Tool] = field(default_factory=list)
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output: OutputFormat | None = None
    thinking: Thinking | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    seed: int | None = None
    stop: list[str] = field(default_factory=list)
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    verbosity: str | None = None
    modalities: list[str] | None = None
    audio_output: JSON | None = None
    service_tier: str | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    cache: CacheMark | None = None
    cache_key: str | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    truncation: str | None = None
    extra: JSON | None = None
