"""A gateway that has just begun to serve."""

import asyncio

from fake_wire import Make


async def test_calls_wait_until_it_is_known_what_budgets_have_left(world: Make) -> None:
    there = world("a")
    known = asyncio.Event()
    there.gateway.counting = asyncio.create_task(known.wait())  # type: ignore[arg-type]  # what it gives is not used
    asking = asyncio.create_task(there.ask())
    for _ in range(20):
        await asyncio.sleep(0)
    assert there.tried == [] and not asking.done()
    known.set()
    assert (await asking).status == 200


async def test_a_client_that_leaves_while_it_waits_stops_only_its_own_call(world: Make) -> None:
    there = world("a")
    known = asyncio.Event()
    there.gateway.counting = asyncio.create_task(known.wait())  # type: ignore[arg-type]  # what it gives is not used
    leaving, staying = asyncio.create_task(there.ask()), asyncio.create_task(there.ask())
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    known.set()
    assert (await staying).status == 200
    assert [row.status for row in there.rows] == [499, 200]
