import asyncio

import pytest
from loopback import Peer, chunked, echo, ok, serving

from dragoman.wire.client import Client
from dragoman.wire.errors import ConnectFailed, ConnectionLost


class Gate:
    """A server that answers with the connection's number when it is told to."""

    def __init__(self) -> None:
        self.waiting: asyncio.Queue[tuple[bytes, asyncio.Event]] = asyncio.Queue()

    async def script(self, peer: Peer) -> None:
        while True:
            _, body = await peer.request()
            go = asyncio.Event()
            self.waiting.put_nowait((body, go))
            await go.wait()
            peer.say(ok(b"%d" % peer.number))

    async def let(self) -> bytes:
        body, go = await self.waiting.get()
        go.set()
        return body


async def ask(client: Client, server, body: bytes = b"") -> bytes:
    return await (await client.send(server.origin, "POST", b"/", body=body)).read(10)


async def test_the_last_one_back_is_the_first_one_out(client: Client) -> None:
    gate = Gate()
    async with serving(gate.script) as server:
        both = [asyncio.create_task(ask(client, server, b"%d" % n)) for n in range(2)]
        (_, first), (_, second) = await gate.waiting.get(), await gate.waiting.get()
        second.set()
        last = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        assert len(last[0]) == 1
        first.set()
        numbers = [await task for task in both]
        early = next(iter(last[0])).result()
        (late,) = set(numbers) - {early}
        again = asyncio.create_task(ask(client, server))
        await gate.let()
        assert await again == late


async def test_a_cap_makes_callers_wait_in_the_order_they_came() -> None:
    client, gate = Client(per_origin=1), Gate()
    async with serving(gate.script) as server:
        tasks = [asyncio.create_task(ask(client, server, b"%d" % n)) for n in range(5)]
        assert [await gate.let() for _ in tasks] == [b"0", b"1", b"2", b"3", b"4"]
        assert [await task for task in tasks] == [b"1"] * 5
    await client.close()


async def test_a_waiter_gets_the_room_of_a_connection_that_was_closed() -> None:
    client = Client(per_origin=1)

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(chunked(b"%d" % peer.number, end=b""))
        await peer.gone()

    async with serving(script) as server:
        first = await client.send(server.origin, "GET", b"/")
        second = asyncio.create_task(client.send(server.origin, "GET", b"/"))
        await asyncio.sleep(0)
        first.close()
        with await second as reply:
            assert await reply.chunk() == b"2"
    await client.close()


async def test_a_waiter_that_gives_up_does_not_take_a_place_with_it() -> None:
    client, gate = Client(per_origin=1), Gate()
    async with serving(gate.script) as server:
        first = asyncio.create_task(ask(client, server, b"first"))
        body, go = await gate.waiting.get()
        second, third = [asyncio.create_task(ask(client, server, name)) for name in (b"second", b"third")]
        await asyncio.sleep(0)
        second.cancel()
        go.set()
        assert (body, await gate.let()) == (b"first", b"third")
        assert [await first, await third] == [b"1", b"1"]
        assert second.cancelled()
    await client.close()


async def test_a_waiter_cancelled_in_the_moment_it_is_helped_passes_the_place_on(monkeypatch) -> None:
    client, gate = Client(per_origin=1), Gate()
    grant = client._pool._grant

    def grant_and_cancel(waiter, granted) -> None:
        grant(waiter, granted)
        second.cancel()

    async with serving(gate.script) as server:
        first = asyncio.create_task(ask(client, server, b"first"))
        _, go = await gate.waiting.get()
        second, third = [asyncio.create_task(ask(client, server, name)) for name in (b"second", b"third")]
        await asyncio.sleep(0)
        monkeypatch.setattr(client._pool, "_grant", grant_and_cancel)
        go.set()
        assert await gate.let() == b"third"
        assert [await first, await third] == [b"1", b"1"]
        assert second.cancelled()
    await client.close()


async def test_failed_connects_give_their_place_back() -> None:
    client = Client(per_origin=1, limit=1)
    async with serving(echo) as server:
        pass
    for _ in range(3):
        with pytest.raises(ConnectFailed):
            await ask(client, server)
    async with serving(echo) as good:
        assert await ask(client, good, b"fine") == b"fine"
    await client.close()


async def test_the_total_is_kept_at_the_cost_of_idle_connections() -> None:
    client = Client(limit=2)
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(ok(b"1"))
        await peer.gone()
        closed.set()

    async with serving(script) as first, serving(echo) as second, serving(echo) as third:
        assert await ask(client, first) == b"1"
        assert await ask(client, second, b"2") == b"2"
        assert await ask(client, third, b"3") == b"3"
        assert await ask(client, third, b"4") == b"4"
        await closed.wait()
        assert third.connections == 1
    await client.close()


async def test_with_the_total_in_use_callers_wait_whatever_their_origin() -> None:
    client, gate = Client(limit=1), Gate()
    async with serving(gate.script) as first, serving(echo) as second:
        one = asyncio.create_task(ask(client, first))
        body, go = await gate.waiting.get()
        two = asyncio.create_task(ask(client, second, b"two"))
        await asyncio.sleep(0)
        assert (body, second.connections) == (b"", 0)
        go.set()
        assert [await one, await two] == [b"1", b"two"]
    await client.close()


async def test_a_full_origin_does_not_hold_up_another() -> None:
    client, gate = Client(per_origin=1), Gate()
    async with serving(gate.script) as full, serving(echo) as other:
        tasks = [asyncio.create_task(ask(client, full)) for _ in range(2)]
        _, go = await gate.waiting.get()
        for _ in range(2):
            assert await ask(client, other, b"fine") == b"fine"
        go.set()
        await gate.let()
        assert [await task for task in tasks] == [b"1", b"1"]
    await client.close()


async def test_a_stale_connection_is_replaced_within_the_cap() -> None:
    client = Client(per_origin=1)

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(ok(b"%d" % peer.number))
        await peer.request()

    async with serving(script) as server:
        assert [await ask(client, server) for _ in range(3)] == [b"1", b"2", b"3"]
    await client.close()


async def test_closing_the_client_ends_what_runs_and_what_waits() -> None:
    client = Client(per_origin=1)
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(chunked(b"one", end=b""))
        await peer.gone()
        gone.set()

    async with serving(script) as server:
        reply = await client.send(server.origin, "GET", b"/")
        waiting = asyncio.create_task(client.send(server.origin, "GET", b"/"))
        await asyncio.sleep(0)
        await client.close()
        assert await reply.chunk() == b"one"
        for call in (reply.chunk(), waiting, client.send(server.origin, "GET", b"/")):
            with pytest.raises(ConnectionLost, match="closed"):
                await call
        await gone.wait()


async def test_the_books_are_even_after_a_storm() -> None:
    """Cancelled, cut, refused and good calls together, under a cap: every place comes back."""
    client = Client(per_origin=3)

    async def script(peer: Peer) -> None:
        while True:
            _, body = await peer.request()
            if body == b"cut":
                return
            peer.say(ok(body))

    async def call(number: int) -> None:
        body = (b"fine", b"cut", b"fine", b"fine")[number % 4]
        task = asyncio.create_task(ask(client, server, body))
        if number % 7 == 0:
            await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait([task])

    async with serving(script) as server:
        await asyncio.gather(*[call(number) for number in range(200)])
        (place,) = client._places.values()
        assert place.count == len(place.idle) == len(client._pool._standing) <= 3
        assert not client._pool.queue
        assert await ask(client, server, b"fine") == b"fine"
    await client.close()
