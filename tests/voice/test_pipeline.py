"""The actor: floods are bounded, a client that leaves ends everything, and what breaks does not break the session."""

import asyncio

import pytest

from dragoman.voice.ear import PIECE, Ear
from dragoman.voice.engine import EngineError, Words

from .stage import Client, Engines, Session, Writer, append, says, silence, speech

CREATE = {"type": "response.create"}
HELLO = {
    "type": "conversation.item.create",
    "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]},
}


async def test_a_client_that_leaves_in_the_middle_of_an_answer_stops_the_model_and_the_speaker():
    writer = Writer(says("One two three four five. ", "Six."))
    writer.prepare = lambda answer: setattr(answer, "stalls_after", 3)
    async with Session(model=writer) as session:
        session.client.say(CREATE)
        await session.client.sees("response.output_audio.delta")
        session.client.order.end = lambda: None
    assert session.model.asked[0].closed and session.pipeline._tasks == set()


async def test_a_client_that_leaves_while_it_is_listened_to_leaves_nothing_behind():
    async with Session(Engines("How are you?")) as session:
        session.engines.judge = None
        session.client.say(append(silence(300)), append(speech(600)), append(silence(64)))
        await session.client.sees("input_audio_buffer.speech_started")
        while not session.model.asked:
            await asyncio.sleep(0.001)
    assert session.model.asked[0].fate == "dropped" and session.model.asked[0].closed
    assert session.engines.transcriber.begun[0].dropped


async def test_a_session_that_is_cut_off_leaves_nothing_behind():
    async with Session(Engines("How are you?")) as session:
        session.client.say(append(silence(300)), append(speech(600)))
        await session.client.sees("input_audio_buffer.speech_started")
        session._running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await session._running
        assert session.pipeline._tasks == set() and session.engines.transcriber.begun[0].dropped
        session._running = asyncio.create_task(asyncio.sleep(0))


async def test_a_client_that_does_not_read_is_not_read_either():
    class Deaf(Client):
        def __init__(self):
            super().__init__()
            self.taken = 0

        async def receive(self):
            self.taken += 1
            return HELLO

        async def send(self, event):
            await asyncio.Event().wait()

    engines, client = Engines(), Deaf()
    pipeline = Session(engines).pipeline
    running = asyncio.create_task(pipeline.run(client))
    taken = -1
    while client.taken != taken:
        taken = client.taken
        for _ in range(200):
            await asyncio.sleep(0)
    assert 1000 < taken < 3000
    running.cancel()
    await asyncio.wait([running])
    assert pipeline._tasks == set()


async def test_a_flood_of_events_is_answered_one_by_one():
    async with Session() as session:
        session.client.say(*({"type": "nonsense", "event_id": str(n)} for n in range(3000)))
        await session.client.sees("error", 3000)
        assert [e["error"]["event_id"] for e in session.client.of("error")] == [str(n) for n in range(3000)]


async def test_an_engine_that_breaks_fails_the_answer_and_not_the_session():
    class Broken(Engines):
        broken = True

    engines = Broken()
    say = engines.speaker.say

    def breaking(text, **how):
        if engines.broken:
            raise RuntimeError("a bug")
        return say(text, **how)

    engines.speaker.say = breaking
    async with Session(engines) as session:
        session.client.say(CREATE)
        done = (await session.client.sees("response.done"))["response"]
        assert done["status"] == "failed" and "a bug" not in done["status_details"]["error"]["message"]
        engines.broken = False
        session.client.say(CREATE)
        assert (await session.client.sees("response.done", 2))["response"]["status"] == "completed"


async def test_a_model_that_breaks_fails_the_answer_and_not_the_session():
    writer = Writer()

    def broken(answer):
        async def events():
            raise RuntimeError("a bug")
            yield

        answer.events = events

    writer.prepare = broken
    async with Session(model=writer) as session:
        session.client.say(CREATE)
        done = (await session.client.sees("response.done"))["response"]
        assert done["status"] == "failed" and done["status_details"]["error"]["code"] == "internal"


async def test_a_fault_of_ours_is_told_and_counted_and_ends_the_session(monkeypatch):
    broken = []
    async with Session(broke=lambda: broken.append(1)) as session:
        monkeypatch.setattr(session.pipeline._dialogue, "client", lambda said, now: 1 / 0)
        session.client.say(CREATE)
        error = (await session.client.sees("error"))["error"]
        assert error["type"] == "server_error"
    assert (session.closed.code, broken) == (1011, [1])


async def test_an_engine_s_failure_is_no_fault_of_ours_but_its_bug_is():
    for failure, count in ((EngineError("no line"), 0), (RuntimeError("a bug"), 1)):
        broken = []
        engines = Engines("Hello.")
        async with Session(engines, broke=lambda broken=broken: broken.append(1)) as session:
            engines.transcriber.lines[0] = failure
            heard = {"input": {"transcription": {"model": "any"}}}
            session.client.say({"type": "session.update", "session": {"type": "realtime", "audio": heard}})
            session.client.say(append(silence(300)), append(speech(600)), append(silence(2000)))
            await session.client.sees("conversation.item.input_audio_transcription.failed")
        assert (len(broken) > 0) == bool(count)


async def test_a_long_append_is_taken_in_pieces_and_others_have_their_turn_between(monkeypatch):
    """Fifteen MiB of telephone sound are half an hour: decoding and resampling all of it at once would hold up all."""
    taken = []
    take = Ear._take
    monkeypatch.setattr(Ear, "_take", lambda ear, data: (taken.append(len(data)), take(ear, data)))
    form = {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}}}
    async with Session() as session:
        said = speech(120_000)
        session.client.say(form, append(said), {"type": "input_audio_buffer.commit"})
        beats = 0
        while not session.client.of("input_audio_buffer.committed"):
            await asyncio.sleep(0)
            beats += 1
        assert sum(taken) == len(said) and max(taken) <= PIECE
        assert beats > len(taken) / 4
    heard = b"".join(line.sound for line in session.engines.transcriber.begun)
    assert len(heard) == pytest.approx(120_000 * 32, abs=100)


async def test_a_turn_s_record_has_its_stages_in_order():
    async with Session(Engines("How are you?"), tells_turns=True) as session:
        session.client.say(append(silence(300)), append(speech(600)), append(silence(2000)))
        told = await session.client.sees("dragoman.turn")
        assert told["turn"] == 1 and told["target"] == "fake/writer" and told["decision"] == "dec_1"
        stages = told["stages_ms"]
        assert list(stages) == [
            "vad_hang", "turn_model", "stt_final", "route", "llm_ttft", "first_clause", "tts_ttfa", "send", "total",
        ]  # fmt: skip
        assert stages["route"] == 1 and stages["vad_hang"] >= 0 and stages["total"] >= stages["vad_hang"]
        kinds = [e["type"] for e in session.client.events]
        assert kinds.index("dragoman.turn") == kinds.index("response.done") + 1
        assert session.turns[0].tokens > 0


async def test_drafts_are_made_while_somebody_speaks_unless_they_cost():
    for metered, least in ((False, 3), (True, 0)):
        engines = Engines("A long story.")
        engines.transcriber.metered = metered
        engines.judge = None
        drafts = []
        async with Session(engines) as session:
            begin = engines.transcriber.begin

            def counting(begin=begin, drafts=drafts, **about):
                line = begin(**about)

                async def words():
                    drafts.append(len(line.sound))
                    return Words("A long")

                line.words = words
                return line

            engines.transcriber.begin = counting
            for _ in range(30):
                session.client.say(append(speech(100)))
            session.client.say(append(silence(3000)))
            await session.client.sees("response.done")
            assert len(drafts) >= least and (least or not drafts)


async def test_without_a_judge_half_a_second_of_silence_ends_a_turn():
    engines = Engines("How are you?")
    engines.judge = None
    async with Session(engines) as session:
        session.client.say(append(silence(300)), append(speech(600)), append(silence(560)))
        await session.client.sees("response.done")
        (stopped,) = session.client.of("input_audio_buffer.speech_stopped")
    assert 1400 <= stopped["audio_end_ms"] < 1432
