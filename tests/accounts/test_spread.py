"""What is changed of accounts at one node reaches the others by way of a real Redis."""

from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from accounts.test_overlay import settings_of
from dragoman import config
from dragoman.accounts import overlay
from dragoman.accounts.overlay import Overlay
from dragoman.accounts.spread import Spread
from services import RedisServer

SETTINGS = settings_of({"a": {"key": "sk-0123456789abcdef"}, "b": {"key": "sk-0123456789abcdef"}})


class Node:
    def __init__(self, folder: Path, url: str) -> None:
        self.overlay = Overlay(folder)
        self.spread = Spread(url, self.overlay)

    def weigh(self, account: str, weight: float) -> None:
        self.overlay.change(SETTINGS, lambda layer, known: overlay.patch(layer, account, {"weight": weight}))

    def weights(self) -> dict[str, float]:
        return {spec.name: spec.weight for spec in self.overlay.lay(SETTINGS).accounts}

    async def exchange(self) -> None:
        await self.spread.exchange(SETTINGS)


@pytest.fixture
def nodes(tmp_path: Path, redis_server: RedisServer) -> list[Node]:
    return [Node(tmp_path / name, redis_server.url) for name in ("one", "two")]


async def test_a_change_at_either_node_counts_at_both_and_the_last_one_stays(nodes: list[Node]) -> None:
    one, two = nodes
    one.weigh("a", 2)
    two.weigh("b", 3)
    for node in (one, two, one):
        await node.exchange()
    assert one.weights() == two.weights() == {"a": 2, "b": 3}
    two.weigh("a", 4)
    for node in (one, two, one):
        await node.exchange()
    assert one.weights() == two.weights() == {"a": 4, "b": 3}


async def test_what_is_added_and_removed_is_so_everywhere(nodes: list[Node]) -> None:
    one, two = nodes
    table = {"provider": "openai", "key": "sk-another-0123456789"}
    one.overlay.change(SETTINGS, lambda layer, known: overlay.add(layer, "new", table))
    one.overlay.change(SETTINGS, lambda layer, known: overlay.remove(layer, "a", True))
    for node in nodes:
        await node.exchange()
    assert set(two.weights()) == {"b", "new"}
    two.overlay.change(SETTINGS, lambda layer, known: overlay.remove(layer, "new", False))
    for node in (two, one):
        await node.exchange()
    assert set(one.weights()) == {"b"}


async def test_a_redis_that_was_away_and_forgot_all_is_told_again(
    nodes: list[Node], redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = nodes
    one.weigh("a", 2)
    await one.exchange()
    redis_server.stop()
    one.weigh("b", 3)
    for _ in range(3):
        await one.exchange()
    assert sum("not shared with other nodes" in record.message for record in caplog.records) == 1
    redis_server.start()
    for node in (one, one, two):
        await node.exchange()
    assert two.weights() == {"a": 2, "b": 3}


async def test_what_can_not_be_done_here_is_logged_once_and_stays_as_it_was(
    nodes: list[Node], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = nodes
    monkeypatch.setenv("ONLY_THERE", "sk-only-there-0123456789")
    one.overlay.change(SETTINGS, lambda layer, known: overlay.patch(layer, "a", {"key": "env:ONLY_THERE", "weight": 9}))
    one.weigh("b", 3)
    await one.exchange()
    monkeypatch.delenv("ONLY_THERE")
    for _ in range(3):
        await two.exchange()
    assert two.weights() == {"a": 1, "b": 3}
    assert sum("account a was changed" in record.message for record in caplog.records) == 1


def with_admin_key(key: str) -> config.Config:
    return msgspec.structs.replace(SETTINGS, access=config.Access(admin_key=config.Secret(key)))


async def test_who_reads_the_redis_finds_no_credential_where_there_is_an_admin_key(
    nodes: list[Node], redis_server: RedisServer
) -> None:
    one, two = nodes
    table = {"provider": "openai", "key": "sk-another-0123456789"}
    one.overlay.change(SETTINGS, lambda layer, known: overlay.add(layer, "new", table))
    for node in nodes:
        await node.spread.exchange(with_admin_key("an-admin-key"))
    assert set(two.weights()) == {"a", "b", "new"}
    async with Redis.from_url(redis_server.url) as redis:
        (lying,) = (await redis.hgetall("dragoman:{shared}:accounts")).values()
    assert b"another" not in lying
    assert b"openai" not in lying


@pytest.mark.parametrize("admin_key", [None, "another-key"])
async def test_what_was_sealed_with_another_key_is_logged_and_left_out(
    nodes: list[Node], admin_key: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = nodes
    one.weigh("a", 2)
    await one.spread.exchange(with_admin_key("an-admin-key"))
    for _ in range(2):
        await two.spread.exchange(SETTINGS if admin_key is None else with_admin_key(admin_key))
    assert two.weights() == {"a": 1, "b": 1}
    assert caplog.text.count("can't be read here") == 1
