"""Several workers without a Redis: one set of limits, and books that survive what kills a worker."""

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from e2e.gateway import GatewayProcess
from fakes import Scenario
from fleet.crowd import all_right, crowd, until
from fleet.house import MODEL, enforced
from fleet.quota import Quota


async def test_workers_split_limits_exactly(openai, client):
    quota = Quota(slots=4, rpm=50, seconds=0.005)
    server = {"workers": 3, "queue_seconds": 4}
    with GatewayProcess(server=server, accounts=[enforced(openai, 0, quota)], models=[MODEL]) as gateway:
        counts = gateway.folder / "state" / "metrics"  # each worker leaves some when it serves
        await until(lambda: len(list(counts.glob("*.json"))) == 3)
        programs = [client(gateway) for _ in range(9)]
        heard = await crowd(programs, 90)
    served = [one for one in heard if one.status == 200]
    all_right(served)
    assert quota.refused == 0 and quota.most == 4
    assert len(served) == quota.calls == 50
    refused = [one for one in heard if one.status != 200]
    assert {one.status for one in refused} == {429}
    waits = [float(one.headers["retry-after"]) for one in refused]
    assert 0 < min(waits) <= 61, waits


@pytest.mark.parametrize("victim", ["a worker", "the steward"])
async def test_what_is_killed_in_mid_load_loses_no_row_and_books_none_twice(openai, client, victim):
    """Crash safety: every request that a client saw answered is one row, whole or streamed, and the one that died is
    replaced. That of the steward is noticed by nobody."""
    quota = Quota(slots=8, seconds=0.01)
    server = {"workers": 3, "queue_seconds": 50}
    with GatewayProcess(server=server, accounts=[enforced(openai, 0, quota)], models=[MODEL]) as gateway:
        await until(lambda: len(gateway.children()) == 4)
        steward, *workers = gateway.children()
        programs = [client(gateway) for _ in range(12)]
        asked = asyncio.create_task(crowd(programs, 200))
        await until(lambda: quota.calls >= 50)
        os.kill(workers[1] if victim == "a worker" else steward, signal.SIGKILL)
        heard = await asked
        gateway.wait_log("worker 1 ended" if victim == "a worker" else "the steward of the limits ended")
        await until(lambda: len(gateway.children()) == 4)
        after = await crowd([client(gateway) for _ in range(6)], 30)
        rows = Counter(row["request_id"] for row in await asyncio.to_thread(gateway.rows))
    all_right(after)
    answered = [one for one in heard if one.right]
    if victim == "the steward":
        all_right(heard)
    assert len(answered) >= 40
    assert {one.id for one in answered + after} <= rows.keys()
    assert set(rows.values()) == {1}
    assert quota.refused == 0


async def test_workers_without_the_process_that_started_them_finish_what_runs_and_go(openai, client):
    """SIGKILL of the first process alone: nobody could end or replace its workers any more."""
    quota = Quota(slots=8)
    with GatewayProcess(server={"workers": 2}, accounts=[enforced(openai, 0, quota)], models=[MODEL]) as gateway:
        await until(lambda: len(gateway.children()) == 3)
        everybody = gateway.children()
        gate = Scenario(fault="hold")
        openai.always(gate, key="key-0")
        asked = asyncio.create_task(crowd([client(gateway)], 4))
        await until(lambda: len(openai.requests) == 4)
        gateway.process.kill()
        await until(lambda: sum("the process that started this worker is gone" in line for line in gateway.log) == 2)
        assert any(map(lives, everybody))  # a worker that has no call goes at once
        gate.release()
        all_right(await asked)
        await until(lambda: not any(map(lives, everybody)))


def lives(pid: int) -> bool:
    """Whether there is such a process, and not only its exit status."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_client_that_leaves_is_booked_and_cancels_its_call(openai, client):
    """Client disconnect: upstream keeps generating, or usage is not billed (new-api#4184, litellm#17364)."""
    openai.always(Scenario(fault="hang", after=4), key="key-0")
    quota = Quota(slots=20)
    account = enforced(openai, 0, quota)
    openai.always(Scenario(fault="hang", after=4), key="key-0")
    with GatewayProcess(accounts=[account], models=[MODEL]) as gateway:
        program = client(gateway)
        leaving = [asyncio.create_task(program.ask(stream=True)) for _ in range(20)]
        await until(lambda: len(openai.requests) == 20)
        for one in leaving:
            one.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        await until(lambda: all(request.done for request in openai.requests))  # else they hang for ever
        openai.always(quota, key="key-0")
        all_right(await crowd([program], 20))
        rows = await asyncio.to_thread(gateway.rows)
    assert Counter(row["status"] for row in rows) == {499: 20, 200: 20}
    assert all(row["tokens"]["input"] > 0 for row in rows if row["status"] == 200)
