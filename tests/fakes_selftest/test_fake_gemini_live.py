"""The fake of Gemini Live takes what Google's SDK says, answers what it understands, and refuses the rest."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from fakes.gemini_live import GeminiLiveFake

LOUD, QUIET = "EBAQEBAQ", "AAAAAAAA"
SETUP: dict[str, Any] = {"setup": {"model": "models/gemini-2.5-flash-live", "outputAudioTranscription": {}}}


@pytest.fixture
def fake() -> Iterator[GeminiLiveFake]:
    with GeminiLiveFake(answer="yes no") as running:
        yield running


async def talk(fake: GeminiLiveFake, *messages: dict[str, Any], ends: str = "turnComplete") -> list[dict[str, Any]]:
    """What the fake says to these messages, up to the end of a turn."""
    said = []
    async with connect(fake.base_url.replace("http", "ws") + "/ws/x?key=k", compression=None) as socket:
        for message in messages:
            await socket.send(json.dumps(message))
            if "setup" in message:
                said.append(json.loads(await socket.recv()))
        while ends not in json.dumps(said):
            said.append(json.loads(await socket.recv()))
    return said


def user(text: str) -> dict[str, Any]:
    return {"clientContent": {"turns": [{"role": "user", "parts": [{"text": text}]}], "turnComplete": True}}


async def test_a_turn_is_answered_with_sound_and_its_words(fake: GeminiLiveFake) -> None:
    ready, *said = await talk(fake, SETUP, user("Well?"))
    assert ready == {"setupComplete": {}}
    words = [m["serverContent"]["outputTranscription"]["text"] for m in said if "outputTranscription" in json.dumps(m)]
    assert words == ["yes ", "no"]
    assert said[-1]["usageMetadata"]["totalTokenCount"] == 130
    assert fake.talks[0].key == "k"


async def test_speech_is_heard_and_answered_after_silence(fake: GeminiLiveFake) -> None:
    silence = {"realtimeInput": {"audio": {"mimeType": "audio/pcm;rate=16000", "data": "AAAA" * 2200}}}
    loud = {"realtimeInput": {"audio": {"mimeType": "audio/pcm;rate=16000", "data": LOUD}}}
    setup = {"setup": {**SETUP["setup"], "inputAudioTranscription": {}}}
    said = await talk(fake, setup, loud, silence)
    assert said[1] == {"serverContent": {"inputTranscription": {"text": "what was said"}}}


async def test_a_call_waits_for_its_result(fake: GeminiLiveFake) -> None:
    fake.calls.append(("weather", {"city": "Ulm"}))
    _, called = await talk(fake, SETUP, user("Well?"), ends="toolCall")
    assert called["toolCall"]["functionCalls"][0]["args"] == {"city": "Ulm"}


async def test_a_model_of_the_third_generation_answers_realtime_input_alone(fake: GeminiLiveFake) -> None:
    setup = {"setup": {"model": "models/gemini-3.1-flash-live", "outputAudioTranscription": {}}}
    said = await talk(fake, setup, user("Well?"), {"realtimeInput": {"text": "Well?"}})
    assert json.dumps(said).count("outputTranscription") == 2


@pytest.mark.parametrize(
    "messages",
    [
        [user("Well?")],
        [SETUP, SETUP],
        [{"setup": {"model": "m", "voice": "x"}}],
        [SETUP, {"realtimeInput": {"audio": {"mimeType": "audio/wav", "data": "AAAA"}}}],
        [SETUP, {"toolResponse": {"functionResponses": [{"id": "no", "name": "f", "response": {}}]}}],
        [SETUP, {"clientContent": {"turns": [{"role": "model", "parts": [{"text": "Hi"}]}]}}],
    ],
)
async def test_what_gemini_refuses_closes_the_socket(fake: GeminiLiveFake, messages: list[dict[str, Any]]) -> None:
    with pytest.raises(ConnectionClosed) as closed:
        async with asyncio.timeout(10):
            await talk(fake, *messages)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1007
