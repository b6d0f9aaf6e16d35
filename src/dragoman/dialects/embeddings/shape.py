"""What an embedding call says, in no dialect, and what its modules have in common."""

import base64
import binascii
import struct
from collections.abc import Iterable
from typing import Any, Literal, Protocol, TypeAlias

from msgspec import Struct, field

from dragoman.canon import JSON, Media, Text
from dragoman.dialects.dialect import Unsayable, Written

Input: TypeAlias = str | list[int] | list[Text | Media]
"""One thing to embed: a text, a text as OpenAI's token ids, or a mixture of texts and media."""

Task: TypeAlias = Literal["query", "document", "classification", "clustering", "similarity"]


class EmbeddingRequest(Struct, kw_only=True):
    """One call. `dialect` is the one it was read from; `single`: the caller gave one bare input and not a list, and
    gets its reply in that form. `encoding` is how the caller wants OpenAI's vectors. `raw_task` is the task in the
    words of `dialect`. `extra` are its fields that no other dialect has."""

    dialect: str
    model: str = ""
    inputs: list[Input] = field(default_factory=list)
    single: bool = False
    form: str = ""
    dimensions: int | None = None
    encoding: Literal["float", "base64"] = "float"
    task: Task | None = None
    raw_task: str | None = None
    truncate: bool | None = None
    user: str | None = None
    extra: JSON | None = None


class EmbeddingReply(Struct, kw_only=True):
    """One vector for each input, in their order. `tokens` is None where the provider does not count."""

    dialect: str
    id: str = ""
    model: str = ""
    vectors: list[list[float]] = field(default_factory=list)
    tokens: int | None = None
    extra: JSON | None = None


class Upstream(Protocol):
    """A module of this package whose dialect providers speak. Errors are those of the dialect's chat module."""

    NAME: str

    def path(self, request: EmbeddingRequest) -> str: ...

    def write_request(self, request: EmbeddingRequest) -> Written:
        """Raises `Unsayable`."""
        ...

    def read_reply(self, body: bytes) -> EmbeddingReply:
        """Raises `Malformed`."""
        ...


def losses(request: EmbeddingRequest, dialect: str, can_say: Iterable[str]) -> list[str]:
    """The names of what `dialect` cannot say, as `can_say` has it; `extra` only where the dialect is another."""
    said = frozenset(can_say)
    lost = [n for n in ("dimensions", "task", "truncate", "user") if n not in said and getattr(request, n) is not None]
    if request.dialect != dialect:
        lost += request.extra or ()
    return lost


def text_of(item: Input, dialect: str) -> str:
    """The input as plain text. Raises `Unsayable` where it is more than that."""
    if isinstance(item, str):
        return item
    if item and isinstance(item[0], int):
        raise Unsayable(f"inputs given as token ids mean nothing to {dialect}: send text")
    texts = [part.text for part in item if isinstance(part, Text)]
    if len(texts) < len(item):
        raise Unsayable(f"{dialect} embeds text only: send no images, audio or documents")
    return "\n".join(texts)


def vector(value: Any) -> list[float] | None:
    """A vector as numbers, or as base64 of little-endian 32-bit floats; None where it is neither."""
    if isinstance(value, list):
        return value
    if not isinstance(value, str):
        return None
    try:
        data = base64.b64decode(value, validate=True)
        return list(struct.unpack(f"<{len(data) // 4}f", data))
    except (binascii.Error, struct.error, ValueError):
        return None


def packed(values: list[float]) -> str:
    """A vector as base64 of little-endian 32-bit floats."""
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
