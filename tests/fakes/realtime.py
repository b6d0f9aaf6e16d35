"""OpenAI's Realtime API (GA), as strict as the original: every client event is held to the SDK's own types.

It hears speech where the sound is not all zeros, says its `answer` word by word (each word is one transcript delta and
one of sound, `WORD_MS` long), and goes on where the conversation's last item is a beginning of it, as a model does. A
connection's `Fate` says when and how it dies, or that it is refused. Azure's older names: `beta=True`.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from openai.types.realtime import RealtimeClientEventParam
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from . import shape
from .server import _Loop

WORD_MS = 100
RATE = 24_000
SILENCE_MS = 200
_BETA = {
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
}


@dataclass
class Fate:
    """What becomes of a connection. `after`: so many server events. `how`: `abort` (RST), or `close` (with `code`).
    `refuse`: an HTTP status instead of the upgrade."""

    after: int | None = None
    how: str = "abort"
    code: int = 1011
    refuse: int | None = None
    error: dict[str, Any] | None = None  # told first, then closed
    expires_in: float = 3600.0
    when: Callable[[dict[str, Any]], bool] | None = None  # dies before an event of which this holds


@dataclass
class Talk:
    """One connection: what came, what went."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    fate: Fate
    received: list[dict[str, Any]] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # what of the client's events has not the shape it must have
    items: list[dict[str, Any]] = field(default_factory=list)
    session: dict[str, Any] = field(default_factory=dict)
    over: bool = False
    code: int | None = None

    def got(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.received if event["type"] == kind]


class Dead(Exception):
    """The connection's fate has come."""


class RealtimeFake:
    """A provider on loopback. `answer`: what it says. `pause`: waits between the words of an answer."""

    def __init__(
        self, *, keys: frozenset[str] = frozenset({"sk-fake"}), answer: str = "one two three four five",
        beta: bool = False, pause: Callable[[], Any] | None = None,
    ) -> None:  # fmt: skip
        self.keys = keys
        self.answer = answer
        self.beta = beta
        self.pause = pause
        self.calls: list[tuple[str, dict[str, Any]]] = []  # functions that it calls, one an answer, before it speaks
        self.talks: list[Talk] = []
        self.fates: list[Fate] = []
        self.port = 0
        self._server: Server | None = None
        self._ids = itertools.count(1)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}" + ("" if self.beta else "/v1")

    def __enter__(self) -> Self:
        _Loop.run(self.start())
        return self

    def __exit__(self, *_: object) -> None:
        _Loop.run(self.stop())

    async def start(self) -> None:
        self._server = await serve(
            self._talk, "127.0.0.1", 0, process_request=self._admit, max_size=2**25, compression=None
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def id(self, kind: str) -> str:
        return f"{kind}_{self.port}{next(self._ids):06d}"

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        fate = self.fates.pop(0) if self.fates else Fate()
        connection.fate = fate  # type: ignore[attr-defined]  # carried to the handler
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ") or request.headers.get("api-key", "")
        status = fate.refuse or (None if bearer in self.keys else 401)
        if status is None:
            return None
        self.talks.append(Talk(request.path, {}, dict(request.headers), fate, over=True))
        code = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}.get(status)
        error = {"message": f"refused with {status}", "type": "invalid_request_error", "param": None, "code": code}
        return connection.respond(HTTPStatus(status), json.dumps({"error": error}))

    def session(self, talk: Talk, connection: ServerConnection) -> "Session":
        return Session(self, talk, connection)

    async def _talk(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        split = urlsplit(connection.request.path)
        query = {name: values[-1] for name, values in parse_qs(split.query).items()}
        talk = Talk(split.path, query, dict(connection.request.headers), connection.fate)  # type: ignore[attr-defined]  # see `_admit`
        self.talks.append(talk)
        try:
            await self.session(talk, connection).run()
        except (ConnectionClosed, Dead):
            pass
        finally:
            talk.over, talk.code = True, connection.close_code


class Session:
    def __init__(self, fake: RealtimeFake, talk: Talk, connection: ServerConnection) -> None:
        self.fake, self.talk, self.connection = fake, talk, connection
        self.answering: asyncio.Task[None] | None = None
        self.response: dict[str, Any] | None = None
        self.buffer: list[bytes] = []
        self.heard_ms = 0.0
        self.speech: float | None = None
        self.quiet_ms = 0.0
        self.speech_item = ""

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self.talk.session = {
            "type": "realtime", "object": "realtime.session", "id": self.fake.id("sess"),
            "model": self.talk.query.get("model") or self.talk.query.get("deployment") or "whisper",
            "output_modalities": ["audio"], "instructions": "", "tools": [], "tool_choice": "auto",
            "expires_at": int(loop.time() + self.talk.fate.expires_in),
            "audio": {
                "input": {"format": {"type": "audio/pcm", "rate": RATE}, "transcription": None,
                          "turn_detection": {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300,
                                             "silence_duration_ms": SILENCE_MS, "create_response": True,
                                             "interrupt_response": True}},
                "output": {"format": {"type": "audio/pcm", "rate": RATE}, "voice": "marin", "speed": 1.0},
            },
        }  # fmt: skip
        if self.talk.fate.error is not None:
            await self.say("error", error=self.talk.fate.error)
            await self.connection.close(4000)
            return
        await self.say("session.created", session=self.talk.session)
        try:
            async for message in self.connection:
                event = json.loads(message)
                self.talk.received.append(event)
                if not self.fake.beta:
                    try:
                        shape.conform(RealtimeClientEventParam, _without_nulls(event))
                    except shape.Wrong as wrong:
                        self.talk.wrong.append(f"{event.get('type')}: {wrong}")
                        await self.refuse(
                            event, str(wrong), "invalid_value", str(wrong.plain[0] if wrong.plain else "")
                        )
                        continue
                await self.on(event)
        finally:
            if self.answering is not None:
                self.answering.cancel()

    async def say(self, kind: str, **fields: Any) -> None:
        fate = self.talk.fate
        if self.fake.beta:
            kind = _BETA.get(kind, kind)
            if kind == "conversation.item.done":
                return
            kind = "conversation.item.created" if kind == "conversation.item.added" else kind
        event = {"type": kind, "event_id": self.fake.id("event"), **fields}
        if (fate.after is not None and len(self.talk.sent) >= fate.after) or (
            fate.when is not None and fate.when(event)
        ):
            await self.die()
        self.talk.sent.append(json.loads(json.dumps(event)))
        await self.connection.send(json.dumps(event))

    async def die(self) -> None:
        fate = self.talk.fate
        if fate.how == "abort":
            raw = self.connection.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.transport.abort()
        elif fate.how == "close":
            await self.connection.close(fate.code, "the fake was told to")
        raise Dead

    async def refuse(self, event: dict[str, Any], message: str, code: str, param: str | None = None) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": message, "param": param}
        await self.say("error", error={**error, "event_id": event.get("event_id")})

    async def on(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "session.update":
                self.talk.session = _merged(self.talk.session, event["session"])
                await self.say("session.updated", session=self.talk.session)
            case "conversation.item.create":
                item = {"id": self.fake.id("item"), "object": "realtime.item", "status": "completed", **event["item"]}
                await self.add(item, event.get("previous_item_id"))
            case "conversation.item.delete":
                self.talk.items = [item for item in self.talk.items if item["id"] != event["item_id"]]
                await self.say("conversation.item.deleted", item_id=event["item_id"])
            case "conversation.item.retrieve":
                found = next((item for item in self.talk.items if item["id"] == event["item_id"]), None)
                if found is None:
                    await self.refuse(event, "no such item", "item_retrieve_invalid_item_id", "item_id")
                else:
                    await self.say("conversation.item.retrieved", item=found)
            case "conversation.item.truncate":
                await self.say("conversation.item.truncated", item_id=event["item_id"], content_index=0,
                               audio_end_ms=event["audio_end_ms"])  # fmt: skip
            case "input_audio_buffer.append":
                await self.hear(base64.b64decode(event["audio"]))
            case "input_audio_buffer.clear":
                self.buffer = []
                await self.say("input_audio_buffer.cleared")
            case "input_audio_buffer.commit":
                if not self.buffer:
                    await self.refuse(event, "buffer too small", "input_audio_buffer_commit_empty")
                else:
                    await self.commit(self.fake.id("item"))
            case "response.create":
                if self.response is not None:
                    await self.refuse(event, "active", "conversation_already_has_active_response")
                else:
                    self.respond(event.get("response") or {})
            case "response.cancel":
                if self.response is None:
                    await self.refuse(event, "nothing to cancel", "response_cancel_not_active")
                else:
                    await self.cancel("client_cancelled")

    async def add(self, item: dict[str, Any], after: str | None = None) -> None:
        previous = self.talk.items[-1]["id"] if self.talk.items else None
        self.talk.items.append(item)
        if after not in {None, previous}:
            self.talk.items.remove(item)
            at = 0 if after == "root" else next(i for i, each in enumerate(self.talk.items) if each["id"] == after) + 1
            self.talk.items.insert(at, item)
            previous = after
        shown = (
            {**item, "content": [_without_sound(part) for part in item.get("content", [])]}
            if "content" in item
            else item
        )
        await self.say("conversation.item.added", previous_item_id=previous, item=shown)
        await self.say("conversation.item.done", previous_item_id=previous, item=shown)

    async def hear(self, sound: bytes) -> None:
        vad = self.talk.session["audio"]["input"]["turn_detection"]
        self.buffer.append(sound)
        ms = len(sound) / (RATE * 2 / 1000)
        loud = any(sound)
        if vad is not None:
            if loud and self.speech is None:
                self.speech, self.speech_item = self.heard_ms, self.fake.id("item")
                await self.say("input_audio_buffer.speech_started", audio_start_ms=round(max(0.0, self.heard_ms - 300)),
                               item_id=self.speech_item)  # fmt: skip
                if self.response is not None and vad.get("interrupt_response"):
                    await self.cancel("turn_detected")
            self.quiet_ms = 0.0 if loud else self.quiet_ms + ms
        self.heard_ms += ms
        if vad is not None and self.speech is not None and self.quiet_ms >= vad["silence_duration_ms"]:
            self.speech = None
            await self.say(
                "input_audio_buffer.speech_stopped", audio_end_ms=round(self.heard_ms), item_id=self.speech_item
            )
            await self.commit(self.speech_item)
            if vad.get("create_response"):
                self.respond({})

    async def commit(self, item_id: str) -> None:
        sound, self.buffer = b"".join(self.buffer), []
        previous = self.talk.items[-1]["id"] if self.talk.items else None
        await self.say("input_audio_buffer.committed", previous_item_id=previous, item_id=item_id)
        part = {"type": "input_audio", "audio": base64.b64encode(sound).decode(), "transcript": None}
        await self.add({"id": item_id, "object": "realtime.item", "type": "message", "role": "user",
                        "status": "completed", "content": [part]})  # fmt: skip
        if (transcription := self.talk.session["audio"]["input"].get("transcription")) is not None:
            usage = {"type": "tokens", "input_tokens": 7, "output_tokens": 3, "total_tokens": 10,
                     "input_token_details": {"audio_tokens": 7, "text_tokens": 0}}  # fmt: skip
            if transcription["model"] == "whisper-1":
                usage = {"type": "duration", "seconds": 30.0}
            await self.say("conversation.item.input_audio_transcription.completed", item_id=item_id, content_index=0,
                           transcript="what was said", usage=usage)  # fmt: skip

    # answering

    def respond(self, wanted: dict[str, Any]) -> None:
        self.response = {
            "object": "realtime.response", "id": self.fake.id("resp"), "status": "in_progress", "status_details": None,
            "output": [], "conversation_id": None if wanted.get("conversation") == "none" else "conv_1",
            "output_modalities": ["audio"], "max_output_tokens": "inf", "usage": None,
            "metadata": wanted.get("metadata"),
        }  # fmt: skip
        self.answering = asyncio.ensure_future(self.answer(self.response))

    def left(self) -> list[str]:
        """The words of the answer that the conversation does not have yet."""
        words = self.fake.answer.split(" ")
        said: list[str] = []
        for item in reversed(self.talk.items):
            if item.get("role") != "assistant":
                break
            text = "".join(part.get("text") or part.get("transcript") or "" for part in item["content"])
            said = text.split() + said
        return words[len(said) :] if words[: len(said)] == said else words

    async def answer(self, response: dict[str, Any]) -> None:
        with contextlib.suppress(ConnectionClosed, Dead):
            await (self._call(response, *self.fake.calls.pop(0)) if self.fake.calls else self._answer(response))

    async def _call(self, response: dict[str, Any], name: str, arguments: dict[str, Any]) -> None:
        item = {"id": self.fake.id("item"), "object": "realtime.item", "type": "function_call", "status": "in_progress",
                "name": name, "call_id": self.fake.id("call"), "arguments": ""}  # fmt: skip
        on = {"response_id": response["id"], "output_index": 0}
        at = {**on, "item_id": item["id"], "call_id": item["call_id"]}
        previous = self.talk.items[-1]["id"] if self.talk.items else None
        text = json.dumps(arguments)
        await self.say("response.created", response=response)
        await self.say("response.output_item.added", item=item, **on)
        self.talk.items.append(item)
        await self.say("conversation.item.added", previous_item_id=previous, item=item)
        await self.say("response.function_call_arguments.delta", delta=text, **at)
        await self.say("response.function_call_arguments.done", arguments=text, name=name, **at)
        item |= {"arguments": text, "status": "completed"}
        await self.say("conversation.item.done", previous_item_id=previous, item=item)
        await self.say("response.output_item.done", item=item, **on)
        self.response = None
        await self.say("response.done", response={**response, "status": "completed", "output": [item]})

    async def _answer(self, response: dict[str, Any]) -> None:
        words = self.left()
        item = {"id": self.fake.id("item"), "object": "realtime.item", "type": "message", "role": "assistant",
                "status": "in_progress", "content": []}  # fmt: skip
        at = {"response_id": response["id"], "item_id": item["id"], "output_index": 0, "content_index": 0}
        self.at, self.item, self.spoken = at, item, ""
        await self.say("response.created", response=response)
        await self.say("response.output_item.added", response_id=response["id"], output_index=0, item=item)
        previous = self.talk.items[-1]["id"] if self.talk.items else None
        if response["conversation_id"]:
            self.talk.items.append(item)
            await self.say("conversation.item.added", previous_item_id=previous, item=item)
        await self.say("response.content_part.added", part={"type": "audio", "transcript": ""}, **at)
        for number, word in enumerate(words):
            piece = word if number == len(words) - 1 else word + " "
            await self.say("response.output_audio_transcript.delta", delta=piece, **at)
            self.spoken += piece
            await self.say("response.output_audio.delta", delta=tone(word), **at)
            if self.fake.pause is not None:
                await self.fake.pause()
        await self.end("completed", None)

    async def cancel(self, reason: str) -> None:
        assert self.answering is not None
        self.answering.cancel()
        await self.end("cancelled", {"type": "cancelled", "reason": reason})

    async def end(self, status: str, details: dict[str, Any] | None) -> None:
        response, at, item = self.response, self.at, self.item
        assert response is not None
        item["content"] = [{"type": "output_audio", "transcript": self.spoken}]
        item["status"] = "completed" if status == "completed" else "incomplete"
        await self.say("response.output_audio.done", **at)
        await self.say("response.output_audio_transcript.done", transcript=self.spoken, **at)
        await self.say("response.content_part.done", part={"type": "audio", "transcript": self.spoken}, **at)
        if response["conversation_id"]:
            await self.say("conversation.item.done", previous_item_id=None, item=item)
        await self.say("response.output_item.done", response_id=response["id"], output_index=0, item=item)
        count = len(self.spoken.split())
        usage = {
            "total_tokens": 100 + 30 * count, "input_tokens": 100, "output_tokens": 30 * count,
            "input_token_details": {"text_tokens": 40, "audio_tokens": 60, "image_tokens": 0, "cached_tokens": 50,
                                    "cached_tokens_details": {"text_tokens": 20, "audio_tokens": 30}},
            "output_token_details": {"text_tokens": 10 * count, "audio_tokens": 20 * count},
        }  # fmt: skip
        self.response = None
        done = {**response, "status": status, "status_details": details, "output": [item], "usage": usage}
        await self.say("response.done", response=done)


def tone(word: str) -> str:
    """The base64 of a word's sound: which word it is can be told from it."""
    return base64.b64encode((word.encode() * RATE)[: WORD_MS * RATE * 2 // 1000]).decode()


# what OpenAI takes as null, though its types do not say so
_NULLABLE = {
    "session": {"audio": {"input": {"noise_reduction": {}, "transcription": {}}}},
    "response": {"instructions": {}},
}


def _without_nulls(event: dict[str, Any], nullable: dict[str, Any] = _NULLABLE) -> dict[str, Any]:
    return {
        name: _without_nulls(value, nullable[name]) if name in nullable and isinstance(value, dict) else value
        for name, value in event.items()
        if value is not None or nullable.get(name) != {}
    }


def _without_sound(part: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name != "audio"}


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    result = dict(one)
    for name, value in other.items():
        before = result.get(name)
        result[name] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return result
