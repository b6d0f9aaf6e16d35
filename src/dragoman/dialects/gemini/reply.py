"""A whole `GenerateContentResponse` <-> `Reply`.

| canon Reply, Choice | gemini                                                                         |
|---------------------|--------------------------------------------------------------------------------|
| id, model, created  | `responseId`, `modelVersion`, `createTime`                                     |
| parts               | `candidates[].content.parts` (see `parts`; read by `stream`)                   |
| finish, raw_finish  | `finishReason`; `STOP` with a call is `tool_calls`                             |
|                     | a blocked prompt (`promptFeedback.blockReason`, no candidates) is one choice   |
|                     | that ends in `content_filter`                                                  |
| citations           | `groundingMetadata`, `citationMetadata` (see `grounding`)                      |
| logprobs            | `logprobsResult`                                                               |
| usage               | `usageMetadata` (see `usage`)                                                  |
| extra               | `safetyRatings`, `avgLogprobs`, `groundingMetadata`, … and `promptFeedback`, … |
"""

from collections.abc import Iterator

import msgspec

from dragoman.canon import JSON, Choice, Media, Opaque, Reasoning, Refusal, Reply, Request, Text, ToolCall, fold
from dragoman.dialects import fields as reading
from dragoman.dialects.fields import Malformed
from dragoman.dialects.gemini.errors import error_in
from dragoman.dialects.gemini.grounding import write_citations
from dragoman.dialects.gemini.logprobs import write_logprobs
from dragoman.dialects.gemini.names import NAME, STATED, keyed, listed
from dragoman.dialects.gemini.shown import Hidden, call_part, media_part
from dragoman.dialects.gemini.stream import BLOCKED, Reading
from dragoman.dialects.gemini.usage import write_usage

_READ = ("candidates", "usageMetadata", "modelVersion", "responseId", "createTime")
_READ_OF_CANDIDATE = ("content", "finishReason", "index")


def read_reply(body: bytes) -> Reply:
    """Raises `Malformed` where there is neither an answer nor the reason for none."""
    chunk = reading.decode(body)
    if isinstance(chunk, list) and chunk:
        chunk = chunk[0]
    if not isinstance(chunk, dict) or error_in(chunk) is not None:
        raise Malformed("", "a GenerateContentResponse", chunk)
    state = Reading()
    events = state.add(chunk)
    candidates = [keyed(item) for item in listed(chunk.get("candidates"))]
    if not candidates and not keyed(chunk.get("promptFeedback")).get("blockReason"):
        raise Malformed("candidates", "at least one candidate, or promptFeedback.blockReason")
    reply = fold([*events, *state.finish()])
    for candidate in candidates:
        index = candidate.get("index") or 0
        if isinstance(index, int) and 0 <= index < len(reply.choices):
            rest = {name: value for name, value in candidate.items() if name not in _READ_OF_CANDIDATE}
            reply.choices[index].extra = rest or None
    reply.extra = {name: value for name, value in chunk.items() if name not in _READ} or None
    return reply


def write_reply(reply: Reply, request: Request) -> bytes:
    """Only fields that Gemini itself has: its SDKs refuse others."""
    own = reply.dialect == NAME
    body: JSON = {}
    candidates = []
    for index, choice in enumerate(reply.choices):
        if (reason := blocked(choice.raw_finish, own)) is not None:
            body["promptFeedback"] = {"blockReason": reason}
        else:
            candidates.append(_candidate(choice, index, own))
    if candidates:
        body["candidates"] = candidates
    if reply.usage is not None:
        body["usageMetadata"] = write_usage(reply.usage, reply.dialect)
    body["modelVersion"] = reply.model
    if reply.id:
        body["responseId"] = reply.id
    if own and reply.extra:
        body.update(reply.extra)
    return msgspec.json.encode(body)


def blocked(raw: str | None, own: bool) -> str | None:
    """Why the prompt was blocked, where a choice stands for a prompt that was."""
    return raw.removeprefix(BLOCKED) if own and raw is not None and raw.startswith(BLOCKED) else None


def stated_finish(reason: str, raw: str | None, own: bool) -> str:
    return raw if own and raw else STATED[reason]  # type: ignore[index]  # a FinishReason


def _candidate(choice: Choice, index: int, own: bool) -> JSON:
    parts = list(_parts(choice, own))
    candidate: JSON = {"content": {"parts": parts, "role": "model"} if parts else {"role": "model"}}
    candidate["finishReason"] = stated_finish(choice.finish, choice.raw_finish, own)
    candidate["index"] = index
    texts = [part for part in choice.parts if isinstance(part, Text)]
    if cited := [citation for text in texts for citation in text.citations]:
        candidate.update(write_citations(cited, texts[-1].text))
    if tokens := [token for text in texts for token in text.logprobs or ()]:
        candidate["logprobsResult"] = write_logprobs(tokens)
    if own and choice.extra:
        candidate.update(choice.extra)
    return candidate


def _parts(choice: Choice, own: bool) -> Iterator[JSON]:
    hidden = Hidden()
    for part in choice.parts:
        match part:
            case Text():
                hidden.add(part)
                text: JSON = {"text": part.text}
                if part.signature and part.dialect == NAME:
                    text["thoughtSignature"] = part.signature
                yield text | (part.extra or {} if own else {})
            case Refusal():
                yield {"text": part.text}
            case Reasoning():
                hidden.add(part)
                if part.text or part.dialect == NAME:
                    yield _thought(part)
            case ToolCall():
                yield call_part(part, hidden.call_signature(part, hidden.before_call(), not own))
            case Media():
                if (media := media_part(part)) is not None:
                    yield media
            case Opaque():
                if part.dialect == NAME:
                    yield part.data
    if (signature := hidden.last_signature()) is not None:
        yield {"text": "", "thoughtSignature": signature}


def _thought(part: Reasoning) -> JSON:
    thought: JSON = {"text": part.text, "thought": True}
    if part.signature and part.dialect == NAME:
        thought["thoughtSignature"] = part.signature
    return thought
