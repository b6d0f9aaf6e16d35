"""`embedContent` and `batchEmbedContents` of Gemini. google-genai sends the batch form for one content too.

| canon      | gemini                                                                                |
|------------|---------------------------------------------------------------------------------------|
| inputs     | `content` (single) or `requests[].content`                                            |
| dimensions | `outputDimensionality`                                                                |
| task       | `taskType`                                                                            |
| truncate   | `autoTruncate`                                                                        |
| vectors    | `embedding.values` or `embeddings[].values`                                           |
| tokens     | `usageMetadata.promptTokenCount`                                                      |
| extra      | `title` and what else stands in the first request                                     |

The options are read also from `embedContentConfig`, where Vertex has them, and from snake_case names; they are written
beside the content. The options of a batch are those of its first request; if others differ, it is refused.
"""

from typing import Any

import msgspec

from dragoman.canon import JSON, Media, Text
from dragoman.dialects import fields as reading
from dragoman.dialects.dialect import Unsayable, Written
from dragoman.dialects.embeddings.shape import EmbeddingReply, EmbeddingRequest, Input, Task, losses
from dragoman.dialects.fields import Fields, Malformed, Path
from dragoman.dialects.gemini.names import NAME, fields, keyed, listed
from dragoman.dialects.gemini.parts import read_plain
from dragoman.dialects.gemini.path import at, name_of

__all__ = ["NAME", "path", "read_reply", "read_request", "write_reply", "write_request"]

_TASKS: dict[str, Task] = {
    "RETRIEVAL_QUERY": "query",
    "QUESTION_ANSWERING": "query",
    "FACT_VERIFICATION": "query",
    "CODE_RETRIEVAL_QUERY": "query",
    "RETRIEVAL_DOCUMENT": "document",
    "SEMANTIC_SIMILARITY": "similarity",
    "CLASSIFICATION": "classification",
    "CLUSTERING": "clustering",
}
_STATED_TASKS: dict[str, str] = {
    "query": "RETRIEVAL_QUERY",
    "document": "RETRIEVAL_DOCUMENT",
    "similarity": "SEMANTIC_SIMILARITY",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}


def path(request: EmbeddingRequest) -> str:
    return at(request.model, "embedContent" if _alone(request) else "batchEmbedContents")


def _alone(request: EmbeddingRequest) -> bool:
    return request.single and len(request.inputs) == 1


def read_request(body: JSON) -> EmbeddingRequest:
    """Of either form. Raises `Malformed`. The model stands in the path."""
    top = fields(body, "")
    items = top.array("requests")
    if items is None:
        request, content = _read_one(top)
        request.inputs, request.single = [content], True
        return request
    if not items:
        raise Malformed("requests", "at least one request")
    first, content = _read_one(fields(items[0], "requests[0]"))
    first.inputs = [content]
    for i, item in enumerate(items[1:], 1):
        other, content = _read_one(fields(item, f"requests[{i}]"))
        first.inputs.append(content)
        if _options(other) != _options(first):
            raise Malformed(
                f"requests[{i}]", "the same options as in requests[0]: send the others in a batch of theirs"
            )
    return first


def _options(request: EmbeddingRequest) -> tuple[object, ...]:
    return request.dimensions, request.raw_task, request.truncate, request.extra


def _read_one(one: Fields) -> tuple[EmbeddingRequest, Input]:
    if (config := one.any("embedContentConfig")) is not None:
        one.data = {**fields(config, one.at("embedContentConfig")).data, **one.data}
    one.any("model")
    content = _read_content(one.any("content"), one.at("content"))
    task = one.text("taskType")
    request = EmbeddingRequest(
        dialect=NAME,
        dimensions=one.whole("outputDimensionality"),
        task=_TASKS.get(task.upper()) if task else None,
        raw_task=task,
        truncate=one.flag("autoTruncate"),
        extra=one.rest(),
    )
    return request, content


def _read_content(value: Any, path: Path) -> Input:
    content = fields(value, path)
    parts: list[Text | Media] = []
    for i, item in enumerate(content.array("parts") or ()):
        part = read_plain(fields(item, ((path, "parts"), i)))
        if not isinstance(part, Text | Media):
            raise Malformed(((path, "parts"), i), "text, inlineData or fileData")
        parts.append(part)
    if not parts:
        raise Malformed((path, "parts"), "at least one part")
    if len(parts) == 1 and isinstance(only := parts[0], Text) and only.extra is None:
        return only.text
    return parts


def write_request(request: EmbeddingRequest) -> Written:
    """Raises `Unsayable` for token ids."""
    options: JSON = {}
    same = request.dialect == NAME
    if task := request.raw_task if same else _STATED_TASKS.get(request.task or ""):
        options["taskType"] = task
    if request.dimensions is not None:
        options["outputDimensionality"] = request.dimensions
    if request.truncate is not None and same:
        options["autoTruncate"] = request.truncate
    if same and request.extra:
        options |= request.extra
    requests = [{"model": name_of(request.model), "content": _content(i), **options} for i in request.inputs]
    said = ("dimensions", "task", "truncate") if same else ("dimensions", "task")
    lost = losses(request, NAME, said)
    return Written(requests[0] if _alone(request) else {"requests": requests}, lost)


def _content(item: Input) -> JSON:
    if isinstance(item, str):
        return {"parts": [{"text": item}]}
    parts: list[JSON] = []
    for part in item:
        if isinstance(part, int):
            raise Unsayable("inputs given as token ids mean nothing to Gemini: send text")
        parts.append(_part(part))
    return {"parts": parts}


def _part(part: Text | Media) -> JSON:
    extra = part.extra or {}
    if isinstance(part, Text):
        return {"text": part.text, **extra}
    mime: JSON = {"mimeType": part.mime} if part.mime else {}
    if part.data is not None:
        return {"inlineData": {**mime, "data": part.data}, **extra}
    return {"fileData": {**mime, "fileUri": part.url or part.file_id}, **extra}


def read_reply(body: bytes) -> EmbeddingReply:
    """Of either form. Raises `Malformed`."""
    top = fields(reading.decode(body), "")
    lone = top.any("embedding")
    items = [lone] if lone is not None else top.array("embeddings")
    if items is None:
        raise Malformed("embeddings", "an array")
    usage = keyed(top.any("usageMetadata"))
    tokens = usage.get("promptTokenCount", usage.get("totalTokenCount"))
    vectors = [listed(keyed(item).get("values")) for item in items]
    if not all(vectors):
        raise Malformed("embeddings", "an array of objects with values")
    return EmbeddingReply(dialect=NAME, vectors=vectors, tokens=tokens if isinstance(tokens, int) else None)


def write_reply(reply: EmbeddingReply, request: EmbeddingRequest) -> bytes:
    made = [{"values": values} for values in reply.vectors]
    body: JSON = {"embedding": made[0]} if _alone(request) and made else {"embeddings": made}
    if reply.tokens is not None:
        body["usageMetadata"] = {"promptTokenCount": reply.tokens, "totalTokenCount": reply.tokens}
    return msgspec.json.encode(body)
