import asyncio
from collections.abc import AsyncIterator

import pytest
from loopback import Peer, answering, chunked, echo, ok, serving

from dragoman.wire.client import Client
from dragoman.wire.errors import BodyTooLarge, ConnectFailed, ConnectionLost
from dragoman.wire.head import block
from dragoman.wire.origin import Origin, Timeouts


async def test_a_request_is_written_whole_and_its_reply_read_whole(client: Client) -> None:
    seen = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        peer.say(ok(b"there", b"X-Who:  me "))

    async with serving(script) as server:
        constant = block([(b"accept", b"*/*")])
        reply = await client.send(
            server.origin, "POST", b"/v1/x?y=1", constant, b"hello", extra=[(b"x-request-id", b"7")]
        )
        assert (reply.status, reply.header(b"x-who"), reply.header(b"x-nobody")) == (200, b"me", None)
        assert reply.headers == [(b"x-who", b"me"), (b"content-length", b"5")]
        assert await reply.read(100) == b"there"
        assert await reply.chunk() == b""
    host = f"host: 127.0.0.1:{server.origin.port}\r\n".encode()
    head = b"POST /v1/x?y=1 HTTP/1.1\r\n" + host + b"accept: */*\r\nx-request-id: 7\r\ncontent-length: 5\r\n\r\n"
    assert seen == [(head, b"hello")]


async def test_a_get_has_no_body_and_an_empty_post_says_so(client: Client) -> None:
    seen = []

    async def script(peer: Peer) -> None:
        for _ in range(2):
            seen.append(await peer.request())
            peer.say(ok(b""))

    async with serving(script) as server:
        await client.send(server.origin, b"GET", b"/")
        await client.send(server.origin, b"POST", b"/")
    assert b"content-length" not in seen[0][0]
    assert b"content-length: 0\r\n" in seen[1][0]


async def test_connections_are_used_again(client: Client) -> None:
    async with serving(echo) as server:
        for number in range(20):
            reply = await client.send(server.origin, "POST", b"/", body=b"%d" % number)
            assert await reply.read(10) == b"%d" % number
        assert server.connections == 1


async def test_replies_side_by_side_do_not_mix(client: Client) -> None:
    async with serving(echo) as server:

        async def one(number: int) -> None:
            for _ in range(10):
                body = b"%d" % number * 1000
                reply = await client.send(server.origin, "POST", b"/", body=body)
                assert await reply.read(10**6) == body

        await asyncio.gather(*[one(number) for number in range(20)])
        assert server.connections <= 20


async def test_a_large_body_arrives_whole_both_ways(client: Client) -> None:
    body = bytes(range(256)) * 16384
    async with serving(echo) as server:
        reply = await client.send(server.origin, "POST", b"/", body=body)
        assert await reply.read(len(body)) == body


async def test_chunks_come_as_they_are_sent(client: Client) -> None:
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(chunked(b"one", end=b""))
        await go.wait()
        go.clear()
        peer.say(b"3\r\ntwo\r\n5\r\nthree\r\n0\r\ntrailer: x\r\n\r\n")
        await peer.gone()

    async with serving(script) as server:
        reply = await client.send(server.origin, "GET", b"/")
        assert await reply.chunk() == b"one"
        go.set()
        rest = await reply.read(100)
        assert rest == b"twothree"
        assert reply.header(b"trailer") is None


async def test_interim_responses_are_passed_over(client: Client) -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    async with serving(answering(early + ok(b"1"), early + ok(b"2"))) as server:
        for body in (b"1", b"2"):
            reply = await client.send(server.origin, "GET", b"/")
            assert (reply.status, reply.header(b"link")) == (200, None)
            assert await reply.read(1) == body
        assert server.connections == 1


@pytest.mark.parametrize("head", [b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5"])
async def test_replies_without_a_body_leave_the_connection_usable(client: Client, head: bytes) -> None:
    async with serving(answering(head + b"\r\n\r\n", ok(b"next"))) as server:
        reply = await client.send(server.origin, "GET", b"/")
        assert await reply.read(0) == b""
        reply = await client.send(server.origin, "GET", b"/")
        assert await reply.read(4) == b"next"
        assert server.connections == 1


async def test_the_reply_to_head_has_no_body_whatever_its_length_says(client: Client) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n")
        await peer.gone()

    async with serving(script) as server:
        reply = await client.send(server.origin, "HEAD", b"/")
        assert reply.header(b"content-length") == b"500"
        assert await reply.read(0) == b""


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"],
)
async def test_a_body_without_a_length_ends_with_the_connection(client: Client, head: bytes) -> None:
    async with serving(answering(head + b"to the end")) as server:
        for _ in range(2):
            reply = await client.send(server.origin, "GET", b"/")
            assert await reply.read(100) == b"to the end"
        assert server.connections == 2


@pytest.mark.parametrize(
    ("reply", "reused"),
    [
        (ok(b"x", b"connection: close"), False),
        (ok(b"x").replace(b"1.1", b"1.0"), False),
        (ok(b"x", b"connection: keep-alive").replace(b"1.1", b"1.0"), True),
        (ok(b"x"), True),
    ],
)
async def test_the_peer_says_whether_the_connection_stays(client: Client, reply: bytes, reused: bool) -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            peer.say(reply)

    async with serving(script) as server:
        for _ in range(2):
            answer = await client.send(server.origin, "GET", b"/")
            assert await answer.read(1) == b"x"
        assert server.connections == (1 if reused else 2)


async def test_a_body_in_pieces_is_sent_chunked(client: Client) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"one", b"", b"two" * 100_000):
            yield piece

    async with serving(echo) as server:
        reply = await client.send(server.origin, "POST", b"/", body=pieces())
        assert await reply.read(10**6) == b"one" + b"two" * 100_000
        await (await client.send(server.origin, "POST", b"/", body=b"x")).read(1)
        assert server.connections == 1


async def test_an_error_in_the_source_of_a_body_reaches_the_caller_and_ends_the_connection(client: Client) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        raise LookupError("no more")

    async with serving(echo) as server:
        with pytest.raises(LookupError, match="no more"):
            await client.send(server.origin, "POST", b"/", body=pieces())


async def test_an_early_answer_is_read_and_the_connection_not_used_again(client: Client) -> None:
    refusal = b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nno!"
    more = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        await more.wait()

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"one\r\n")
        peer.say(refusal)
        await peer.gone()

    async with serving(script) as server:
        for _ in range(2):
            reply = await client.send(server.origin, "POST", b"/", body=pieces())
            assert (reply.status, await reply.read(10)) == (413, b"no!")
        assert server.connections == 2


async def test_a_connection_that_did_not_take_the_whole_request_is_not_used_again(client: Client) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.reader._transport.pause_reading()
        peer.say(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        await never.wait()

    never = asyncio.Event()
    async with serving(script) as server:
        for _ in range(2):
            reply = await client.send(server.origin, "POST", b"/", body=b"x" * 50_000_000)
            assert (reply.status, await reply.read(0)) == (413, b"")
        assert server.connections == 2


async def test_a_body_above_the_limit_is_refused_and_the_connection_closed(client: Client) -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(chunked(b"x" * 1000, end=b""))
        await peer.gone()
        closed.set()

    async with serving(script) as server:
        reply = await client.send(server.origin, "GET", b"/")
        with pytest.raises(BodyTooLarge):
            await reply.read(999)
        await closed.wait()


async def test_a_complete_body_above_the_limit_is_refused(client: Client) -> None:
    async with serving(answering(ok(b"12345"))) as server:
        reply = await client.send(server.origin, "GET", b"/")
        with pytest.raises(BodyTooLarge):
            await reply.read(4)


async def test_closing_an_unfinished_reply_closes_its_connection(client: Client) -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(chunked(b"one", end=b""))
        await peer.gone()
        closed.set()

    async with serving(script) as server:
        with await client.send(server.origin, "GET", b"/") as reply:
            assert await reply.chunk() == b"one"
        await closed.wait()
        with pytest.raises(ConnectionLost):
            await reply.chunk()


async def test_closing_a_complete_reply_keeps_its_connection(client: Client) -> None:
    async with serving(echo) as server:
        for _ in range(2):
            (await client.send(server.origin, "POST", b"/", body=b"unread")).close()
        assert server.connections == 1


@pytest.mark.parametrize("answer", [b"", chunked(b"one", end=b"")])
async def test_a_cancelled_call_closes_the_connection(client: Client, answer: bytes) -> None:
    asked, closed = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(answer)
        asked.set()
        await peer.gone()
        closed.set()

    async def call() -> None:
        reply = await client.send(server.origin, "GET", b"/")
        await reply.read(100)

    async with serving(script) as server:
        task = asyncio.create_task(call())
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await closed.wait()


async def test_a_peer_is_made_to_wait_for_a_slow_reader(client: Client) -> None:
    total, piece = 64 << 20, b"x" * 65536
    written = 0
    stuck = asyncio.Event()

    async def script(peer: Peer) -> None:
        nonlocal written
        await peer.request()
        peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total)
        while written < total:
            peer.say(piece)
            written += len(piece)
            if peer.writer.transport.get_write_buffer_size() > 1 << 20:
                stuck.set()
                await peer.writer.drain()

    async with serving(script) as server:
        reply = await client.send(server.origin, "GET", b"/")
        await stuck.wait()
        assert written < total / 2  # what the kernel's buffers hold
        size = most = 0
        while data := await reply.chunk():
            size += len(data)
            most = max(most, len(data))
        assert size == total
        assert most < 1 << 20


async def test_two_readers_of_one_reply_are_refused(client: Client) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(chunked(b"one", end=b""))
        await peer.gone()

    async with serving(script) as server:
        with await client.send(server.origin, "GET", b"/") as reply:
            await reply.chunk()
            first = asyncio.create_task(reply.chunk())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="two readers"):
                await reply.chunk()
        with pytest.raises(ConnectionLost):
            await first


async def test_nobody_listening_is_a_failed_connect(client: Client) -> None:
    async with serving(echo) as server:
        pass
    with pytest.raises(ConnectFailed, match=str(server.origin.port)):
        await client.send(server.origin, "GET", b"/")


async def test_a_name_that_does_not_resolve_is_a_failed_connect(client: Client) -> None:
    with pytest.raises(ConnectFailed, match="does not resolve"):
        await client.send(Origin("http", "nowhere.invalid", 80), "GET", b"/", timeouts=Timeouts(connect=None))
