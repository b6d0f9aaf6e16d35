"""One gateway, accounts with true limits that their providers enforce, and crowds of official SDKs.

Public reports that these answer: `Retry-After` ignored, cooldowns enforced late, 429 storms (litellm#7669, #34836);
exhausted accounts that stay in rotation, 529 and 429 without headers (CLIProxyAPI#1756, #4508); affinity that starves
other accounts (CLIProxyAPI#5800).
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable

import httpx

from e2e.gateway import GatewayProcess
from fakes import Scenario, status
from fleet.crowd import all_right, crowd, until
from fleet.house import MODEL, account, enforced
from fleet.quota import Quota

PATIENT = {"queue_seconds": 50}


async def test_declared_limits_are_kept_and_nobody_sees_a_failure(openai, anthropic, client):
    quotas = [Quota(slots=4), Quota(rpm=40), Quota(tpm=4000), Quota(slots=6), Quota(rpm=30, slots=3)]
    for quota in quotas:
        quota.seconds = 0.005
    accounts = [enforced(openai if i < 3 else anthropic, i, quota) for i, quota in enumerate(quotas)]
    with GatewayProcess(server=PATIENT, accounts=accounts, models=[MODEL]) as gateway:
        heard = await crowd([client(gateway)], 300)
    all_right(heard)
    for described, quota in zip(accounts, quotas, strict=True):
        assert quota.refused == 0, f"{described['name']}: a declared limit was exceeded"
        assert quota.calls == sum(one.account == described["name"] for one in heard) > 0


async def test_limits_that_nobody_declared_are_found_though_providers_lie_or_say_nothing(openai, anthropic, client):
    """Each takes three at once. One says truly when to come back, one says "now", one says nothing, one is overloaded
    (529). Nobody sees it, and after the first moments few are refused."""
    quotas = [Quota(slots=3, manners=manners, seconds=0.005) for manners in ("true", "lies", "none")]
    quotas.append(Quota(slots=3, manners="none", code=529, seconds=0.005))
    accounts = [enforced((openai, anthropic)[i % 2], i, quota, declared=False) for i, quota in enumerate(quotas)]
    with GatewayProcess(server=PATIENT, accounts=accounts, models=[MODEL]) as gateway:
        program = client(gateway)
        first = await crowd([program], 60)
        before = sum(quota.refused for quota in quotas)
        later = await crowd([program], 120)
    all_right(first + later)
    assert sum(quota.refused for quota in quotas) - before <= 40


async def test_no_client_sees_a_provider_that_refuses_breaks_or_hangs_while_another_is_well(openai, anthropic, client):
    fates = [
        status(401), status(402), status(403), status(429), status(500), status(529), Scenario(fault="hang"),
        Scenario(fault="reset"), Scenario(fault="drop", after=1),
    ]  # fmt: skip
    accounts = [account(openai, i, timeouts={"first_byte": 0.3}) for i in range(len(fates))]
    for i, fate in enumerate(fates):
        openai.always(fate, key=f"key-{i}")
    well = [Quota(slots=8, seconds=0.005), Quota(slots=4, seconds=0.005)]
    accounts += [enforced(openai, 9, well[0]), enforced(anthropic, 0, well[1])]
    accounts.append(account(openai, 0, name="unreachable", base_url="http://127.0.0.1:9/v1"))
    accounts.append(account(openai, 0, name="unknown", key="key-of-nobody"))
    with GatewayProcess(server=PATIENT, accounts=accounts, models=[MODEL]) as gateway:
        heard = await crowd([client(gateway)], 200, stream=False)
    all_right(heard)
    assert {one.account for one in heard} == {"openai-9", "anthropic-0"}
    assert not any(quota.refused for quota in well)


async def test_a_provider_that_is_killed_is_noticed_by_streams_alone_and_used_again_when_it_is_back(
    openai, anthropic, client
):
    doomed, well = Quota(slots=20, seconds=0.02), Quota(slots=4, seconds=0.005)
    accounts = [enforced(openai, 0, doomed), enforced(anthropic, 0, well)]
    with GatewayProcess(server=PATIENT, accounts=accounts, models=[MODEL]) as gateway:
        program = client(gateway)

        async def kill() -> None:
            await until(lambda: doomed.calls >= 30 and doomed.under_way >= 5)
            openai.stop()

        _, heard = await asyncio.gather(kill(), crowd([program], 200))
        broken = [one for one in heard if not one.right]
        assert len(broken) <= 20, "more than were under way"
        for one in broken:
            assert one.error is not None and not one.whole, "a stream that was cut looks whole"
        openai.start()
        calls = doomed.calls

        async def used_again() -> None:
            while doomed.calls == calls:
                all_right([await program.ask()])

        await asyncio.wait_for(used_again(), 30)


async def test_a_retry_after_is_waited_for_by_all(openai, client):
    """`Retry-After` ignored, cooldowns enforced late: whoever comes after the refusal waits as long as it says."""
    openai.script(status(429, retry_after="2"))
    with GatewayProcess(server=PATIENT, accounts=[account(openai, 0)], models=[MODEL]) as gateway:
        program = client(gateway)
        first = asyncio.create_task(program.ask())
        await until(lambda: openai.requests)
        all_right([await first, *await crowd([program], 20)])
    refused, *others = sorted(openai.requests, key=lambda request: request.at)
    assert refused.status == 429 and all(other.at >= refused.at + 2 for other in others)


async def test_a_conversation_stays_at_its_account_and_a_busy_one_leaves_room_for_the_others(openai, client):
    gate = Scenario(fault="hold")
    accounts = [account(openai, i) for i in range(4)]
    with GatewayProcess(accounts=accounts, models=[MODEL]) as gateway:
        program = client(gateway)
        homes: dict[str, set[str]] = {}
        for _ in range(4):
            for i in range(12):
                heard = await program.ask(session=f"s{i}")
                homes.setdefault(f"s{i}", set()).add(heard.account)
        assert all(len(home) == 1 for home in homes.values())
        assert len(set.union(*homes.values())) > 1
        openai.always(gate)

        before = len(openai.requests)
        calls = asyncio.create_task(crowd([program], 80, session="s0"))
        await until(lambda: len(openai.requests) == before + 80)
        loads = Counter(request.key for request in openai.requests[before:])
        gate.release()
        all_right(await calls)
        assert len(loads) == 4 and max(loads.values()) <= 1.25 * 80 / 4 + 1


async def test_a_tenant_with_two_hundred_waiting_does_not_starve_another(openai, client):
    """They are served by turns, once both wait. Four calls are under way at a time, and come to the provider in any
    order: so many places are left to chance."""
    gate, slots = Scenario(fault="hold"), 4
    openai.always(gate)
    with GatewayProcess(
        server=PATIENT,
        access={"mode": "keys", "admin_key": "an-admin-key"},
        accounts=[account(openai, 0, max_in_flight=slots)],
        models=[MODEL],
    ) as gateway:
        one, other = (json.loads(gateway.run("keys", "create", "--json").stdout)["key"] for _ in range(2))

        def waiting() -> int:
            headers = {"x-api-key": "an-admin-key"}
            return int(httpx.get(f"{gateway.url}/dragoman/v1/accounts", headers=headers).json()["waiting"])

        many = asyncio.create_task(crowd([client(gateway, one)], 200, name="many", sdk="openai"))
        await until(lambda: len(openai.requests) == slots)
        await waits(waiting, 200 - slots)
        few = asyncio.create_task(crowd([client(gateway, other)], 5, name="few", sdk="openai"))
        await waits(waiting, 205 - slots)
        gate.release()
        all_right(await many + await few)
    order = [b"few" in request.body for request in openai.requests]
    assert max(i for i, few in enumerate(order) if few) < slots + 2 * 5 + slots


async def waits(waiting: Callable[[], int], number: int) -> None:
    async with asyncio.timeout(20):
        while await asyncio.to_thread(waiting) != number:
            await asyncio.sleep(0.01)
