"""Sessions relayed to a provider of the client's own dialect, through the whole gateway."""

import asyncio
import json
from pathlib import Path

import pytest
from gate import LOUD, QUIET, REALTIME, Gate, account, dial, gate, message, say, until
from openai import AsyncOpenAI, OpenAI

from dragoman.wire.errors import NotUpgraded
from fakes.realtime import Fate, RealtimeFake, tone


async def test_every_event_passes_as_it_came(tmp_path: Path, fake: RealtimeFake) -> None:
    async with gate(tmp_path, [account("a", fake)]) as running:
        socket = await dial(running)
        received = await until(socket, "session.created")
        spaced = '{ "type":"conversation.item.create",  "event_id": "mine", "item": ' + json.dumps(message("hi")) + " }"
        await socket.send(spaced)
        await say(socket, "response.create")
        received += await until(socket, "response.done")
        await socket.close()
        talk = fake.talks[0]
        assert received == talk.sent
        assert [each["type"] for each in talk.received] == ["conversation.item.create", "response.create"]
        assert talk.received[0]["event_id"] == "mine"
        assert talk.wrong == []
        assert (talk.path, talk.query) == ("/v1/realtime", {"model": "gpt-realtime"})


async def test_a_turn_is_a_row_with_target_account_tokens_and_cost(tmp_path: Path, fake: RealtimeFake) -> None:
    async with gate(tmp_path, [account("a", fake)]) as running:
        socket = await dial(running)
        for _ in range(2):
            await say(socket, "response.create")
            await until(socket, "response.done")
        first, second = running.rows
        assert (first.target, first.account, first.model, first.status) == (REALTIME, "a", REALTIME, 200)
        assert (first.input, first.cached, first.audio_input, first.output, first.audio_output) == (
            100,
            50,
            60,
            150,
            100,
        )
        # text 20, cached 20 + 30, sound 30; said: text 50, sound 100; per token, in millionths of a dollar
        fresh = 20 * 4 + 30 * 32
        assert first.cost == (fresh * 10 + 50 * 4 + 50 * 160 + 100 * 640) * 100_000
        assert first.request_id == socket.headers["x-request-id"]
        assert first.request_id != second.request_id
        assert first.ttft is not None
        await socket.close()
        await until_idle(running)
        assert len(running.rows) == 2


async def test_a_session_without_a_turn_is_one_row(tmp_path: Path, fake: RealtimeFake) -> None:
    async with gate(tmp_path, [account("a", fake)]) as running:
        socket = await dial(running)
        await until(socket, "session.created")
        await socket.close()
        await until_idle(running)
        (row,) = running.rows
        assert (row.target, row.account, row.cost, row.dialect) == (REALTIME, "a", None, "realtime.ga")


async def test_the_answer_to_the_offer_names_target_and_account(tmp_path: Path, fake: RealtimeFake) -> None:
    async with gate(tmp_path, [account("a", fake)]) as running:
        socket = await dial(running)
        assert socket.headers["x-dragoman-target"] == REALTIME
        assert socket.headers["x-dragoman-account"] == "a"
        assert socket.headers["x-dragoman-attempts"] == "1"
        await socket.close()


@pytest.mark.parametrize("refusal", [Fate(refuse=401), Fate(refuse=429), Fate(refuse=503),
                                     Fate(error={"type": "server_error", "code": "insufficient_quota", "message": "x"}),
                                     Fate(after=0)])  # fmt: skip
async def test_where_one_account_gives_no_session_another_is_asked(
    tmp_path: Path, fake: RealtimeFake, other: RealtimeFake, refusal: Fate
) -> None:
    models = [{"name": "rt", "targets": ["openai/gpt-realtime"], "capabilities": ["realtime"]}]
    fake.fates = [refusal]
    accounts = [account("a", fake, weight=1000), account("b", other, weight=0.001)]
    async with gate(tmp_path, accounts, models=models) as running:
        for _ in range(3):  # chance may have it that b is asked first
            socket = await dial(running, "/v1/realtime?model=rt")
            await until(socket, "session.created")
            if not fake.fates:
                break
            await socket.close()
        assert socket.headers["x-dragoman-attempts"] == "2"
        assert socket.headers["x-dragoman-account"] == "b"
        await socket.close()


async def test_what_every_account_refuses_is_refused_in_http(tmp_path: Path, fake: RealtimeFake) -> None:
    fake.fates = [Fate(refuse=429)]
    async with gate(tmp_path, [account("a", fake)], server={"queue_seconds": 0}) as running:
        with pytest.raises(NotUpgraded) as refused:
            await dial(running)
        assert refused.value.status == 429
        assert json.loads(refused.value.body)["error"]["code"] == "rate_limit_exceeded"
        assert [row.status for row in running.rows] == [429]


REFUSALS = {
    "an unknown model": ("/v1/realtime?model=nothing", 404, "model_not_found"),
    "no model": ("/v1/realtime", 400, None),
}


@pytest.mark.parametrize(("path", "status", "code"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_what_can_be_told_before_the_websocket_stands_is(
    tmp_path: Path, fake: RealtimeFake, path: str, status: int, code: str | None
) -> None:
    async with gate(tmp_path, [account("a", fake)]) as running:
        with pytest.raises(NotUpgraded) as refused:
            await dial(running, path)
        assert refused.value.status == status
        assert json.loads(refused.value.body)["error"]["code"] == code


async def test_paths_that_are_no_realtime_paths_ask_for_http(tmp_path: Path, fake: RealtimeFake) -> None:
    async with gate(tmp_path, [account("a", fake)]) as running:
        with pytest.raises(NotUpgraded) as refused:
            await dial(running, "/v1/responses")
        assert refused.value.status == 426


async def test_speech_is_answered_without_being_asked_for(tmp_path: Path, fake: RealtimeFake) -> None:
    async with gate(tmp_path, [account("a", fake)]) as running:
        socket = await dial(running)
        for sound in (LOUD, LOUD, QUIET, QUIET, QUIET):
            await say(socket, "input_audio_buffer.append", audio=sound)
        events = await until(socket, "response.done")
        kinds = [each["type"] for each in events]
        assert kinds.index("input_audio_buffer.speech_started") < kinds.index("input_audio_buffer.committed")
        assert "".join(each["delta"] for each in events if each["type"] == "response.output_audio.delta") == "".join(
            tone(word) for word in fake.answer.split()
        )
        await socket.close()


async def test_who_wants_to_know_is_told_the_times_of_each_turn(tmp_path: Path, fake: RealtimeFake) -> None:
    async with gate(tmp_path, [account("a", fake)]) as running:
        socket = await dial(running, f"/v1/realtime?model={REALTIME}&dragoman_turns=1")
        await say(socket, "response.create")
        turn = (await until(socket, "dragoman.turn"))[-1]
        assert (turn["turn"], turn["target"], turn["account"]) == (1, REALTIME, "a")
        assert turn["stages_ms"]["total"] >= turn["stages_ms"]["send"] >= 0
        await socket.close()


async def test_the_sdk_talks_to_it(tmp_path: Path, fake: RealtimeFake) -> None:
    async with gate(tmp_path, [account("a", fake)]) as running:
        client = AsyncOpenAI(api_key="any", base_url=f"{running.url}/v1")
        async with client.realtime.connect(model=REALTIME) as connection:
            await connection.session.update(session={"type": "realtime", "instructions": "Be brief."})
            await connection.conversation.item.create(item=message("hi"))
            await connection.response.create()
            said = ""
            async for each in connection:
                if each.type == "response.output_audio_transcript.delta":
                    said += each.delta
                if each.type == "response.done":
                    assert each.response.usage.total_tokens == 250
                    break
        assert said == fake.answer
        assert fake.talks[0].wrong == []
        assert fake.talks[0].session["instructions"] == "Be brief."


async def test_the_sdk_talks_to_it_without_asyncio(tmp_path: Path, fake: RealtimeFake) -> None:
    async with gate(tmp_path, [account("a", fake)]) as running:

        def talk() -> list[str]:
            client = OpenAI(api_key="any", base_url=f"{running.url}/v1")
            with client.realtime.connect(model=REALTIME) as connection:
                connection.response.create()
                kinds = []
                for each in connection:
                    kinds.append(each.type)
                    if each.type == "response.done":
                        return kinds
            return []

        assert (await asyncio.to_thread(talk))[-1] == "response.done"


async def until_idle(running: Gate) -> None:
    """Until the gateway has noticed that the client is gone."""
    await running.app.idle()


async def test_an_update_that_names_the_model_as_the_client_knows_it_is_understood(
    tmp_path: Path, fake: RealtimeFake
) -> None:
    models = [{"name": "talk", "targets": [REALTIME], "capabilities": ["realtime"]}]
    fake.fates = [Fate(when=lambda said: said["type"] == "input_audio_buffer.cleared")]
    async with gate(tmp_path, [account("a", fake), account("b", fake)], models=models) as running:
        socket = await dial(running, "/v1/realtime?model=talk")
        await say(socket, "session.update", session={"type": "realtime", "model": "talk", "instructions": "talk"})
        await until(socket, "session.updated")
        await say(socket, "input_audio_buffer.clear")
        await until(socket, "input_audio_buffer.cleared")
        for talk in fake.talks:
            (update,) = talk.got("session.update")
            assert update["session"] == {"type": "realtime", "model": "gpt-realtime", "instructions": "talk"}
        await socket.close()


async def test_a_session_that_only_writes_down_goes_to_a_provider_that_can(tmp_path: Path, fake: RealtimeFake) -> None:
    async with gate(tmp_path, [account("a", fake)]) as running:
        socket = await dial(running, "/v1/realtime?intent=transcription&model=openai/gpt-4o-transcribe")
        await until(socket, "session.created")
        assert fake.talks[0].query == {"intent": "transcription"}
        await socket.close()


async def test_a_transcript_that_is_sold_by_the_second_has_its_cost(tmp_path: Path, fake: RealtimeFake) -> None:
    price = [{"name": "ears", "targets": ["openai/whisper-1"], "price": {"audio_minute": 0.006}}]
    async with gate(tmp_path, [account("a", fake)], models=price) as running:
        socket = await dial(running)
        heard = {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}}
        await say(socket, "session.update", session={"type": "realtime", "audio": heard})
        await say(socket, "input_audio_buffer.append", audio=LOUD)
        await say(socket, "input_audio_buffer.commit")
        await until(socket, "conversation.item.input_audio_transcription.completed")
        assert [(row.target, row.cost) for row in running.rows] == [("openai/whisper-1", 3_000_000_000)]
        await socket.close()
