"""A scripted provider for the benchmarks: answers at once, whole or as 50 paced chunks, in openai-chat or anthropic.

    python bench/upstream.py PORT

It speaks just enough HTTP/1.1 for kept-alive connections with content-length bodies. Chunks of a stream go out one by
one, `PACE` seconds apart, as tokens do, so that no proxy can profit from several arriving in one read.
"""

import asyncio
import sys

import uvloop

CHUNKS = 50
PACE = 0.002  # seconds between two chunks of a stream
TEXT = "The quick brown fox jumps over the lazy dog. "

CHAT = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1760000000,"model":"mock-1","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"' + (TEXT * 4).encode() + b'","refusal":null,"annotations":[]},'
    b'"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":25,"completion_tokens":40,"total_tokens":65,'
    b'"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,'
    b'"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"service_tier":"default",'
    b'"system_fingerprint":"fp_1"}'
)
_CHUNK = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1760000000,"model":"mock-1",'
    b'"service_tier":"default","system_fingerprint":"fp_1","choices":[{"index":0,"delta":%b,"logprobs":null,'
    b'"finish_reason":%b}],"usage":null}\n\n'
)
CHAT_STREAM = [
    _CHUNK % (b'{"role":"assistant","content":"","refusal":null}', b"null"),
    *[_CHUNK % (b'{"content":" word%d"}' % i, b"null") for i in range(CHUNKS - 3)],
    _CHUNK % (b"{}", b'"stop"'),
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1760000000,"model":"mock-1","choices":[],'
    b'"usage":{"prompt_tokens":25,"completion_tokens":47,"total_tokens":72}}\n\ndata: [DONE]\n\n',
]
MESSAGE = (
    b'{"id":"msg_1","type":"message","role":"assistant","model":"claude-mock","content":[{"type":"text","text":"'
    + (TEXT * 4).encode()
    + b'"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":0,'
    b'"cache_read_input_tokens":0,"output_tokens":40,"service_tier":"standard"}}'
)
MESSAGE_STREAM = [
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",'
    b'"model":"claude-mock","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,'
    b'"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}}}\n\nevent: content_block_start\n'
    b'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n',
    *[
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta",'
        b'"text":" word%d"}}\n\n' % i
        for i in range(CHUNKS - 2)
    ],
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\nevent: message_delta\n'
    b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
    b'"usage":{"output_tokens":48}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n',
]


def _whole(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _pieces(frames: list[bytes]) -> list[bytes]:
    chunks = [b"%x\r\n%b\r\n" % (len(frame), frame) for frame in frames]
    return [_STREAM_HEAD + chunks[0], *chunks[1:-1], chunks[-1] + b"0\r\n\r\n"]


WHOLE = {b"chat": _whole(CHAT), b"messages": _whole(MESSAGE)}
STREAM = {b"chat": _pieces(CHAT_STREAM), b"messages": _pieces(MESSAGE_STREAM)}


class Provider(asyncio.Protocol):
    """One kept-alive connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data = self.data + data if self.data else data
        while True:
            head, found, rest = self.data.partition(b"\r\n\r\n")
            if not found:
                return
            length = 0
            at = head.lower().find(b"content-length:")
            if at >= 0:
                length = int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(rest) < length:
                return
            self.data = rest[length:]
            self.answer(b"messages" if b"/messages" in head[:60] else b"chat", rest[:length])

    def answer(self, kind: bytes, body: bytes) -> None:
        if b'"stream":true' in body or b'"stream": true' in body:
            self.stream(STREAM[kind], 0)
        else:
            self.transport.write(WHOLE[kind])

    def stream(self, pieces: list[bytes], at: int) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(pieces[at])
        if at + 1 < len(pieces):
            asyncio.get_running_loop().call_later(PACE, self.stream, pieces, at + 1)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
