"""Whole replies of `/api/chat`, and what they share with streams: times, counts, logprobs, tool calls."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from dragoman.canon import (
    JSON,
    Choice,
    FinishReason,
    Part,
    Reasoning,
    Refusal,
    Reply,
    Request,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
    token_count,
)
from dragoman.dialects import loose
from dragoman.dialects.fields import Malformed, decode
from dragoman.dialects.ollama import hidden
from dragoman.dialects.ollama.request import arguments_object
from dragoman.dialects.seal import seal_id

_DURATIONS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
_READ = frozenset(
    {"model", "created_at", "message", "done", "done_reason", "prompt_eval_count", "eval_count", "logprobs"}
)


# ---------------------------------------------------------------- pieces read


def created(said: object) -> int:
    """`created_at` as Unix seconds; 0 where it is not a time."""
    if not isinstance(said, str):
        return 0
    try:
        return max(0, int(datetime.fromisoformat(said).timestamp()))
    except (ValueError, OverflowError):
        return 0


def reply_id(said: object) -> str:
    """Ollama names no replies: the moment of making, in nanoseconds, does."""
    return "chat_" + "".join(filter(str.isdigit, said)) if isinstance(said, str) else "chat_0"


def usage_in(data: JSON) -> Usage:
    """The counts beside `done`. A prompt that was wholly cached has no `prompt_eval_count`."""
    return Usage(input=token_count(data.get("prompt_eval_count")), output=token_count(data.get("eval_count")))


def finish_in(said: object, called: bool) -> FinishReason:
    """Ollama says `stop` also where the model called a tool."""
    if said == "length":
        return "length"
    return "tool_calls" if called else "stop"


def logprobs_in(value: object) -> list[TokenLogprob] | None:
    """One chunk's (or the whole reply's) `logprobs`."""
    return [_logprob(item) for item in loose.objects(value)] or None


def _logprob(item: JSON) -> TokenLogprob:
    return TokenLogprob(
        token=loose.text(item.get("token")),
        logprob=loose.number(item.get("logprob")),
        bytes=[byte for byte in loose.array(item.get("bytes")) if isinstance(byte, int)] or None,
        top=[_logprob(other) for other in loose.objects(item.get("top_logprobs"))],
    )


def calls_in(message: JSON, reply: str, already: int) -> list[ToolCall]:
    """The calls of a message; those without an id get one made from the reply's and their number."""
    found: list[ToolCall] = []
    for item in loose.objects(message.get("tool_calls")):
        function = loose.object_in(item.get("function"))
        arguments = function.get("arguments")
        found.append(
            ToolCall(
                id=loose.text(item.get("id")) or f"call_{reply}_{already + len(found)}",
                name=loose.text(function.get("name")),
                arguments=(arguments if isinstance(arguments, str) else msgspec.json.encode(arguments or {}).decode())
                or "{}",
            )
        )
    return found


def read_reply(body: bytes) -> Reply:
    """Raises `Malformed` where there is no message in it."""
    data = decode(body)
    message = data.get("message") if isinstance(data, dict) else None
    if not isinstance(message, dict):
        raise Malformed("message", "an object", message)
    when = data.get("created_at")
    reply = Reply(dialect="ollama", id=reply_id(when), model=loose.text(data.get("model")), created=created(when))
    parts: list[Part] = []
    if thinking := loose.text(message.get("thinking")):
        parts.append(Reasoning(text=thinking, dialect="ollama"))
    if content := loose.text(message.get("content")):
        parts.append(Text(text=content, logprobs=logprobs_in(data.get("logprobs"))))
    calls = calls_in(message, reply.id, 0)
    said = loose.text_or_none(data.get("done_reason"))
    reply.choices = [Choice(parts=[*parts, *calls], finish=finish_in(said, bool(calls)), raw_finish=said)]
    reply.usage = usage_in(data)
    reply.extra = {name: value for name, value in data.items() if name not in _READ} or None
    return reply


# ---------------------------------------------------------------- pieces written


def created_at(seconds: int) -> str:
    """RFC 3339 in UTC. Seconds beyond the calendar (some providers send milliseconds or worse) count as none."""
    in_calendar = 0 <= seconds < 253_402_300_800  # the year 10000
    return datetime.fromtimestamp(seconds if in_calendar else 0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def done_reason(finish: FinishReason) -> str:
    """Ollama knows `stop` and `length`; everything that is not a limit is a `stop`."""
    return "length" if finish in ("length", "context_length") else "stop"


def counts(usage: Usage | None, measured: JSON | None) -> JSON:
    """Durations (nanoseconds; 0 where nobody measured, since some clients insist on them) and token counts."""
    known = measured or {}
    usage = usage or Usage()
    return {
        "total_duration": known.get("total_duration", 0),
        "load_duration": known.get("load_duration", 0),
        "prompt_eval_count": usage.input,
        "prompt_eval_duration": known.get("prompt_eval_duration", 0),
        "eval_count": usage.output,
        "eval_duration": known.get("eval_duration", 0),
    }


def logprobs_out(logprobs: list[TokenLogprob]) -> list[JSON]:
    """As Ollama writes them."""
    return [
        {**_token_out(item), **({"top_logprobs": [_token_out(other) for other in item.top]} if item.top else {})}
        for item in logprobs
    ]


def _token_out(item: TokenLogprob) -> JSON:
    made: JSON = {"token": item.token, "logprob": item.logprob}
    if item.bytes is not None:
        made["bytes"] = item.bytes
    return made


class Sealer:
    """Gathers the thinking of a turn that a client can't say back, until a call comes to carry it (law 4)."""

    def __init__(self) -> None:
        self._thoughts: list[Part] = []

    def thought(self, part: Reasoning) -> None:
        """A complete part of thinking. Ollama's own needs no seal: `thinking` says it all."""
        if part.dialect != "ollama" and (part.text or part.signature or part.encrypted):
            self._thoughts.append(part)

    def seal(self, call: ToolCall) -> tuple[str, str]:
        """The call's id with the seal in it, and the same seal hidden in text; "" where there is nothing to seal."""
        parts, self._thoughts = self._thoughts, []
        if call.signature:
            parts.append(ToolCall(signature=call.signature, dialect=call.dialect))
        if not parts:
            return call.id, ""
        marked = ToolCall(id=call.id, name=call.name, signature=call.signature, dialect=call.dialect)
        return seal_id(call.id, parts), hidden.hide([*(part for part in parts if isinstance(part, Reasoning)), marked])


def call_out(call: ToolCall, call_id: str, number: int) -> JSON:
    """One of `tool_calls`."""
    return {"id": call_id, "function": {"index": number, "name": call.name, "arguments": arguments_object(call)}}


def write_reply(reply: Reply, request: Request) -> bytes:
    """The first of the answers; Ollama has no place for more."""
    choice = reply.choices[0] if reply.choices else Choice()
    message, logprobs = message_of(choice)
    same = reply.extra if reply.dialect == "ollama" else None
    body: dict[str, Any] = {
        "model": reply.model,
        "created_at": created_at(reply.created),
        "message": message,
        "done_reason": done_reason(choice.finish),
        "done": True,
        **counts(reply.usage, same),
    }
    if logprobs:
        body["logprobs"] = logprobs_out(logprobs)
    if same:
        body.update({name: value for name, value in same.items() if name not in _DURATIONS})
    return msgspec.json.encode(body)


def message_of(choice: Choice) -> tuple[JSON, list[TokenLogprob]]:
    """The assistant's message, and the logprobs that stand beside it."""
    message: JSON = {"role": "assistant", "content": ""}
    sealer, thinking, content = Sealer(), "", ""
    calls: list[JSON] = []
    logprobs: list[TokenLogprob] = []
    for part in choice.parts:
        match part:
            case Reasoning():
                thinking += part.text
                sealer.thought(part)
            case Text():
                content += part.text
                logprobs += part.logprobs or []
            case Refusal():
                content += part.text
            case ToolCall():
                call_id, secret = sealer.seal(part)
                thinking += secret
                calls.append(call_out(part, call_id, len(calls)))
            case _:
                pass
    message["content"] = content
    if thinking:
        message["thinking"] = thinking
    if calls:
        message["tool_calls"] = calls
    return message, logprobs
