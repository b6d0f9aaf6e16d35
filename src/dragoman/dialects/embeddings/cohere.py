"""`POST /v2/embed` of Cohere; upstream only.

| canon      | cohere                                                                                    |
|------------|-------------------------------------------------------------------------------------------|
| inputs     | `texts`; `inputs[].content` where there are images                                        |
| task       | `input_type`, which it insists on: `search_document` where the caller does not say        |
| dimensions | `output_dimension`                                                                        |
| truncate   | `truncate`: `END` or `NONE`                                                               |
| vectors    | `embeddings.float`                                                                        |
| tokens     | `meta.billed_units.input_tokens` (and `image_tokens`)                                     |
"""

from dragoman.canon import JSON, Media
from dragoman.dialects import fields as reading
from dragoman.dialects.dialect import Unsayable, Written
from dragoman.dialects.embeddings.shape import EmbeddingReply, EmbeddingRequest, Input, losses, text_of
from dragoman.dialects.fields import Fields, Malformed

NAME = "cohere"
_TYPES = {"query": "search_query", "document": "search_document", "classification": "classification"}
_TYPES |= {"clustering": "clustering", "similarity": "clustering"}


def path(request: EmbeddingRequest) -> str:
    return "/v2/embed"


def write_request(request: EmbeddingRequest) -> Written:
    """Raises `Unsayable` for token ids, audio and documents."""
    body: JSON = {"model": request.model}
    if any(_has_media(item) for item in request.inputs):
        body["inputs"] = [{"content": _content(item)} for item in request.inputs]
    else:
        body["texts"] = [text_of(item, "Cohere") for item in request.inputs]
    body["input_type"] = _TYPES.get(request.task or "", "search_document")
    body["embedding_types"] = ["float"]
    if request.dimensions is not None:
        body["output_dimension"] = request.dimensions
    if request.truncate is not None:
        body["truncate"] = "END" if request.truncate else "NONE"
    return Written(body, losses(request, NAME, ("dimensions", "task", "truncate")))


def _has_media(item: Input) -> bool:
    return isinstance(item, list) and any(isinstance(part, Media) for part in item)


def _content(item: Input) -> list[JSON]:
    if isinstance(item, str):
        return [{"type": "text", "text": item}]
    content: list[JSON] = []
    for part in item:
        if isinstance(part, int):
            raise Unsayable("inputs given as token ids mean nothing to Cohere: send text")
        if not isinstance(part, Media):
            content.append({"type": "text", "text": part.text})
        elif part.kind == "image" and (part.data is not None or part.url):
            url = part.url if part.data is None else f"data:{part.mime or 'image/png'};base64,{part.data}"
            content.append({"type": "image_url", "image_url": {"url": url}})
        else:
            raise Unsayable("Cohere embeds texts and images: send no audio, video or documents")
    return content


def read_reply(body: bytes) -> EmbeddingReply:
    """Raises `Malformed`."""
    top = Fields(reading.decode(body))
    made = top.any("embeddings")
    vectors = made.get("float", made.get("float_")) if isinstance(made, dict) else made
    if not isinstance(vectors, list) or not all(isinstance(item, list) for item in vectors):
        raise Malformed("embeddings.float", "an array of arrays")
    meta = top.any("meta")
    billed = meta.get("billed_units") if isinstance(meta, dict) else None
    counts = [billed.get(name) for name in ("input_tokens", "image_tokens")] if isinstance(billed, dict) else []
    known = [int(count) for count in counts if isinstance(count, int | float)]
    reply_id = top.any("id")
    return EmbeddingReply(
        dialect=NAME,
        id=reply_id if isinstance(reply_id, str) else "",
        vectors=vectors,
        tokens=sum(known) if known else None,
    )
