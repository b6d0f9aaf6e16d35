"""Happy eyeballs, without a network: connecting is a stand-in that hangs, fails or succeeds."""

import asyncio
import socket

import pytest
from loopback import echo, serving

from dragoman.wire import dial
from dragoman.wire.client import Client
from dragoman.wire.errors import ConnectFailed
from dragoman.wire.origin import Origin

V4, V6 = socket.AF_INET, socket.AF_INET6
SITE = Origin("http", "site.test", 80)


def row(family: socket.AddressFamily, host: str) -> tuple[object, ...]:
    return (family, socket.SOCK_STREAM, 6, "", (host, 80))


def test_the_families_take_turns_in_the_resolvers_order() -> None:
    found = [row(V6, "6a"), row(V6, "6b"), row(V6, "6c"), row(V4, "4a")]
    assert [address[4][0] for address in dial.interleave(found)] == ["6a", "4a", "6b", "6c"]
    assert dial.interleave([]) == []


class Attempts:
    """What becomes of an attempt is the first word of its host name."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.given_up: list[str] = []
        self.sockets: list[socket.socket] = []

    async def socket(self, address) -> socket.socket:
        host = address[4][0]
        self.begun.append(host)
        if host.startswith("dead"):
            raise OSError(f"{host} is dead")
        if host.startswith("slow"):
            try:
                await asyncio.Event().wait()
            finally:
                self.given_up.append(host)
        self.sockets.append(socket.socket())
        return self.sockets[-1]


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> Attempts:
    attempts = Attempts()
    monkeypatch.setattr(dial, "_socket", attempts.socket)
    return attempts


async def test_a_silent_address_costs_one_short_wait(attempts: Attempts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "STAGGER", 0.01)
    sock = await dial._race(SITE, [row(V6, "slow"), row(V4, "good"), row(V4, "spare")])
    await asyncio.sleep(0)
    assert attempts.begun == ["slow", "good"]
    assert attempts.given_up == ["slow"]
    sock.close()


async def test_a_refusing_address_costs_no_wait(attempts: Attempts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "STAGGER", 3600)
    (await dial._race(SITE, [row(V6, "dead"), row(V4, "good")])).close()
    assert attempts.begun == ["dead", "good"]


async def test_when_all_addresses_fail_each_is_named(attempts: Attempts) -> None:
    with pytest.raises(ConnectFailed, match=r"site\.test.*dead-1 is dead; dead-2 is dead"):
        await dial._race(SITE, [row(V6, "dead-1"), row(V4, "dead-2")])


async def test_a_caller_that_gives_up_ends_every_attempt(attempts: Attempts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "STAGGER", 0)
    race = asyncio.create_task(dial._race(SITE, [row(V6, "slow-1"), row(V4, "slow-2")]))
    while len(attempts.begun) < 2:
        await asyncio.sleep(0)
    race.cancel()
    with pytest.raises(asyncio.CancelledError):
        await race
    await asyncio.sleep(0)
    assert sorted(attempts.given_up) == ["slow-1", "slow-2"]


async def test_a_name_with_a_dead_address_is_reached_by_the_other(client: Client) -> None:
    """`localhost` is often ::1 first; the server listens on 127.0.0.1 only."""
    async with serving(echo, host="localhost") as server:
        assert await (await client.send(server.origin, "POST", b"/", body=b"hi")).read(2) == b"hi"
