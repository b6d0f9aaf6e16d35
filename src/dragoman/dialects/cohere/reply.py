"""Whole replies, and what they share with streams: finish, usage, citations, logprobs."""

from dragoman.canon import (
    JSON,
    Choice,
    Citation,
    FinishReason,
    Part,
    Reasoning,
    Reply,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
    inclusive,
    token_count,
)
from dragoman.dialects import loose
from dragoman.dialects.cohere.request import PLAN
from dragoman.dialects.fields import Malformed, decode

FINISH: dict[str, FinishReason] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR": "error",
    "TIMEOUT": "error",
    "ERROR_TOXIC": "content_filter",
}
_READ = frozenset({"id", "finish_reason", "message", "usage", "logprobs"})


def read_reply(body: bytes) -> Reply:
    """Raises `Malformed` where there is no message in it."""
    data = decode(body)
    message = data.get("message") if isinstance(data, dict) else None
    if not isinstance(message, dict):
        raise Malformed("message", "an object", message)
    said = loose.text_or_none(data.get("finish_reason"))
    choice = Choice(
        parts=_parts(message, data.get("logprobs")),
        finish=FINISH.get(said or "", "stop"),
        raw_finish=said,
    )
    return Reply(
        dialect="cohere",
        id=loose.text(data.get("id")),
        choices=[choice],
        usage=usage_in(data.get("usage")),
        extra={name: value for name, value in data.items() if name not in _READ} or None,
    )


def _parts(message: JSON, logprobs: object) -> list[Part]:
    parts: list[Part] = []
    texts: dict[int, Text] = {}
    for index, block in enumerate(loose.array(message.get("content"))):
        match block:
            case {"type": "text", "text": str(text)} if text:
                texts[index] = Text(text=text)
                parts.append(texts[index])
            case {"type": "thinking", "thinking": str(text)} if text:
                parts.append(Reasoning(text=text, dialect="cohere"))
    _cite(texts, message.get("citations"))
    if texts:
        next(iter(texts.values())).logprobs = [
            token for item in loose.array(logprobs) for token in logprobs_in(item)
        ] or None
    if plan := loose.text(message.get("tool_plan")):
        parts.append(plan_part(plan))
    parts.extend(call_in(call) for call in loose.objects(message.get("tool_calls")))
    return parts


def _cite(texts: dict[int, Text], citations: object) -> None:
    """Each citation goes to the text it stands in; those of thinking and plans have no place."""
    for raw in loose.objects(citations):
        if text := texts.get(content_index(raw)):
            text.citations = [*text.citations, citation_in(raw)]


def content_index(raw: JSON) -> int:
    """The content block that a citation speaks of; -1 for one of thinking or of a plan."""
    if raw.get("type") in ("THINKING_CONTENT", "PLAN"):
        return -1
    index = raw.get("content_index")
    return index if isinstance(index, int) else 0


def plan_part(text: str) -> Reasoning:
    """The plan before tool calls: thinking that has its own place in this dialect."""
    return Reasoning(text=text, dialect="cohere", extra=dict(PLAN))


def call_in(call: JSON) -> ToolCall:
    """A whole call; no arguments are `{}`."""
    function = loose.object_in(call.get("function"))
    return ToolCall(
        id=loose.text(call.get("id")),
        name=loose.text(function.get("name")),
        arguments=loose.text(function.get("arguments")) or "{}",
    )


def citation_in(raw: JSON) -> Citation:
    """The stretch of the reply, and the first of the documents or tool outputs it rests on."""
    source = next(iter(loose.objects(raw.get("sources"))), {})
    document = loose.object_in(source.get("document"))
    url, start, end = loose.text_or_none(document.get("url")), raw.get("start"), raw.get("end")
    return Citation(
        kind="url" if url else "document" if source.get("type") == "document" else "other",
        url=url,
        title=loose.text_or_none(document.get("title")),
        start=start if isinstance(start, int) else None,
        end=end if isinstance(end, int) else None,
        dialect="cohere",
        raw=raw,
    )


def logprobs_in(item: object) -> list[TokenLogprob]:
    """One chunk of text with the logprobs of its tokens, whose own texts are not told: together they are one."""
    chunk = loose.object_in(item)
    numbers = [loose.number(value) for value in loose.array(chunk.get("logprobs"))]
    return [TokenLogprob(token=loose.text(chunk.get("text")), logprob=sum(numbers))] if numbers else []


def usage_in(stated: object) -> Usage | None:
    """Cohere's counts (which it writes as decimals) in our convention; None where there are none."""
    if not isinstance(stated, dict):
        return None
    billed = loose.object_in(stated.get("billed_units"))
    tokens = loose.object_in(stated.get("tokens")) or billed
    return inclusive(
        "cohere",
        Usage(
            input=token_count(tokens.get("input_tokens")),
            output=token_count(tokens.get("output_tokens")),
            cached=token_count(stated.get("cached_tokens")),
            extra={"billed_units": billed} if billed else None,
        ),
    )
