"""A provider is lost, and the session goes on at another: the client sees one session, and hears nothing twice."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from gate import LOUD, QUIET, account, dial, event, gate, message, say, until

from dragoman.voice.relaying import relay
from dragoman.wire.websocket import Socket
from fakes.realtime import Fate, RealtimeFake, tone
from fakes.realtime_order import in_order
from fakes.realtime_schemas import assert_valid_server_event

WORDS = "one two three four five"
WHOLE = 26  # server events of the talk below, at one provider


async def to_the_end(socket: Socket) -> list[dict[str, Any]]:
    """All events, up to the end of an answer that came to its end."""
    events = []
    while True:
        events.append(await event(socket))
        if events[-1]["type"] == "response.done" and events[-1]["response"]["status"] != "incomplete":
            return events


def heard(events: list[dict[str, Any]]) -> list[str]:
    """The words whose sound came, in order."""
    known = {tone(word): word for word in WORDS.split()}
    return [known[each["delta"]] for each in events if each["type"] == "response.output_audio.delta"]


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [each["type"] for each in events]


async def talk_through(socket: Socket) -> list[dict[str, Any]]:
    await say(socket, "session.update", session={"type": "realtime", "instructions": "Be brief."})
    await say(socket, "conversation.item.create", item=message("first", id="item_mine"))
    await say(socket, "conversation.item.create", item=message("second"))
    await say(socket, "response.create", response={"metadata": {"of": "mine"}})
    return await to_the_end(socket)


def one_session(events: list[dict[str, Any]]) -> None:
    """What a client relies on, whatever happened behind."""
    for each in events:
        assert_valid_server_event(each)
    in_order(events)
    assert kinds(events).count("session.created") == 1
    assert kinds(events).count("session.updated") == 1
    assert len({each["session"]["id"] for each in events if "session" in each}) == 1
    assert "error" not in kinds(events)
    assert len({each["event_id"] for each in events}) == len(events)
    opened = [each["response"]["id"] for each in events if each["type"] == "response.created"]
    closed = [each["response"]["id"] for each in events if each["type"] == "response.done"]
    assert opened == closed
    added = [each["item"]["id"] for each in events if each["type"] == "conversation.item.added"]
    assert len(set(added)) == len(added)
    for begin, end in (
        ("response.output_item.added", "response.output_item.done"),
        ("response.content_part.added", "response.content_part.done"),
    ):
        assert kinds(events).count(begin) == kinds(events).count(end)


@pytest.mark.parametrize("how", ["abort", "close"])
@pytest.mark.parametrize("after", range(1, WHOLE))
async def test_a_provider_may_die_at_any_event(tmp_path: Path, fake: RealtimeFake, after: int, how: str) -> None:
    fake.fates = [Fate(after=after, how=how)]
    async with gate(tmp_path, [account("a", fake), account("b", fake)]) as running:
        socket = await dial(running)
        events = await talk_through(socket)
        await socket.close()
        assert heard(events) == WORDS.split()
        one_session(events)
        assert [talk.wrong for talk in fake.talks if talk.wrong] == []
        last = fake.talks[-1]
        assert last.session["instructions"] == "Be brief."
        texts = [item["content"][0].get("text") for item in last.items if item["role"] == "user"]
        assert texts == ["first", "second"]
        assert len(last.got("response.create")) == 1
        assert last.got("response.create")[0]["response"] == {"metadata": {"of": "mine"}}
        assert events[-1]["response"]["metadata"] == {"of": "mine"}
        assert running.app.sessions.counts.resumed == len(fake.talks) - 1 == 1


async def test_nothing_is_injected_where_nothing_is_lost(tmp_path: Path, fake: RealtimeFake) -> None:
    async with gate(tmp_path, [account("a", fake)]) as running:
        socket = await dial(running)
        events = await talk_through(socket)
        await socket.close()
        assert len(events) == WHOLE
        (talk,) = fake.talks
        assert kinds(talk.received) == [
            "session.update", "conversation.item.create", "conversation.item.create", "response.create",
        ]  # fmt: skip


async def test_providers_may_die_one_after_the_other(tmp_path: Path, fake: RealtimeFake) -> None:
    fake.fates = [Fate(after=15), Fate(after=20), Fate(after=18)]
    accounts = [account(name, fake) for name in "abcd"]
    async with gate(tmp_path, accounts) as running:
        socket = await dial(running)
        events = await talk_through(socket)
        await socket.close()
        assert heard(events) == WORDS.split()
        one_session(events)
        assert len(fake.talks) == 4
        assert [talk.wrong for talk in fake.talks if talk.wrong] == []


async def test_a_provider_that_ends_every_session_is_given_up(tmp_path: Path, fake: RealtimeFake) -> None:
    fake.fates = [Fate(after=1) for _ in range(20)]
    async with gate(tmp_path, [account(name, fake) for name in "abcdef"]) as running:
        socket = await dial(running)
        await say(socket, "input_audio_buffer.clear")
        await until(socket, "error")
        assert await socket.receive() is None
        assert socket.code == 1011
        assert len(fake.talks) == relay.FRUITLESS


async def test_what_was_said_before_is_told_to_the_next_provider(tmp_path: Path, fake: RealtimeFake) -> None:
    fake.fates = [Fate(when=lambda said: said["type"] == "conversation.item.retrieved")]
    async with gate(tmp_path, [account("a", fake), account("b", fake)]) as running:
        socket = await dial(running)
        await say(socket, "conversation.item.create", item=message("first"))
        await say(socket, "response.create")
        spoken = (await to_the_end(socket))[-1]["response"]["output"][0]["id"]
        await say(socket, "conversation.item.create", previous_item_id="root", item=message("zeroth"))
        await until(socket, "conversation.item.done")
        await say(socket, "conversation.item.retrieve", item_id=spoken)
        found = (await until(socket, "conversation.item.retrieved"))[-1]
        assert found["item"]["content"] == [{"type": "output_text", "text": WORDS}]
        last = fake.talks[-1]
        assert [item["content"][0]["text"] for item in last.items] == ["zeroth", "first", WORDS]
        assert last.got("response.create") == []
        await socket.close()


async def test_what_was_cut_off_or_deleted_stays_so(tmp_path: Path, fake: RealtimeFake) -> None:
    fake.fates = [Fate(when=lambda said: said["type"] == "input_audio_buffer.cleared")]
    async with gate(tmp_path, [account("a", fake), account("b", fake)]) as running:
        socket = await dial(running)
        await say(socket, "conversation.item.create", item=message("gone", id="item_gone"))
        await say(socket, "response.create")
        spoken = (await to_the_end(socket))[-1]["response"]["output"][0]["id"]
        await say(socket, "conversation.item.truncate", item_id=spoken, content_index=0, audio_end_ms=200)
        await say(socket, "conversation.item.delete", item_id="item_gone")
        await say(socket, "input_audio_buffer.clear")
        await until(socket, "input_audio_buffer.cleared")
        (item,) = fake.talks[-1].items
        assert item["content"] == [{"type": "output_text", "text": "one two"}]
        await socket.close()


async def test_a_user_in_the_middle_of_a_word_is_heard_to_the_end(tmp_path: Path, fake: RealtimeFake) -> None:
    fake.fates = [Fate(when=lambda said: said["type"] == "input_audio_buffer.speech_stopped")]
    async with gate(tmp_path, [account("a", fake), account("b", fake)]) as running:
        socket = await dial(running)
        for sound in (QUIET,) * 20 + (LOUD, LOUD, LOUD, QUIET, QUIET):
            await say(socket, "input_audio_buffer.append", audio=sound)
        events = await to_the_end(socket)
        assert heard(events) == WORDS.split()
        starts = [each["audio_start_ms"] for each in events if each["type"] == "input_audio_buffer.speech_started"]
        assert starts == [1700, 1700]  # 300 ms before the word, on one timeline
        last = fake.talks[-1]
        assert len(last.got("input_audio_buffer.append")) < 25
        assert last.got("response.create") == []
        await socket.close()


async def test_an_answer_that_was_owed_to_speech_is_asked_for(tmp_path: Path, fake: RealtimeFake) -> None:
    fake.fates = [Fate(when=lambda said: said["type"] == "response.created")]
    async with gate(tmp_path, [account("a", fake), account("b", fake)]) as running:
        socket = await dial(running)
        for sound in (LOUD, LOUD, LOUD, QUIET, QUIET):
            await say(socket, "input_audio_buffer.append", audio=sound)
        events = await to_the_end(socket)
        assert heard(events) == WORDS.split()
        one = [each for each in kinds(events) if each == "input_audio_buffer.committed"]
        assert len(one) == 1
        last = fake.talks[-1]
        assert len(last.got("response.create")) == 1
        assert last.items[0]["content"][0]["audio"].startswith(LOUD[:100])
        await socket.close()


async def test_a_committed_turn_is_told_by_its_transcript_where_there_is_one(
    tmp_path: Path, fake: RealtimeFake
) -> None:
    fake.fates = [Fate(when=lambda said: said["type"] == "input_audio_buffer.cleared")]
    async with gate(tmp_path, [account("a", fake), account("b", fake)]) as running:
        socket = await dial(running)
        heard_by = {"input": {"transcription": {"model": "gpt-4o-transcribe"}, "turn_detection": None}}
        await say(socket, "session.update", session={"type": "realtime", "audio": heard_by})
        await say(socket, "input_audio_buffer.append", audio=LOUD)
        await say(socket, "input_audio_buffer.commit")
        await until(socket, "conversation.item.input_audio_transcription.completed")
        await say(socket, "input_audio_buffer.clear")
        await until(socket, "input_audio_buffer.cleared")
        (item,) = fake.talks[-1].items
        assert item["content"] == [{"type": "input_text", "text": "what was said"}]
        assert [(row.target, row.input, row.cost) for row in running.rows] == [
            ("openai/gpt-4o-transcribe", 7, (7 * 600 + 3 * 1000) * 10_000)
        ]
        await socket.close()


async def test_sound_that_was_not_committed_is_committed_at_the_next_provider(
    tmp_path: Path, fake: RealtimeFake
) -> None:
    fake.fates = [Fate(when=lambda said: said["type"] == "input_audio_buffer.committed")]
    async with gate(tmp_path, [account("a", fake), account("b", fake)]) as running:
        socket = await dial(running)
        await say(socket, "session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": None}}})
        await say(socket, "input_audio_buffer.append", audio=LOUD)
        await say(socket, "input_audio_buffer.append", audio=QUIET)
        await say(socket, "input_audio_buffer.commit")
        await say(socket, "response.create")
        events = await to_the_end(socket)
        assert heard(events) == WORDS.split()
        sounds = [each["audio"] for each in fake.talks[-1].got("input_audio_buffer.append")]
        assert sounds == [LOUD, QUIET]
        await socket.close()


async def test_an_answer_the_client_has_cancelled_is_not_begun_again(tmp_path: Path, fake: RealtimeFake) -> None:
    gone = asyncio.Event()
    fake.pause = gone.wait  # the answer stops after its first word
    fake.fates = [Fate(when=lambda said: said["type"] == "response.output_audio.done")]
    async with gate(tmp_path, [account("a", fake), account("b", fake)]) as running:
        socket = await dial(running)
        await say(socket, "response.create")
        await until(socket, "response.output_audio.delta")
        await say(socket, "response.cancel")
        done = (await until(socket, "response.done"))[-1]["response"]
        assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "client_cancelled")
        assert done["output"][0]["content"][0]["transcript"] == "one "
        await say(socket, "input_audio_buffer.clear")
        await until(socket, "input_audio_buffer.cleared")
        assert fake.talks[-1].got("response.create") == []
        await socket.close()


async def test_a_session_that_nears_its_end_by_rule_moves_in_a_quiet_moment(
    tmp_path: Path, fake: RealtimeFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "EARLY", 3600.0)  # at once
    async with gate(tmp_path, [account("a", fake)]) as running:
        socket = await dial(running)
        events = await talk_through(socket)
        assert heard(events) == WORDS.split()
        monkeypatch.undo()
        await say(socket, "input_audio_buffer.clear")
        events += await until(socket, "input_audio_buffer.cleared")
        one_session(events)
        assert running.app.sessions.counts.lost == 0
        assert running.app.sessions.counts.resumed >= 1
        await socket.close()


async def test_a_lost_answer_is_booked_and_the_account_rests(tmp_path: Path, fake: RealtimeFake) -> None:
    fake.fates = [Fate(after=15)]
    async with gate(tmp_path, [account("a", fake), account("b", fake)]) as running:
        socket = await dial(running)
        await talk_through(socket)
        broken, whole = running.rows
        assert (broken.status, broken.error, broken.cost) == (502, "stream_broken", None)
        assert (whole.status, whole.resumed) == (200, 1)
        assert {broken.account, whole.account} == {"a", "b"}
        await socket.close()
