"""A client of OpenAI Live, which knows no turns, talks to a provider that has them."""

import base64
from pathlib import Path
from typing import Any

from gate import gate
from openai import AsyncOpenAI

from fakes.realtime import RealtimeFake, tone
from fakes.realtime_schemas import assert_valid_server_event

LOUD = base64.b64encode(b"\x10\x20" * 2400).decode()  # 100 ms at 24 kHz
QUIET = base64.b64encode(bytes(4800)).decode()


class Heard:
    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.events: list[dict[str, Any]] = []

    async def until(self, kind: str) -> dict[str, Any]:
        while True:
            event = (await self.connection.recv()).to_dict()
            self.events.append(event)
            assert_valid_server_event(event, "live")
            assert event["type"] != "error", event
            if event["type"] == kind:
                return event


async def test_a_live_client_has_a_conversation_and_closes_it(tmp_path: Path, fake: RealtimeFake) -> None:
    account = {"name": "a", "provider": "openai", "key": "sk-fake", "base_url": fake.base_url}
    async with gate(tmp_path, [account]) as running:
        client = AsyncOpenAI(api_key="any", base_url=running.url + "/v1", websocket_base_url=running.ws + "/v1")
        async with client.live.connect() as connection:
            heard = Heard(connection)
            await connection.session.start(
                session={
                    "model": "openai/gpt-realtime",
                    "instructions": "Be kind.",
                    "audio": {"format": {"type": "audio/pcm", "rate": 24000}, "output": {"voice": "marin"}},
                    "input": [{"role": "user", "content": [{"type": "input_text", "text": "I am Ann."}]}],
                    "store": True,
                },
                event_id="mine",
            )
            started = await heard.until("session.started")
            for sound in [LOUD] * 3 + [QUIET] * 3:
                await connection.session.input_audio.append(audio=sound)
            await heard.until("session.usage.updated")
            for _ in range(3):  # what was said is sent no faster than it is heard
                await connection.session.input_audio.append(audio=QUIET)
            await connection.session.close()
            closed = await heard.until("session.closed")
        talk = fake.talks[0]
        assert talk.wrong == []
        assert (started["client_event_id"], started["session"]["instructions"]) == ("mine", "Be kind.")
        kinds = [event["type"] for event in heard.events]
        assert kinds[0] == "info"
        assert "session.store" in heard.events[0]["message"]
        assert talk.items[0]["content"] == [{"type": "input_text", "text": "I am Ann."}]
        said = "".join(e["delta"] for e in heard.events if e["type"] == "session.output_transcript.delta")
        assert said == "one two three four five"
        sound = b"".join(
            base64.b64decode(e["delta"]) for e in heard.events if e["type"] == "session.output_audio.delta"
        )
        assert sound == b"".join(base64.b64decode(tone(word)) for word in fake.answer.split())
        assert closed["usage"]["seconds"] == 1
