"""Somebody speaks while the assistant does: an interruption ends the answer where it was heard, a nod does not."""

from .stage import Engines, Session, Writer, append, says, silence, speech

LONG = "One two three four five six seven eight nine ten eleven twelve."  # 630 ms of sound
HELLO = {
    "type": "conversation.item.create",
    "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Count."}]},
}


async def counting(session):
    """The assistant has sent its answer, which is being played."""
    session.client.say(HELLO, {"type": "response.create"})
    return (await session.client.sees("response.done"))["response"]["output"][0]["id"]


async def item(session, item_id):
    session.client.say({"type": "conversation.item.retrieve", "item_id": item_id})
    return (
        await session.client.sees(
            "conversation.item.retrieved", len(session.client.of("conversation.item.retrieved")) + 1
        )
    )["item"]


async def test_an_interruption_cuts_the_answer_at_the_word_that_was_heard():
    async with Session(Engines("Stop that now."), Writer(says(LONG))) as session:
        answer = await counting(session)
        session.now += 0.2
        session.client.say(append(speech(600)))
        truncated = await session.client.sees("conversation.item.truncated")
        assert truncated["item_id"] == answer and truncated["audio_end_ms"] == 200
        assert (await item(session, answer))["content"][0]["transcript"] == "One two three four"
        session.client.say(append(silence(2000)))
        await session.client.sees("response.done", 2)
        said = [(m.role, m.parts[0].text) for m in session.model.asked[-1].request.messages[1:]]
        assert said == [("user", "Count."), ("assistant", "One two three four"), ("user", "Stop that now.")]


async def test_an_answer_in_progress_is_cancelled():
    writer = Writer(says(LONG, LONG))

    def stall(answer):
        answer.stalls_after = 3

    writer.prepare = stall
    async with Session(Engines("Stop."), writer) as session:
        session.client.say(HELLO, {"type": "response.create"})
        await session.client.sees("response.output_audio.delta")
        session.now += 0.1
        session.client.say(append(speech(600)))
        done = (await session.client.sees("response.done"))["response"]
        assert done["status"] == "cancelled"
        assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        assert done["output"][0]["status"] == "incomplete"
        assert session.model.asked[0].closed
        kinds = session.client.kinds()
        assert kinds.index("input_audio_buffer.speech_started") < kinds.index("response.done")


async def test_a_cough_is_no_interruption_for_a_player_that_can_pause():
    async with Session(Engines("Hello.", ""), Writer(says(LONG)), tells_pauses=True) as session:
        await counting(session)
        session.now += 0.1
        session.client.say(append(speech(120)), append(silence(1500)))
        session.client.say(HELLO)
        await session.client.sees("conversation.item.done", 3)
        assert not session.client.of("input_audio_buffer.speech_started")
        assert not session.client.of("conversation.item.truncated")


async def test_other_players_are_told_at_once_for_they_would_be_heard_until_then():
    async with Session(Engines("Hello.", "Stop."), Writer(says(LONG))) as session:
        await counting(session)
        session.now += 0.1
        session.client.say(append(speech(120)))
        await session.client.sees("input_audio_buffer.speech_started")
        await session.client.sees("conversation.item.truncated")


async def test_players_that_can_pause_are_told_to_until_it_is_known_what_is_meant():
    async with Session(Engines("Hello.", "", "Stop it now."), Writer(says(LONG)), tells_pauses=True) as session:
        await counting(session)
        session.now += 0.1
        session.client.say(append(speech(120)), append(silence(1500)))
        await session.client.sees("dragoman.resumed")
        session.client.say(append(speech(800)))
        await session.client.sees("conversation.item.truncated")
        own = [kind for kind in session.client.kinds() if kind.startswith("dragoman.")]
        assert own == ["dragoman.paused", "dragoman.resumed", "dragoman.paused", "dragoman.resumed"]
        kinds = [event["type"] for event in session.client.events]
        assert kinds.index("input_audio_buffer.speech_started") < len(kinds) - 1 - kinds[::-1].index("dragoman.resumed")


async def test_while_it_is_not_known_what_is_meant_no_more_is_said():
    async with Session(Engines("mhm"), Writer(says(LONG, " " + LONG)), tells_pauses=True) as session:
        session.model.prepare = lambda answer: setattr(answer, "stalls_after", 3)
        session.client.say(HELLO, {"type": "response.create"})
        await session.client.sees("response.output_audio.delta")
        session.client.say(append(speech(120)), append(silence(1500)))
        session.client.say(HELLO)
        await session.client.sees("conversation.item.done", 2)
        assert not session.client.of("input_audio_buffer.speech_started")
        assert session.pipeline._dialogue.answers.hushed is False
        session.client.say({"type": "response.cancel"})
        await session.client.sees("response.done")


async def test_without_interrupt_response_the_answer_goes_on_and_the_turn_is_answered_after_it():
    detection = {"type": "server_vad", "interrupt_response": False}
    writer = Writer(says(LONG), says("Yes."))
    async with Session(Engines("And you?"), writer) as session:
        session.client.say({"type": "session.update", "session": {"audio": {"input": {"turn_detection": detection}}}})
        await session.client.sees("session.updated")
        await counting(session)
        session.client.say(append(speech(600)), append(silence(2000)))
        done = await session.client.sees("response.done", 2)
        assert [e["response"]["status"] for e in session.client.of("response.done")] == ["completed", "completed"]
        assert done["response"]["output"][0]["content"][0]["transcript"] == "Yes."
        assert not session.client.of("conversation.item.truncated")


async def test_the_client_knows_better_what_was_heard():
    async with Session(Engines(), Writer(says(LONG))) as session:
        answer = await counting(session)
        for ms, heard in ((10**9, LONG), (0, ""), (-7, ""), (345.6, "One two three four five six seven")):
            session.client.say(
                {"type": "conversation.item.truncate", "item_id": answer, "content_index": 0, "audio_end_ms": ms}
            )
            count = len(session.client.of("conversation.item.truncated")) + 1
            told = await session.client.sees("conversation.item.truncated", count)
            assert 0 <= told["audio_end_ms"] <= 630
            assert (await item(session, answer))["content"][0]["transcript"] == heard


async def test_only_spoken_answers_can_be_truncated():
    async with Session() as session:
        session.client.say({**HELLO, "item": {**HELLO["item"], "id": "mine"}})
        session.client.say(
            {"type": "conversation.item.truncate", "item_id": "mine", "content_index": 0, "audio_end_ms": 1}
        )
        error = (await session.client.sees("error"))["error"]
        assert error["message"] == "Only model output audio messages can be truncated" and error["code"] is None


async def test_silence_for_too_long_makes_the_assistant_go_on():
    detection = {"type": "server_vad", "idle_timeout_ms": 5000}
    async with Session(Engines(), Writer(says("Hello."), says("Are you there?"))) as session:
        session.client.say({"type": "session.update", "session": {"audio": {"input": {"turn_detection": detection}}}})
        await counting(session)
        session.now += 10
        session.client.say(HELLO, append(silence(3000)), append(silence(2500)))
        told = await session.client.sees("input_audio_buffer.timeout_triggered")
        assert told["audio_end_ms"] - told["audio_start_ms"] >= 5000
        done = await session.client.sees("response.done", 2)
        assert done["response"]["output"][0]["content"][0]["transcript"] == "Are you there?"
        kinds = [e["type"] for e in session.client.events]
        assert kinds.index("input_audio_buffer.timeout_triggered") < kinds.index("input_audio_buffer.committed")


async def test_a_turn_whose_sound_stops_coming_ends_in_silence():
    async with Session(Engines("Over and out.")) as session:
        session.client.say(append(silence(300)), append(speech(600)))
        await session.client.sees("input_audio_buffer.speech_started")
        for _ in range(4):
            session.now += 0.8
            session.client.say(HELLO)
        await session.client.sees("response.done")
        assert session.client.of("input_audio_buffer.speech_stopped")
