"""What a message is made of.

A part is one piece of content with one meaning, whatever a dialect calls it. Every part (and message, tool, request)
has `extra`: the fields that the dialect it was read from has and the canon has no word for. They are written back in
the same dialect and named as lost in any other (law 4).
"""

from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

JSON: TypeAlias = dict[str, Any]


class CacheMark(Struct, kw_only=True):
    """The caller asks that the prompt be cached up to and including here. `ttl` as the dialect says it: "5m", "1h"."""

    ttl: str | None = None


class Citation(Struct, kw_only=True):
    """Where a stretch of the reply's text comes from. Indexes count characters of the part's text.

    `raw` is the citation as `dialect` wrote it, so that the same dialect gets it back whole.
    """

    kind: Literal["url", "file", "document", "other"] = "url"
    url: str | None = None
    title: str | None = None
    start: int | None = None
    end: int | None = None
    cited_text: str | None = None
    file_id: str | None = None
    dialect: str = ""
    raw: JSON | None = None


class TokenLogprob(Struct, kw_only=True):
    """One token's natural-log probability, and the likeliest alternatives at its place."""

    token: str
    logprob: float
    bytes: list[int] | None = None
    top: "list[TokenLogprob]" = field(default_factory=list)


class Text(Struct, kw_only=True, tag="text"):
    """Plain text. `signature`: opaque bytes the model wants back with it (Gemini signs text too)."""

    text: str = ""
    citations: list[Citation] = field(default_factory=list)
    logprobs: list[TokenLogprob] | None = None
    cache: CacheMark | None = None
    id: str | None = None
    signature: str | None = None
    dialect: str = ""
    extra: JSON | None = None


class Media(Struct, kw_only=True, tag="media"):
    """An image, a sound, a film or a document: by value (`data`, base64), by address (`url`) or by `file_id`.

    Exactly one of `data`, `url`, `file_id`, `text` is set; `text` is a document given as plain text. `mime` is an IANA
    media type where known. `detail` is OpenAI's image detail. `name` is a file name; `title` and `context` are
    Anthropic's document fields; `cited` says that the caller wants citations from it.
    """

    kind: Literal["image", "audio", "video", "document"]
    mime: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    text: str | None = None
    detail: str | None = None
    name: str | None = None
    title: str | None = None
    context: str | None = None
    cited: bool = False
    transcript: str | None = None
    id: str | None = None
    cache: CacheMark | None = None
    extra: JSON | None = None


class Reasoning(Struct, kw_only=True, tag="reasoning"):
    """The model's thinking. `signature` or `encrypted` prove it to the model that made it and to no other.

    `dialect` is the one whose provider made it: a writer of another dialect must leave signed thinking out of the
    request (the provider would refuse it). `encrypted` is thinking that only the provider can read: Anthropic's
    redacted `data`, OpenAI's `encrypted_content`. `summary`: the text is a summary of the thinking, not the thinking.
    """

    text: str = ""
    summary: bool = False
    signature: str | None = None
    encrypted: str | None = None
    id: str | None = None
    dialect: str = ""
    extra: JSON | None = None


class ToolCall(Struct, kw_only=True, tag="tool_call"):
    """The model asks for a tool. `arguments` is JSON text of one object (`{}` where the model gave none); for a
    `custom` tool it is free text. `signature` is Gemini's thought signature on the call."""

    id: str = ""
    name: str = ""
    arguments: str = ""
    kind: Literal["function", "custom"] = "function"
    item_id: str | None = None
    signature: str | None = None
    dialect: str = ""
    cache: CacheMark | None = None
    extra: JSON | None = None


class ToolResult(Struct, kw_only=True, tag="tool_result"):
    """What a tool gave back. Stands in a user message. `name` is the tool's, where the dialect says it."""

    call_id: str = ""
    name: str | None = None
    content: "list[Part]" = field(default_factory=list)
    is_error: bool = False
    kind: Literal["function", "custom"] = "function"
    cache: CacheMark | None = None
    extra: JSON | None = None


class Refusal(Struct, kw_only=True, tag="refusal"):
    """The model declines, in its own words, where the dialect keeps refusals apart from text."""

    text: str = ""
    id: str | None = None
    extra: JSON | None = None


class Opaque(Struct, kw_only=True, tag="opaque"):
    """A part only `dialect` can say (a provider-side tool's call or result, …), as it was written. `kind` names it in
    `x-dragoman-lossy` when another dialect is the target."""

    dialect: str
    kind: str
    data: JSON


Part: TypeAlias = Text | Media | Reasoning | ToolCall | ToolResult | Refusal | Opaque
