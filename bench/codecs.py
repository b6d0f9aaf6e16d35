"""What conversion costs, without a gateway round it: µs of CPU for every pair of a client's and an upstream's dialect.

    python -m bench.codecs [--rounds 7] [--client anthropic] [--upstream openai-chat]

A whole request is the client's body read and written for the upstream, and the upstream's reply read and written for
the client; a stream is a reader and a writer made, then fed frame by frame, each as the network would bring it. The
bodies of openai-chat and anthropic are those of `bench`; of the other dialects they are the same, as their writers say
it. An agent's request is a long one: forty messages with calls, their results and ten tools, read and written only. The
least of several rounds counts.
"""

import argparse
import copy
import sys
import time
from collections.abc import Callable

import msgspec

from bench import __main__ as whole_bench
from bench import upstream as provider
from dragoman import dialects
from dragoman.canon import (
    Begin,
    Choice,
    Event,
    Message,
    PartDelta,
    Reply,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
    unfold,
)
from dragoman.dialects.dialect import Dialect
from dragoman.dialects.fields import decode
from dragoman.dialects.quirks import Quirks

CLIENTS = ("anthropic", "openai-chat", "openai-responses", "gemini", "ollama")
UPSTREAMS = ("openai-chat", "anthropic", "openai-responses", "gemini", "ollama")
QUIRKS = Quirks()
_encode = msgspec.json.Encoder().encode
_USAGE = Usage(input=25, output=47)


def request_body(name: str) -> bytes:
    """The benchmark's request, as a client of the dialect sends it."""
    if name == "openai-chat":
        return _encode(whole_bench.CHAT)
    if name == "anthropic":
        return _encode(whole_bench.MESSAGES)
    return _encode(dialects.upstream(name).write_request(_said(), QUIRKS).body)


def _said() -> Request:
    request = dialects.client("openai-chat").read_request(copy.deepcopy(whole_bench.CHAT))
    request.model = "mock-1"
    return request


def agent_body(name: str) -> bytes:
    """A long request, as an agent that speaks the dialect sends it."""
    request = Request(dialect="", model="mock-1", max_output_tokens=4096)
    request.messages = [Message(role="system", parts=[Text(text=provider.TEXT * 40)])]
    for i in range(13):
        call = ToolCall(id=f"call_{i}", name=f"tool_{i % 10}", arguments='{"path":"src/main.py","limit":100}')
        result = ToolResult(call_id=call.id, name=call.name, content=[Text(text=provider.TEXT * 20)])
        request.messages += [
            Message(role="user", parts=[Text(text=provider.TEXT)]),
            Message(role="assistant", parts=[Text(text=provider.TEXT), call]),
            Message(role="user", parts=[result]),
        ]
    schema = {"type": "object", "properties": {"path": {"type": "string"}, "limit": {"type": "integer"}}}
    request.tools = [Tool(name=f"tool_{i}", description=provider.TEXT, parameters=schema) for i in range(10)]
    return _encode(dialects.upstream(name).write_request(request, QUIRKS).body)


def whole_reply(name: str) -> bytes:
    """The provider's reply in the dialect."""
    if name == "openai-chat":
        return provider.CHAT
    if name == "anthropic":
        return provider.MESSAGE
    return dialects.client(name).write_reply(_reply([Text(text=provider.TEXT * 4)]), _said())


def _reply(parts: list[Text]) -> Reply:
    choice = Choice(parts=[*parts], finish="stop")
    return Reply(dialect="", id="r-1", model="mock-1", created=1760000000, choices=[choice], usage=_USAGE)


def stream_frames(name: str) -> list[bytes]:
    """The provider's stream in the dialect, 50 pieces of it, as they come from the network."""
    if name == "openai-chat":
        return provider.CHAT_STREAM
    if name == "anthropic":
        return provider.MESSAGE_STREAM
    words = [PartDelta(index=0, text=f" word{i}") for i in range(provider.CHUNKS - 2)]
    start, opened, _, *end = unfold(_reply([Text(text="x")]))
    writer = dialects.client(name).StreamWriter(_said())
    batches: list[list[Event]] = [[start, opened], *([word] for word in words), end]
    return [writer.write(batch) for batch in batches]


def whole(client: Dialect, upstream: Dialect) -> Callable[[], object]:
    """One whole request, converted on both legs."""
    body, answer = request_body(client.NAME), whole_reply(upstream.NAME)

    def run() -> bytes:
        request = client.read_request(decode(body))
        request.model = "mock-1"
        _encode(upstream.write_request(request, QUIRKS).body)
        return client.write_reply(upstream.read_reply(answer), request)

    return run


def agent(client: Dialect, upstream: Dialect) -> Callable[[], object]:
    """An agent's request, converted."""
    body = agent_body(client.NAME)

    def run() -> bytes:
        request = client.read_request(decode(body))
        request.model = "mock-1"
        return _encode(upstream.write_request(request, QUIRKS).body)

    return run


def stream(client: Dialect, upstream: Dialect) -> Callable[[], object]:
    """One stream of 50 pieces, converted."""
    request = client.read_request(decode(request_body(client.NAME)))
    request.stream = True
    frames = stream_frames(upstream.NAME)

    def run() -> bytes:
        reader, writer = upstream.StreamReader(), client.StreamWriter(request)
        text = b""
        for frame in frames:
            events = reader.feed(frame)
            if events.__class__ is list and events and events[0].__class__ is Begin:
                events[0].created = 1760000000  # type: ignore[union-attr]  # it is a Begin
            text = writer.write(events)
        return text

    return run


def least(run: Callable[[], object], rounds: int, times: int) -> float:
    """Microseconds of CPU of one run, at best."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(times):
            run()
        best = min(best, (time.process_time() - began) / times * 1e6)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--client", choices=CLIENTS)
    parser.add_argument("--upstream", choices=UPSTREAMS)
    options = parser.parse_args()
    sys.stdout.write(
        "| client | upstream | whole µs | agent's request µs | 50-chunk stream µs |\n|---|---|---|---|---|\n"
    )
    for client in CLIENTS if options.client is None else (options.client,):
        for upstream in UPSTREAMS if options.upstream is None else (options.upstream,):
            if client == upstream:
                continue
            pair = dialects.client(client), dialects.client(upstream)
            costs = [
                least(made(*pair), options.rounds, times) for made, times in ((whole, 300), (agent, 40), (stream, 40))
            ]
            sys.stdout.write(f"| {client} | {upstream} | " + " | ".join(f"{cost:.0f}" for cost in costs) + " |\n")


if __name__ == "__main__":
    main()
