"""A realtime server (OpenAI Realtime, GA) that knows speech by its loudness and gives a fixed reply.

It has no clock: it hears speech where sound is loud, takes the turn to have ended after `silence` seconds of quiet
sound, and sends the whole reply at once.
"""

import base64
import json
import math
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from websockets.asyncio.server import Request, Response, Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed

from .server import _Loop

RATE = 24_000
LOUD = 1000
_IN_PAGE = "openai-insecure-api-key."
Event = dict[str, Any]


def tone(seconds: float, hertz: float = 440, peak: float = 0.3) -> bytes:
    """A sine, 16-bit at `RATE`."""
    steps = range(round(seconds * RATE))
    return array("h", [round(peak * 32767 * math.sin(2 * math.pi * hertz * n / RATE)) for n in steps]).tobytes()


def hush(seconds: float) -> bytes:
    """Silence."""
    return bytes(2 * round(seconds * RATE))


@dataclass
class Talker:
    """What it says and does; `heard` are all events that clients sent, `asked` the handshakes' paths."""

    said: str = "What is the time?"
    words: tuple[str, ...] = ("It is ", "ten past two.")
    reply: bytes = field(default_factory=lambda: tone(0.2))
    silence: float = 0.3
    keys: set[str] | None = None
    dies_after_commit: bool = False
    lossy: tuple[str, ...] = ()  # what it says it was told in vain
    fails: str | None = None  # every response does, with this message
    heard: list[Event] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    url: str = ""
    pages: Callable[[str], Response | None] = lambda path: None  # what else there is at its address

    def of(self, kind: str) -> list[Event]:
        """The events of one type that clients sent."""
        return [event for event in self.heard if event["type"] == kind]


@contextmanager
def talk(talker: Talker) -> Iterator[Talker]:
    """`talker` at `talker.url`, as long as it is needed."""

    async def begin() -> Server:
        return await serve(
            lambda socket: _Session(socket, talker).run(), "127.0.0.1", 0, process_request=lambda _, r: door(r),
            select_subprotocol=lambda _, offered: "realtime" if "realtime" in offered else None, max_size=None,
        )  # fmt: skip

    def door(request: Request) -> Response | None:
        if page := talker.pages(request.path):
            return page
        talker.asked.append(request.path)
        if talker.keys is None or _key(request) in talker.keys:
            return None
        body = b'{"error": {"message": "Incorrect API key provided.", "type": "invalid_request_error"}}'
        return Response(401, "Unauthorized", Headers({"content-type": "application/json"}), body)

    server = _Loop.run(begin())
    port = next(iter(server.sockets)).getsockname()[1]
    talker.url = f"ws://127.0.0.1:{port}/v1/realtime"
    try:
        yield talker
    finally:
        server.close()
        _Loop.run(server.wait_closed())


def _key(request: Request) -> str:
    """As programs send it, or as pages do."""
    offered = request.headers.get("sec-websocket-protocol", "").split(", ")
    in_page = next((each for each in offered if each.startswith(_IN_PAGE)), "").removeprefix(_IN_PAGE)
    return request.headers.get("authorization", "").removeprefix("Bearer ") or in_page


class _Session:
    def __init__(self, socket: ServerConnection, talker: Talker) -> None:
        self._socket = socket
        self._talker = talker
        self._ids = count(1)
        self._heard_ms = 0.0
        self._quiet_ms = 0.0
        self._speech = ""  # the id of the item that speech is to become
        self._turn = 0

    async def run(self) -> None:
        try:
            await self._send("session.created", session={"type": "realtime", "id": "sess_1", "model": "talker"})
            async for message in self._socket:
                event = json.loads(message)
                self._talker.heard.append(event)
                await self._take(event)
        except ConnectionClosed:
            pass

    async def _send(self, kind: str, **fields: Any) -> None:
        await self._socket.send(json.dumps({"type": kind, "event_id": f"event_{next(self._ids)}", **fields}))

    async def _take(self, event: Event) -> None:
        match event["type"]:
            case "session.update":
                await self._send("session.updated", session=event["session"])
                if self._talker.lossy:
                    await self._send("dragoman.lossy", fields=list(self._talker.lossy))
            case "input_audio_buffer.append":
                await self._listen(base64.b64decode(event["audio"]))
            case "conversation.item.truncate":
                kept = {name: event[name] for name in ("item_id", "content_index", "audio_end_ms")}
                await self._send("conversation.item.truncated", **kept)
            case "conversation.item.retrieve":
                part = {"type": "output_audio", "transcript": self._talker.words[0].strip()}
                item = {"id": event["item_id"], "type": "message", "role": "assistant", "content": [part]}
                await self._send("conversation.item.retrieved", item=item)
            case "response.create":
                await self._respond()

    async def _listen(self, pcm: bytes) -> None:
        ms = len(pcm) / 2 / RATE * 1000
        self._heard_ms += ms
        loud = max(map(abs, array("h", pcm)), default=0) > LOUD
        self._quiet_ms = 0 if loud else self._quiet_ms + ms
        if loud and not self._speech:
            self._speech = f"item_{next(self._ids)}"
            await self._send(
                "input_audio_buffer.speech_started", item_id=self._speech, audio_start_ms=int(self._heard_ms - ms)
            )
        elif self._speech and self._quiet_ms >= self._talker.silence * 1000:
            item, self._speech = self._speech, ""
            await self._answer(item)

    async def _answer(self, item: str) -> None:
        talker = self._talker
        await self._send("input_audio_buffer.speech_stopped", item_id=item, audio_end_ms=int(self._heard_ms))
        await self._send("input_audio_buffer.committed", item_id=item, previous_item_id=None)
        if talker.dies_after_commit:
            await self._socket.close(1011, "out of breath")
            return
        spoken = {"id": item, "type": "message", "role": "user", "content": [{"type": "input_audio"}]}
        await self._send("conversation.item.added", item=spoken, previous_item_id=None)
        await self._send(
            "conversation.item.input_audio_transcription.completed", item_id=item, content_index=0,
            transcript=talker.said, usage={"type": "duration", "seconds": 1},
        )  # fmt: skip
        await self._respond()

    async def _respond(self) -> None:
        talker = self._talker
        self._turn += 1
        response, item = f"resp_{next(self._ids)}", f"item_{next(self._ids)}"
        part = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        await self._send("response.created", response={"id": response, "status": "in_progress", "output": []})
        if talker.fails:
            details = {"type": "failed", "error": {"message": talker.fails, "type": "server_error"}}
            failed = {"id": response, "status": "failed", "status_details": details, "output": []}
            await self._send("response.done", response=failed)
            return
        for word in talker.words:
            await self._send("response.output_audio_transcript.delta", delta=word, **part)
        for at in range(0, len(talker.reply), RATE // 5):  # 100 ms
            delta = base64.b64encode(talker.reply[at : at + RATE // 5]).decode()
            await self._send("response.output_audio.delta", delta=delta, **part)
        await self._send("response.output_audio.done", **part)
        await self._send("response.output_audio_transcript.done", transcript="".join(talker.words), **part)
        await self._send("response.done", response={"id": response, "status": "completed", "output": []})
        await self._send(
            "dragoman.turn", turn=self._turn, target="local/local", decision=f"dec_{self._turn}",
            stages_ms={"vad_hang": 51.0, "turn_model": 27.0, "stt_final": 22.0, "route": 0.2, "llm_ttft": 80.0,
                       "first_clause": 31.0, "tts_ttfa": 13.0, "send": 1.0, "total": 225.2},
        )  # fmt: skip
