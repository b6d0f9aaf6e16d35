"""Sessions whose client speaks one dialect and whose provider another, with the official SDKs, through the gateway."""

import asyncio
import base64
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from gate import Gate, gate
from google import genai
from google.genai import types
from openai import AsyncOpenAI

from fakes.gemini_live import GeminiLiveFake
from fakes.realtime import RealtimeFake, tone
from fakes.realtime_order import in_order
from fakes.realtime_schemas import assert_valid_server_event

LOUD = b"\x10\x20" * 1600  # 100 ms at 16 kHz
QUIET = bytes(3200)


AUTHORITY = trustme.CA()


def server_tls() -> ssl.SSLContext:
    """For SDKs that speak nothing but TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert("localhost").configure_cert(context)
    return context


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


def gemini_client(running: Gate) -> genai.Client:
    options = types.HttpOptions(
        base_url=f"https://localhost:{running.port}", async_client_args={"ssl": trusting()}, api_version="v1beta"
    )
    return genai.Client(api_key="any", http_options=options)


def openai_account(fake: RealtimeFake) -> dict[str, Any]:
    return {"name": "a", "provider": "openai", "key": "sk-fake", "base_url": fake.base_url}


def gemini_account(fake: GeminiLiveFake) -> dict[str, Any]:
    return {"name": "g", "provider": "gemini", "key": "g-fake", "base_url": fake.base_url}


async def speak(session: Any) -> None:
    """Half a second of speech, and as much silence."""
    for sound in [LOUD] * 5 + [QUIET] * 5:
        await session.send_realtime_input(audio=types.Blob(data=sound, mime_type="audio/pcm;rate=16000"))


async def test_a_gemini_client_talks_to_openai(tmp_path: Path, fake: RealtimeFake) -> None:
    async with gate(tmp_path, [openai_account(fake)], tls=server_tls()) as running:
        config = {
            "response_modalities": ["AUDIO"],
            "system_instruction": "Be kind.",
            "input_audio_transcription": {},
            "output_audio_transcription": {},
            "speech_config": {"voice_config": {"prebuilt_voice_config": {"voice_name": "marin"}}},
        }
        async with gemini_client(running).aio.live.connect(model="openai/gpt-realtime", config=config) as session:
            await speak(session)
            heard, said, sound, used = "", "", b"", None
            async for message in session.receive():
                content = message.server_content
                heard += (content and content.input_transcription and content.input_transcription.text) or ""
                said += (content and content.output_transcription and content.output_transcription.text) or ""
                sound += message.data or b""
                used = message.usage_metadata or used
        talk = fake.talks[0]
        assert talk.wrong == []
        assert (heard, said) == ("what was said", "one two three four five")
        assert sound == b"".join(base64.b64decode(tone(word)) for word in fake.answer.split())
        assert used is not None and used.total_token_count == 250
        assert talk.session["instructions"] == "Be kind."
        assert talk.session["audio"]["output"]["voice"] == "marin"
        assert running.rows[-1].input == 100


async def test_a_gemini_client_has_its_function_called_by_openai(tmp_path: Path, fake: RealtimeFake) -> None:
    fake.calls.append(("weather", {"city": "Ulm"}))
    async with gate(tmp_path, [openai_account(fake)], tls=server_tls()) as running:
        weather = {"name": "weather", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}}
        config = {"response_modalities": ["AUDIO"], "tools": [{"function_declarations": [weather]}]}
        async with gemini_client(running).aio.live.connect(model="openai/gpt-realtime", config=config) as session:
            await session.send_client_content(turns={"role": "user", "parts": [{"text": "How is the weather?"}]})
            sound = b""
            async for message in session.receive():
                if message.tool_call:
                    (call,) = message.tool_call.function_calls
                    assert (call.name, call.args) == ("weather", {"city": "Ulm"})
                    await session.send_tool_response(
                        function_responses=types.FunctionResponse(id=call.id, name=call.name, response={"sky": "grey"})
                    )
                sound += message.data or b""
        talk = fake.talks[0]
        assert talk.wrong == []
        assert sound
        assert talk.session["tools"][0]["parameters"] == {
            "type": "object", "properties": {"city": {"type": "string"}}
        }  # fmt: skip
        outputs = [item for item in talk.items if item["type"] == "function_call_output"]
        assert [item["output"] for item in outputs] == ['{"sky":"grey"}']


async def test_a_gemini_client_that_breaks_in_stops_openai_at_what_it_heard(tmp_path: Path, fake: RealtimeFake) -> None:
    spoken = asyncio.Event()
    fake.pause = lambda: asyncio.wait_for(_forever(), 10)
    async with gate(tmp_path, [openai_account(fake)], tls=server_tls()) as running:
        connect = gemini_client(running).aio.live.connect(
            model="openai/gpt-realtime", config={"response_modalities": ["AUDIO"]}
        )
        async with connect as session:
            await session.send_client_content(turns={"role": "user", "parts": [{"text": "Go on."}]})
            interrupted = False
            async for message in session.receive():
                if message.data and not spoken.is_set():
                    spoken.set()  # 100 ms were said, of which 50 pass before somebody speaks
                    half = types.Blob(data=QUIET[:1600], mime_type="audio/pcm;rate=16000")
                    await session.send_realtime_input(audio=half)
                    await session.send_realtime_input(audio=types.Blob(data=LOUD, mime_type="audio/pcm;rate=16000"))
                interrupted = interrupted or bool(message.server_content and message.server_content.interrupted)
        assert interrupted
        talk = fake.talks[0]
        assert talk.wrong == []
        (done,) = [event["response"] for event in talk.sent if event["type"] == "response.done"]
        assert done["status_details"]["reason"] == "turn_detected"


async def _forever() -> None:
    await asyncio.Event().wait()


@pytest.fixture
def gemini() -> Iterator[GeminiLiveFake]:
    with GeminiLiveFake() as running:
        yield running


@pytest.fixture(params=["gemini-live-2.5-flash", "gemini-3.1-flash-live-preview", "gemini-3.8-live"])
def live(request: pytest.FixtureRequest) -> str:
    """One of each generation that wants to be spoken to in its own way."""
    return str(request.param)


class Heard:
    """What an OpenAI client hears, held to the schemas and to the order."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    async def until(self, connection: Any, kind: str) -> dict[str, Any]:
        while True:
            event = (await connection.recv()).to_dict()
            self.events.append(event)
            assert_valid_server_event(event)
            assert event["type"] != "error", event
            if event["type"] == kind:
                return event

    def said(self) -> str:
        return "".join(e["delta"] for e in self.events if e["type"] == "response.output_audio_transcript.delta")


def openai_client(running: Gate) -> AsyncOpenAI:
    return AsyncOpenAI(api_key="any", base_url=running.url + "/v1", websocket_base_url=running.ws + "/v1")


SESSION = {
    "type": "realtime",
    "instructions": "Be kind.",
    "audio": {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}},
    "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}],
}


async def test_an_openai_client_talks_to_gemini(tmp_path: Path, gemini: GeminiLiveFake, live: str) -> None:
    async with gate(tmp_path, [gemini_account(gemini)]) as running:
        heard = Heard()
        async with openai_client(running).realtime.connect(model=f"gemini/{live}") as connection:
            await heard.until(connection, "session.created")
            await connection.session.update(session=SESSION)
            await heard.until(connection, "session.updated")
            for sound in [b"\x10\x20" * 2400] * 5 + [bytes(4800)] * 5:
                await connection.input_audio_buffer.append(audio=base64.b64encode(sound).decode())
            done = await heard.until(connection, "response.done")
        in_order(heard.events)
        assert heard.said() == "one two three four five"
        assert done["response"]["status"] == "completed"
        assert done["response"]["usage"]["input_token_details"]["audio_tokens"] == 60
        transcripts = [e["transcript"] for e in heard.events if e["type"].endswith("transcription.completed")]
        assert transcripts == ["what was said"]
        (talk,) = gemini.talks
        assert talk.key == "g-fake"
        assert talk.setup["model"] == f"models/{live}"
        assert talk.setup["systemInstruction"] == {"parts": [{"text": "Be kind."}]}
        assert running.rows[-1].input == 100


async def test_an_openai_client_has_its_function_called_by_gemini(
    tmp_path: Path, gemini: GeminiLiveFake, live: str
) -> None:
    gemini.calls.append(("weather", {"city": "Ulm"}))
    async with gate(tmp_path, [gemini_account(gemini)]) as running:
        heard = Heard()
        async with openai_client(running).realtime.connect(model=f"gemini/{live}") as connection:
            await connection.session.update(session=SESSION)
            content = [{"type": "input_text", "text": "How is the weather?"}]
            await connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
            await connection.response.create()
            call = await heard.until(connection, "response.function_call_arguments.done")
            assert (call["name"], call["arguments"]) == ("weather", '{"city":"Ulm"}')
            await heard.until(connection, "response.done")
            output = {"type": "function_call_output", "call_id": call["call_id"], "output": '{"sky": "grey"}'}
            await connection.conversation.item.create(item=output)
            await connection.response.create()
            await heard.until(connection, "response.done")
        in_order(heard.events)
        assert heard.said() == "one two three four five"
        ((response,),) = [said["functionResponses"] for said in gemini.talks[0].got("toolResponse")]
        assert response == {"id": call["call_id"], "name": "weather", "response": {"sky": "grey"}}
        assert gemini.talks[0].code != 1007, gemini.talks[0].reason


async def test_an_openai_client_that_breaks_in_stops_gemini(tmp_path: Path, gemini: GeminiLiveFake, live: str) -> None:
    gemini.pause = lambda: asyncio.wait_for(_forever(), 10)
    async with gate(tmp_path, [gemini_account(gemini)]) as running:
        heard = Heard()
        async with openai_client(running).realtime.connect(model=f"gemini/{live}") as connection:
            await connection.session.update(session=SESSION)
            await connection.response.create()
            await heard.until(connection, "response.output_audio.delta")
            loud = base64.b64encode(b"\x10\x20" * 2400).decode()
            await connection.input_audio_buffer.append(audio=loud)
            done = await heard.until(connection, "response.done")
        assert done["response"]["status"] == "cancelled"
        assert done["response"]["status_details"]["reason"] == "turn_detected"
        kinds = [event["type"] for event in heard.events]
        assert kinds.index("input_audio_buffer.speech_started") < kinds.index("response.done")


async def test_a_session_goes_on_when_gemini_goes_away(tmp_path: Path, gemini: GeminiLiveFake, live: str) -> None:
    gemini.go_away = True
    async with gate(tmp_path, [gemini_account(gemini)]) as running:
        heard = Heard()
        async with openai_client(running).realtime.connect(model=f"gemini/{live}") as connection:
            await connection.session.update(session=SESSION)
            for _ in range(3):
                content = [{"type": "input_text", "text": "Go on."}]
                await connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
                await connection.response.create()
                await heard.until(connection, "response.done")
        in_order(heard.events)
        talks = gemini.talks[:3]  # after its last turn it may have gone on once more
        assert [talk.setup["systemInstruction"] for talk in talks] == [{"parts": [{"text": "Be kind."}]}] * 3
        assert all(talk.code != 1007 for talk in talks), [talk.reason for talk in talks]
        history = [turn for said in talks[2].got("clientContent") for turn in said.get("turns", ())]
        written = [said["text"] for said in talks[2].got("realtimeInput")]
        roles = [turn["role"] for turn in history] + ["user"] * len(written)
        assert roles == ["user", "model", "user", "model", "user"]
        assert history[1]["parts"] == [{"text": "one two three four five"}]


async def test_a_client_that_did_not_ask_hears_nothing_that_its_protocol_has_not(
    tmp_path: Path, gemini: GeminiLiveFake
) -> None:
    async with gate(tmp_path, [gemini_account(gemini)]) as running:
        heard = Heard()
        async with openai_client(running).realtime.connect(model="gemini/gemini-3.8-live") as connection:
            await connection.session.update(session={"type": "realtime", "audio": {"output": {"voice": "alloy"}}})
            await connection.response.create()
            await heard.until(connection, "response.done")
        assert not [event for event in heard.events if event["type"].startswith("dragoman.")]


async def test_a_client_that_asks_hears_what_its_provider_cannot_take(tmp_path: Path, gemini: GeminiLiveFake) -> None:
    async with gate(tmp_path, [gemini_account(gemini)]) as running:
        connect = openai_client(running).realtime.connect(
            model="gemini/gemini-3.8-live", extra_query={"dragoman_turns": 1}
        )
        async with connect as connection:
            await connection.session.update(session={"type": "realtime", "audio": {"output": {"voice": "alloy"}}})
            told = [(await connection.recv()).to_dict() for _ in range(2)]
        assert [event["type"] for event in told] == ["session.created", "dragoman.lossy"]
        assert told[1]["fields"] == ["session.audio.output.voice"]


async def test_a_strict_client_gets_an_error_for_it(tmp_path: Path, gemini: GeminiLiveFake) -> None:
    async with gate(tmp_path, [gemini_account(gemini)]) as running:
        client = openai_client(running)
        headers = {"x-dragoman-strict": "1"}
        async with client.realtime.connect(model="gemini/gemini-3.8-live", extra_headers=headers) as connection:
            await connection.session.update(session={"type": "realtime", "audio": {"output": {"voice": "alloy"}}})
            told = [(await connection.recv()).to_dict() for _ in range(2)]
        assert_valid_server_event(told[1])
        assert told[1]["error"]["code"] == "unsupported_parameter"
        assert told[1]["error"]["param"] == "session.audio.output.voice"


async def test_what_gemini_refuses_closes_the_client_s_session_with_its_reason(
    tmp_path: Path, fake: RealtimeFake
) -> None:
    async with gate(tmp_path, [openai_account(fake)], tls=server_tls()) as running:
        connect = gemini_client(running).aio.live.connect(
            model="openai/gpt-realtime", config={"response_modalities": ["AUDIO"]}
        )
        async with connect as session:
            await session._ws.send('{"realtimeInput": {"smell": "roses"}}')
            with pytest.raises(Exception, match=r"1007.*smell"):
                await session._receive()


async def test_a_client_that_says_what_is_no_event_is_told_so_and_its_session_lives(
    tmp_path: Path, gemini: GeminiLiveFake
) -> None:
    async with gate(tmp_path, [gemini_account(gemini)]) as running:
        async with openai_client(running).realtime.connect(model="gemini/gemini-3.8-live") as connection:
            await connection.recv()
            for said in ("no JSON", "[]", '{"type": 3}', '{"type": "session.update", "session": {"colour": "red"}}'):
                await connection._connection.send(said)
                told = (await connection.recv()).to_dict()
                assert told["type"] == "error", told
            assert (told["error"]["code"], told["error"]["param"]) == ("unknown_parameter", "session.colour")
            await connection.response.create()
            while told["type"] != "response.done":
                told = (await connection.recv()).to_dict()
        assert told["response"]["status"] == "completed"
