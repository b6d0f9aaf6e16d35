"""What servers do wrong. Every wrong ends in a declared error, at once, and never in a clean end."""

import asyncio

import pytest
from loopback import Peer, answering, chunked, echo, ok, serving

from dragoman.wire.client import Client
from dragoman.wire.errors import (
    BodyTruncated,
    ConnectionLost,
    HeadersTooLarge,
    ProtocolBroken,
    WireError,
)
from dragoman.wire.origin import Timeouts

REPLIES = [ok(b"hello", b"x-a: b"), chunked(b"he", b"llo")]
PATIENCE = Timeouts(connect=5, first_byte=5, idle=5)


async def ask(client: Client, server) -> bytes:
    reply = await client.send(server.origin, "GET", b"/", timeouts=PATIENCE)
    with reply:
        return await reply.read(1 << 20)


@pytest.mark.parametrize("reply", REPLIES, ids=["length", "chunked"])
async def test_a_reply_cut_at_any_byte_is_an_error(client: Client, reply: bytes) -> None:
    head = reply.index(b"\r\n\r\n") + 4

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(reply[: peer.number - 1])

    async with serving(script) as server:
        for cut in range(len(reply)):
            if cut < head:
                with pytest.raises(ConnectionLost) as lost:
                    await ask(client, server)
                assert lost.value.before_first_byte == (cut == 0)
            else:
                with pytest.raises(BodyTruncated):
                    await ask(client, server)
        assert server.connections == len(reply)  # none was tried twice
        assert await ask(client, server) == b"hello"


@pytest.mark.parametrize("reply", [*REPLIES, b"HTTP/1.1 200 OK\r\n\r\nhello"], ids=["length", "chunked", "to the end"])
async def test_a_reply_reset_at_any_byte_is_an_error(client: Client, reply: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(reply[: peer.number - 1])
        peer.reset()

    async with serving(script) as server:
        for _ in range(len(reply)):
            with pytest.raises((ConnectionLost, BodyTruncated)):
                await ask(client, server)


async def test_what_came_before_the_break_is_given_out_first(client: Client) -> None:
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(chunked(b"one", end=b""))
        await go.wait()

    async with serving(script) as server:
        reply = await client.send(server.origin, "GET", b"/")
        assert await reply.chunk() == b"one"
        go.set()
        for _ in range(2):
            with pytest.raises(BodyTruncated):
                await reply.chunk()


@pytest.mark.parametrize(
    "reply",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\0\1\2\3garbage",
        b"<html>busy</html>\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0x5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nx y: z\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nfolded: a\r\n b\r\n\r\n",
        b"HTTP/1.1 200 OK\nx: y\n\n",
        b"HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n\x81\x01x",
    ],
)
async def test_what_is_not_http_is_broken_protocol(client: Client, reply: bytes) -> None:
    async with serving(answering(reply)) as server:
        with pytest.raises(ProtocolBroken):
            await ask(client, server)
        assert server.connections == 1


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\nhello\r\n0\r\n\r\n",
        b"2\r\nhello\r\n0\r\n\r\n",
        b"-1\r\n",
        b"fffffffffffffffff\r\nx",
        b"5 5\r\nhello\r\n",
    ],
)
async def test_chunks_that_are_none_are_broken_protocol(client: Client, body: bytes) -> None:
    async with serving(answering(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + body)) as server:
        with pytest.raises(ProtocolBroken):
            await ask(client, server)


async def test_a_transfer_coding_that_hides_the_length_is_never_a_clean_end(client: Client) -> None:
    async with serving(answering(b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nhello")) as server:
        with pytest.raises(BodyTruncated):
            await ask(client, server)


def forever(start: bytes, more: bytes):
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(start)
        while True:
            peer.say(more)
            await peer.writer.drain()

    return script


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"x-more: of the same\r\n"),
        (b"HTTP/1.1 200 OK\r\nx: ", b"x" * 1000),
        (b"HTTP/1.1 200 ", b"O" * 1000),
        (b"HTTP/1.1 200 OK\r\n", b"x" * 1000),
        (b"", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["lines", "value", "reason", "name", "103 storm", "100 storm"],
)
async def test_an_endless_head_is_cut_off(client: Client, start: bytes, more: bytes) -> None:
    async with serving(forever(start, more)) as server:
        with pytest.raises(HeadersTooLarge):
            await ask(client, server)


@pytest.mark.parametrize(
    ("start", "more"),
    [(b"5;x=", b"y" * 1000), (b"5\r\nhello\r\n0\r\n", b"trailer: of the same\r\n"), (b"5\r\nhello\r\n0", b"0" * 1000)],
    ids=["extension", "trailers", "zeros"],
)
async def test_endless_framing_is_cut_off(client: Client, start: bytes, more: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    async with serving(forever(head + start, more)) as server:
        with pytest.raises(ProtocolBroken):
            await ask(client, server)


async def test_two_hundred_header_lines_are_read_and_one_more_is_not(client: Client) -> None:
    lines = [b"x-%d: y" % number for number in range(200)]
    async with serving(answering(ok(b"1", *lines[:199]), ok(b"2", *lines))) as server:
        assert await ask(client, server) == b"1"
        with pytest.raises(HeadersTooLarge):
            await ask(client, server)


JUNK = [b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", b"HTTP/1.1 2", b"H", b"junk", b"\0"]


@pytest.mark.parametrize("junk", JUNK)
async def test_a_second_reply_to_one_request_never_meets_the_next_one(client: Client, junk: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(ok(b"mine"), junk)
        while True:
            await peer.request()
            peer.say(ok(b"next"))

    async with serving(script) as server:
        assert await ask(client, server) == b"mine"
        assert server.connections == 1
        assert await ask(client, server) == b"mine"
        assert server.connections == 2


async def test_bytes_on_an_idle_connection_close_it(client: Client) -> None:
    go, closed = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(ok(b"mine"))
        await go.wait()
        peer.say(ok(b"evil"))
        await peer.gone()
        closed.set()

    async with serving(script) as server:
        assert await ask(client, server) == b"mine"
        go.set()
        await closed.wait()
        go.clear()
        assert await ask(client, server) == b"mine"
        assert server.connections == 2


async def test_a_body_longer_than_its_length_is_cut_there_and_the_connection_dropped(client: Client) -> None:
    async with serving(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhello", ok(b"never"))) as server:
        for _ in range(2):
            assert await ask(client, server) == b"he"
        assert server.connections == 2


async def test_a_closed_idle_connection_is_noticed_and_not_used(client: Client) -> None:
    async with serving(answering(ok(b"1"))) as server:
        assert await ask(client, server) == b"1"
        assert await ask(client, server) == b"1"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("how", [Peer.close, Peer.reset])
async def test_a_reused_connection_that_dies_unanswered_is_replaced_once(client: Client, method: str, how) -> None:
    """The server takes the second request of its first connection, and closes: what a keep-alive race looks like."""

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(ok(b"%d" % peer.number))
        await peer.request()
        how(peer)

    async with serving(script) as server:
        for number in (b"1", b"2"):
            reply = await client.send(server.origin, method, b"/", body=b"x")
            assert await reply.read(1) == number
        assert server.connections == 2


async def test_the_replacement_is_not_replaced_again(client: Client) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number == 1:
            peer.say(ok(b"1"))
            await peer.request()

    async with serving(script) as server:
        assert await ask(client, server) == b"1"
        with pytest.raises(ConnectionLost) as lost:
            await ask(client, server)
        assert lost.value.before_first_byte
        assert server.connections == 2


async def test_a_replacement_is_a_new_connection_not_another_old_one(client: Client) -> None:
    together = asyncio.Barrier(3)

    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number <= 3:
            await together.wait()
        peer.say(ok(b"x"))
        if peer.number <= 3:
            await peer.request()

    async with serving(script) as server:
        await asyncio.gather(*[ask(client, server) for _ in range(3)])
        assert await ask(client, server) == b"x"
        assert server.connections == 4


async def test_one_byte_of_an_answer_forbids_the_replacement(client: Client) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(ok(b"1"))
        await peer.request()
        peer.say(b"H")

    async with serving(script) as server:
        assert await ask(client, server) == b"1"
        with pytest.raises(ConnectionLost) as lost:
            await ask(client, server)
        assert not lost.value.before_first_byte
        assert server.connections == 1


async def test_a_body_that_may_be_used_up_forbids_the_replacement(client: Client) -> None:
    async def pieces():
        yield b"x"

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(ok(b"1"))
        await peer.request()

    async with serving(script) as server:
        assert await ask(client, server) == b"1"
        with pytest.raises(ConnectionLost):
            await client.send(server.origin, "POST", b"/", body=pieces())
        assert server.connections == 1


async def test_an_http_client_that_spoke_to_rogues_still_works(client: Client) -> None:
    async with serving(answering(b"junk")) as rogue, serving(echo) as good:
        for _ in range(5):
            with pytest.raises(WireError):
                await ask(client, rogue)
        reply = await client.send(good.origin, "POST", b"/", body=b"fine")
        assert await reply.read(4) == b"fine"
