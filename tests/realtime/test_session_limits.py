"""What a session may: a key's money and rate, the config's limits on sessions; and what is counted of it."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from gate import account, dial, gate, say, until

from dragoman.access import keys
from dragoman.catalog.prices import PICO
from dragoman.config import State
from dragoman.ledger.store import Store
from dragoman.server.realtime import Relayed
from dragoman.wire.errors import NotUpgraded
from fakes.realtime import Fate, RealtimeFake

KEYS = {"mode": "keys"}
TURN = 8_000_000_000  # pico-dollars: less than what the fake's answer costs


def key(folder: Path, **limits: Any) -> list[tuple[bytes, bytes]]:
    """The header lines of a gateway key with these limits."""
    (folder / "state").mkdir(exist_ok=True)
    with Store(State(dir=str(folder / "state"))) as store:
        secret = keys.create(store, keys.Key(id="key_mine", name="mine", created=time.time(), **limits))
    return [(b"authorization", f"Bearer {secret}".encode())]


async def test_a_session_ends_when_its_key_s_budget_is_spent(tmp_path: Path, fake: RealtimeFake) -> None:
    mine = key(tmp_path, budget=TURN)
    async with gate(tmp_path, [account("a", fake)], access=KEYS) as running:
        socket = await dial(running, headers=mine)
        await say(socket, "response.create")
        await until(socket, "response.done")
        assert (await until(socket, "error"))[-1]["error"]["code"] == "insufficient_quota"
        assert await socket.receive() is None
        assert socket.code == 1008
        (row,) = running.rows
        assert row.cost is not None
        assert row.cost > TURN
        with pytest.raises(NotUpgraded) as refused:
            await dial(running, headers=mine)
        assert refused.value.status == 402


async def test_a_budget_needs_a_price(tmp_path: Path, fake: RealtimeFake) -> None:
    mine = key(tmp_path, budget=PICO)
    async with gate(tmp_path, [account("a", fake)], access=KEYS) as running:
        with pytest.raises(NotUpgraded) as refused:
            await dial(running, "/v1/realtime?model=openai/gpt-realtime-whisper", headers=mine)
        assert refused.value.status == 400
        assert refused.value.headers["x-dragoman-error"] == "unknown_price"


async def test_opening_a_session_is_one_request_of_the_rate(tmp_path: Path, fake: RealtimeFake) -> None:
    mine = key(tmp_path, rpm=1)
    async with gate(tmp_path, [account("a", fake)], access=KEYS) as running:
        socket = await dial(running, headers=mine)
        with pytest.raises(NotUpgraded) as refused:
            await dial(running, headers=mine)
        assert refused.value.status == 429
        assert float(refused.value.headers["retry-after"]) > 1
        await say(socket, "response.create")
        await until(socket, "response.done")
        await socket.close()


async def test_a_key_may_only_talk_to_its_models(tmp_path: Path, fake: RealtimeFake) -> None:
    mine = key(tmp_path, models=["openai/gpt-realtime-2"])
    async with gate(tmp_path, [account("a", fake)], access=KEYS) as running:
        with pytest.raises(NotUpgraded) as refused:
            await dial(running, headers=mine)
        assert refused.value.status == 404


async def test_only_so_many_sessions_at_a_time(tmp_path: Path, fake: RealtimeFake) -> None:
    async with gate(tmp_path, [account("a", fake)], voice={"max_sessions": 2}) as running:
        first, second = await dial(running), await dial(running)
        with pytest.raises(NotUpgraded) as refused:
            await dial(running)
        assert refused.value.status == 429
        await first.close()
        await second.close()
        await running.app.idle()
        again = await dial(running)
        await again.close()


async def test_only_so_long(tmp_path: Path, fake: RealtimeFake) -> None:
    async with gate(tmp_path, [account("a", fake)], voice={"max_session_minutes": 0.002}) as running:
        socket = await dial(running)
        assert (await until(socket, "error"))[-1]["error"]["code"] == "session_expired"
        assert await socket.receive() is None
        assert socket.code == 1001


async def test_a_time_out_within_a_session_is_not_taken_for_its_end(
    tmp_path: Path, fake: RealtimeFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(self: object, client: object) -> tuple[int, str]:
        raise TimeoutError("of something within")

    monkeypatch.setattr(Relayed, "run", late)
    async with gate(tmp_path, [account("a", fake)], voice={"max_session_minutes": 10}) as running:
        socket = await dial(running)
        told = (await until(socket, "error"))[-1]["error"]
        assert (told["type"], told["code"]) == ("server_error", "internal")
        assert await socket.receive() is None
        assert socket.code == 1011
        assert running.app.sessions.counts.broken == 1


async def test_only_so_many_tokens(tmp_path: Path, fake: RealtimeFake) -> None:
    async with gate(tmp_path, [account("a", fake)], voice={"max_session_tokens": 300}) as running:
        socket = await dial(running)
        await say(socket, "response.create")
        await until(socket, "response.done")  # 250 of them
        await say(socket, "response.create")
        await until(socket, "response.done")
        assert (await until(socket, "error"))[-1]["error"]["code"] == "rate_limit_exceeded"
        assert await socket.receive() is None


async def test_a_slot_of_the_account_is_held_while_the_session_lasts(tmp_path: Path, fake: RealtimeFake) -> None:
    async with gate(tmp_path, [account("a", fake, max_in_flight=1)], server={"queue_seconds": 0}) as running:
        socket = await dial(running)
        with pytest.raises(NotUpgraded) as refused:
            await dial(running)
        assert refused.value.status == 429
        await socket.close()
        await running.app.idle()
        again = await dial(running)
        await again.close()


async def test_sessions_and_turns_are_counted(tmp_path: Path, fake: RealtimeFake) -> None:
    async with gate(tmp_path, [account("a", fake)]) as running:
        socket = await dial(running)
        await say(socket, "response.create")
        await until(socket, "response.done")
        async with httpx.AsyncClient() as client:
            text = (await client.get(running.url + "/metrics")).text
        assert "dragoman_realtime_sessions 1.0" in text
        assert "dragoman_relay_turns_total 1.0" in text
        await socket.close()


async def test_who_drains_tells_its_sessions(tmp_path: Path, fake: RealtimeFake) -> None:
    async with gate(tmp_path, [account("a", fake)]) as running:
        socket = await dial(running)
        await until(socket, "session.created")
        running.app.draining = True
        with pytest.raises(NotUpgraded) as refused:
            await dial(running)
        assert refused.value.status == 503
        await running.app.sessions.close()
        assert (await until(socket, "error"))[-1]["error"]["code"] == "draining"
        assert await socket.receive() is None
        assert socket.code == 1012


async def test_no_slot_is_lost_with_sessions_whose_ends_leave_in_any_order(tmp_path: Path, fake: RealtimeFake) -> None:
    fake.fates = [Fate(after=count) for count in (3, 1, 8, 2)]
    async with gate(tmp_path, [account("a", fake, max_in_flight=2), account("b", fake, max_in_flight=2)]) as running:
        for leave in (1, 2, 3, 5):
            socket = await dial(running)
            await say(socket, "response.create")
            for _ in range(leave):
                await socket.receive()
            socket.abort()
        await running.app.idle()
        desk = running.gateway.leases.desk
        assert len(desk._leases) == 0
        assert running.app.sessions.counts.open == 0
