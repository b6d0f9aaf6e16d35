"""A hundred thousand bad requests: what a gateway must survive, counted.

    python bench/fuzz.py --requests 100000 --seed 1

One gateway serves on loopback, in this process, in front of providers that are pretended below it: no other network is
touched. Requests of every client surface, mutated in every way a client (or an attacker) may get them wrong, go to
models of every upstream dialect; every sixth answer of a provider is garbage, an error or a break. After each request:

- there is an answer, within `PATIENCE`; its status is 2xx, 4xx or, for an upstream's failures alone, 5xx
- an error has the envelope of the surface that was asked; a body said to be JSON is JSON; a stream is frames of JSON
- nothing was logged as an error, no task is left, no account is left occupied, and memory stays bounded

The same seed makes the same requests. Exit status 1 where anything of this does not hold; the requests at fault are
printed, with what they were answered.
"""

import argparse
import asyncio
import copy
import json
import logging
import random
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvloop

from dragoman import config
from dragoman.access.keys import KeyBook
from dragoman.gateway import Gateway
from dragoman.ledger.journal import Journal
from dragoman.ledger.row import Row
from dragoman.server.app import App
from dragoman.server.http import Connection, Listener
from dragoman.wire import head
from dragoman.wire.client import Client
from dragoman.wire.errors import BodyTruncated, ConnectFailed, ConnectionLost, TimedOut, WireError
from dragoman.wire.eventstream import encode as event_frame
from dragoman.wire.origin import Origin, Timeouts
from dragoman.wire.reply import Reply, Take

PATIENCE = 20.0  # seconds an answer may take
GROWTH = 300  # MiB the process may grow by

# ---------------------------------------------------------------- the pretended providers

UPSTREAMS = {
    "chat": ("openai-chat", "http://chat.test/v1"),
    "responses": ("openai-responses", "http://responses.test/v1"),
    "messages": ("anthropic", "http://messages.test"),
    "gemini": ("gemini", "http://gemini.test"),
    "ollama": ("ollama", "http://ollama.test"),
    "bedrock": ("bedrock", "http://bedrock.test"),
    "cohere": ("cohere", "http://cohere.test"),
}
_CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
_CHAT = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "finish_reason": "tool_calls", "logprobs": None, "message": {
        "role": "assistant", "content": "hello", "refusal": None, "reasoning_content": "hm", "tool_calls": [_CALL]}}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
}  # fmt: skip
_RESPONSE = {
    "id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}],
         "encrypted_content": "AAAA"},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
         "content": [{"type": "output_text", "text": "hello", "annotations": [], "logprobs": []}]},
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": "{}",
         "status": "completed"}],
    "usage": {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12},
}  # fmt: skip
_MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use",
    "content": [{"type": "thinking", "thinking": "hm", "signature": "c2ln"}, {"type": "text", "text": "hello"},
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}],
    "usage": {"input_tokens": 5, "output_tokens": 7},
}  # fmt: skip
_GEMINI = {
    "candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [
        {"text": "hm", "thought": True}, {"text": "hello"},
        {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}, "thoughtSignature": "c2ln"}]}}],
    "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 7, "totalTokenCount": 12},
    "modelVersion": "m", "responseId": "r1",
}  # fmt: skip
_OLLAMA = {
    "model": "m", "created_at": "2026-01-01T00:00:00Z", "done": True, "done_reason": "stop",
    "message": {"role": "assistant", "content": "hello", "thinking": "hm",
                "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Oslo"}}}]},
    "prompt_eval_count": 5, "eval_count": 7,
}  # fmt: skip
_CONVERSE = {
    "output": {"message": {"role": "assistant", "content": [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}}, {"text": "hello"},
        {"toolUse": {"toolUseId": "tu_1", "name": "weather", "input": {"city": "Oslo"}}}]}},
    "stopReason": "tool_use", "usage": {"inputTokens": 5, "outputTokens": 7, "totalTokens": 12},
}  # fmt: skip
_COHERE = {
    "id": "c1", "finish_reason": "TOOL_CALL", "message": {"role": "assistant", "tool_plan": "hm", "tool_calls": [_CALL],
                                                          "content": [{"type": "text", "text": "hello"}]},
    "usage": {"tokens": {"input_tokens": 5, "output_tokens": 7}},
}  # fmt: skip
_EMBEDDINGS = {
    "chat": {"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 1]}],
             "usage": {"prompt_tokens": 2, "total_tokens": 2}},
    "gemini": {"embeddings": [{"values": [0.5, 1]}], "embedding": {"values": [0.5, 1]}},
    "ollama": {"model": "m", "embeddings": [[0.5, 1]], "prompt_eval_count": 2},
    "cohere": {"id": "e", "embeddings": {"float": [[0.5, 1]]}, "meta": {"billed_units": {"input_tokens": 2}}},
}  # fmt: skip
WHOLE: dict[str, Any] = {
    "chat": _CHAT, "responses": _RESPONSE, "messages": _MESSAGE, "gemini": _GEMINI, "ollama": _OLLAMA,
    "bedrock": _CONVERSE, "cohere": _COHERE,
}  # fmt: skip


def _chat_delta(delta: Any, finish: str | None = None) -> Any:
    return {**_CHAT, "object": "chat.completion.chunk", "usage": None,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}  # fmt: skip


def _items(add: Callable[..., None]) -> None:
    for at, item in enumerate(_RESPONSE["output"]):  # type: ignore[arg-type]  # the literal's own type is too wide
        add("response.output_item.added", output_index=at, item=item)
        add("response.output_item.done", output_index=at, item=item)


def _response_events() -> list[Any]:
    events: list[Any] = []

    def add(kind: str, **fields: Any) -> None:
        events.append({"type": kind, "sequence_number": len(events), **fields})

    add("response.created", response={**_RESPONSE, "output": [], "status": "in_progress", "usage": None})
    _items(add)
    add("response.completed", response=_RESPONSE)
    return events


STREAMS: dict[str, list[Any]] = {
    "chat": [
        _chat_delta({"role": "assistant", "content": ""}), _chat_delta({"content": "hello"}),
        _chat_delta({"tool_calls": [{**_CALL, "index": 0}]}), _chat_delta({}, "tool_calls"),
        {**_CHAT, "choices": []}, "[DONE]",
    ],
    "responses": _response_events(),
    "messages": [
        {"type": "message_start", "message": {**_MESSAGE, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1,
         "content_block": {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
    ],
    "gemini": [{**_GEMINI, "candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "hel"}]}}]},
               _GEMINI],
    "ollama": [{**_OLLAMA, "done": False, "done_reason": None}, {**_OLLAMA, "message": {"role": "assistant"}}],
    "bedrock": [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "hello"}}),
        ("contentBlockStop", {"contentBlockIndex": 0}), ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": {"inputTokens": 5, "outputTokens": 7, "totalTokens": 12}}),
    ],
    "cohere": [
        {"type": "message-start", "id": "c1", "delta": {"message": {"role": "assistant", "content": []}}},
        {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "hello"}}}},
        {"type": "content-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": _COHERE["usage"]}},
    ],
}  # fmt: skip


def framed(name: str, events: list[Any]) -> list[bytes]:
    """The events as this provider frames them."""
    if name == "bedrock":
        return [
            event_frame({":message-type": "event", ":event-type": kind}, json.dumps(data).encode())
            for kind, data in events
        ]
    if name == "ollama":
        return [json.dumps(event).encode() + b"\n" for event in events]
    return [
        b"data: " + (event.encode() if event == "[DONE]" else json.dumps(event).encode()) + b"\n\n" for event in events
    ]


class Pieces:
    """A reply's source that gives one piece after the other, then perhaps an error."""

    def __init__(self, pieces: list[bytes], error: WireError | None) -> None:
        self.pieces = pieces
        self.error = error
        self.reply = Reply(self, [])

    def expect_more(self, take: Take | None = None) -> "asyncio.Future[bool]":
        future = asyncio.get_running_loop().create_future()
        while take is not None and self.pieces:
            if not take(self.pieces.pop(0)):
                future.set_result(True)
                return future
        self.reply.settle([], self.error) if not self.pieces else self.reply._parts.append(self.pieces.pop(0))
        future.set_result(False)
        return future

    def drained(self) -> None:
        pass

    def abandon(self, error: BaseException) -> None:
        self.reply.settle([], error)


class Providers(Client):
    """In place of the wire: every provider at once. `odd` says that the last answer was garbage."""

    def __init__(self, draw: random.Random) -> None:
        super().__init__()
        self.draw = draw
        self.odd = False
        self.bad_requests: list[bytes] = []

    async def send(
        self,
        origin: Origin,
        method: bytes | str,
        target: bytes,
        headers: Any = b"",
        body: bytes | AsyncIterable[bytes] = b"",
        *,
        timeouts: Timeouts = Timeouts(),  # noqa: B008  # as the real one has it
        extra: Sequence[tuple[bytes, bytes]] = (),
    ) -> Reply:
        head.check_target(target)
        head.block(extra)
        name = origin.host.partition(".")[0]
        draw = self.draw
        assert isinstance(body, bytes)
        streamed = method == b"POST" and self._streams(name, target, body)
        self.odd = draw.random() < 1 / 6
        fate = draw.choice(["error", "error", "mutant", "garbage", "cut", "wire"]) if self.odd else "well"
        if fate == "wire":
            raise draw.choice(
                [
                    ConnectFailed("refused"),
                    ConnectionLost("gone"),
                    TimedOut("first_byte", 1, "test"),
                    BodyTruncated("x"),
                ]
            )
        if fate == "error":
            status = draw.choice([400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 499, 500, 502, 503, 504, 529])
            text = draw.choice(
                [
                    b"",
                    b"<html>no</html>",
                    b'{"error":"x"}',
                    b'{"error":{"message":"m","code":7}}',
                    b"[]",
                    b'{"type":"error","error":{"type":"overloaded_error","message":"m"}}',
                    b"\xff",
                ]
            )
            return _reply(status, [text])
        if b"embed" in target.lower():
            value: Any = _EMBEDDINGS.get(name, {})
        elif b"ountTokens" in target or b"count_tokens" in target:
            value = {"input_tokens": 3, "totalTokens": 3}
        elif method != b"POST":
            value = {"data": [{"id": "listed"}], "models": [{"name": "listed"}]}
        else:
            value = STREAMS[name] if streamed else WHOLE[name]
        if fate == "mutant":
            value = mutate(draw, value)
        if streamed:
            try:
                pieces = framed(name, value)
            except (TypeError, ValueError, AttributeError):
                pieces = [b"data: nonsense\n\n"]
        else:
            pieces = [json.dumps(value).encode()]
        if fate == "garbage":
            pieces = [spoil_bytes(draw, b"".join(pieces))]
        error = BodyTruncated("cut off") if fate == "cut" and draw.random() < 0.5 else None
        if fate == "cut":
            pieces = pieces[: draw.randrange(len(pieces) + 1)]
        return _reply(200, pieces, error)

    @staticmethod
    def _streams(name: str, target: bytes, body: bytes) -> bool:
        if name in {"gemini", "bedrock"}:
            return b"stream" in target.lower()
        try:
            return json.loads(body).get("stream") is True
        except (ValueError, AttributeError, RecursionError):
            return False


def _reply(status: int, pieces: list[bytes], error: WireError | None = None) -> Reply:
    reply = Pieces([piece for piece in pieces if piece], error).reply
    reply.status = status
    reply.head = b"HTTP/1.1 %d x\r\ncontent-type: application/json\r\n\r\n" % status
    return reply


# ---------------------------------------------------------------- the requests

_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_PNG = "iVBORw0KGgo="
BODIES: dict[str, Any] = {
    "/v1/chat/completions": {
        "model": "m", "stream": False, "stream_options": {"include_usage": True}, "temperature": 0.5, "top_p": 1,
        "n": 1,
        "stop": ["x"], "seed": 1, "logit_bias": {"1": 2}, "max_completion_tokens": 50, "reasoning_effort": "low",
        "user": "u", "metadata": {"a": "b"}, "response_format": {"type": "json_schema", "json_schema": {
            "name": "n", "schema": _SCHEMA, "strict": True}},
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": _SCHEMA}},
                  {"type": "custom", "custom": {"name": "c"}}],
        "tool_choice": {"type": "function", "function": {"name": "weather"}}, "dragoman": {"mode": "cost"},
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "name": "n", "content": [{"type": "text", "text": "t"}, {
                "type": "image_url", "image_url": {"url": "data:image/png;base64," + _PNG, "detail": "low"}}]},
            {"role": "assistant", "content": None, "tool_calls": [_CALL], "reasoning_content": "hm"},
            {"role": "tool", "tool_call_id": "call_1", "content": "12"},
            {"role": "user", "content": "go on"}],
    },
    "/v1/responses": {
        "model": "m", "stream": False, "instructions": "i", "max_output_tokens": 50, "store": False,
        "reasoning": {"effort": "low", "summary": "auto"}, "text": {"format": {"type": "text"}, "verbosity": "low"},
        "tools": [{"type": "function", "name": "weather", "parameters": _SCHEMA, "strict": False},
                  {"type": "web_search"}],
        "tool_choice": "auto", "include": ["reasoning.encrypted_content"], "metadata": {"a": "b"},
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "t"}, {
                "type": "input_image", "image_url": "data:image/png;base64," + _PNG, "detail": "auto"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "AAAA"},
            {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "12"}],
    },
    "/v1/messages": {
        "model": "m", "max_tokens": 2000, "stream": False, "system": [{"type": "text", "text": "s"}], "top_k": 3,
        "stop_sequences": ["x"], "thinking": {"type": "enabled", "budget_tokens": 1024}, "metadata": {"user_id": "u"},
        "tools": [{"name": "weather", "input_schema": _SCHEMA, "cache_control": {"type": "ephemeral"}},
                  {"type": "web_search_20250305", "name": "web_search"}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "t"}, {
                "type": "image", "source": {"type": "base64", "media_type": "image/png", "data": _PNG}}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "12"}]}],
    },
    "/v1beta/models/m:generateContent": {
        "contents": [
            {"role": "user", "parts": [{"text": "t"}, {"inlineData": {"mimeType": "image/png", "data": _PNG}}]},
            {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {"city": "Oslo"}},
                                         "thoughtSignature": "c2ln"}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"t": 12}}}]}],
        "systemInstruction": {"parts": [{"text": "s"}]},
        "tools": [{"functionDeclarations": [{"name": "weather", "parameters": {"type": "OBJECT", "properties": {
            "city": {"type": "STRING"}}}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}},
        "generationConfig": {"temperature": 1, "maxOutputTokens": 50, "stopSequences": ["x"], "topK": 3,
                             "thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": True},
                             "responseMimeType": "application/json", "responseSchema": {"type": "OBJECT"}},
        "safetySettings": [{"category": "c", "threshold": "t"}],
    },
    "/api/chat": {
        "model": "m", "stream": False, "think": True, "format": _SCHEMA, "keep_alive": "5m",
        "options": {"temperature": 1, "num_predict": 5, "stop": ["x"], "num_ctx": 100},
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": _SCHEMA}}],
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "t", "images": [_PNG]},
                     {"role": "assistant", "content": "", "thinking": "hm",
                      "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Oslo"}}}]},
                     {"role": "tool", "tool_name": "weather", "content": "12"}],
    },
    "/api/generate": {"model": "m", "prompt": "t", "system": "s", "suffix": "x", "images": [_PNG], "raw": False,
                      "stream": False, "options": {"seed": 1}, "context": [1, 2], "format": "json", "template": "x"},
    "/v1/embeddings": {"model": "m", "input": ["a", "b"], "dimensions": 2, "encoding_format": "float", "user": "u"},
    "/api/embed": {"model": "m", "input": ["a", "b"], "truncate": True, "options": {"seed": 1}},
    "/v1beta/models/m:embedContent": {"content": {"parts": [{"text": "a"}]}, "taskType": "x",
                                      "outputDimensionality": 2},
    "/v1beta/models/m:batchEmbedContents": {"requests": [{"model": "models/m", "content": {"parts": [{"text": "a"}]}}]},
    "/v1/moderations": {"model": "m", "input": "x"},
    "/v1/audio/speech": {"model": "m", "input": "x", "voice": "v"},
    "/v1/images/generations": {"model": "m", "prompt": "x"},
    "/api/show": {"model": "m", "verbose": True},
}  # fmt: skip
BODIES["/v1/messages/count_tokens"] = {k: v for k, v in BODIES["/v1/messages"].items() if k != "max_tokens"}
BODIES["/v1beta/models/m:countTokens"] = {"contents": BODIES["/v1beta/models/m:generateContent"]["contents"]}
BODIES["/v1/responses/input_tokens"] = BODIES["/v1/responses"]
BODIES["/v1beta/models/m:streamGenerateContent"] = BODIES["/v1beta/models/m:generateContent"]
BODIES["/v1beta/models/m:streamGenerateContent?alt=sse"] = BODIES["/v1beta/models/m:generateContent"]
BODIES["/openai/deployments/m/chat/completions?api-version=1"] = BODIES["/v1/chat/completions"]
PATHS = list(BODIES)
_MAIN = PATHS[:6] * 4 + PATHS  # conversations most of the time
_PAGES = ["/", "/healthz", "/readyz", "/metrics", "/v1/models", "/v1/models/m-chat", "/v1beta/models", "/api/tags",
          "/api/ps", "/api/version", "/anthropic/v1/models", "/v1beta/models/m-gemini", "/v1/responses/resp_none",
          "/v1/responses/x/input_items?limit=a&order=b", "/dragoman/v1/accounts", "/v1/models/%ff%00",
          "/v1/models/..%2f..", "/nowhere", "/v1", "//", "/%", "/v1/chat/completions"]  # fmt: skip
ODD: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2.5,
    -0.0,
    1e300,
    -1e300,
    2**31,
    2**53,
    2**63,
    2**64,
    -(2**63),
    -(2**70),
    10**30,
    "",
    "x",
    " ",
    "\x00",
    "é😀",
    "a" * 5000,
    "ab\r\nx: y",
    [],
    {},
    [[]],
    [{}],
    [None],
    [1, "a"],
    {"": 0},
    {"type": "text"},
    {"type": None},
    {"type": "nonsense", "data": {}},
    {"text": 1},
    "DgmSeal1",
    "DgmSeal1eJyLjgUAARUAuQ",
    "data:image/png;base64,",
    "data:,x",
    "http://",
    "file:///etc/passwd",
    "none",
    "auto",
    "model",
    "assistant",
    "../../etc",
    "\ufeff",
    {"$ref": "#"},
    {"type": ["object", 1]},
    {"anyOf": "x"},
]


# deep, but not beyond what a parser takes; a schema or a message like this is walked by recursion. Stands in for its
# bytes until they are written: Python's own encoder does not go so deep
DEEP = {
    f"deep {levels} {opening}": opening.encode() * levels + b"1" + closing.encode() * levels
    for levels in (60, 300, 480, 900)
    for opening, closing in (
        ("[", "]"),
        ('{"type":"object","properties":{"a":', "}}"),
        ('{"content":[', "]}"),
        ('{"items":', "}"),
        ('{"anyOf":[', "]}"),
    )
}
_DEEP_MARK = re.compile(rb'"(deep \d+ (?:[^"\\]|\\.)*)"')


def written(value: Any, ensure_ascii: bool = True) -> bytes:
    """`value` as JSON, what is `DEEP` in it at its full depth."""
    body = json.dumps(value, ensure_ascii=ensure_ascii).encode("utf-8", "surrogatepass")
    if b'"deep ' not in body:
        return body
    return _DEEP_MARK.sub(lambda found: DEEP.get(json.loads(found[0]), found[0]), body)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in inner for found in ((*path, key), *places(item, (*path, key)))]


def mutate(draw: random.Random, value: Any) -> Any:
    """`value` with one to four places replaced, removed, wrapped, doubled or joined by something unknown."""
    value = copy.deepcopy(value)
    for _ in range(draw.choice([1, 1, 1, 2, 4])):
        ways = places(value)
        if not ways:
            return copy.deepcopy(draw.choice(ODD))
        *way, last = draw.choice(ways)
        inner = value
        for key in way:
            inner = inner[key]
        match draw.randrange(40):
            case 39:
                inner[last] = draw.choice(list(DEEP))
                return value
            case 38:
                inner[last] = "[" * 2000 + "]" * 2000  # as text
            case 0 | 5 | 6:
                del inner[last]
            case 1 | 7 | 8:
                inner[last] = [inner[last]]
            case 2 | 9 | 10:
                inner[last] = {"x": inner[last]}
            case 3 | 11 | 12 if isinstance(inner, dict):
                inner["unknown\r\nx-injected: 1, " + str(draw.randrange(9))] = copy.deepcopy(draw.choice(ODD))
            case 3 | 11 | 12:
                inner.append(copy.deepcopy(inner[last]))
            case 4 | 13 | 14:
                inner[last] = str(inner[last])
            case _:
                inner[last] = copy.deepcopy(draw.choice(ODD))
    return value


def spoil_bytes(draw: random.Random, data: bytes) -> bytes:
    """JSON that is none: cut, flipped, doubled keys, deep, not UTF-8, lone surrogates, numbers beyond all measure."""
    match draw.randrange(13):
        case 0:
            return data[: draw.randrange(len(data) + 1)]
        case 1 | 2:
            at = draw.randrange(len(data) + 1)
            return data[:at] + draw.randbytes(draw.choice([1, 1, 2, 9])) + data[at + 1 :]
        case 3:
            deep = draw.choice([100, 900, 1100, 10_000])
            opening, closing = draw.choice([(b"[", b"]"), (b'{"a":', b"}")])
            nested = opening * deep + b"1" + closing * deep
            return nested if draw.random() < 0.3 else data[:-1] + b',"deep":' + nested + b"}"
        case 4:
            return data[:-1] + b',"x":"' + draw.choice([b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\xaf"]) + b'"}'
        case 5:
            return data.replace(b'"t"', draw.choice([b'"\\ud800"', b'"\\udc00x"', b'"\\u0000"', b'"\\uD83D\\uDE00"']))
        case 6:
            number = draw.choice(
                [b"1e999", b"-1e999", b"NaN", b"Infinity", b"-", b"01", b"9" * 400, b"1." + b"9" * 400]
            )
            return data.replace(b"1", number, 1)
        case 7:
            return data[:-1] + b"," + data[1:]  # every key twice
        case 8:
            return draw.randbytes(draw.randrange(200))
        case 9:
            return draw.choice([b"", b"null", b"[]", b'"x"', b"0", b"{}", b"true", b"\xef\xbb\xbf{}", b"{}{}", b"  "])
        case 10:
            text = draw.choice(["utf-16", "utf-32", "utf-7"])
            return data.decode("utf-8", "replace").encode(text)
        case 11:
            return b" " * 100_000 + data
        case _:
            return data + draw.choice([b"\x00", b"}", b",", b"\n\n"])


@dataclass
class Sent:
    """One request: what goes over the wire, and what is expected of its answer."""

    method: str
    path: str
    body: bytes
    headers: list[tuple[str, bytes]]
    raw: bytes = b""

    def wire(self) -> bytes:
        if self.raw:
            return self.raw
        lines = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in self.headers)
        return (
            f"{self.method} {self.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(self.body)}\r\n".encode()
            + lines + b"\r\n" + self.body
        )  # fmt: skip


_MODELS = [f"m-{name}" for name in UPSTREAMS]
_ODD_MODELS = [
    "",
    "nobody",
    "chat/x",
    "gemini/a b?c#d",
    "gemini/../../x",
    "bedrock/arn:aws:x/é",
    "ollama/\u2028",
    "m" * 300,
    "responses/%0d%0a",
    "cohere/x",
    "chat/",
    "/",
    "gemini/é😀",
    "messages/x\r\ny: z",
    "both",
]


def compose(draw: random.Random) -> Sent:
    """The next request."""
    if draw.random() < 0.03:
        return Sent(draw.choice(["GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT"]), draw.choice(_PAGES), b"", [])
    path = draw.choice(_MAIN)
    value = copy.deepcopy(BODIES[path])
    model = draw.choice(_MODELS) if draw.random() < 0.92 else draw.choice(_ODD_MODELS)
    if "model" in value:
        value["model"] = model
    else:
        quoted = "".join(
            c if (c.isascii() and c.isalnum()) or c in "-/" else "".join(f"%{b:02x}" for b in c.encode()) for c in model
        )
        path = path.replace("/m:", f"/{quoted}:")
    if path.startswith("/openai/deployments/"):
        path = path.replace("/m/", f"/{model}/" if model in _MODELS else "/m-chat/")
    if "stream" in value:
        value["stream"] = draw.random() < 0.5
    kind = draw.random()
    if kind < 0.6:
        value = mutate(draw, value)
    body = written(value, draw.random() < 0.5)
    if 0.6 <= kind < 0.9:
        body = spoil_bytes(draw, body)
    method = "POST" if draw.random() < 0.97 else draw.choice(["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
    if draw.random() < 0.02:
        path = path[: draw.randrange(1, len(path) + 1)] + draw.choice(
            ["", "/", "%00", "%ff", "x", "?a=%ff&key=%fe", ":x"]
        )
    return Sent(method, path, body, _headers(draw))


def _headers(draw: random.Random) -> list[tuple[str, bytes]]:
    if draw.random() < 0.6:
        return []
    values = [
        b"",
        b"1",
        b"x" * 3000,
        b"\xff\xfe",
        b"Bearer \xe9",
        b"Bearer ",
        b"Bearer dgm-unknown",
        b"gzip",
        b'a, b,,;="',
        b"http://[",
        b"http://[::1",
        b"null",
        b"https://evil.example",
        b"http://localhost:1",
        b"multipart/form-data",
        b"multipart/form-data; boundary=x",
        b"mode=cost; max_cost_usd=x; needs=",
        b"text/plain",
        b"\t \t",
    ]
    names = [
        "authorization",
        "x-api-key",
        "content-type",
        "origin",
        "x-dragoman-strict",
        "x-dragoman-constraints",
        "anthropic-beta",
        "openai-beta",
        "idempotency-key",
        "accept-encoding",
        "anthropic-version",
        "x-goog-api-key",
        "access-control-request-headers",
        "session_id",
        "cookie",
        "x-unknown",
        "host",
    ]
    return [(draw.choice(names), draw.choice(values)) for _ in range(draw.choice([1, 1, 2, 5]))]


# ---------------------------------------------------------------- the judge


@dataclass
class Got:
    """An answer off the wire."""

    status: int
    headers: dict[str, str]
    body: bytes
    closed: bool


@dataclass
class Report:
    """What was seen. `faults`: what should not have been, each with its request and answer."""

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    grown: float = 0.0


def envelope_fault(path: str, body: bytes) -> str | None:
    """What is wrong with an error body at `path`."""
    try:
        value = json.loads(body)
    except ValueError:
        return "an error that is not JSON"
    if not isinstance(value, dict):
        return "an error that is no object"
    error = value.get("error")
    if path.partition("?")[0] == "/api" or path.startswith("/api/"):
        return None if isinstance(error, str) and error else "not Ollama's envelope"
    if not isinstance(error, dict) or not isinstance(error.get("message"), str) or not error["message"]:
        return "an error without a message"
    if path.startswith("/v1beta"):
        well = isinstance(error.get("code"), int) and isinstance(error.get("status"), str)
        return None if well else "not Google's envelope"
    if path.startswith(("/v1/messages", "/anthropic", "/messages", "/v1/v1/messages")):
        return (
            None if value.get("type") == "error" and isinstance(error.get("type"), str) else "not Anthropic's envelope"
        )
    return None if "type" in error else "not OpenAI's envelope"


_OURS = {"upstream_error", "upstream_timeout", "stream_broken", "overloaded", "timeout"}


def judge(sent: Sent, got: Got, odd: bool) -> str | None:
    """What is wrong with the answer."""
    kind = got.headers.get("x-dragoman-error")
    if "x-injected" in got.headers or "y" in got.headers:
        return "a header was injected"
    if got.status >= 500 and kind not in _OURS:
        return f"status {got.status} of kind {kind}"
    if not (200 <= got.status < 300 or 400 <= got.status < 600):
        return f"status {got.status}"
    if sent.method == "HEAD":
        return None
    if got.status >= 400:
        return envelope_fault(sent.path, got.body)
    if odd or not got.body:
        return None  # a relayed provider's own nonsense
    content = got.headers.get("content-type", "")
    try:
        if content.startswith("application/json"):
            json.loads(got.body)
        elif "ndjson" in content:
            for line in got.body.splitlines():
                json.loads(line)
        elif "event-stream" in content:
            for line in got.body.split(b"\n"):
                if line.startswith(b"data: ") and line != b"data: [DONE]":
                    json.loads(line[6:])
    except ValueError as error:
        return f"{content} that is none: {error}"
    return None


class Ear(logging.Handler):
    """Hears what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR:
            self.heard.append(self.format(record))


# ---------------------------------------------------------------- the run


class Wire:
    """A client's connection, opened anew where the last was closed."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, sent: Sent) -> Got:
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port, limit=2**26)
        reader, writer = self.streams
        writer.write(sent.wire())
        got = await _read(reader, sent.method == "HEAD")
        if got.closed:
            self.close()
        return got

    def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


async def _read(reader: asyncio.StreamReader, bare: bool) -> Got:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    status = int(lines[0].split(" ")[1])
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    closed = headers.get("connection") == "close"
    if bare or status == 204:
        return Got(status, headers, b"", closed)
    if "content-length" in headers:
        return Got(status, headers, await reader.readexactly(int(headers["content-length"])), closed)
    if headers.get("transfer-encoding") != "chunked":
        return Got(status, headers, await reader.read(-1), True)
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return Got(status, headers, body, closed)


def settings(state: str) -> config.Config:
    """A gateway over every pretended provider."""
    secret = config.Secret("sk-secret-of-the-fuzzer")
    return config.Config(
        state=config.State(dir=state),
        providers=[
            config.Provider(name=name, dialect=dialect, base_url=url, auth="bearer")  # type: ignore[arg-type]
            for name, (dialect, url) in UPSTREAMS.items()
        ],
        accounts=[config.Account(name=name, provider=name, key=secret) for name in UPSTREAMS],
        models=[
            *(config.Model(name=f"m-{name}", targets=[f"{name}/model-1"]) for name in UPSTREAMS),
            config.Model(
                name="both", targets=["messages/model-1", ["gemini/model-1", "chat/model-1"], "cohere/model-1"]
            ),
        ],
    )


async def run(requests: int, seed: int, tell: Callable[[str], None] = lambda _: None) -> Report:
    """Makes the requests. The report's `faults` are empty if all is well."""
    report, draw = Report(), random.Random(seed)
    ear = Ear()
    logging.getLogger().addHandler(ear)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: ear.heard.append(f"event loop: {context}"))
    with tempfile.TemporaryDirectory() as state:
        options = settings(state)
        providers = Providers(draw)
        rows: list[Row] = []
        gateway = Gateway(
            options, client=providers, journal=Journal(options.state.path), keys=KeyBook(options.state),
            observe=rows.append,
        )  # fmt: skip
        app = App(gateway, _NoMetrics())  # type: ignore[arg-type]
        listener = Listener(app, app.body_limit)
        server = await loop.create_server(lambda: Connection(listener), "127.0.0.1", 0)
        wire = Wire(server.sockets[0].getsockname()[1])
        started, tasks, memory = time.perf_counter(), len(asyncio.all_tasks()), _memory()
        for number in range(requests):
            if number == min(2000, requests // 2):
                memory = _memory()  # warm: caches and pools have their size
            sent = compose(draw)
            providers.odd = False
            try:
                async with asyncio.timeout(PATIENCE):
                    got = await wire.ask(sent)
            except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError) as error:
                wire.close()
                fault: str | None = f"no answer: {error!r}"
                got = Got(0, {}, b"", True)
            else:
                fault = judge(sent, got, providers.odd)
            if ear.heard:
                fault = f"{fault or ''}\nlogged: " + "\n".join(ear.heard)
                ear.heard.clear()
            report.requests += 1
            report.statuses[got.status] += 1
            report.errors[got.headers.get("x-dragoman-error", "-")] += 1
            if fault:
                report.faults.append(_told(number, sent, got, fault))
                tell(report.faults[-1])
            _rest(gateway, rows)
            if number % 10_000 == 9_999:
                tell(f"{number + 1} requests, {len(report.faults)} faults")
        wire.close()
        server.close()
        await server.wait_closed()
        while listener.connections:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        report.seconds = time.perf_counter() - started
        report.grown = _memory() - memory
        _after(report, gateway, tasks)
        await gateway.close()
    logging.getLogger().removeHandler(ear)
    loop.set_exception_handler(None)
    return report


def _after(report: Report, gateway: Gateway, tasks: int) -> None:
    left = [task for task in asyncio.all_tasks() if not task.done()]
    if len(left) > tasks:
        report.faults.append(f"tasks left: {left}")
    for account in gateway.serving.pool.views():
        if account.in_flight:
            report.faults.append(f"account {account.name} has {account.in_flight} calls in flight for ever")
    if report.grown > GROWTH:
        report.faults.append(f"the process grew by {report.grown:.0f} MiB")


class _NoMetrics:
    def text(self, *_: object) -> bytes:
        return b""

    def spoke(self, *_: object) -> None: ...


def _rest(gateway: Gateway, rows: list[Row]) -> None:
    """Failures rest accounts; the next request shall find them fresh."""
    for name in gateway.leases.desk.accounts:
        gateway.leases.desk.wake(name, gateway.leases.now())
    rows.clear()


def _memory() -> float:
    """MiB at the most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _told(number: int, sent: Sent, got: Got, fault: str) -> str:
    return (
        f"--- request {number}: {fault}\n{sent.method} {sent.path} {sent.headers}\n{sent.body[:1500]!r}\n"
        f"-> {got.status} {got.headers}\n{got.body[:600]!r}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="A hundred thousand bad requests.")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    report = uvloop.run(run(options.requests, options.seed, lambda text: print(text, file=sys.stderr, flush=True)))
    print(f"{report.requests} requests in {report.seconds:.1f} s, seed {options.seed}, grown by {report.grown:.0f} MiB")
    print("statuses: " + ", ".join(f"{status}: {n}" for status, n in sorted(report.statuses.items())))
    print("errors:   " + ", ".join(f"{kind}: {n}" for kind, n in report.errors.most_common()))
    print(f"faults:   {len(report.faults)}")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
