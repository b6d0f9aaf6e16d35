"""Ollama's `POST /api/generate`: one prompt in, one text out, over the same canon as a chat.

This module has the same names as the dialect's own, so that it can stand wherever a dialect can. A request's `dialect`
is `ollama` here too. Towards another model a generate request is a chat of one user message.

| canon | here |
|---|---|
| system message | `system` |
| the one user message | `prompt`, `images` |
| `Text` of the reply | `response` |
| `Reasoning` of the reply | `thinking` |
| everything that `options.py` reads | the same |
| `extra` | `suffix`, `template`, `raw`, `context`, `keep_alive`, … |

`suffix` (fill in the middle), `template`, `raw` and `context` mean nothing to other dialects, whose writers name them
as lossy.
"""

import msgspec

from dragoman.canon import JSON, Choice, Message, Part, Reply, Request, Text
from dragoman.canon import TokenLogprob as _TokenLogprob
from dragoman.dialects import ollama
from dragoman.dialects.dialect import Unsayable, Written
from dragoman.dialects.fields import Fields, Malformed, decode
from dragoman.dialects.losses import Losses
from dragoman.dialects.ollama import images, options
from dragoman.dialects.ollama import reply as whole
from dragoman.dialects.ollama import stream as chat
from dragoman.dialects.ollama.errors import read_error, write_error
from dragoman.dialects.ollama.relay import retarget, tap, usage_of
from dragoman.dialects.ollama.request import write_messages
from dragoman.dialects.quirks import Quirks

__all__ = [
    "FIELD_NAMES", "NAME", "STREAM_TYPE", "TAP_MARKS", "StreamReader", "StreamWriter", "path", "read_error",
    "read_reply", "read_request", "retarget", "tap", "usage_of", "write_error", "write_reply", "write_request",
]  # fmt: skip

NAME = "ollama"
STREAM_TYPE = ollama.STREAM_TYPE
FIELD_NAMES = ollama.FIELD_NAMES
TAP_MARKS = ollama.TAP_MARKS
_encode = msgspec.json.Encoder().encode


def path(model: str, stream: bool) -> str:
    """`/api/generate`, whole or streamed."""
    return "/api/generate"


def read_request(body: JSON) -> Request:
    """Takes the decoded body over. Raises `Malformed`."""
    fields = Fields(body)
    request = Request(dialect="ollama", model=fields.must_text("model"))
    if system := fields.text("system"):
        request.messages.append(Message(role="system", parts=[Text(text=system)]))
    parts: list[Part] = [*images.read(fields)]
    if prompt := fields.text("prompt"):
        parts.append(Text(text=prompt))
    if parts:
        request.messages.append(Message(role="user", parts=parts))
    options.read(fields, request)
    return request


def write_request(request: Request, quirks: Quirks) -> Written:
    """Raises `Unsayable` for conversations and tools: those are for `/api/chat`."""
    losses = Losses(request, "ollama", options.CAN_SAY)
    body: JSON = {"model": request.model}
    for message in write_messages(request, losses):
        role, content = message["role"], message["content"]
        if role not in ("system", "user") or "prompt" in body:
            raise Unsayable("Ollama's /api/generate takes one system and one user message: use /api/chat")
        if role == "system":
            body["system"] = f"{body['system']}\n{content}" if "system" in body else content
        else:
            body["prompt"] = content
            if "images" in message:
                body["images"] = message["images"]
    if request.tools:
        raise Unsayable("Ollama's /api/generate has no tools: use /api/chat")
    options.write(request, body, losses)
    for name in quirks.refuses & body.keys():
        del body[name]
        losses.note(name)
    return Written(body, losses.names)


def read_reply(body: bytes) -> Reply:
    """Raises `Malformed` where it is not a generate reply."""
    data = decode(body)
    if not isinstance(data, dict) or not isinstance(data.get("response"), str):
        raise Malformed("response", "a string")
    data["message"] = _message_in(data)
    for name in ("response", "thinking", "tool_calls"):
        data.pop(name, None)
    return whole.read_reply(_encode(data))


def _message_in(data: JSON) -> JSON:
    return {"content": data.get("response"), "thinking": data.get("thinking"), "tool_calls": data.get("tool_calls")}


def write_reply(reply: Reply, request: Request) -> bytes:
    """The first of the answers."""
    choice = reply.choices[0] if reply.choices else Choice()
    message, logprobs = whole.message_of(choice)
    same = reply.extra if reply.dialect == "ollama" else None
    body: JSON = {
        "model": reply.model,
        "created_at": whole.created_at(reply.created),
        "response": message["content"],
        **{name: message[name] for name in ("thinking", "tool_calls") if name in message},
        "done": True,
        "done_reason": whole.done_reason(choice.finish),
        **whole.counts(reply.usage, same),
    }
    if logprobs:
        body["logprobs"] = whole.logprobs_out(logprobs)
    if same and "context" in same:
        body["context"] = same["context"]
    return _encode(body)


class StreamReader(chat.StreamReader):
    """The same lines, with their pieces at the top."""

    def message_in(self, data: JSON) -> JSON:
        return _message_in(data)


class StreamWriter(chat.StreamWriter):
    """The same lines, with their pieces at the top."""

    def content(self, text: str, logprobs: list[_TokenLogprob] | None) -> bytes:
        further = b',"logprobs":' + _encode(whole.logprobs_out(logprobs)) if logprobs else b""
        return self.line(b'"response":' + _encode(text), further)

    def thinking(self, text: str) -> bytes:
        return self.line(b'"response":"","thinking":' + _encode(text))

    def tool_calls(self, calls: list[JSON]) -> bytes:
        return self.line(b'"response":"","tool_calls":' + _encode(calls))

    def line(self, message: bytes, further: bytes = b"") -> bytes:
        return b'%b%b,"done":false%b}\n' % (self._before, message, further)

    def end_of_message(self) -> JSON:
        return {"response": ""}
