"""Servers that keep silent. No test waits for more than its own short limits."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from loopback import Peer, chunked, echo, ok, serving

from dragoman.wire.client import Client
from dragoman.wire.dial import tls_context
from dragoman.wire.errors import TimedOut
from dragoman.wire.origin import Timeouts

SOON = 0.03


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_a_head_that_does_not_come(client: Client, said: bytes) -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(said)
        await peer.gone()
        closed.set()

    async with serving(script) as server:
        with pytest.raises(TimedOut, match=r"no reply within 0\.03 s") as late:
            await client.send(server.origin, "GET", b"/", timeouts=Timeouts(first_byte=SOON))
        assert late.value.stage == "first_byte"
        await closed.wait()
        assert server.connections == 1  # silence is no reason to ask again


async def test_a_body_that_stops(client: Client) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(chunked(b"one", end=b""))
        await peer.gone()

    async with serving(script) as server:
        reply = await client.send(server.origin, "GET", b"/", timeouts=Timeouts(idle=SOON))
        assert await reply.chunk() == b"one"
        for _ in range(2):
            with pytest.raises(TimedOut) as late:
                await reply.chunk()
            assert late.value.stage == "idle"


async def test_a_drip_is_within_idle_and_beyond_total(client: Client) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(chunked(end=b""))
        tick = asyncio.Event()
        while True:
            peer.say(b"1\r\nx\r\n")
            asyncio.get_running_loop().call_later(0.005, tick.set)
            await tick.wait()
            tick.clear()

    async with serving(script) as server:
        reply = await client.send(server.origin, "GET", b"/", timeouts=Timeouts(idle=5, total=0.1))
        with pytest.raises(TimedOut) as late:
            await reply.read(10**6)
        assert late.value.stage == "total"


async def test_total_counts_while_the_head_is_awaited(client: Client) -> None:
    async def script(peer: Peer) -> None:
        await peer.gone()

    async with serving(script) as server:
        with pytest.raises(TimedOut) as late:
            await client.send(server.origin, "GET", b"/", timeouts=Timeouts(total=SOON))
        assert late.value.stage == "total"


async def test_a_tls_handshake_that_does_not_come_is_a_connect_time_out() -> None:
    client = Client(tls=tls_context())
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.gone()
        closed.set()

    async with serving(script) as server:
        secure = type(server.origin)("https", server.origin.host, server.origin.port)
        with pytest.raises(TimedOut) as late:
            await client.send(secure, "GET", b"/", timeouts=Timeouts(connect=0.2))
        assert late.value.stage == "connect"
        await closed.wait()
    await client.close()


async def test_a_place_that_does_not_come_free_is_a_connect_time_out() -> None:
    client = Client(per_origin=1)

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(chunked(b"one", end=b""))
        await peer.gone()

    async with serving(script) as server:
        with await client.send(server.origin, "GET", b"/"):
            with pytest.raises(TimedOut) as late:
                await client.send(server.origin, "GET", b"/", timeouts=Timeouts(connect=SOON))
            assert late.value.stage == "connect"
    await client.close()


async def test_a_slow_reader_is_not_an_idle_upstream(client: Client) -> None:
    """The idle clock runs only while the reader waits: here it reads late, and nothing is wrong."""
    more = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(chunked(b"one", end=b""))
        await more.wait()
        peer.say(b"3\r\ntwo\r\n0\r\n\r\n")
        await peer.gone()

    async with serving(script) as server:
        reply = await client.send(server.origin, "GET", b"/", timeouts=Timeouts(first_byte=SOON, idle=SOON))
        assert await reply.chunk() == b"one"
        late = asyncio.Event()
        asyncio.get_running_loop().call_later(3 * SOON, late.set)
        await late.wait()
        more.set()
        assert await reply.read(10) == b"two"


async def test_a_request_that_keeps_moving_is_not_late(client: Client) -> None:
    """A long upload may take more than first_byte, as long as it moves."""
    tick = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(8):
            asyncio.get_running_loop().call_later(0.01, tick.set)
            await tick.wait()
            tick.clear()
            yield b"x"

    async with serving(echo) as server:
        reply = await client.send(
            server.origin, "POST", b"/", body=pieces(), timeouts=Timeouts(first_byte=SOON, idle=5)
        )
        assert await reply.read(10) == b"x" * 8


async def test_a_request_that_stops_moving_is_late(client: Client) -> None:
    never = asyncio.Event()

    async def script(peer: Peer) -> None:
        peer.writer.transport.pause_reading()
        await never.wait()

    async with serving(script) as server:
        with pytest.raises(TimedOut) as late:
            await client.send(server.origin, "POST", b"/", body=b"x" * 50_000_000, timeouts=Timeouts(first_byte=SOON))
        assert late.value.stage == "first_byte"


async def test_limits_are_those_of_each_exchange_not_of_the_connection(client: Client) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(ok(b"1"))
        await peer.request()
        await peer.gone()

    async with serving(script) as server:
        reply = await client.send(server.origin, "GET", b"/", timeouts=Timeouts(first_byte=100, total=100))
        await reply.read(1)
        with pytest.raises(TimedOut) as late:
            await client.send(server.origin, "GET", b"/", timeouts=Timeouts(first_byte=SOON))
        assert late.value.stage == "first_byte"
        assert server.connections == 1


async def test_an_idle_connection_is_closed_after_its_time() -> None:
    client = Client(idle_limit=SOON)
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(ok(b"1"))
        await peer.gone()
        closed.set()

    async with serving(script) as server:
        for connections in (1, 2):
            await (await client.send(server.origin, "GET", b"/")).read(1)
            await closed.wait()
            closed.clear()
            assert server.connections == connections
    await client.close()
