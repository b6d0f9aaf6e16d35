"""Client events, the session's configuration, items: done as the original does them, or refused in its words."""

from itertools import pairwise

import pytest

from .stage import Session, Writer, append, says, silence, speech

USER = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi."}]}


def create(item=USER, **more):
    return {"type": "conversation.item.create", "item": item, **more}


def update(**session):
    return {"type": "session.update", "session": session}


async def told(event, kind="error"):
    async with Session() as session:
        session.client.say(event)
        return await session.client.sees(kind)


REFUSED = {
    "no event": (7, "invalid_event", None),
    "no type": ({"event_id": "e"}, "missing_required_parameter", "type"),
    "an unknown type": ({"type": "response.start"}, "invalid_value", "type"),
    "an unknown field": ({"type": "response.cancel", "now": True}, "unknown_parameter", "now"),
    "a field of another type": ({"type": "conversation.item.delete", "item_id": 5}, "invalid_type", "item_id"),
    "a missing field": ({"type": "conversation.item.delete"}, "missing_required_parameter", "item_id"),
    "an unknown setting": (update(color="red"), "unknown_parameter", "session.color"),
    "a setting of another type": (update(instructions=5), "invalid_type", "session.instructions"),
    "a setting out of range": (update(max_output_tokens=0), "invalid_value", "session.max_output_tokens"),
    "a deep setting": (
        update(audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 1.5}}}),
        "invalid_value",
        "session.audio.input.turn_detection.threshold",
    ),
    "an unknown format": (
        update(audio={"output": {"format": {"type": "audio/ogg"}}}),
        "invalid_value",
        "session.audio.output.format.type",
    ),
    "a remote tool": (update(tools=[{"type": "mcp", "server_label": "x"}]), "invalid_value", "session.tools[0].type"),
    "another kind of session": (update(type="transcription"), "invalid_value", "session.type"),
    "an item of no kind": (create({"type": "poem"}), "invalid_value", "item.type"),
    "a part that its role has not": (
        create({"type": "message", "role": "user", "content": [{"type": "output_text", "text": "x"}]}),
        "invalid_value",
        "item.content[0].type",
    ),
    "a part without its text": (
        create({"type": "message", "role": "system", "content": [{"type": "input_text"}]}),
        "missing_required_parameter",
        "item.content[0].text",
    ),
    "an item after nobody": (create(previous_item_id="nobody"), "item_not_found", "previous_item_id"),
    "an item that is not there": (
        {"type": "conversation.item.retrieve", "item_id": "nobody"},
        "item_retrieve_invalid_item_id",
        "item_id",
    ),
    "the truncation of an item that is not there": (
        {"type": "conversation.item.truncate", "item_id": "nobody", "content_index": 0, "audio_end_ms": 9},
        "item_truncate_invalid_item_id",
        "item_id",
    ),
    "the deletion of an item that is not there": (
        {"type": "conversation.item.delete", "item_id": "nobody"},
        "item_delete_invalid_item_id",
        "item_id",
    ),
    "half a block of base64": ({"type": "input_audio_buffer.append", "audio": "AAA=A"}, "invalid_value", "audio"),
    "half a sample": ({"type": "input_audio_buffer.append", "audio": "AA=="}, "invalid_value", "audio"),
    "too much at once": (
        {"type": "input_audio_buffer.append", "audio": "A" * (21 * 1024 * 1024)},
        "invalid_value",
        "audio",
    ),
    "no sound to commit": ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
    "a response in no conversation": (
        {"type": "response.create", "response": {"conversation": "other"}},
        "invalid_value",
        "response.conversation",
    ),
    "a response with an unknown field": (
        {"type": "response.create", "response": {"mood": "good"}},
        "unknown_parameter",
        "response.mood",
    ),
    "a response that is not there": (
        {"type": "response.cancel", "response_id": "nobody"},
        "response_cancel_not_active",
        None,
    ),
}


@pytest.mark.parametrize(("event", "code", "param"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_cannot_be_done_is_refused_and_the_session_lives_on(event, code, param):
    async with Session() as session:
        if isinstance(event, dict):
            event = {**event, "event_id": "mine"}
        session.client.say(event)
        error = (await session.client.sees("error"))["error"]
        assert (error["code"], error["param"], error["type"]) == (code, param, "invalid_request_error")
        assert error["event_id"] == ("mine" if isinstance(event, dict) else None) and error["message"]
        session.client.say(create())
        await session.client.sees("conversation.item.done")


async def test_a_refused_change_changes_nothing():
    async with Session() as session:
        session.client.say(update(instructions="New.", audio={"output": {"speed": 9}}), update())
        shown = (await session.client.sees("session.updated"))["session"]
        assert shown["instructions"] != "New." and shown["audio"]["output"]["speed"] == 1


async def test_changes_are_laid_over_what_is_in_force():
    async with Session() as session:
        session.client.say(
            update(audio={"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}}),
            update(audio={"input": {"noise_reduction": None}, "output": {"voice": "cedar"}}, tracing="auto"),
            update(instructions=None, tools=[], audio={"input": {"transcription": None}}),
        )
        shown = (await session.client.sees("session.updated", 3))["session"]
        assert shown["audio"]["input"]["turn_detection"] is None and shown["audio"]["input"]["transcription"] is None
        assert shown["audio"]["output"]["voice"] == "cedar" and shown["tracing"] == "auto"
        assert shown["instructions"] and shown["audio"]["output"]["format"]["rate"] == 24000


async def test_the_voice_stays_once_it_has_been_heard():
    async with Session() as session:
        session.client.say({"type": "response.create"})
        await session.client.sees("response.done")
        session.client.say(update(audio={"output": {"voice": "alloy"}}, instructions="New."))
        await session.client.sees("session.updated")
        session.client.say(update(audio={"output": {"voice": "cedar"}}))
        error = (await session.client.sees("error"))["error"]
        assert error["code"] == "cannot_update_voice"
        assert error["message"] == "Cannot update a conversation's voice if assistant audio is present."


async def test_the_client_s_own_ids_and_order_are_kept():
    async with Session() as session:
        session.client.say(
            create({**USER, "id": "a"}),
            create({**USER, "id": "b"}),
            create({**USER, "id": "c"}, previous_item_id="a"),
            create({**USER, "id": "d"}, previous_item_id="root"),
            create({**USER, "id": "a"}),
            {"type": "conversation.item.delete", "item_id": "b"},
            create({**USER, "id": "e"}),
        )
        await session.client.sees("conversation.item.done", 5)
        added = [(e["item"]["id"], e["previous_item_id"]) for e in session.client.of("conversation.item.added")]
        assert added == [("a", None), ("b", "a"), ("c", "a"), ("d", None), ("e", "c")]
        assert session.client.of("error")[0]["error"]["param"] == "item.id"


async def test_pictures_are_shown_to_models_that_see():
    parts = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
        {"type": "input_image", "image_url": "https://a.example/b.png"},
    ]
    async with Session() as session:
        session.client.say(create({"type": "message", "role": "user", "content": parts}), {"type": "response.create"})
        await session.client.sees("response.done")
        _, inline, by_address = session.model.asked[0].request.messages[-1].parts
        assert (inline.mime, inline.data, inline.detail) == ("image/png", "AAAA", "low")
        assert by_address.url == "https://a.example/b.png"


async def test_the_client_commits_by_itself_where_nothing_detects_turns():
    async with Session(model=Writer(says("Yes."))) as session:
        session.client.say(update(audio={"input": {"turn_detection": None, "transcription": {"model": "x"}}}))
        session.client.say(append(speech(400)), {"type": "input_audio_buffer.clear"}, append(speech(200)))
        session.client.say({"type": "input_audio_buffer.commit"}, {"type": "response.create"})
        await session.client.sees("response.done")
        assert session.model.asked[0].request.messages[-1].parts[0].text == "Hello there."
        done = session.client.of("conversation.item.input_audio_transcription.completed")[0]
        assert abs(done["usage"]["seconds"] - 0.2) < 0.01
        assert not session.client.of("input_audio_buffer.speech_started")


async def test_both_alphabets_of_base64_are_read():
    async with Session() as session:
        session.client.say(update(audio={"input": {"turn_detection": None}}))
        for sound in ("-_-_" * 4000, "+/+/" * 4000):
            session.client.say({"type": "input_audio_buffer.append", "audio": sound})
        session.client.say({"type": "input_audio_buffer.commit"})
        await session.client.sees("input_audio_buffer.committed")
        assert not session.client.of("error")


async def test_a_session_has_an_end():
    async with Session(seconds=3600) as session:
        session.now += 3601
        session.client.say(create())
        error = (await session.client.sees("error"))["error"]
        assert error["code"] == "session_expired"
        assert error["message"] == "Your session hit the maximum duration of 60 minutes."
    assert session.closed.code == 1001


async def test_speech_in_the_middle_of_a_change_is_still_one_turn():
    async with Session() as session:
        session.client.say(append(silence(300)), append(speech(600)), update(instructions="Be brief."))
        await session.client.sees("session.updated")
        session.client.say(append(silence(2000)))
        committed = await session.client.sees("input_audio_buffer.committed")
        assert committed["item_id"] == session.client.of("input_audio_buffer.speech_started")[0]["item_id"]
        await session.client.sees("response.done")


async def test_a_conversation_that_outgrows_the_model_is_told_from_its_latest_items():
    class Small(Writer):
        window = 1000

    long = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "word " * 100}]}
    async with Session(model=Small(says("Yes."))) as session:
        told = []
        for number in range(1, 12):
            session.client.say(create({**long, "id": f"item{number}"}), {"type": "response.create"})
            await session.client.sees("response.done", number)
            told.append(sum(len(m.parts) for m in session.model.asked[-1].request.messages[1:]))
        assert told[0] == 1 and max(told) < 16  # eleven questions and ten answers would be 21
        assert any(later < earlier for earlier, later in pairwise(told))
        assert len(session.client.of("conversation.item.added")) == 22  # nothing is deleted


async def test_where_truncation_is_disabled_all_is_told():
    class Small(Writer):
        window = 300

    long = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "word " * 100}]}
    async with Session(model=Small(says("Yes."))) as session:
        session.client.say(
            update(truncation="disabled"), *(create(long) for _ in range(5)), {"type": "response.create"}
        )
        await session.client.sees("response.done")
        assert len(session.model.asked[-1].request.messages[-1].parts) == 5
