"""Gemini Live, strict: every message is held to the SDK's types, and what is wrong closes the socket, as there.

It hears speech where the sound is not all zeros, says its `answer` word by word (each word one piece of sound, and one
of the transcript), and calls the functions of `calls`, one an answer, before it says anything. Models of the third
generation take history at the beginning alone, and answer nothing but realtime input. `pause`: waits between the words.
`go_away`: tells with its answer that it will close soon.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from .realtime import SILENCE_MS, tone
from .realtime_schemas import assert_valid_server_event, check
from .server import _Loop
from .shape import Wrong

Message = dict[str, Any]


@dataclass
class Talk:
    """One connection: what came, what went."""

    path: str
    headers: dict[str, str]
    key: str | None
    received: list[Message] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    setup: Message = field(default_factory=dict)
    code: int | None = None
    reason: str = ""

    def got(self, kind: str) -> list[Any]:
        return [message[kind] for message in self.received if kind in message]


class GeminiLiveFake:
    """A provider on loopback."""

    def __init__(
        self, *, answer: str = "one two three four five", calls: list[tuple[str, Message]] | None = None,
        pause: Callable[[], Any] | None = None, go_away: bool = False,
    ) -> None:  # fmt: skip
        self.answer = answer
        self.calls = calls or []
        self.pause = pause
        self.go_away = go_away
        self.talks: list[Talk] = []
        self.port = 0
        self.ids = itertools.count(1)
        self._server: Server | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        _Loop.run(self.start())
        return self

    def __exit__(self, *_: object) -> None:
        _Loop.run(self.stop())

    async def start(self) -> None:
        self._server = await serve(self._talk, "127.0.0.1", 0, max_size=2**25, compression=None)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _talk(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        split = urlsplit(connection.request.path)
        headers = dict(connection.request.headers)
        key = headers.get("x-goog-api-key") or parse_qs(split.query).get("key", [None])[-1]
        talk = Talk(split.path, headers, key)
        self.talks.append(talk)
        with contextlib.suppress(ConnectionClosed):
            await _Session(self, talk, connection).run()
        talk.code, talk.reason = connection.close_code, connection.close_reason or ""


class _Session:
    def __init__(self, fake: GeminiLiveFake, talk: Talk, connection: ServerConnection) -> None:
        self.fake, self.talk, self.connection = fake, talk, connection
        self.answering: asyncio.Task[None] | None = None
        self.speaking = False
        self.quiet_ms = 0.0
        self.by_hand = False
        self.generation = 2
        self.talking = False  # something was said in real time
        self.pending: set[str] = set()  # calls that wait for their results

    async def run(self) -> None:
        try:
            async for raw in self.connection:
                message = json.loads(raw)
                self.talk.received.append(message)
                try:
                    check(message, "gemini", "client")
                    self.judge(message)
                except Wrong as wrong:
                    await self.connection.close(1007, f"Invalid JSON payload received. {wrong}"[:120])
                    return
                await self.on(message)
        finally:
            if self.answering is not None:
                self.answering.cancel()

    def judge(self, message: Message) -> None:
        """What no type says."""
        (kind,) = message
        if (kind == "setup") == bool(self.talk.setup):
            raise Wrong((kind,), "value", "one setup, first")
        if kind != "setup" and not self.talk.sent:
            raise Wrong((kind,), "value", "nothing before setupComplete")
        content = message.get("clientContent", {})
        turns = content.get("turns") or [{"role": "user"}]
        if self.generation < 3 and turns[-1].get("role") == "model":
            raise Wrong((kind, "turns"), "value", "a turn of the user at the end")
        if self.generation >= 3 and content.get("turns") and self.talking:
            raise Wrong((kind,), "value", "no history in the midst of a conversation")
        sound = message.get("realtimeInput", {}).get("audio")
        if sound is not None and not sound["mimeType"].startswith("audio/pcm"):
            raise Wrong(("realtimeInput", "audio", "mimeType"), "value", "audio/pcm")
        for response in message.get("toolResponse", {}).get("functionResponses", ()):
            if response.get("id") not in self.pending:
                raise Wrong(("toolResponse", "functionResponses", "id"), "value", sorted(self.pending))

    async def say(self, message: Message) -> None:
        assert_valid_server_event(message, "gemini")
        self.talk.sent.append(message)
        await self.connection.send(json.dumps(message).encode())

    async def on(self, message: Message) -> None:
        ((kind, said),) = message.items()
        match kind:
            case "setup":
                self.talk.setup = said
                named = re.search(r"gemini-(?:[a-z]+-)*(\d+)", said["model"])
                self.generation = int(named[1]) if named else 2
                detection = said.get("realtimeInputConfig", {}).get("automaticActivityDetection", {})
                self.by_hand = bool(detection.get("disabled"))
                await self.say({"setupComplete": {}})
            case "clientContent":
                if self.generation < 3:
                    await self.interrupt()
                    if said.get("turnComplete"):
                        self.reply(spoken=False)
            case "realtimeInput":
                self.talking = True
                await self.input(said)
            case "toolResponse":
                self.pending -= {response["id"] for response in said["functionResponses"]}
                if not self.pending:
                    self.reply(spoken=False)

    async def input(self, said: Message) -> None:
        if "activityStart" in said:
            await self.interrupt()
        elif "activityEnd" in said or (said.get("audioStreamEnd") and self.speaking):
            self.speaking = False
            self.reply(spoken=True)
        elif "text" in said:
            await self.interrupt()
            self.reply(spoken=False)
        elif "audio" in said and not self.by_hand:
            sound = base64.b64decode(said["audio"]["data"])
            rate = int(said["audio"]["mimeType"].partition("rate=")[2] or 16000)
            if any(sound):
                self.speaking, self.quiet_ms = True, 0.0
                await self.interrupt()
                return
            self.quiet_ms += len(sound) / 2 / rate * 1000
            if self.speaking and self.quiet_ms >= SILENCE_MS:
                self.speaking = False
                self.reply(spoken=True)

    async def interrupt(self) -> None:
        task, self.answering = self.answering, None
        if task is not None and not task.done():
            task.cancel()
            await self.say({"serverContent": {"interrupted": True}})
            await self.say({"serverContent": {"turnComplete": True}})

    def reply(self, *, spoken: bool) -> None:
        self.answering = asyncio.ensure_future(self.answer(spoken))

    async def answer(self, spoken: bool) -> None:
        with contextlib.suppress(ConnectionClosed):
            if spoken and "inputAudioTranscription" in self.talk.setup:
                await self.say({"serverContent": {"inputTranscription": {"text": "what was said"}}})
            if self.fake.calls:
                await self.call(*self.fake.calls.pop(0))
            else:
                await self.words()

    async def call(self, name: str, arguments: Message) -> None:
        call = {"id": f"function-call-{next(self.fake.ids)}", "name": name, "args": arguments}
        self.pending.add(call["id"])
        await self.say({"toolCall": {"functionCalls": [call]}})

    async def words(self) -> None:
        text = self.talk.setup.get("generationConfig", {}).get("responseModalities") == ["TEXT"]
        words = self.fake.answer.split(" ")
        for number, word in enumerate(words):
            piece = word if number == len(words) - 1 else word + " "
            sound = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": tone(word)}}
            turn = {"role": "model", "parts": [{"text": piece} if text else sound]}
            await self.say({"serverContent": {"modelTurn": turn}})
            if "outputAudioTranscription" in self.talk.setup:
                await self.say({"serverContent": {"outputTranscription": {"text": piece}}})
            if self.fake.pause is not None:
                await self.fake.pause()
        await self.say({"serverContent": {"generationComplete": True}})
        if self.fake.go_away:
            await self.say({"goAway": {"timeLeft": "5s"}})
        usage = {
            "promptTokenCount": 100, "responseTokenCount": 30, "totalTokenCount": 130,
            "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 60}, {"modality": "TEXT", "tokenCount": 40}],
            "responseTokensDetails": [{"modality": "TEXT" if text else "AUDIO", "tokenCount": 30}],
        }  # fmt: skip
        await self.say({"serverContent": {"turnComplete": True}, "usageMetadata": usage})
