"""What a client may want of the listening beside the words: their probabilities, and noise taken out."""

import math

import pytest

from dragoman.voice.engine import Token, Words
from dragoman.voice.pcm import level

from .engines.test_vad import noise
from .stage import Engines, Session, append, silence, speech

LOGPROBS = "item.input_audio_transcription.logprobs"
SAID = Words("Hi \u2026 there", 0.9, (Token(b"Hi", -0.1), Token(b" \xe2\x80", -0.2), Token(b"\xa6 there", -1.5)))
NEAR = {"noise_reduction": {"type": "near_field"}}


def update(include=None, **heard):
    audio = {"input": {"transcription": {"model": "gpt-4o-transcribe"}, **heard}}
    return {"type": "session.update", "session": {"type": "realtime", "include": include, "audio": audio}}


async def completed(session, said):
    session.client.say(said, append(silence(300)), append(speech(600)), append(silence(2000)))
    await session.client.sees("response.done")
    return await session.client.sees("conversation.item.input_audio_transcription.completed")


async def test_the_probabilities_of_what_was_understood_are_told_to_who_asks():
    async with Session(Engines(SAID)) as session:
        told = await completed(session, update([LOGPROBS]))
        assert [each["logprob"] for each in told["logprobs"]] == [-0.1, -0.2, -1.5]
        spelt = b"".join(bytes(each["bytes"]) for each in told["logprobs"])
        assert spelt.decode() == told["transcript"]
        assert session.client.of("conversation.item.input_audio_transcription.delta")[0]["logprobs"] == told["logprobs"]


async def test_and_to_nobody_else():
    async with Session(Engines(SAID)) as session:
        assert "logprobs" not in await completed(session, update())
    async with Session(Engines("Hello.")) as session:  # an engine that does not know them
        assert "logprobs" not in await completed(session, update([LOGPROBS]))


async def test_what_cannot_be_included_is_refused():
    async with Session() as session:
        session.client.say(update(["item.input_audio_transcription.mood"]))
        assert (await session.client.sees("error"))["error"]["param"] == "session.include[0]"


async def test_tools_of_remote_servers_are_refused_with_what_to_do_instead():
    tools = [{"type": "mcp", "server_label": "x", "server_url": "https://x.example"}]
    async with Session() as session:
        session.client.say({"type": "session.update", "session": {"type": "realtime", "tools": tools}})
        session.client.say({"type": "response.create", "response": {"tools": tools}})
        for count, param in ((1, "session.tools[0].type"), (2, "response.tools[0].type")):
            error = (await session.client.sees("error", count))["error"]
            assert error["param"] == param and "'mcp'" in error["message"] and "function" in error["message"]


@pytest.mark.parametrize("way", ["said", "begun with", "neither"])
async def test_noise_is_taken_out_where_the_client_wants_that(way):
    """Heard by the transcriber: what it gets of two seconds of noise, before somebody speaks."""
    by_hand = {"turn_detection": None}
    settings = {"type": "realtime", "audio": {"input": {**NEAR, **by_hand}}} if way == "begun with" else None
    hiss = noise(3.0, 0.02)  # two seconds at the session's rate
    async with Session(Engines("Hello."), settings=settings) as session:
        session.client.say(update(**by_hand, **(NEAR if way == "said" else {})), append(hiss))
        session.client.say({"type": "input_audio_buffer.commit"})
        await session.client.sees("input_audio_buffer.committed")
        await session.client.sees("conversation.item.input_audio_transcription.completed")
        (line,) = session.engines.transcriber.begun
        heard = line.sound
    softer = level(hiss[len(hiss) // 2 :]) - level(heard[len(heard) // 2 :])
    assert softer > 8 if way != "neither" else math.isclose(softer, 0, abs_tol=2.5)
