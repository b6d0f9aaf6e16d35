"""`/api/embed` of Ollama, and `/api/embeddings`, which it replaced.

| canon      | ollama                                                                    |
|------------|---------------------------------------------------------------------------|
| inputs     | `input`: a string or strings; `prompt` in the old form                    |
| dimensions | `dimensions`                                                              |
| truncate   | `truncate`                                                                |
| vectors    | `embeddings`; `embedding` in the old form                                 |
| tokens     | `prompt_eval_count`                                                       |
| extra      | `options`, `keep_alive`                                                   |

`form` is `embeddings` for a request of the old form; we send the new one.
"""

import msgspec

from dragoman.canon import JSON
from dragoman.dialects import fields as reading
from dragoman.dialects.dialect import Written
from dragoman.dialects.embeddings.shape import EmbeddingReply, EmbeddingRequest, losses, text_of
from dragoman.dialects.fields import Fields, Malformed

NAME = "ollama"
OLD = "embeddings"


def path(request: EmbeddingRequest) -> str:
    return "/api/embed"


def read_request(body: JSON) -> EmbeddingRequest:
    """Of either form. Raises `Malformed`."""
    top = Fields(body)
    request = EmbeddingRequest(dialect=NAME, model=top.must_text("model"))
    if "input" not in top.data and "prompt" in top.data:
        request.inputs, request.single, request.form = [top.must_text("prompt")], True, OLD
    elif isinstance(top.data.get("input"), str):
        request.inputs, request.single = [top.must_text("input")], True
    else:
        request.inputs = [*top.texts("input")]
        if not request.inputs:
            raise Malformed("input", "a string or an array of strings")
    request.dimensions = top.whole("dimensions")
    request.truncate = top.flag("truncate")
    request.extra = top.rest()
    return request


def write_request(request: EmbeddingRequest) -> Written:
    """Raises `Unsayable` for inputs that are not text."""
    items = [text_of(item, "Ollama") for item in request.inputs]
    body: JSON = {"model": request.model, "input": items[0] if request.single and len(items) == 1 else items}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    if request.truncate is not None:
        body["truncate"] = request.truncate
    if request.dialect == NAME and request.extra:
        body.update(request.extra)
    return Written(body, losses(request, NAME, ("dimensions", "truncate")))


def read_reply(body: bytes) -> EmbeddingReply:
    """Of either form. Raises `Malformed`."""
    top = Fields(reading.decode(body))
    lone = top.array("embedding")
    vectors = [lone] if lone is not None else top.array("embeddings")
    if vectors is None or not all(isinstance(item, list) for item in vectors):
        raise Malformed("embeddings", "an array of arrays")
    tokens, model = top.any("prompt_eval_count"), top.any("model")
    return EmbeddingReply(
        dialect=NAME,
        model=model if isinstance(model, str) else "",
        vectors=vectors,
        tokens=tokens if isinstance(tokens, int) else None,
        extra=top.rest(),
    )


def write_reply(reply: EmbeddingReply, request: EmbeddingRequest) -> bytes:
    if request.form == OLD:
        return msgspec.json.encode({"embedding": reply.vectors[0] if reply.vectors else []})
    body: JSON = {"model": reply.model, "embeddings": reply.vectors}
    if reply.dialect == NAME and reply.extra:
        body.update(reply.extra)
    if reply.tokens is not None:
        body["prompt_eval_count"] = reply.tokens
    return msgspec.json.encode(body)
