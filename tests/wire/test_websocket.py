"""A WebSocket against peers that are rude, slow, confused or hostile, over real sockets."""

import asyncio
import ssl

import pytest
import trustme
from rude_sockets import (
    BINARY,
    CLOSE,
    CONT,
    OFFER,
    PING,
    PONG,
    TEXT,
    Raw,
    client_of,
    close_frame,
    frame,
    raw_client,
    server_of,
)

from dragoman.server.http import Connection, Listener, Request
from dragoman.server.response import Response
from dragoman.wire import websocket
from dragoman.wire.errors import ConnectFailed, ConnectionLost, NotUpgraded, ProtocolBroken, TimedOut, TlsFailed
from dragoman.wire.proxies import Proxies
from dragoman.wire.upgrade import connect
from dragoman.wire.websocket import Patience, Socket


async def echo(socket: Socket) -> None:
    while (message := await socket.receive()) is not None:
        await socket.send(message)


class Seen:
    """A side that keeps what it receives, and how it ended."""

    def __init__(self) -> None:
        self.messages: list[str | bytes] = []
        self.ended = asyncio.Event()
        self.socket: Socket

    async def __call__(self, socket: Socket) -> None:
        self.socket = socket
        while (message := await socket.receive()) is not None:
            self.messages.append(message)
        self.ended.set()


# what passes


async def test_both_sides_pass_text_and_bytes_of_every_length_of_length() -> None:
    async with server_of(echo) as port:
        socket = await connect(f"ws://127.0.0.1:{port}/")
        for message in ("", "a", "é" * 63, "x" * 125, "x" * 126, "x" * 65_535, "x" * 65_536, b"", b"\x00\xff" * 70_000):
            await socket.send(message)
            assert await socket.receive() == message
        await socket.close()


async def test_a_client_may_append_15_mib_at_once() -> None:
    async with server_of(echo) as port:
        socket = await connect(f"ws://127.0.0.1:{port}/")
        message = "A" * (15 * 1024 * 1024)
        await socket.send(message)
        assert await socket.receive() == message
        await socket.close()


async def test_messages_sent_with_the_offer_wait_until_it_is_taken_up() -> None:
    seen = Seen()
    async with server_of(seen) as port:
        raw = await raw_client(port, frame(TEXT, b"first") + frame(TEXT, b"second") + close_frame(1000))
        assert await raw.closed_with() == 1000
        await seen.ended.wait()
        assert seen.messages == ["first", "second"]


async def test_messages_that_come_with_the_answer_to_the_offer_are_not_lost() -> None:
    async def script(raw: Raw) -> None:
        await raw.ended()

    async with client_of(script, then=frame(TEXT, b"at once", masked=False)) as socket:
        assert await socket.receive() == "at once"


async def test_a_message_may_come_byte_by_byte() -> None:
    async with server_of(echo) as port:
        raw = await raw_client(port)
        for byte in frame(TEXT, "größer".encode()):
            raw.send(bytes([byte]))
            await asyncio.sleep(0)
        assert await raw.frame() == (TEXT, "größer".encode())


async def test_a_message_in_pieces_is_put_together_though_pings_come_between_and_characters_are_cut() -> None:
    async with server_of(echo) as port:
        raw = await raw_client(port)
        text = "größer".encode()
        raw.send(frame(TEXT, text[:3], fin=False) + frame(PING, b"there?") + frame(CONT, text[3:5], fin=False))
        raw.send(frame(CONT, fin=False) + frame(CONT, text[5:]))
        assert await raw.frame() == (PONG, b"there?")
        assert await raw.frame() == (TEXT, text)


async def test_the_subprotocol_and_header_lines_of_the_server_reach_the_client() -> None:
    async def application(request: Request, out: Response) -> None:
        assert request.upgrade
        assert request.headers[b"x-mine"] == b"1"
        await echo(out.accept(b"x-request-id: req_1\r\n", "realtime"))

    async with _running(application) as port:
        socket = await connect(f"ws://127.0.0.1:{port}/", [(b"x-mine", b"1")], subprotocols=["other", "realtime"])
        assert socket.subprotocol == "realtime"
        assert socket.headers["x-request-id"] == "req_1"
        await socket.close()


# how it ends


async def test_closing_waits_for_the_peer_and_both_know_code_and_reason() -> None:
    seen = Seen()
    async with server_of(seen) as port:
        socket = await connect(f"ws://127.0.0.1:{port}/")
        await socket.send("last")
        await socket.close(1008, "enough")
        await seen.ended.wait()
        assert seen.messages == ["last"]
        assert (seen.socket.code, seen.socket.reason) == (1008, "enough")
        assert await socket.receive() is None
        assert socket.code == 1008


async def test_the_server_may_close_first() -> None:
    async def bye(socket: Socket) -> None:
        await socket.close(4001, "s" * 200)

    async with server_of(bye) as port:
        socket = await connect(f"ws://127.0.0.1:{port}/")
        assert await socket.receive() is None
        assert (socket.code, socket.reason) == (4001, "s" * 123)


async def test_a_peer_that_vanishes_is_told_by_the_end_of_messages() -> None:
    seen = Seen()
    async with server_of(seen) as port:
        raw = await raw_client(port, frame(TEXT, b"one") + frame(TEXT, b"tw", length=3))
        raw.writer.write_eof()
        await seen.ended.wait()
        assert seen.messages == ["one"]
        assert seen.socket.code == 1006


async def test_a_reset_is_told_by_the_end_of_messages_and_sending_on_is_harmless() -> None:
    seen = Seen()
    async with server_of(seen) as port:
        raw = await raw_client(port, frame(TEXT, b"one"))
        raw.writer.transport.abort()
        await seen.ended.wait()
        await seen.socket.send("into the void")
        await seen.socket.close()
        assert seen.socket.code == 1006


async def test_a_peer_that_never_answers_the_close_is_cut() -> None:
    async def bye(socket: Socket) -> None:
        await socket.close()

    async with server_of(bye, Patience(close=0.05)) as port:
        raw = await raw_client(port)
        assert await raw.closed_with() == 1000
        assert await raw.ended() == b""


async def test_a_peer_that_talks_on_after_the_close_is_cut() -> None:
    async def bye(socket: Socket) -> None:
        await socket.close()

    async with server_of(bye, Patience(close=0.05)) as port:
        raw = await raw_client(port)
        await raw.closed_with()
        with pytest.raises(ConnectionError):
            while True:
                raw.send(frame(TEXT, b"and another thing" * 100))
                await raw.writer.drain()
                await asyncio.sleep(0)


async def test_our_client_does_not_wait_for_ever_for_the_server_to_hang_up() -> None:
    async def script(raw: Raw) -> None:
        await raw.closed_with()
        raw.send(frame(CLOSE, b"\x03\xe8", masked=False))
        await raw.ended()

    async with client_of(script, Patience(close=0.05)) as socket:
        await socket.close()
        assert socket.gone.done() or socket.transport.is_closing()


async def test_cancelling_who_waits_for_a_message_loses_none() -> None:
    async with server_of(echo) as port:
        socket = await connect(f"ws://127.0.0.1:{port}/")
        waiting = asyncio.create_task(socket.receive())
        await asyncio.sleep(0)
        waiting.cancel()
        await socket.send("still there")
        assert await socket.receive() == "still there"
        await socket.close()


# rude frames


RUDE = {
    "an unmasked frame": (frame(TEXT, b"x", masked=False), 1002),
    "an unknown opcode": (frame(0x3, b"x"), 1002),
    "a reserved bit": (bytes([0xC1]) + frame(TEXT, b"x")[1:], 1002),
    "a continuation of nothing": (frame(CONT, b"x"), 1002),
    "a message within a message": (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002),
    "a long ping": (frame(PING, b"x" * 126), 1002),
    "a ping in pieces": (frame(PING, b"x", fin=False), 1002),
    "text that is no UTF-8": (frame(TEXT, b"\xff\xfe"), 1007),
    "text cut within a character": (frame(TEXT, b"\xc3"), 1007),
    "a close code that does not exist": (close_frame(1005), 1002),
    "a close of one byte": (frame(CLOSE, b"x"), 1002),
    "a close in the middle of a message": (frame(TEXT, b"x", fin=False) + close_frame(1000), 1002),
    "more than 16 MiB": (frame(BINARY, length=websocket.MOST + 1), 1009),
    "beyond all measure": (frame(BINARY, length=2**63 - 1), 1009),
    "HTTP": (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", 1002),
}


@pytest.mark.parametrize(("data", "code"), RUDE.values(), ids=RUDE.keys())
async def test_a_broken_protocol_ends_in_a_close_that_says_so(data: bytes, code: int) -> None:
    seen = Seen()
    async with server_of(seen, Patience(close=0.05)) as port:
        raw = await raw_client(port, frame(TEXT, b"well") + data)
        assert await raw.closed_with() == code
        assert await raw.ended() == b""
        await seen.ended.wait()
        assert seen.messages == ["well"]


async def test_many_small_pieces_of_one_giant_message_are_refused_too() -> None:
    async with server_of(echo) as port:
        raw = await raw_client(port, frame(BINARY, b"x" * 1024 * 1024, fin=False))
        for _ in range(16):
            raw.send(frame(CONT, b"x" * 1024 * 1024, fin=False))
        assert await raw.closed_with() == 1009


# floods and the slow


async def test_a_flood_is_not_read_faster_than_it_is_received() -> None:
    gate = asyncio.Event()
    inside: list[Socket] = []

    async def slow(socket: Socket) -> None:
        inside.append(socket)
        await gate.wait()
        count = 0
        while await socket.receive() is not None:
            count += 1
        inside.append(count)  # type: ignore[arg-type]  # the second is the count

    async with server_of(slow, Patience(dead=0.05, ping=0.02)) as port:
        raw = await raw_client(port)
        one = frame(BINARY, b"x" * 10_000)
        sender = asyncio.create_task(_send_all(raw, one, 3000))
        await _until(lambda: bool(inside) and inside[0]._paused)
        for _ in range(50):
            await asyncio.sleep(0)
        assert inside[0]._held < 3 * websocket.HELD
        gate.set()
        await sender
        raw.send(close_frame(1000))
        await _until(lambda: len(inside) == 2)
        assert inside[1] == 3000


async def test_sending_waits_while_the_peer_reads_nothing_and_goes_on_when_it_does() -> None:
    sent = 0
    done = asyncio.Event()

    async def talker(socket: Socket) -> None:
        nonlocal sent
        for _ in range(200):
            await socket.send(b"x" * 100_000)
            sent += 1
        done.set()
        await socket.receive()

    async with server_of(talker) as port:
        raw = await raw_client(port)
        raw.stop_reading()
        before = -1
        while before != sent:
            before = sent
            for _ in range(100):
                await asyncio.sleep(0)
        assert sent < 200
        raw.writer.transport.resume_reading()  # type: ignore[attr-defined]  # a full transport
        for _ in range(200):
            assert len((await raw.frame())[1]) == 100_000
        await done.wait()


async def test_a_peer_that_takes_nothing_is_cut() -> None:
    seen: list[int] = []

    async def talker(socket: Socket) -> None:
        while socket.open:
            await socket.send(b"x" * 100_000)
        seen.append(socket.code)

    async with server_of(talker, Patience(stalled=0.05)) as port:
        raw = await raw_client(port)
        raw.stop_reading()
        await _until(lambda: bool(seen))
        assert seen == [1006]


async def test_a_ping_flood_by_one_who_reads_nothing_does_not_fill_the_memory() -> None:
    held: list[Socket] = []

    async def waiting(socket: Socket) -> None:
        held.append(socket)
        await socket.receive()

    async with server_of(waiting) as port:
        raw = await raw_client(port)
        raw.stop_reading()
        sender = asyncio.create_task(_send_all(raw, frame(PING, b"p" * 125) * 100, 10_000))
        await _until(lambda: bool(held) and held[0]._paused)
        assert held[0].transport.get_write_buffer_size() < 2 * 1024 * 1024
        sender.cancel()


async def test_silence_is_met_with_a_ping_and_an_answer_keeps_it_open() -> None:
    seen = Seen()
    async with server_of(seen, Patience(ping=0.02, dead=5.0)) as port:
        raw = await raw_client(port)
        for _ in range(3):
            opcode, data = await raw.frame()
            assert opcode == PING
            raw.send(frame(PONG, data))
        assert not seen.ended.is_set()


async def test_silence_to_pings_means_that_nobody_is_there() -> None:
    seen = Seen()
    async with server_of(seen, Patience(ping=0.02, dead=0.06)) as port:
        raw = await raw_client(port)
        await seen.ended.wait()
        assert seen.socket.code == 1006
        assert (await raw.frame())[0] == PING


# the offer


BAD_OFFERS = {
    "no key": OFFER.replace(b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""),
    "a short key": OFFER.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"c2hvcnQ="),
    "a key that is no base64": OFFER.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"!!!"),
    "an old version": OFFER.replace(b"version: 13", b"version: 8"),
    "a POST": OFFER.replace(b"GET", b"POST", 1),
}


@pytest.mark.parametrize("offer", BAD_OFFERS.values(), ids=BAD_OFFERS.keys())
async def test_a_bad_offer_is_for_the_application_to_refuse(offer: bytes) -> None:
    async def application(request: Request, out: Response) -> None:
        try:
            out.accept()
        except ValueError as error:
            await out.whole(400, b"", str(error).encode())

    async with _running(application) as port:
        raw = Raw(*await asyncio.open_connection("127.0.0.1", port))
        raw.send(offer + b"\r\n" + frame(TEXT, b"hasty"))
        assert (await raw.ended()).startswith(b"HTTP/1.1 400 ")


async def test_a_refusal_reaches_the_client_with_status_headers_and_body() -> None:
    async def application(request: Request, out: Response) -> None:
        await out.whole(429, b"retry-after: 7\r\n", b'{"error": {}}')

    async with _running(application) as port:
        with pytest.raises(NotUpgraded) as refused:
            await connect(f"ws://127.0.0.1:{port}/")
        error = refused.value
        assert (error.status, error.headers["retry-after"], error.body) == (429, "7", b'{"error": {}}')


ANSWERS = {
    "nothing": (b"", ConnectionLost),
    "half an answer": (b"HTTP/1.1 101 Switching\r\nupgrade: web", ConnectionLost),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", ProtocolBroken),
    "an accept of another key": (
        b"HTTP/1.1 101 x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: AAAA\r\n\r\n",
        ProtocolBroken,
    ),
    "an upgrade to something else": (b"HTTP/1.1 101 x\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n", ProtocolBroken),
    "an endless head": (b"HTTP/1.1 101 x\r\n" + b"a: b\r\n" * 5000, ProtocolBroken),
    "an endless line": (b"HTTP/1.1 101 x\r\na: " + b"b" * 100_000, ProtocolBroken),
    "a page": (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", NotUpgraded),
    "a page without an end": (b"HTTP/1.1 404 Not Found\r\n\r\nhi", NotUpgraded),
}


@pytest.mark.parametrize(("data", "error"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_an_answer_that_is_none_is_an_error_of_its_kind(data: bytes, error: type[Exception]) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        writer.close()

    server = await asyncio.start_server(script, "127.0.0.1", 0)
    async with asyncio.timeout(20):
        with pytest.raises(error):
            await connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    server.close()


async def test_an_answer_that_does_not_come_is_a_time_out() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    server = await asyncio.start_server(script, "127.0.0.1", 0)
    with pytest.raises(TimedOut, match="no connection within"):
        await connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", within=0.05)
    server.close()


async def test_nobody_there_is_told_as_such() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(ConnectFailed):
        await connect(f"ws://127.0.0.1:{port}/")


@pytest.mark.parametrize("url", ["ftp://x/", "ws:///", "realtime", "ws://x y/"])
async def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises((ValueError, ConnectFailed)):
        await connect(url)


async def test_headers_cannot_smuggle_others_in() -> None:
    with pytest.raises(ValueError, match="line break"):
        await connect("ws://127.0.0.1:9/", [(b"x", b"1\r\nauthorization: other")])
    with pytest.raises(ValueError, match="line break"):
        await connect("ws://127.0.0.1:9/", subprotocols=["a\r\nb: c"])


# TLS and proxies


async def test_wss_is_verified_and_served() -> None:
    ca = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(serving)
    trusting = ssl.create_default_context()
    ca.configure_trust(trusting)

    async def application(request: Request, out: Response) -> None:
        await echo(out.accept())

    async with _running(application, serving) as port:
        with pytest.raises(TlsFailed):
            await connect(f"wss://localhost:{port}/")
        socket = await connect(f"wss://localhost:{port}/", tls=trusting)
        for message in ("hello", "x" * 1_000_000, b"\x00" * 300_000):
            await socket.send(message)
            assert await socket.receive() == message
        await socket.close(1000)
        assert socket.code == 1000


async def test_a_proxy_is_asked_for_a_tunnel_even_without_tls() -> None:
    asked: list[bytes] = []

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        host, port = asked[0].split()[1].decode().split(":")
        there = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(pipe(reader, there[1]), pipe(there[0], writer), return_exceptions=True)

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    through = Proxies.read({"http_proxy": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"})
    async with server_of(echo) as port:
        socket = await connect(f"ws://127.0.0.1:{port}/", proxies=through)
        await socket.send("through")
        assert await socket.receive() == "through"
        await socket.close()
    server.close()
    assert asked[0].startswith(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n" % port)


class _running:
    """A server of `application`; its port."""

    def __init__(self, application: object, tls: ssl.SSLContext | None = None) -> None:
        self._listener = Listener(application, lambda: 1000)  # type: ignore[arg-type]  # the tests' own
        self._tls = tls

    async def __aenter__(self) -> int:
        loop = asyncio.get_running_loop()
        make = lambda: Connection(self._listener)  # noqa: E731
        self._server = await loop.create_server(make, "127.0.0.1", 0, ssl=self._tls)
        return int(self._server.sockets[0].getsockname()[1])

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in list(self._listener.connections):
            connection.transport.abort()
        while self._listener.connections:
            await asyncio.sleep(0)


async def _send_all(raw: Raw, data: bytes, times: int) -> None:
    for _ in range(times):
        raw.send(data)
        await raw.writer.drain()


async def _until(true: object) -> None:
    async with asyncio.timeout(10):
        while not true():  # type: ignore[operator]  # a plain function
            await asyncio.sleep(0)
