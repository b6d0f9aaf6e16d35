"""What clients that are not among our own dependencies really send, replayed: nothing of it is an error, whatever
stands behind. `said_by_clients.json` was recorded from the clients it names, with `$call` and `$item` for ids that the
server gave out and `$last` for the conversation's last item; their sound is left out."""

import json
from pathlib import Path
from typing import Any

import pytest
from gate import LOUD, QUIET, dial, event, gate, say
from test_bridged_sessions import gemini_account, openai_account
from test_pipelines import Loaded

from dragoman.server.pipelines import Speech
from dragoman.wire.websocket import Socket
from fakes.gemini_live import GeminiLiveFake
from fakes.openai import OpenAI as OpenAIFake
from fakes.realtime import RealtimeFake
from fakes.realtime_order import in_order

SAID: dict[str, list[dict[str, Any]]] = json.loads((Path(__file__).parent / "said_by_clients.json").read_text())
ANSWER = {
    "session.update": "session.updated",
    "conversation.item.create": "conversation.item.done",
    "conversation.item.truncate": "conversation.item.truncated",
    "conversation.item.retrieve": "conversation.item.retrieved",
    "response.create": "response.done",
}
CALL = 'call:get_weather{"city": "Ulm"}'


class Replay:
    """One client's conversation. `seen`: what it was told."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.seen: list[dict[str, Any]] = []
        self.ids: dict[str, str] = {}

    async def until(self, kind: str) -> None:
        while not self.seen or self.seen[-1]["type"] != kind:
            told = await event(self.socket)
            self.seen.append(told)
            assert told["type"] != "error" or told["error"]["code"] == "response_cancel_not_active", told
            self._remember(told.get("item") or {}, told["type"])
        self.seen.append({"type": ""})  # the next wait is for another one

    def _remember(self, item: dict[str, Any], kind: str) -> None:
        if item and kind.startswith("conversation.item."):
            self.ids["$last"] = item["id"]
        if item.get("role") == "assistant" and kind == "response.output_item.done":
            self.ids["$item"] = item["id"]
        if item.get("type") == "function_call":
            self.ids["$call"] = item["call_id"]

    async def speak(self) -> None:
        for sound in [QUIET] * 3 + [LOUD] * 6 + [QUIET] * 8:
            await say(self.socket, "input_audio_buffer.append", audio=sound)
        await self.until("response.done")

    async def say(self, said: dict[str, Any]) -> None:
        for name in ("$call", "$item", "$last"):
            if f'"{name}"' in json.dumps(said):
                for _ in range(3):
                    if name not in self.ids:
                        await self.speak()
                said = json.loads(json.dumps(said).replace(f'"{name}"', json.dumps(self.ids[name])))
        await self.socket.send(json.dumps(said))
        if said["type"] in ANSWER:
            await self.until(ANSWER[said["type"]])


@pytest.mark.parametrize("model", ["smart", "openai/gpt-realtime", "gemini/gemini-3.1-flash-live-preview"])
@pytest.mark.parametrize("client", SAID)
async def test_what_a_client_sends_is_understood(tmp_path: Path, client: str, model: str, fake: RealtimeFake) -> None:
    fake.calls.append(("get_weather", {"city": "Ulm"}))
    with OpenAIFake() as text, GeminiLiveFake(calls=[("get_weather", {"city": "Ulm"})]) as gemini:
        chat = {"name": "t", "provider": "groq", "key": text.key, "base_url": text.base_url}
        accounts = [chat, openai_account(fake), gemini_account(gemini)]
        models = [{"name": "smart", "targets": ["groq/gpt-4.1"]}]
        async with gate(tmp_path, accounts, models=models) as running:
            running.app.sessions.speech = Speech(lambda settings: Loaded(CALL, "Hello."))  # type: ignore[arg-type, return-value]
            replay = Replay(await dial(running, f"/v1/realtime?model={model}"))
            await replay.until("session.created")
            for said in SAID[client]:
                await replay.say(said)
            await replay.socket.close()
        assert fake.talks == [] or fake.talks[0].wrong == []
        assert gemini.talks == [] or gemini.talks[0].code != 1007
    in_order([told for told in replay.seen if told["type"]])
