"""`POST /embeddings` of OpenAI and of all who copy it.

| canon      | openai                                                                     |
|------------|----------------------------------------------------------------------------|
| inputs     | `input`: a string, strings, token ids, or lists of token ids               |
| dimensions | `dimensions`                                                               |
| encoding   | `encoding_format`                                                          |
| user       | `user`                                                                     |
| vectors    | `data[].embedding`, sorted by `index`                                      |
| tokens     | `usage.prompt_tokens`                                                      |
"""

from typing import Any

import msgspec

from dragoman.canon import JSON
from dragoman.dialects import fields as reading
from dragoman.dialects.dialect import Unsayable, Written
from dragoman.dialects.embeddings.shape import EmbeddingReply, EmbeddingRequest, Input, losses, packed, text_of, vector
from dragoman.dialects.fields import Fields, Malformed

NAME = "openai-chat"
_ENCODINGS = {"float", "base64"}


def path(request: EmbeddingRequest) -> str:
    return "/embeddings"


def read_request(body: JSON) -> EmbeddingRequest:
    """Raises `Malformed`."""
    top = Fields(body)
    request = EmbeddingRequest(dialect=NAME, model=top.must_text("model"))
    request.inputs, request.single = _inputs(top.any("input"))
    request.dimensions = top.whole("dimensions")
    if top.one_of("encoding_format", _ENCODINGS) == "base64":
        request.encoding = "base64"
    request.user = top.text("user")
    request.extra = top.rest()
    return request


def _inputs(value: Any) -> tuple[list[Input], bool]:
    if isinstance(value, str):
        return [value], True
    if not isinstance(value, list) or not value:
        raise Malformed("input", "a string, an array of strings or an array of token ids", value)
    if all(_is_id(item) for item in value):
        return [value], True
    for i, item in enumerate(value):
        if not (isinstance(item, str) or (isinstance(item, list) and item and all(_is_id(t) for t in item))):
            raise Malformed(f"input[{i}]", "a string or an array of token ids", item)
    return value, False


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def write_request(request: EmbeddingRequest) -> Written:
    """Raises `Unsayable` for inputs that are not text."""
    same = request.dialect == NAME
    items = [item if _has_ids(item) else text_of(item, "OpenAI") for item in request.inputs]
    if not same and any(_has_ids(item) for item in items):
        raise Unsayable("token ids mean nothing across dialects: send text")
    body: JSON = {"model": request.model, "input": items[0] if request.single and len(items) == 1 else items}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    body["encoding_format"] = request.encoding
    if request.user is not None:
        body["user"] = request.user
    if same and request.extra:
        body.update(request.extra)
    return Written(body, losses(request, NAME, ("dimensions", "user")))


def _has_ids(item: Input) -> bool:
    return isinstance(item, list) and bool(item) and isinstance(item[0], int)


def read_reply(body: bytes) -> EmbeddingReply:
    """Raises `Malformed`."""
    top = Fields(reading.decode(body))
    items = top.array("data")
    if items is None:
        raise Malformed("data", "an array")
    found: list[tuple[int, list[float]]] = []
    for i, item in enumerate(items):
        values = vector(item.get("embedding")) if isinstance(item, dict) else None
        if values is None:
            raise Malformed(f"data[{i}].embedding", "numbers or base64")
        index = item.get("index")
        found.append((index if isinstance(index, int) else i, values))
    found.sort(key=lambda pair: pair[0])
    usage = top.any("usage")
    tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    model = top.any("model")
    return EmbeddingReply(
        dialect=NAME,
        model=model if isinstance(model, str) else "",
        vectors=[values for _, values in found],
        tokens=tokens if isinstance(tokens, int) else None,
    )


def write_reply(reply: EmbeddingReply, request: EmbeddingRequest) -> bytes:
    data = [
        {"object": "embedding", "index": i, "embedding": packed(v) if request.encoding == "base64" else v}
        for i, v in enumerate(reply.vectors)
    ]
    tokens = reply.tokens or 0
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return msgspec.json.encode({"object": "list", "data": data, "model": reply.model, "usage": usage})
