"""`countTokens`: its request, as a `Request`, and its reply.

| canon      | gemini                                                                            |
|------------|-----------------------------------------------------------------------------------|
| Request    | `contents` alone, or a whole request in `generateContentRequest`                  |
|            | (Vertex has `systemInstruction` and `tools` beside `contents`)                    |
| tokens     | `totalTokens`                                                                     |
"""

import msgspec

from dragoman.canon import JSON, Request
from dragoman.dialects import fields as reading
from dragoman.dialects.dialect import Written
from dragoman.dialects.fields import Malformed
from dragoman.dialects.gemini.names import fields
from dragoman.dialects.gemini.path import name_of
from dragoman.dialects.gemini.request import read_request, write_request
from dragoman.dialects.quirks import Quirks

_WITH_CONTENTS = frozenset({"contents"})


def read_count_request(body: JSON) -> Request:
    """Raises `Malformed`."""
    top = fields(body, "")
    inner = top.any("generateContentRequest")
    if inner is None:
        return read_request(top.data)
    if not isinstance(inner, dict):
        raise Malformed("generateContentRequest", "an object", inner)
    return read_request(inner)


def write_count_request(request: Request, quirks: Quirks) -> Written:
    """Just the contents where there is nothing else. Raises `Unsayable`."""
    written = write_request(request, quirks)
    if written.body.keys() <= _WITH_CONTENTS:
        return written
    written.body = {"generateContentRequest": {"model": name_of(request.model), **written.body}}
    return written


def read_count_reply(body: bytes) -> int:
    """Tokens. Raises `Malformed`."""
    top = fields(reading.decode(body), "")
    total = top.whole("totalTokens")
    if total is None:
        if top.data.keys() <= {"promptTokensDetails"}:
            return 0  # proto3 leaves zeros out
        raise Malformed("totalTokens", "a whole number")
    return total


def write_count_reply(tokens: int) -> bytes:
    details = [{"modality": "TEXT", "tokenCount": tokens}]
    return msgspec.json.encode({"totalTokens": tokens, "promptTokensDetails": details})
