"""An answer is begun at the first pause and held back: it is there when the turn is over, or was never seen."""

import asyncio

from dragoman.voice.engine import EngineError

from .stage import Engines, Session, Writer, append, breaks, says, silence, speech


async def pauses(session, ms=64):
    """Somebody speaks, and has paused for so long."""
    session.engines.judge = None
    session.client.say(append(silence(300)), append(speech(600)), append(silence(ms)))
    await session.client.sees("input_audio_buffer.speech_started")


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


async def test_the_model_is_asked_at_the_pause_and_nothing_is_seen_of_it():
    async with Session(Engines("How are you?")) as session:
        await pauses(session)
        await until(lambda: session.engines.speaker.said)
        assert session.model.asked[0].speculative and session.model.asked[0].fate == "open"
        assert session.model.asked[0].request.messages[-1].parts[0].text == "How are you?"
        assert not session.client.of("response.created")


async def test_the_prepared_answer_is_used_when_the_turn_is_over():
    async with Session(Engines("How are you?")) as session:
        await pauses(session)
        await until(lambda: session.engines.speaker.said)
        session.client.say(append(silence(2000)))
        await session.client.sees("response.done")
        (asked,) = session.model.asked
        assert asked.fate == "taken"
        assert session.client.of("response.done")[0]["response"]["status"] == "completed"
        assert session.turns[0].speculative
    kinds = [e["type"] for e in session.client.events]
    assert kinds.index("conversation.item.done") < kinds.index("response.created")


async def test_speech_that_goes_on_drops_it_silently():
    async with Session(Engines("How are you?")) as session:
        await pauses(session)
        await until(lambda: session.model.asked)
        session.client.say(append(speech(300)))
        await until(lambda: session.model.asked[0].fate == "dropped")
        session.client.say(append(silence(2000)))
        await session.client.sees("response.done")
        assert session.model.asked[0].fate == "dropped"
        assert len(session.client.of("response.created")) == 1
        assert session.model.asked[-1].fate == "taken"


async def test_other_final_words_make_another_answer():
    engines = Engines("How are you today?")
    async with Session(engines) as session:
        begin = engines.transcriber.begin

        def with_draft(**about):
            line = begin(**about)
            line.draft = "How are you?"
            return line

        engines.transcriber.begin = with_draft
        await pauses(session)
        await until(lambda: session.model.asked)
        session.client.say(append(silence(2000)))
        await session.client.sees("response.done")
        assert [each.fate for each in session.model.asked] == ["dropped", "taken"]
        assert session.model.asked[1].request.messages[-1].parts[0].text == "How are you today?"


async def test_only_punctuation_and_case_may_differ():
    engines = Engines("Well, how are you?")
    async with Session(engines) as session:
        begin = engines.transcriber.begin

        def with_draft(**about):
            line = begin(**about)
            line.draft = "well how are you"
            return line

        engines.transcriber.begin = with_draft
        await pauses(session)
        await until(lambda: session.model.asked)
        session.client.say(append(silence(2000)))
        await session.client.sees("response.done")
        assert [each.fate for each in session.model.asked] == ["taken"]


async def test_a_prepared_answer_that_fails_is_asked_again_in_earnest():
    async with Session(Engines("Well?"), Writer(breaks(), says("Yes."))) as session:
        await pauses(session)
        await until(lambda: session.model.asked and session.model.asked[0].fate == "dropped")
        session.client.say(append(silence(2000)))
        done = (await session.client.sees("response.done"))["response"]
        assert done["status"] == "completed"


async def test_a_model_that_costs_is_not_asked_on_the_chance():
    class Paid(Writer):
        metered = True

    async with Session(Engines("How are you?"), Paid()) as session:
        await pauses(session, 2000)
        await session.client.sees("response.done")
        assert [each.speculative for each in session.model.asked] == [False]
        assert session.model.warmed == []


async def test_a_model_that_costs_is_asked_on_the_chance_as_often_as_allowed():
    class Paid(Writer):
        metered = True

    async with Session(Engines("How are you?"), Paid(), speculations=1) as session:
        await pauses(session)
        await until(lambda: session.model.asked)
        for _ in range(3):  # he goes on, and pauses again
            session.client.say(append(speech(300)), append(silence(64)))
        await until(lambda: session.model.asked[0].fate == "dropped" and not session.pipeline._inbox.qsize())
        session.client.say(append(silence(2000)))
        await session.client.sees("response.done")
        assert [each.speculative for each in session.model.asked] == [True, False]


async def test_a_noise_is_not_answered():
    async with Session(Engines("")) as session:
        await pauses(session, 2000)
        await session.client.sees("conversation.item.done")
        await until(lambda: not session.pipeline._tasks or len(session.pipeline._tasks) == 1)
        assert session.model.asked == [] and not session.client.of("response.created")


async def test_words_that_cannot_be_understood_fail_the_answer():
    async with Session(Engines(EngineError("stt: no credit"))) as session:
        session.client.say({"type": "session.update", "session": {"audio": {"input": {"transcription": {}}}}})
        await pauses(session, 2000)
        done = (await session.client.sees("response.done"))["response"]
        failed = await session.client.sees("conversation.item.input_audio_transcription.failed")
        assert done["status"] == "failed" and "no credit" in done["status_details"]["error"]["message"]
        assert failed["error"]["message"] == "stt: no credit"


async def test_the_model_reads_the_prompt_before_anybody_speaks():
    async with Session() as session:
        await until(lambda: session.model.warmed)
        session.client.say({"type": "session.update", "session": {"instructions": "Be brief."}})
        await until(lambda: len(session.model.warmed) == 2)
        assert session.model.warmed[1].messages[0].parts[0].text == "Be brief."


async def test_an_answer_to_other_words_than_the_last_is_not_used_though_its_draft_came_late():
    """The answer belongs to the words that it was begun for, not to the draft that came last."""
    engines = Engines("How are you today?")
    async with Session(engines) as session:
        await pauses(session)
        await until(lambda: session.model.asked)
        listening = session.pipeline._dialogue.listening
        listening._hearing.prepared = "How are you?"
        session.client.say(append(silence(2000)))
        await session.client.sees("response.done")
        assert [each.fate for each in session.model.asked] == ["dropped", "taken"]


async def test_the_judge_hears_the_words_of_the_pause():
    engines = Engines("How are you?")
    heard = []

    class Listens:
        async def complete(self, pcm, words):
            heard.append((len(pcm) > 0, words))
            return 0.99

    async with Session(engines) as session:
        engines.judge = Listens()
        session.client.say(append(silence(300)), append(speech(600)), append(silence(128)))
        await until(lambda: heard)
        session.client.say(append(silence(2000)))
        await session.client.sees("response.done")
    assert heard == [(True, "How are you?")]


async def test_the_judge_waits_for_words_that_come_late():
    engines = Engines("How are you?")
    heard, there, begin = [], asyncio.Event(), engines.transcriber.begin

    class Listens:
        async def complete(self, pcm, words):
            heard.append(words)
            return 0.99

    def slow(**about):
        line = begin(**about)
        words = line.words

        async def late():
            await there.wait()
            return await words()

        line.words = late
        return line

    engines.transcriber.begin, engines.judge = slow, Listens()
    async with Session(engines) as session:
        session.client.say(append(silence(300)), append(speech(600)), append(silence(112)))
        await session.client.sees("input_audio_buffer.speech_started")
        assert heard == []
        there.set()
        await until(lambda: heard)
        session.client.say(append(silence(2000)))
        await session.client.sees("response.done")
    assert heard == ["How are you?"]
