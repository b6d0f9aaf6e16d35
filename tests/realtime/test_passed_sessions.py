"""Gemini Live at Gemini, OpenAI Live at OpenAI: all passes as it comes, and a lost Gemini is gone on with elsewhere."""

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gate import Gate, gate
from websockets.asyncio.server import ServerConnection, serve

from dragoman.voice.relaying.gemini_watch import GeminiWatch
from dragoman.wire.upgrade import connect
from dragoman.wire.websocket import Socket
from fakes.gemini_live import GeminiLiveFake
from fakes.realtime import tone
from fakes.server import _Loop

PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
MODEL = "gemini-2.5-flash-native-audio-latest"
SETUP = {
    "model": f"models/gemini/{MODEL}", "generationConfig": {"responseModalities": ["AUDIO"], "temperature": 0.5},
    "tools": [{"googleSearch": {}}], "outputAudioTranscription": {}, "inputAudioTranscription": {},
}  # fmt: skip
WORDS = ["one", "two", "three", "four", "five"]


@pytest.fixture
def gemini() -> Iterator[GeminiLiveFake]:
    with GeminiLiveFake() as running:
        yield running


def accounts(*fakes: GeminiLiveFake) -> list[dict[str, Any]]:
    return [
        {"name": f"g{number}", "provider": "gemini", "key": "g-fake", "base_url": fake.base_url}
        for number, fake in enumerate(fakes)
    ]


async def dial(running: Gate, setup: dict[str, Any] = SETUP) -> Socket:
    socket = await connect(running.ws + PATH + "?key=any")
    await socket.send(json.dumps({"setup": setup}))
    assert await message(socket) == {"setupComplete": {}}
    return socket


async def message(socket: Socket) -> dict[str, Any]:
    found = await socket.receive()
    assert found is not None, f"the session ended with {socket.code} {socket.reason}"
    return json.loads(found)


async def turn(socket: Socket) -> list[dict[str, Any]]:
    found = [await message(socket)]
    while not found[-1].get("serverContent", {}).get("turnComplete"):
        found.append(await message(socket))
    return found


def heard(messages: list[dict[str, Any]]) -> list[str]:
    known = {tone(word): word for word in WORDS}
    parts = [part for each in messages for part in each.get("serverContent", {}).get("modelTurn", {}).get("parts", [])]
    return [known[part["inlineData"]["data"]] for part in parts]


def words(text: str) -> str:
    content = {"turns": [{"role": "user", "parts": [{"text": text}]}], "turnComplete": True}
    return json.dumps({"clientContent": content})


async def test_all_of_the_setup_but_the_model_s_name_passes(tmp_path: Path, gemini: GeminiLiveFake) -> None:
    async with gate(tmp_path, accounts(gemini)) as running:
        socket = await dial(running)
        await socket.send(words("hello"))
        messages = await turn(socket)
        await socket.close()
        await running.app.idle()
        talk = gemini.talks[0]
        assert talk.received[0] == {"setup": SETUP | {"model": f"models/{MODEL}"}}
        assert talk.received[1] == json.loads(words("hello"))
        assert [{"setupComplete": {}}, *messages] == talk.sent
        assert heard(messages) == WORDS
        (row,) = running.rows
        assert (row.target, row.account, row.dialect) == (f"gemini/{MODEL}", "g0", "realtime.gemini")
        assert (row.input, row.audio_input, row.output, row.audio_output) == (100, 60, 30, 30)
        assert row.cost == 40 * 500_000 + 60 * 3_000_000 + 30 * 12_000_000


async def test_a_provider_that_says_it_will_go_is_left_and_the_client_sees_nothing(
    tmp_path: Path, gemini: GeminiLiveFake
) -> None:
    gemini.go_away = True
    async with gate(tmp_path, accounts(gemini)) as running:
        socket = await dial(running)
        for said in ("hello", "again"):
            await socket.send(words(said))
            messages = await turn(socket)
            assert not any("goAway" in each for each in messages)
            assert heard(messages) == WORDS
        first, second = gemini.talks[:2]
        assert second.received[0] == first.received[0]
        history = second.got("clientContent")[0]
        texts = [part["text"] for each in history["turns"] for part in each["parts"]]
        assert texts[:2] == ["hello", " ".join(WORDS)]
        assert running.app.sessions.counts.lost == 0
        await socket.close()


async def test_a_lost_provider_s_answer_goes_on_elsewhere(tmp_path: Path, gemini: GeminiLiveFake) -> None:
    async with _broken_after(2) as port, gate(tmp_path, [
        {"name": "broken", "provider": "gemini", "key": "k", "base_url": f"http://127.0.0.1:{port}"},
    ]) as running:  # fmt: skip
        socket = await dial(running)
        await socket.send(words("hello"))
        messages = await turn(socket)
        assert heard(messages) == WORDS
        assert running.app.sessions.counts.resumed == 1
        broken, whole = running.rows
        assert (broken.status, broken.error, whole.status, whole.resumed) == (502, "stream_broken", 200, 1)
        await socket.close()


class _broken_after:
    """A Gemini that dies after so many words, once; then it goes on from what it is told."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._lives = 0

    async def _talk(self, connection: ServerConnection) -> None:
        self._lives += 1
        life = self._lives
        await connection.recv()
        await connection.send(json.dumps({"setupComplete": {}}))
        content = json.loads(await connection.recv())["clientContent"]
        assert content["turnComplete"]
        said = "".join(p["text"] for t in content["turns"] if t["role"] == "model" for p in t["parts"]).split()
        assert said == WORDS[: len(said)]
        for number, word in enumerate(WORDS[len(said) :]):
            if life == 1 and number == self._count:
                connection.transport.abort()
                return
            part = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": tone(word)}}
            await connection.send(json.dumps({"serverContent": {"modelTurn": {"role": "model", "parts": [part]}}}))
            await connection.send(json.dumps({"serverContent": {"outputTranscription": {"text": word + " "}}}))
        await connection.send(json.dumps({"serverContent": {"turnComplete": True}}))
        await connection.wait_closed()

    async def _start(self) -> int:
        self._server = await serve(self._talk, "127.0.0.1", 0, compression=None)
        return int(self._server.sockets[0].getsockname()[1])

    async def _stop(self) -> None:
        self._server.close()

    async def __aenter__(self) -> int:
        return await asyncio.to_thread(_Loop.run, self._start())

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(_Loop.run, self._stop())


async def test_what_the_provider_refuses_closes_the_client_with_its_words(
    tmp_path: Path, gemini: GeminiLiveFake
) -> None:
    async with gate(tmp_path, accounts(gemini)) as running:
        socket = await dial(running)
        await socket.send(json.dumps({"clientContent": {"turns": "nonsense"}}))
        assert await socket.receive() is None
        assert socket.code == 1007
        assert "Invalid JSON payload" in socket.reason


async def test_a_live_session_at_openai_live_passes_as_it_comes(tmp_path: Path) -> None:
    received: list[Any] = []

    async def talk(connection: ServerConnection) -> None:
        assert connection.request is not None
        received.append(connection.request.path)
        async for raw in connection:
            received.append(json.loads(raw))
            await connection.send(json.dumps({"type": "session.started", "event_id": "e", "session": {"model": "x"}}))

    async def start() -> Any:
        return await serve(talk, "127.0.0.1", 0, compression=None)

    server = await asyncio.to_thread(_Loop.run, start())
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    account = {"name": "a", "provider": "openai", "key": "sk", "base_url": base}
    async with gate(tmp_path, [account]) as running:
        socket = await connect(f"{running.ws}/v1/live/sessions", [(b"authorization", b"Bearer any")])
        event = {"type": "session.start", "session": {"model": "openai/gpt-live-1", "store": True}, "event_id": "mine"}
        await socket.send(json.dumps(event))
        assert (await message(socket))["type"] == "session.started"
        assert received[0] == "/v1/live/sessions"
        assert received[1] == {**event, "session": {"model": "gpt-live-1", "store": True}}
        await socket.close()
        await running.app.idle()
        assert [(row.target, row.cost) for row in running.rows] == [("openai/gpt-live-1", None)]
    server.close()


def test_a_user_s_turn_without_words_is_told_by_its_sound_and_a_handle_is_left_out() -> None:
    watch = GeminiWatch()
    sound = base64.b64encode(b"\x10\x20" * 100).decode()
    said = json.dumps({"realtimeInput": {"audio": {"mimeType": "audio/pcm;rate=16000", "data": sound}}})
    watch.sent(json.dumps({"setup": {"model": "m", "session_resumption": {"handle": "h", "transparent": True}}}), "a")
    assert watch.sent(said, "a") == said
    watch.came(json.dumps({"serverContent": {"modelTurn": {"parts": [{"inlineData": {"data": "AAAA"}}]}}}))
    setup, *rest = watch.replay("b")
    assert json.loads(setup) == {"setup": {"model": "b", "session_resumption": {"transparent": True}}}
    assert rest == [said]


@pytest.mark.parametrize("broken", ["", "no JSON", "[]", "5", '{"serverContent": 5}', '{"setup": 5}', b"\xff",
                                    '{"serverContent": {"modelTurn": {"parts": ["x"]}}}'])  # fmt: skip
def test_what_is_no_message_passes_and_does_no_harm(broken: str | bytes) -> None:
    watch = GeminiWatch()
    assert watch.came(broken).shown == broken
    watch.sent(broken, "m")
    assert watch.replay("m") == []
