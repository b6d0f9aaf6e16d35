"""Sessions on a text model, whatever the client speaks: a spoken turn with each maker's own SDK."""

import base64
import ssl
from pathlib import Path
from typing import Any

import trustme
from azure.ai.voicelive import aio as voicelive
from azure.ai.voicelive.models import FunctionCallOutputItem, FunctionTool, RequestSession
from azure.core.credentials import AzureKeyCredential
from google import genai
from google.genai import types
from openai import AsyncAzureOpenAI, AsyncOpenAI
from test_pipelines import talking

from fakes.realtime_schemas import Dialect, assert_valid_server_event
from voice.stage import silence, speech

AUTHORITY = trustme.CA()
TURN = (silence(300), speech(600), silence(800))


def base64_of(sound: bytes) -> str:
    return base64.b64encode(sound).decode()


class Heard:
    """What a client hears, held to its dialect's schemas."""

    def __init__(self, connection: Any, dialect: Dialect) -> None:
        self.connection = connection
        self.dialect = dialect
        self.events: list[dict[str, Any]] = []

    async def until(self, kind: str) -> dict[str, Any]:
        while True:
            event = await self.connection.recv()
            told = event.to_dict() if hasattr(event, "to_dict") else event.as_dict()
            self.events.append(told)
            assert_valid_server_event(told, self.dialect)
            assert told["type"] != "error", told
            if told["type"] == kind:
                return told

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]


async def test_gemini_s(tmp_path: Path) -> None:
    server, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    AUTHORITY.issue_cert("localhost").configure_cert(server)
    AUTHORITY.configure_trust(trusting)
    async with talking(tmp_path, "What is the weather?", tls=server) as (running, _, engines):
        options = types.HttpOptions(
            base_url=f"https://localhost:{running.port}", async_client_args={"ssl": trusting}, api_version="v1beta"
        )
        config = {
            "response_modalities": ["AUDIO"],
            "input_audio_transcription": {},
            "output_audio_transcription": {},
        }
        heard, said, sound = "", "", b""
        async with genai.Client(api_key="any", http_options=options).aio.live.connect(
            model="smart", config=config
        ) as session:
            for pcm in (silence(300, 16000), speech(600, 16000), silence(800, 16000)):
                await session.send_realtime_input(audio=types.Blob(data=pcm, mime_type="audio/pcm;rate=16000"))
            async for message in session.receive():
                content = message.server_content
                heard += (content and content.input_transcription and content.input_transcription.text) or ""
                said += (content and content.output_transcription and content.output_transcription.text) or ""
                sound += message.data or b""
        assert heard == "What is the weather?"
        assert said and "".join(engines.speaker.said).replace(" ", "") in said.replace(" ", "")
        assert sound


async def test_voice_live_s(tmp_path: Path) -> None:
    async with talking(tmp_path, "What is the weather?") as (running, _, _):
        async with voicelive.connect(
            credential=AzureKeyCredential("any"), endpoint=running.url, model="smart"
        ) as connection:
            heard = Heard(connection, "voicelive")
            tools = [FunctionTool(name="weather", parameters={"type": "object", "properties": {}})]
            await connection.session.update(session=RequestSession(tools=tools, tool_choice="required"))
            await heard.until("session.updated")
            for sound in TURN:
                await connection.input_audio_buffer.append(audio=base64_of(sound))
            call = await heard.until("response.function_call_arguments.done")
            await heard.until("response.done")
            await connection.session.update(session=RequestSession(tool_choice="none"))
            item = FunctionCallOutputItem(call_id=call["call_id"], output="It rains.")
            await connection.conversation.item.create(item=item)
            await connection.response.create()
            done = await heard.until("response.done")
        assert done["response"]["status"] == "completed"
        assert heard.all("response.audio.delta")


async def test_azure_s(tmp_path: Path) -> None:
    async with talking(tmp_path, "What is the time?") as (running, fake, _):
        client = AsyncAzureOpenAI(
            api_key="any", api_version="2025-04-01-preview", azure_endpoint=running.url,
            websocket_base_url=running.ws + "/openai",
        )  # fmt: skip
        async with client.beta.realtime.connect(model="smart") as connection:
            heard = Heard(connection, "beta")
            session: Any = {"input_audio_transcription": {"model": "whisper-1"}, "temperature": 0.7}
            await connection.session.update(session=session)
            for sound in TURN:
                await connection.input_audio_buffer.append(audio=base64_of(sound))
            await heard.until("response.done")
        assert fake.last.json["messages"][-1] == {"role": "user", "content": "What is the time?"}
        assert heard.all("response.audio.delta")
        assert (
            heard.all("conversation.item.input_audio_transcription.completed")[0]["transcript"] == "What is the time?"
        )


async def test_openai_live_s(tmp_path: Path) -> None:
    async with talking(tmp_path, "What is the time?") as (running, fake, _):
        client = AsyncOpenAI(api_key="any", base_url=f"{running.url}/v1")
        async with client.live.connect() as connection:
            heard = Heard(connection, "live")
            await connection.session.start(session={"model": "smart", "instructions": "Be kind."})
            await heard.until("session.started")
            for sound in TURN:
                await connection.session.input_audio.append(audio=base64_of(sound))
            await heard.until("session.usage.updated")
            await connection.session.close()
            closed = await heard.until("session.closed")
        assert fake.last.json["messages"][-1] == {"role": "user", "content": "What is the time?"}
        assert heard.all("session.output_audio.delta") and heard.all("session.output_transcript.delta")
        assert closed["reason"] == "close_requested"
