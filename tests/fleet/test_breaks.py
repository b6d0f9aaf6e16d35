"""Providers and nodes that are killed in mid-stream, under crowds of official SDKs: where `on_break = "resume"`, each
client has its own answer to the character, whoever began it; hedged or not."""

import asyncio
from typing import Any

import pytest

from e2e.gateway import GatewayProcess
from fakes import Fake, Request, Scenario
from fleet.crowd import Heard, crowd, until
from fleet.house import MODEL, account
from fleet.nodes import nodes

RESUMING = MODEL | {"on_break": "resume"}
SERVER = {"queue_seconds": 50}


def story(question: str) -> str:
    """The one right answer to a question. No part of it is like another."""
    return " ".join(f"{question}, verse {i}:\nhäß 你好 😀 {i * i}." for i in range(12))


def tells(request: Request) -> Scenario:
    """The story, or what of it is missing after the beginning that it was given, and was asked to repeat."""
    turns = [(turn["role"], _text(turn)) for turn in request.json["messages"]]
    whole = story(turns[0][1])
    said = next((text for role, text in turns if role == "assistant"), "")
    assert whole.startswith(said), f"not what the client has: {said!r}"
    anchor = turns[-1][1].partition(":\n")[2] if said and turns[-1][0] == "user" else ""
    assert said.endswith(anchor)
    return Scenario(say=whole[len(said) - len(anchor) :], delay=0.004)


def _text(turn: Any) -> str:
    content = turn["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def wholly_told(heard: list[Heard]) -> None:
    for one in heard:
        assert one.whole and one.text == story(one.question), f"{one.question}: {one.error or one.text!r}"


def under_way(fake: Fake) -> int:
    """How many of its streams are in mid-answer."""
    return sum(request.frames > 5 and not request.over for request in fake.requests)


@pytest.fixture
def telling(openai: Fake, anthropic: Fake) -> None:
    openai.always(tells)
    anthropic.always(tells)


@pytest.mark.usefixtures("telling")
async def test_no_character_is_lost_or_repeated_where_a_provider_is_killed_in_mid_stream(openai, anthropic, client):
    accounts = [account(openai, 0), account(openai, 1), account(anthropic, 0)]
    with GatewayProcess(server=SERVER, accounts=accounts, models=[RESUMING]) as gateway:

        async def kill() -> None:
            await until(lambda: under_way(openai) >= 10)
            openai.stop()

        heard, _ = await asyncio.gather(crowd([client(gateway)], 60, stream=True), kill())
        rows = await asyncio.to_thread(gateway.rows)
    wholly_told(heard)
    assert sum(row.get("resumed", 0) for row in rows) >= 5
    assert openai.crashes == anthropic.crashes == []


@pytest.mark.usefixtures("telling")
async def test_a_node_that_is_killed_while_its_provider_is_takes_only_its_own_streams_with_it(
    redis_server, openai, anthropic, client
):
    """Those of the other nodes go on elsewhere. What the dead one's clients have is the beginning of their answer, and
    does not look whole. Then all slots are free again."""
    slots = 40
    accounts = [account(openai, 0), account(anthropic, 0, max_in_flight=slots)]
    with nodes(redis_server.url, accounts=accounts, models=[RESUMING]) as made:
        lost, *others = [client(node) for node in made]
        doomed = asyncio.create_task(crowd([lost], 15, stream=True))
        living = asyncio.create_task(crowd(others, 45, stream=True))
        await until(lambda: under_way(openai) >= 15)
        openai.stop()
        made[0].kill()
        wholly_told(await living)
        for one in await doomed:
            assert story(one.question).startswith(one.text)
            assert not one.whole or one.text == story(one.question)
        gate = Scenario(fault="hold")
        anthropic.always(gate)
        before = len(anthropic.requests)
        held = asyncio.create_task(crowd(others, slots, stream=False))
        await until(lambda: len(anthropic.requests) == before + slots)
        gate.release()
        assert [one.error for one in await held if one.error is not None] == []
    assert openai.crashes == anthropic.crashes == []


@pytest.mark.usefixtures("telling")
async def test_hedged_streams_are_whole_though_the_provider_of_either_attempt_is_killed(openai, anthropic, client):
    """Once it is known how soon first tokens come, one provider gives none any more: second attempts are made at the
    other. While they run, the first is killed."""
    accounts = [account(openai, 0), account(anthropic, 0), account(anthropic, 1)]
    with GatewayProcess(server=SERVER, accounts=accounts, models=[RESUMING | {"hedge": True}]) as gateway:
        program = client(gateway)

        def calls() -> list[int]:
            return [sum(request.key == key for request in fake.requests) for fake, key in seats]

        seats = [(openai, "key-0"), (anthropic, "key-0"), (anthropic, "key-1")]
        while min(calls()) < 21:
            wholly_told(await crowd([program], 12, stream=True))
        openai.always(Scenario(fault="hang", after=1))
        before = len(openai.requests)

        async def kill() -> None:
            await until(lambda: len(openai.requests) > before and under_way(anthropic) >= 3)
            openai.stop()

        heard, _ = await asyncio.gather(crowd([program], 30, stream=True), kill())
        rows = await asyncio.to_thread(gateway.rows)
    wholly_told(heard)
    assert any(row.get("hedged") for row in rows)
    assert openai.crashes == anthropic.crashes == []
