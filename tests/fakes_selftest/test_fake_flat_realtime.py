"""The fakes of Azure's realtime services talk to Azure's own SDKs, and refuse what those services refuse."""

from typing import Any

from azure.ai.voicelive import aio as voicelive
from azure.ai.voicelive.models import InputTextContentPart, RequestSession, UserMessageItem
from azure.core.credentials import AzureKeyCredential
from openai import AsyncAzureOpenAI

from fakes.flat_realtime import FlatFake


async def until(connection: Any, kind: str) -> Any:
    while (event := await connection.recv()).type != kind:
        pass
    return event


async def test_azure_s_sdk_talks_to_the_beta() -> None:
    with FlatFake("beta") as fake:
        client = AsyncAzureOpenAI(
            api_key="sk-fake", api_version="2025-04-01-preview", azure_endpoint=fake.base_url,
            websocket_base_url=fake.base_url.replace("http", "ws") + "/openai",
        )  # fmt: skip
        async with client.beta.realtime.connect(model="gpt-realtime") as connection:
            await connection.session.update(
                session={"instructions": "Be kind.", "turn_detection": {"type": "server_vad"}}
            )
            updated = await until(connection, "session.updated")
            await connection.response.create()
            done = await until(connection, "response.done")
            await connection.send({"type": "session.update", "session": {"output_modalities": ["text"]}})  # type: ignore[misc, list-item]  # GA's
            refused = await until(connection, "error")
        assert updated.session.instructions == "Be kind."
        assert done.response.output[0].content[0].type == "audio"
        assert "output_modalities" in refused.error.message


async def test_voice_live_s_sdk_talks_to_it() -> None:
    with FlatFake("voicelive") as fake:
        credential = AzureKeyCredential("sk-fake")
        async with voicelive.connect(credential=credential, endpoint=fake.base_url, model="gpt") as connection:
            await connection.session.update(session=RequestSession(instructions="Be kind."))
            await until(connection, "session.updated")
            item = UserMessageItem(content=[InputTextContentPart(text="Hi")])
            await connection.conversation.item.create(item=item)
            await connection.response.create()
            done = await until(connection, "response.done")
        assert done.response.usage.output_tokens == 150
        assert fake.talks[0].wrong == []
