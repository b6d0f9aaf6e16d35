"""A turn of a session, from what the client says to the last event it gets."""

import base64
from array import array
from itertools import pairwise
from random import Random

from dragoman.voice.pcm import level
from dragoman.voice.record import Turn

from .stage import Engines, Session, Writer, append, says, silence, speech

HELLO = {
    "type": "conversation.item.create",
    "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]},
}


async def test_a_session_begins_with_all_of_its_configuration():
    async with Session() as session:
        created = session.client.events[0]["session"]
        assert created["model"] == "writer" and created["type"] == "realtime"
        assert created["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500
        assert created["audio"]["output"] == {
            "format": {"type": "audio/pcm", "rate": 24000},
            "voice": "alloy",
            "speed": 1,
        }


async def test_text_is_answered_by_voice_in_the_original_s_order():
    async with Session() as session:
        session.client.say(HELLO, {"type": "response.create"})
        done = (await session.client.sees("response.done"))["response"]
        assert session.client.kinds()[2:] == [
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "rate_limits.updated",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_audio_transcript.delta",
            "response.output_audio.delta",
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
    assert done["status"] == "completed"
    assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": "It is fine today."}]
    sound = b"".join(base64.b64decode(e["delta"]) for e in session.client.of("response.output_audio.delta"))
    assert len(sound) == len("It is fine today.") * 10 * 48
    assert done["usage"]["output_token_details"] == {"text_tokens": 7, "audio_tokens": round(17 * 10 / 50)}


async def test_speech_is_heard_transcribed_and_answered():
    async with Session(Engines("How are you?")) as session:
        client = session.client
        client.say({"type": "session.update", "session": {"audio": {"input": {"transcription": {"model": "any"}}}}})
        client.say(append(silence(500)), append(speech(600)), append(silence(800)))
        await client.sees("response.done")
        words = await client.sees("conversation.item.input_audio_transcription.completed")
    kinds = [e["type"] for e in client.events]
    in_order = [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "response.output_audio.delta",
        "response.done",
    ]
    places = [kinds.index(kind) for kind in in_order]
    assert all(one < other for one, other in pairwise(places))
    assert words["transcript"] == "How are you?" and words["usage"]["type"] == "duration"
    started = client.of("input_audio_buffer.speech_started")[0]
    assert abs(started["audio_start_ms"] - 200) < 64  # 300 ms ahead of where it began
    taken = [answer for answer in session.model.asked if answer.fate == "taken"]
    assert len(taken) == 1
    assert taken[0].request.messages[-1].parts[0].text == "How are you?"


async def test_a_conversation_goes_on_turn_by_turn():
    model = Writer(says("One."), says("Two."))
    async with Session(Engines("First?", "Second?"), model) as session:
        for count in (1, 2):
            session.client.say(append(silence(500)), append(speech(600)), append(silence(1500)))
            await session.client.sees("response.done", count)
            session.now += 10  # the answer is heard
    said = [(m.role, m.parts[0].text) for m in session.model.asked[-1].request.messages[1:]]
    assert said == [("user", "First?"), ("assistant", "One."), ("user", "Second?")]


async def test_noise_is_taken_out_where_the_client_asks_for_it():
    hiss = array("h", (Random(1).randrange(-3000, 3000) for _ in range(24_000 * 3))).tobytes()
    loudness = []
    for asked in (None, {"type": "near_field"}):
        async with Session() as session:
            changed = {"input": {"noise_reduction": asked, "turn_detection": None}}
            session.client.say({"type": "session.update", "session": {"audio": changed}}, append(hiss))
            session.client.say({"type": "input_audio_buffer.commit"})
            await session.client.sees("conversation.item.done")
            (line,) = session.engines.transcriber.begun
            loudness.append(level(line.sound[-32_000:]))
    assert loudness[1] < loudness[0] - 6


def test_an_answer_that_was_begun_in_vain_counts_in_no_stage():
    turn = Turn(number=1, began=0.0, spoken=True)
    turn.ask(1.0)
    turn.text, turn.clause, turn.sound, turn.target = 1.3, 1.4, 1.5, "some/other"
    turn.ask(2.0)
    assert [turn.stages_ms()[stage] for stage in ("llm_ttft", "first_clause", "tts_ttfa")] == [None, None, None]
    turn.text, turn.clause = 2.1, 2.25
    assert (turn.stages_ms()["llm_ttft"], turn.stages_ms()["first_clause"], turn.target) == (100.0, 150.0, None)
