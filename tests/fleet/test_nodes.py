"""Three nodes of two workers each, a real Redis, and providers that enforce their limits: what holds for one process
holds for all of them together, whoever dies."""

import asyncio
import json

import httpx
import pytest

from e2e.gateway import GatewayProcess
from fakes import Scenario, status
from fleet.crowd import Client, all_right, crowd, until
from fleet.house import MODEL, account, enforced
from fleet.nodes import WORKERS, logged, nodes
from fleet.quota import Quota


async def test_limits_hold_for_all_nodes_together(redis_server, openai, anthropic, client):
    quotas = [Quota(slots=5, seconds=0.005), Quota(rpm=60, seconds=0.005), Quota(tpm=4000, slots=4, seconds=0.005)]
    accounts = [enforced((openai, anthropic)[i % 2], i, quota) for i, quota in enumerate(quotas)]
    with nodes(redis_server.url, accounts=accounts, models=[MODEL]) as made:
        all_right(await crowd([client(node) for node in made], 300))
    assert [quota.refused for quota in quotas] == [0, 0, 0], "a declared limit was exceeded"
    assert sum(quota.calls for quota in quotas) == 300 and all(quota.calls for quota in quotas)


async def test_a_killed_node_takes_nothing_with_it(redis_server, openai, client):
    """Clients of the others see nothing of it, and what it held of the slots is used by them."""
    quota = Quota(slots=6, seconds=0.02)
    with nodes(redis_server.url, accounts=[enforced(openai, 0, quota)], models=[MODEL]) as made:
        programs = [client(node) for node in made]
        lost, *others = programs
        doomed = asyncio.create_task(crowd([lost], 50))
        living = asyncio.create_task(crowd(others, 150))
        await until(lambda: quota.calls >= 40)
        made[0].kill()
        all_right(await living)
        await doomed
        gate = Scenario(fault="hold")
        openai.always(gate, key="key-0")
        before = len(openai.requests)
        held = asyncio.create_task(crowd(others, 12))
        await until(lambda: len(openai.requests) == before + 6)
        gate.release()
        all_right(await held)
    assert quota.refused == 0


async def test_a_redis_that_comes_back_empty_is_not_noticed_by_clients(redis_server, openai, client):
    """While it is away, all workers go on with their parts, those too that held nothing when it went."""
    quota = Quota(slots=6, seconds=0.02)
    with nodes(redis_server.url, accounts=[enforced(openai, 0, quota)], models=[MODEL]) as made:
        programs = [client(node) for node in made]
        going = True

        async def keep_asking(program: Client) -> None:
            while going:
                all_right(await crowd([program], 4))

        asking = [asyncio.create_task(keep_asking(program)) for program in programs]
        await until(lambda: quota.calls > 50)
        before = [logged(node, "steward is away") for node in made]
        redis_server.stop()
        await until(
            lambda: all(logged(node, "steward is away") >= n + WORKERS for node, n in zip(made, before, strict=True))
        )
        alone = quota.calls
        await until(lambda: quota.calls > alone + 50)
        before = [logged(node, "limits are shared among") for node in made]
        redis_server.start()
        await until(
            lambda: all(
                logged(node, "limits are shared among") >= n + WORKERS for node, n in zip(made, before, strict=True)
            )
        )
        together = quota.calls
        await until(lambda: quota.calls > together + 50)
        going = False
        await asyncio.gather(*asking)
    assert quota.refused == 0, "a declared limit was exceeded"


async def test_without_a_redis_nodes_may_refuse_until_it_is_back(redis_server, openai, client):
    with nodes(redis_server.url, fallback="refuse", accounts=[account(openai, 0, rpm=1000)], models=[MODEL]) as made:
        programs = [client(node) for node in made]
        all_right(await crowd(programs, 6))
        redis_server.stop()

        async def heard(status: int) -> None:
            for program in programs:
                while (await program.ask()).status != status:
                    await asyncio.sleep(0.02)

        async with asyncio.timeout(20):
            await heard(503)
        calls = len(openai.requests)
        answers = await crowd(programs, 12)
        assert {one.status for one in answers} == {503} and len(openai.requests) == calls
        assert all(one.headers["x-dragoman-error"] == "overloaded" for one in answers)
        redis_server.start()
        async with asyncio.timeout(20):
            await heard(200)


async def test_what_one_node_hears_of_a_limit_rests_the_account_for_all(redis_server, openai, anthropic, client):
    """A 429 is heard once, not once by every worker of every node."""
    openai.always(status(429, retry_after="40"), key="key-0")
    model = {"name": "m", "targets": ["openai/gpt-mock", "anthropic/claude-mock"]}
    with nodes(redis_server.url, accounts=[account(openai, 0), account(anthropic, 0)], models=[model]) as made:
        programs = [client(node) for node in made]
        all_right([await programs[0].ask()])

        def rests(node) -> bool:
            """As each of its workers sees it, asked often enough that both answer."""
            views = [httpx.get(f"{node.url}/dragoman/v1/accounts").json()["accounts"][0] for _ in range(12)]
            return all(seat["rest"] for view in views for seat in view["seats"]) and all(
                view["seats"] for view in views
            )

        await asyncio.to_thread(lambda: [rests(node) for node in made])
        all_right(await crowd(programs, 30))
    assert len(openai.requests) <= 2


async def test_what_is_changed_of_accounts_at_one_node_counts_at_all_and_at_one_that_comes_later(
    redis_server, openai, client, tmp_path
):
    accounts = [account(openai, 0), account(openai, 1), account(openai, 2, key="of-nobody")]
    with nodes(redis_server.url, accounts=accounts, models=[MODEL]) as made:
        first, second, third = (httpx.Client(base_url=f"{node.url}/dragoman/v1/accounts") for node in made)
        first.post("/openai-0/disable").raise_for_status()
        second.delete("/openai-1").raise_for_status()
        third.patch("/openai-2", json={"key": "key-2"}).raise_for_status()
        third.post("", json=account(openai, 3)).raise_for_status()

        def known(node: GatewayProcess) -> bool:
            """As its workers see it, asked often enough that each answers."""
            answers = [httpx.get(f"{node.url}/dragoman/v1/accounts").json()["accounts"] for _ in range(12)]
            states = [{each["name"]: each["state"] for each in answer} for answer in answers]
            right = {"openai-0": "disabled", "openai-2": "serving", "openai-3": "serving"}
            return all(state == right for state in states)

        async with asyncio.timeout(20):
            for node in made:
                while not await asyncio.to_thread(known, node):
                    await asyncio.sleep(0.1)
        tables = made[0].tables
        with GatewayProcess(**tables | {"state": tables["state"] | {"dir": str(tmp_path)}}) as late:
            assert await asyncio.to_thread(known, late)
            heard = await crowd([client(node) for node in [*made, late]], 40)
    all_right(heard)
    assert {one.account for one in heard} == {"openai-2", "openai-3"}


@pytest.mark.parametrize("limit", ["rpm", "budget"])
async def test_a_keys_limits_hold_for_all_nodes_together(redis_server, openai, client, tmp_path, limit):
    price = {"input": 0, "output": 1000}  # USD a million tokens: 20 tokens are 2 cents
    model = MODEL | {"targets": ["openai/gpt-mock"], "price": price}
    quota = Quota(seconds=0.005)
    accounts = [enforced(openai, 0, quota)]
    with nodes(
        redis_server.url, tmp_path / "state", access={"mode": "keys"}, accounts=accounts, models=[model]
    ) as made:
        options = {"rpm": ("--rpm", "40"), "budget": ("--budget", "0.8")}[limit]
        key = json.loads(made[0].run("keys", "create", *options, "--json").stdout)["key"]
        heard = await crowd([client(node, key) for node in made], 90)
    served = [one for one in heard if one.status == 200]
    all_right(served)
    assert len(served) == quota.calls
    assert {one.status for one in heard} <= {200, 402, 429}
    assert len(served) <= 40, "the limit is exceeded"
    assert len(served) >= (36 if limit == "rpm" else 1)
