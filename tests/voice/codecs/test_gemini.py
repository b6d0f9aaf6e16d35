"""Gemini Live: what it emulates for the clients of each side, and what it names as lost."""

import base64
import json

import pytest

from dragoman.dialects.fields import Malformed
from dragoman.voice.codecs import gemini
from fakes.realtime_order import in_order
from fakes.realtime_schemas import assert_valid_client_event, assert_valid_server_event

from .said import numbers

TENTH = base64.b64encode(bytes(4800)).decode()  # of a second at 24 kHz
SHORT = base64.b64encode(bytes(3200)).decode()  # of a second at 16 kHz
AT = {"response_id": "r", "item_id": "item_a", "output_index": 0, "content_index": 0}
TEXT = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}


def told(messages, side="server"):
    events = [json.loads(message) for message in messages]
    for event in events:
        (assert_valid_server_event if side == "server" else assert_valid_client_event)(event, "gemini")
    return events


def begun(**setup):
    """A client's codec that is set up, and its session."""
    codec = gemini.Client(numbers())
    (update,) = read(codec, {"setup": {"model": "models/m", **setup}})
    assert told(codec.write({"type": "session.updated", "session": {}})) == [{"setupComplete": {}}]
    return codec, update["session"]


def read(codec, message):
    assert_valid_client_event(message, "gemini")
    events = codec.read(json.dumps(message))
    for event in events:
        assert_valid_client_event(event)
    return events


def kinds(events):
    return [event["type"] for event in events]


# --- clients of Gemini -----------------------------------------------------------------------------------------------


def test_sound_of_any_rate_becomes_24_khz():
    codec, _ = begun()
    for rate, size in ((16000, 3200), (8000, 1600), (24000, 4800)):
        blob = {"data": base64.b64encode(bytes(size)).decode(), "mimeType": f"audio/pcm;rate={rate}"}
        (append,) = read(codec, {"realtime_input": {"audio": blob}})
        assert len(base64.b64decode(append["audio"])) == pytest.approx(4800, abs=400)


def test_media_chunks_in_snake_case_are_sound_too_and_images_are_items():
    codec, _ = begun()
    chunks = [{"data": SHORT, "mime_type": "audio/pcm"}, {"data": "_-8=", "mime_type": "image/jpeg"}]
    append, item = read(codec, {"realtime_input": {"media_chunks": chunks}})
    assert append["type"] == "input_audio_buffer.append"
    assert item["item"]["content"] == [{"type": "input_image", "image_url": "data:image/jpeg;base64,/+8="}]


def test_a_setup_s_own_words_become_ga_s_and_the_rest_is_named():
    codec, session = begun(
        generationConfig={"temperature": 0.3, "thinkingConfig": {"thinkingLevel": "LOW"}},
        systemInstruction={"parts": [{"text": "Be"}, {"text": "kind."}]},
        tools=[{"googleSearch": {}}],
        realtimeInputConfig={
            "automaticActivityDetection": {"startOfSpeechSensitivity": "START_SENSITIVITY_LOW", "prefixPaddingMs": 20},
            "activityHandling": "NO_INTERRUPTION",
        },
        proactivity={"proactiveAudio": True},
    )  # fmt: skip
    assert session["instructions"] == "Be\nkind."
    assert session["reasoning"] == {"effort": "low"}
    assert session["audio"]["input"]["turn_detection"] == {
        "type": "server_vad", "prefix_padding_ms": 20, "interrupt_response": False
    }  # fmt: skip
    assert codec.lossy == [
        "setup.tools.googleSearch",
        "setup.generationConfig.temperature",
        "setup.realtimeInputConfig.startOfSpeechSensitivity",
        "setup.proactivity",
    ]


def test_what_gemini_does_not_know_closes_as_it_does():
    codec = gemini.Client(numbers())
    with pytest.raises(Malformed) as wrong:
        codec.read('{"setup": {"model": "m", "voice": "x"}}')
    assert codec.refuse(wrong.value) == []
    assert codec.closing == (1007, 'setup.voice: expected no such field, got "x"'[: len(codec.closing[1])])


def test_a_session_that_is_refused_closes_with_the_reason():
    codec = gemini.Client(numbers())
    codec.read('{"setup": {"model": "m"}}')
    error = {"type": "invalid_request_error", "code": "invalid_value", "message": "No such voice."}
    assert codec.write({"type": "error", "error": error}) == []
    assert codec.closing == (1007, "No such voice.")


def test_breaking_in_tells_how_much_was_heard_by_the_listener_s_own_sound():
    codec, _ = begun()
    codec.write({"type": "response.created", "response": {"id": "r"}})
    for _ in range(5):
        codec.write({"type": "response.output_audio.delta", **AT, "delta": TENTH})
    for _ in range(2):
        read(codec, {"realtimeInput": {"audio": {"data": SHORT, "mimeType": "audio/pcm;rate=16000"}}})
    assert told(codec.write({"type": "input_audio_buffer.speech_started", "audio_start_ms": 100})) == [
        {"serverContent": {"interrupted": True}}
    ]
    assert codec.echoes() == [
        {"type": "conversation.item.truncate", "content_index": 0, "item_id": "item_a", "audio_end_ms": 200}
    ]
    assert codec.write({"type": "response.output_audio.delta", **AT, "delta": TENTH}) == []
    done = {"type": "response.done", "response": {"id": "r", "status": "cancelled"}}
    assert told(codec.write(done)) == [{"serverContent": {"turnComplete": True}}]


def test_a_reply_that_is_over_may_still_be_broken_into_while_it_sounds():
    codec, _ = begun()
    codec.write({"type": "response.created", "response": {"id": "r"}})
    codec.write({"type": "response.output_audio.delta", **AT, "delta": TENTH})
    codec.write({"type": "response.done", "response": {"id": "r", "status": "completed"}})
    short = base64.b64encode(bytes(1600)).decode()
    read(codec, {"realtimeInput": {"audio": {"data": short, "mimeType": "audio/pcm;rate=16000"}}})
    assert told(codec.write({"type": "input_audio_buffer.speech_started", "audio_start_ms": 0})) == [
        {"serverContent": {"interrupted": True}}
    ]
    assert codec.echoes()[0]["audio_end_ms"] == 50


def test_a_reply_that_has_been_heard_out_is_not_broken_into():
    codec, _ = begun()
    codec.write({"type": "response.created", "response": {"id": "r"}})
    codec.write({"type": "response.output_audio.delta", **AT, "delta": TENTH})
    codec.write({"type": "response.done", "response": {"id": "r", "status": "completed"}})
    for _ in range(2):
        read(codec, {"realtimeInput": {"audio": {"data": SHORT, "mimeType": "audio/pcm;rate=16000"}}})
    assert codec.write({"type": "input_audio_buffer.speech_started", "audio_start_ms": 0}) == []
    assert codec.echoes() == []


def test_what_is_said_during_a_reply_stops_it_and_is_answered_when_that_has_ended():
    codec, _ = begun()
    codec.write({"type": "response.created", "response": {"id": "r"}})
    said = {"clientContent": {"turns": [{"role": "user", "parts": [{"text": "Stop."}]}], "turnComplete": True}}
    assert kinds(read(codec, said)) == ["response.cancel", "conversation.item.create"]
    codec.write({"type": "response.done", "response": {"id": "r", "status": "cancelled"}})
    assert codec.echoes() == [{"type": "response.create"}]


def test_a_blank_text_asks_for_a_reply_and_says_nothing():
    codec, _ = begun()
    blank = {"realtimeInput": {"text": " "}}
    assert kinds(read(codec, blank)) == ["response.create"]
    assert read(codec, blank) == []


def test_activity_by_hand_is_committed_and_answered():
    codec, session = begun(realtimeInputConfig={"automaticActivityDetection": {"disabled": True}})
    assert session["audio"]["input"]["turn_detection"] is None
    assert read(codec, {"realtimeInput": {"activityStart": {}}}) == []
    assert kinds(read(codec, {"realtimeInput": {"activityEnd": {}}})) == [
        "input_audio_buffer.commit",
        "response.create",
    ]


def test_calls_go_out_together_and_the_reply_goes_on_after_the_last_answer():
    codec, _ = begun()
    codec.write({"type": "response.created", "response": {"id": "r"}})
    for number in (1, 2):
        item = {"type": "function_call", "call_id": f"c{number}", "name": "f", "arguments": '{"n": 1}'}
        assert codec.write({"type": "response.output_item.done", "item": item}) == []
    done = {"type": "response.done", "response": {"id": "r", "status": "completed"}}
    (called,) = told(codec.write(done))
    assert [call["id"] for call in called["toolCall"]["functionCalls"]] == ["c1", "c2"]
    answer = {"toolResponse": {"functionResponses": [{"id": "c1", "name": "f", "response": {"result": "one"}}]}}
    (item,) = read(codec, answer)
    assert item["item"] == {"type": "function_call_output", "call_id": "c1", "output": "one"}
    answer = {"toolResponse": {"functionResponses": [{"name": "f", "response": {"a": 1}}]}}  # as Vertex' clients do
    assert kinds(read(codec, answer)) == ["conversation.item.create", "response.create"]


def test_a_client_of_vertex_is_told_of_activity():
    codec, _ = begun(explicitVadSignal=True)
    assert told(codec.write({"type": "input_audio_buffer.speech_started", "audio_start_ms": 1500})) == [
        {"voiceActivity": {"voiceActivityType": "ACTIVITY_START", "audioOffset": "1.500s"}}
    ]


def test_an_update_of_the_context_changes_instructions_and_tools():
    codec, _ = begun()
    update = {"contextUpdate": {"systemInstruction": {"parts": [{"text": "Be brief."}]}, "tools": {"tools": []}}}
    (event,) = read(codec, update)
    assert event["session"] == {"type": "realtime", "instructions": "Be brief.", "tools": []}


# --- providers -------------------------------------------------------------------------------------------------------


class Session:
    """An upstream codec, and all that the client is told of it."""

    def __init__(self, session=None, ready=True, model="gemini-2.5-flash-live"):
        self.codec = gemini.Upstream(numbers(), model)
        self.events = self.codec.echoes()
        self.sent = []
        self.write({"type": "session.update", "session": {"type": "realtime", **(session or {})}})
        if ready:
            self.read({"setupComplete": {}})

    def write(self, event):
        messages = told(self.codec.write(event), "client")
        self.sent += messages
        self.take(self.codec.echoes())
        return messages

    def read(self, message):
        events = self.codec.read(json.dumps(message))
        self.take(events)
        self.sent += told(self.codec.answers(), "client")
        return events

    def take(self, events):
        for event in events:
            assert_valid_server_event(event)
        self.events += events

    def says(self, text):
        sound = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": TENTH}}
        self.read({"serverContent": {"modelTurn": {"parts": [sound]}}})
        self.read({"serverContent": {"outputTranscription": {"text": text}}})

    def append(self):
        return self.write({"type": "input_audio_buffer.append", "audio": TENTH})


def test_what_is_said_before_the_setup_is_done_waits_for_it():
    session = Session(ready=False)
    session.write({"type": "conversation.item.create", "item": TEXT})
    assert session.append() == []
    assert [next(iter(message)) for message in session.sent] == ["setup"]
    session.read({"setupComplete": {}})
    assert [next(iter(message)) for message in session.sent] == ["setup", "clientContent", "realtimeInput"]


def test_a_client_that_begins_without_a_session_update_gets_a_setup_of_defaults():
    codec = gemini.Upstream(numbers(), "m")
    (setup,) = told(codec.write({"type": "conversation.item.create", "item": TEXT}), "client")
    assert setup["setup"]["generationConfig"] == {"responseModalities": ["AUDIO"]}
    assert codec.read('{"setupComplete": {}}') == []


def test_what_a_client_says_aside_before_its_configuration_makes_no_setup():
    codec = gemini.Upstream(numbers(), "m")
    codec.echoes()
    assert codec.write({"type": "session.update", "session": {"type": "realtime", "tracing": "auto"}}) == []
    assert kinds(codec.echoes()) == ["session.updated"]
    session = {"type": "realtime", "instructions": "Be kind.", "audio": {"output": {"voice": "Puck"}}}
    (setup,) = told(codec.write({"type": "session.update", "session": session}), "client")
    assert setup["setup"]["systemInstruction"] == {"parts": [{"text": "Be kind."}]}
    assert "speechConfig" in setup["setup"]["generationConfig"]


def test_a_client_is_told_that_speech_stops_the_reply():
    """Clients that are not told so cancel it themselves, which then is an error."""
    session = Session({"audio": {"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 300}}}})
    for event in session.events:
        assert event["session"]["audio"]["input"]["turn_detection"]["interrupt_response"] is True
    detection = session.sent[0]["setup"]["realtimeInputConfig"]["automaticActivityDetection"]
    assert detection == {"silenceDurationMs": 300}


def test_an_item_of_the_reply_that_is_being_made_can_be_truncated_and_retrieved():
    session = Session()
    session.says("One ")
    name = session.events[-1]["item_id"]
    session.write({"type": "conversation.item.truncate", "item_id": name, "content_index": 0, "audio_end_ms": 50})
    session.write({"type": "conversation.item.retrieve", "item_id": name})
    assert kinds(session.events)[-3:] == [
        "conversation.item.truncated",
        "dragoman.lossy",
        "conversation.item.retrieved",
    ]
    for what in ("truncate", "retrieve"):
        event = {"type": f"conversation.item.{what}", "item_id": "nobody", "content_index": 0, "audio_end_ms": 0}
        session.write({k: v for k, v in event.items() if what == "truncate" or k in ("type", "item_id")})
        assert session.events[-1]["error"]["code"] == f"item_{what}_invalid_item_id"


def test_a_spoken_turn_is_told_in_ga_s_order():
    session = Session({"audio": {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}}})
    for _ in range(5):
        session.append()
    session.read({"serverContent": {"inputTranscription": {"text": "How are "}}})
    session.says("Fine.")
    session.read({"serverContent": {"inputTranscription": {"text": "you?"}}})
    session.read({"serverContent": {"generationComplete": True}})
    session.read({"serverContent": {"turnComplete": True}, "usageMetadata": {"promptTokenCount": 5}})
    in_order(session.events)
    heard = [e for e in session.events if e["type"].endswith("transcription.completed")]
    assert heard[0]["transcript"] == "How are you?"
    assert heard[0]["usage"] == {"type": "duration", "seconds": 0.5}
    assert session.events[-1]["response"]["usage"]["input_tokens"] == 5


def test_a_turn_that_is_broken_into_is_told_in_ga_s_order_and_so_is_the_next():
    session = Session()
    session.append()
    session.says("One ")
    session.append()
    session.read({"serverContent": {"interrupted": True}})
    session.read({"serverContent": {"turnComplete": True}})
    session.says("Two.")
    session.read({"serverContent": {"turnComplete": True}})
    in_order(session.events)
    ends = [e["response"] for e in session.events if e["type"] == "response.done"]
    assert [end["status"] for end in ends] == ["cancelled", "completed"]
    assert ends[0]["status_details"]["reason"] == "turn_detected"
    assert ends[0]["output"][0]["status"] == "incomplete"


def test_a_call_waits_for_the_client_to_want_a_reply():
    session = Session()
    session.write({"type": "response.create", "response": {"metadata": {"topic": "x"}}})
    session.read({"toolCall": {"functionCalls": [{"id": "c1", "name": "weather", "args": {"city": "Ulm"}}]}})
    output = {"type": "function_call_output", "call_id": "c1", "output": "grey"}
    assert session.write({"type": "conversation.item.create", "item": output}) == []
    (response,) = session.write({"type": "response.create"})
    assert response["toolResponse"]["functionResponses"] == [
        {"id": "c1", "name": "weather", "response": {"output": "grey"}}
    ]
    session.says("It is grey.")
    session.read({"serverContent": {"turnComplete": True}})
    in_order(session.events)
    created = [e["response"] for e in session.events if e["type"] == "response.created"]
    assert [response["metadata"] for response in created] == [{"topic": "x"}, None]


def test_a_call_of_an_earlier_connection_is_history():
    session = Session()
    call = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city": "Ulm"}'}
    output = {"type": "function_call_output", "call_id": "c1", "output": '{"sky": "grey"}'}
    for item in (call, output):
        session.write({"type": "conversation.item.create", "item": item})
    history, _ = session.append()
    called, answered = history["clientContent"]["turns"]
    assert called["parts"][0]["functionCall"] == {"id": "c1", "name": "weather", "args": {"city": "Ulm"}}
    assert answered["parts"][0]["functionResponse"]["response"] == {"sky": "grey"}


def test_a_reply_is_cancelled_though_gemini_has_no_word_for_it():
    session = Session()
    session.write({"type": "response.create"})
    session.says("One ")
    assert session.write({"type": "response.cancel"}) == [{"clientContent": {"turnComplete": False}}]
    session.says("two ")
    session.read({"serverContent": {"interrupted": True}})
    session.read({"serverContent": {"turnComplete": True}})
    session.write({"type": "response.create"})
    session.says("Other.")
    session.read({"serverContent": {"turnComplete": True}})
    in_order(session.events)
    assert "two " not in [event.get("delta") for event in session.events]


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"type": "response.cancel"}, "response_cancel_not_active"),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty"),
        ({"type": "conversation.item.delete", "item_id": "i"}, "invalid_value"),
        ({"type": "conversation.item.retrieve", "item_id": "i"}, "item_retrieve_invalid_item_id"),
        ({"type": "response.create", "response": {"conversation": "none"}}, "invalid_value"),
        ({"type": "no.such.event"}, "invalid_value"),
    ],
)
def test_what_cannot_be_done_is_answered_with_the_original_s_error(event, code):
    session = Session()
    assert session.write({**event, "event_id": "mine"}) == []
    error = session.events[-1]["error"]
    assert (error["code"], error["event_id"]) == (code, "mine")


def test_a_second_response_is_refused_while_one_runs():
    session = Session()
    session.write({"type": "response.create"})
    session.write({"type": "response.create"})
    assert session.events[-1]["error"]["code"] == "conversation_already_has_active_response"


def test_turns_by_hand_become_activity_that_ends_when_a_reply_is_wanted():
    session = Session({"audio": {"input": {"turn_detection": None}}})
    assert [next(iter(m["realtimeInput"])) for m in session.append()] == ["activityStart", "audio"]
    assert session.write({"type": "input_audio_buffer.commit"}) == []
    assert session.write({"type": "response.create"}) == [{"realtimeInput": {"activityEnd": {}}}]
    session.says("Hello.")
    session.read({"serverContent": {"turnComplete": True}})
    in_order(session.events)
    assert "input_audio_buffer.speech_started" not in kinds(session.events)


def test_after_the_setup_instructions_change_and_everything_else_is_named():
    session = Session()
    change = {"type": "realtime", "instructions": "Be brief.", "audio": {"output": {"voice": "Puck"}}}
    assert session.write({"type": "session.update", "session": change}) == [
        {"contextUpdate": {"systemInstruction": {"parts": [{"text": "Be brief."}]}}}
    ]
    updated, lost = session.events[-2:]
    assert updated["session"]["instructions"] == "Be brief."
    assert "voice" not in updated["session"]["audio"]["output"]
    assert (lost["type"], lost["fields"]) == ("dragoman.lossy", ["session.audio.output.voice"])


def test_telephone_sound_is_decoded():
    session = Session({"audio": {"input": {"format": {"type": "audio/pcmu"}}}})
    (message,) = session.write({"type": "input_audio_buffer.append", "audio": base64.b64encode(b"\xff" * 800).decode()})
    audio = message["realtimeInput"]["audio"]
    assert audio["mimeType"] == "audio/pcm;rate=8000"
    assert base64.b64decode(audio["data"]) == bytes(1600)


def test_openai_s_voices_are_not_asked_of_gemini():
    session = Session({"audio": {"output": {"voice": "alloy", "speed": 1.2}}})
    assert "speechConfig" not in session.sent[0]["setup"]["generationConfig"]
    assert session.codec.lossy == ["session.audio.output.voice", "session.audio.output.speed"]


def test_the_end_of_a_connection_is_told():
    (leaving,) = Session().codec.read('{"goAway": {"timeLeft": "12.5s"}}')
    assert (leaving["type"], leaving["seconds"]) == ("dragoman.go_away", 12.5)


def item(role, text):
    part = {"type": "output_text" if role == "assistant" else "input_text", "text": text}
    return {"type": "conversation.item.create", "item": {"type": "message", "role": role, "content": [part]}}


def turn(role, text):
    return {"role": role, "parts": [{"text": text}]}


def test_up_to_2_5_history_ends_with_the_user_and_a_reply_is_asked_for_with_it():
    session = Session(model="gemini-2.5-flash-live")
    session.write(item("user", "Hi"))
    session.write(item("assistant", "Hello."))
    history, _ = session.append()
    assert history["clientContent"]["turns"] == [turn("user", "Hi"), turn("model", "Hello."), turn("user", " ")]
    session.write(item("user", "Go on."))
    assert session.write({"type": "response.create"}) == [
        {"clientContent": {"turns": [turn("user", "Go on.")], "turnComplete": True}}
    ]


@pytest.mark.parametrize("model", ["gemini-3.1-flash-live-preview", "gemini-3.8-live"])
def test_from_3_on_what_the_user_writes_is_input_like_any_other(model):
    session = Session(model=model)
    session.write(item("assistant", "Hello."))
    session.write(item("user", "Go on."))
    assert session.write({"type": "response.create"}) == [
        {"clientContent": {"turns": [turn("model", "Hello.")], "turnComplete": False}},
        {"realtimeInput": {"text": "Go on."}},
    ]


def test_before_3_8_no_history_is_told_once_the_conversation_has_begun():
    session = Session(model="gemini-3.1-flash-live-preview")
    session.append()
    session.write(item("system", "The light is on."))
    session.write(item("assistant", "I see."))
    assert [next(iter(message)) for message in session.append()] == ["realtimeInput"]
    session.write(item("user", "Well?"))
    assert session.write({"type": "response.create"}) == [{"realtimeInput": {"text": "The light is on.\nWell?"}}]
    assert session.codec.lossy == ["item.role", "item"]


def test_from_3_8_on_it_is():
    session = Session(model="gemini-3.8-live")
    session.append()
    session.write(item("assistant", "I see."))
    assert [next(iter(message)) for message in session.append()] == ["clientContent", "realtimeInput"]
    assert session.write({"type": "response.create"}) == [
        {"clientContent": {"turnComplete": True}},
        {"realtimeInput": {"text": " "}},
    ]


def test_from_3_on_nothing_stops_a_reply_so_its_rest_is_not_passed_on():
    session = Session(model="gemini-3.8-live")
    session.write({"type": "response.create"})
    session.says("One ")
    assert session.write({"type": "response.cancel"}) == []
    session.says("two ")
    session.read({"serverContent": {"turnComplete": True}})
    in_order(session.events)
    assert session.codec.lossy == ["response.cancel"]


def test_functions_stop_the_reply_and_thinking_models_get_a_level():
    tools = [{"type": "function", "name": "weather"}]
    setups = [Session({"tools": tools}, model=model).sent[0]["setup"] for model in
              ("gemini-2.5-flash-live", "gemini-3.8-live", "gemini-3.8-live-extended-thinking")]  # fmt: skip
    declared = [setup["tools"][0]["functionDeclarations"][0].get("behavior") for setup in setups]
    assert declared == [None, "BLOCKING", None]
    assert [setup["generationConfig"].get("thinkingConfig") for setup in setups] == [
        None, None, {"thinkingLevel": "LOW"}
    ]  # fmt: skip


def test_a_model_that_thinks_aside_has_ended_when_it_is_idle():
    session = Session(model="gemini-3.8-live-extended-thinking")
    session.write({"type": "response.create"})
    session.says("Well, ")
    session.read({"serverContent": {"turnComplete": True, "interactionStatus": "IN_PROGRESS"}})
    session.says("yes.")
    session.read({"serverContent": {"turnComplete": True, "interactionStatus": "IDLE"}})
    in_order(session.events)
    assert kinds(session.events).count("response.done") == 1


def test_vertex_has_no_setting_for_history():
    assert "historyConfig" in Session().sent[0]["setup"]
    vertex = "projects/p/locations/l/publishers/google/models/gemini-live-2.5-flash"
    setup = Session(model=vertex).sent[0]["setup"]
    assert setup["model"] == vertex
    assert "historyConfig" not in setup


def test_thoughts_and_code_are_named_and_not_spoken():
    session = Session()
    session.read({"serverContent": {"modelTurn": {"parts": [{"text": "Hm.", "thought": True}]}}})
    session.read({"serverContent": {"modelTurn": {"parts": [{"executableCode": {"code": "1"}}]}}})
    assert session.codec.lossy == [
        "serverContent.modelTurn.parts.thought", "serverContent.modelTurn.parts.executableCode"
    ]  # fmt: skip
    assert "response.created" not in kinds(session.events)
