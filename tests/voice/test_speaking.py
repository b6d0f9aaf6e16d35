"""What a model says becomes speech: piece by piece, no faster than it can be heard, and as far as it goes."""

import base64

from dragoman.canon import Usage
from dragoman.voice.engine import SPOKEN

from .stage import Engines, Session, Writer, breaks, calls, says

HELLO = {
    "type": "conversation.item.create",
    "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]},
}
CREATE = {"type": "response.create"}


async def answered(session, **wanted):
    count = len(session.client.of("response.done"))
    session.client.say({**CREATE, "response": wanted} if wanted else CREATE)
    return (await session.client.sees("response.done", count + 1))["response"]


def sound_ms(session):
    sounds = [base64.b64decode(e["delta"]) for e in session.client.of("response.output_audio.delta")]
    return sum(map(len, sounds)) / 2 / SPOKEN * 1000


async def test_the_first_piece_is_short_and_each_goes_out_ahead_of_its_sound():
    text = "This is the first sentence of all. And a second one."
    async with Session(model=Writer(says(*text.replace(" ", " |").split("|")))) as session:
        await answered(session)
        assert session.engines.speaker.said == ["This is the first", "sentence of all.", "And a second one."]
        told = [e["delta"] for e in session.client.of("response.output_audio_transcript.delta")]
        assert told == ["This is the first ", "sentence of all. ", "And a second one."]
        kinds = [e["type"] for e in session.client.events if e["type"].endswith(".delta")]
        assert kinds[0].endswith("transcript.delta") and kinds[1].endswith("audio.delta")


async def test_what_is_for_the_eye_is_in_the_transcript_and_is_not_said():
    text = "**Sure** 😀, see [the page](https://a.example/x). \n```py\nprint(1)\n```\nDone."
    async with Session(model=Writer(says(text))) as session:
        done = await answered(session)
        assert " ".join(session.engines.speaker.said) == "Sure see the page. Done."
        assert done["output"][0]["content"][0]["transcript"] == text


async def test_a_client_is_sent_no_more_than_it_can_use_soon():
    text = "".join(f"This is sentence number {n} of a very long story. " for n in range(80))
    async with Session(model=Writer(says(text))) as session:
        session.client.say(CREATE)
        await session.client.sees("response.output_audio.delta", 750)
        session.client.say(HELLO)
        await session.client.sees("conversation.item.done")
        sent = sound_ms(session)
        assert 30_000 <= sent < 31_000 and not session.client.of("response.done")
        session.now += 20
        session.client.say(HELLO)
        await session.client.sees("conversation.item.done", 2)
        session.client.say(HELLO)
        await session.client.sees("response.done")
        assert sound_ms(session) == sum(map(len, session.engines.speaker.said)) * 10


async def test_text_is_written_where_text_is_wanted():
    async with Session(model=Writer(says("One ", "two."))) as session:
        done = await answered(session, output_modalities=["text"])
        assert done["output"][0]["content"] == [{"type": "output_text", "text": "One two."}]
        assert [e["delta"] for e in session.client.of("response.output_text.delta")] == ["One ", "two."]
        assert session.engines.speaker.said == [] and done["output_modalities"] == ["text"]


async def test_an_answer_s_own_instructions_tools_and_metadata_hold_for_it_alone():
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    async with Session() as session:
        session.client.say(HELLO)
        done = await answered(
            session, instructions="Shout.", tools=[tool], tool_choice={"type": "function", "name": "f"},
            metadata={"client_event_id": "7"}, max_output_tokens=9,
        )  # fmt: skip
        assert done["metadata"] == {"client_event_id": "7"} and done["max_output_tokens"] == 9
        await answered(session)
        first, second = (each.request for each in session.model.asked)
        assert first.messages[0].parts[0].text == "Shout." and first.tools[0].name == "f"
        assert (first.tool_choice.mode, first.tool_choice.names) == ("tool", ["f"]) and first.max_output_tokens == 9
        assert second.messages[0].parts[0].text != "Shout." and not second.tools and second.max_output_tokens is None


async def test_answers_beside_the_conversation_leave_no_trace_in_it():
    async with Session(model=Writer(says("Aside."), says("Also."), says("Here."))) as session:
        session.client.say({**HELLO, "item": {**HELLO["item"], "id": "mine"}})
        aside = {"conversation": "none", "output_modalities": ["text"]}
        inputs = [[{"type": "item_reference", "id": "mine"}], [HELLO["item"]], []]
        for each in inputs:
            session.client.say({**CREATE, "response": {**aside, "input": each}})
        await session.client.sees("response.done", 3)
        assert all(e["response"]["conversation_id"] is None for e in session.client.of("response.done"))
        assert len(session.client.of("conversation.item.added")) == 1
        asked = [len(each.request.messages) - 1 for each in session.model.asked]
        assert asked == [1, 1, 0]
        done = await answered(session)
        assert done["conversation_id"] is not None
        assert [m.role for m in session.model.asked[-1].request.messages] == ["system", "user"]


async def test_a_function_call_streams_its_arguments_and_waits_for_its_result():
    writer = Writer(calls("weather", '{"city"', ':"Rome"}'), says("It rains."))
    async with Session(model=writer) as session:
        session.client.say(HELLO)
        done = await answered(session)
        call = done["output"][0]
        assert (call["type"], call["name"], call["call_id"], call["arguments"], call["status"]) == (
            "function_call", "weather", "call_1", '{"city":"Rome"}', "completed",
        )  # fmt: skip
        assert [e["delta"] for e in session.client.of("response.function_call_arguments.delta")] == [
            '{"city"',
            ':"Rome"}',
        ]
        result = {"type": "function_call_output", "call_id": "call_1", "output": "rain"}
        session.client.say({"type": "conversation.item.create", "item": result})
        await answered(session)
        roles = [(m.role, type(m.parts[0]).__name__) for m in session.model.asked[-1].request.messages[1:]]
        assert roles == [("user", "Text"), ("assistant", "ToolCall"), ("user", "ToolResult")]


async def test_a_call_without_a_result_is_not_told_to_the_model():
    async with Session(model=Writer(calls("f", "{}"), says("Well."))) as session:
        session.client.say(HELLO)
        await answered(session)
        await answered(session)
        assert [m.role for m in session.model.asked[-1].request.messages] == ["system", "user"]


async def test_why_an_answer_is_not_whole_is_said():
    reasons = {"length": "max_output_tokens", "content_filter": "content_filter"}
    for finish, reason in reasons.items():
        async with Session(model=Writer(says("Half an", finish=finish))) as session:
            done = await answered(session)
            assert done["status"] == "incomplete"
            assert done["status_details"] == {"type": "incomplete", "reason": reason}
            assert done["output"][0]["content"][0]["transcript"] == "Half an"


async def test_a_model_s_failure_is_told_in_the_original_s_words():
    words = {
        "rate_limited": ("rate_limit_error", "rate_limit_exceeded"),
        "budget_spent": ("insufficient_quota", "insufficient_quota"),
        "unknown_model": ("invalid_request_error", "model_not_found"),
        "bad_request": ("invalid_request_error", "bad_request"),
        "upstream_error": ("server_error", "upstream_error"),
    }
    for kind, (type_, code) in words.items():
        async with Session(model=Writer([*says("Well, I")[:3], *breaks(kind, "ill")])) as session:
            done = await answered(session)
            assert done["status"] == "failed"
            assert done["status_details"]["error"] == {"type": type_, "code": code, "message": "ill"}
            assert (await answered(session))["status"] == "failed"  # the session lives on


async def test_a_speaker_s_failure_ends_the_answer_and_the_model():
    engines = Engines()
    engines.speaker.fails_at = "fine"
    async with Session(engines) as session:
        done = await answered(session)
        assert done["status"] == "failed" and "the cable is loose" in done["status_details"]["error"]["message"]


async def test_usage_tells_the_model_s_tokens_and_an_estimate_of_the_sound():
    usage = Usage(input=100, output=20, cached=60)
    async with Session(model=Writer(says("Twenty characters...", usage=usage))) as session:
        assert (await answered(session))["usage"] == {
            "total_tokens": 124, "input_tokens": 100, "output_tokens": 24,
            "input_token_details": {
                "text_tokens": 100, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 60,
                "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 0, "image_tokens": 0},
            },
            "output_token_details": {"text_tokens": 20, "audio_tokens": 4},
        }  # fmt: skip


async def test_one_answer_at_a_time():
    async with Session() as session:
        session.client.say(CREATE, CREATE)
        error = (await session.client.sees("error"))["error"]
        assert error["code"] == "conversation_already_has_active_response" and error["type"] == "invalid_request_error"
        await session.client.sees("response.done")


async def test_a_cancelled_answer_says_so_and_cancelling_nothing_is_harmless():
    writer = Writer(says("One two three four five. ", "Six."))
    writer.prepare = lambda answer: setattr(answer, "stalls_after", 3)
    async with Session(model=writer) as session:
        session.client.say(CREATE)
        await session.client.sees("response.output_audio.delta")
        session.client.say({"type": "response.cancel"})
        done = (await session.client.sees("response.done"))["response"]
        assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
        said = "".join(e["delta"] for e in session.client.of("response.output_audio_transcript.delta"))
        assert done["output"][0]["content"][0]["transcript"] == said
        assert session.model.asked[0].closed
        session.client.say({"type": "response.cancel", "event_id": "e7"})
        error = (await session.client.sees("error"))["error"]
        assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "e7")


async def test_sound_goes_out_in_the_format_that_was_asked_for():
    for kind in ("audio/pcmu", "audio/pcma"):
        async with Session(model=Writer(says("Twenty characters..."))) as session:
            change = {"output": {"format": {"type": kind}}}
            session.client.say({"type": "session.update", "session": {"audio": change}})
            await answered(session)
            size = sum(len(base64.b64decode(e["delta"])) for e in session.client.of("response.output_audio.delta"))
            assert abs(size - 8 * 200) < 16  # 8 kHz, a byte a sample


async def test_an_empty_answer_is_an_answer():
    async with Session(model=Writer(says("", "  \n"))) as session:
        done = await answered(session)
        assert done["status"] == "completed" and done["output"] == []
