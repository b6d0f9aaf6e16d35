"""Providers' transcription over WebSockets, as strict as the originals: Deepgram, AssemblyAI, ElevenLabs' Scribe.

They understand a word for each half second of sound that is not silent: `one two three …`.
"""

import asyncio
import base64
import contextlib
import json
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from .server import _Loop

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
RATE = 16_000
WORD = RATE  # bytes: half a second


@dataclass
class Fate:
    """What becomes of a connection. `refuse`: an HTTP status (with `retry_after`) instead of the upgrade. `dies`: it is
    cut (RST) when so much sound has come, in bytes. `mute`: nothing is said at the end. `says`: this is said first, and
    `closes` with this code follows."""

    refuse: int | None = None
    retry_after: str | None = None
    dies: int | None = None
    mute: bool = False
    says: dict[str, Any] | None = None
    closes: int | None = None


@dataclass
class Heard:
    """One connection. `wrong`: what the original would refuse."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    fate: Fate
    sound: bytearray = field(default_factory=bytearray)
    messages: list[Any] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    code: int | None = None
    over: bool = False

    def words(self) -> list[str]:
        """What was understood so far."""
        pieces = [self.sound[i : i + WORD] for i in range(0, len(self.sound), WORD)]
        return WORDS[: sum(any(piece) for piece in pieces)]


class Listener:
    """A provider on loopback; use it as a context manager, which fails where the original would have refused."""

    key = "fake-key-0123456789"
    path = ""
    query: ClassVar[dict[str, str]] = {}  # pattern by name
    required: frozenset[str] = frozenset()

    def __init__(self, *, keys: frozenset[str] | None = None, holds: bool = False) -> None:
        self.keys = frozenset({self.key}) if keys is None else keys
        self.holds = holds
        self.heard: list[Heard] = []
        self.fates: list[Fate] = []
        self.port = 0
        self._server: Server | None = None
        self._changed = asyncio.Condition()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        _Loop.run(self._start())
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        _Loop.run(self._stop())
        wrong = [each for heard in self.heard for each in heard.wrong]
        assert kind is not None or not wrong, wrong

    async def _start(self) -> None:
        self._server = await serve(
            self._talk, "127.0.0.1", 0, process_request=self._admit, compression=None, close_timeout=1
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def left(self, number: int = 0) -> Heard:
        """The connection, once it is over."""
        return await self._when(lambda: len(self.heard) > number and self.heard[number].over, number)

    async def hears(self, size: int, number: int = 0) -> Heard:
        """The connection, once so many bytes of sound have come."""
        return await self._when(
            lambda: len(self.heard) > number and len(self.heard[number].sound) >= size, number
        )  # fmt: skip

    async def _when(self, holds: Any, number: int) -> Heard:
        async def wait() -> None:
            async with self._changed:
                await self._changed.wait_for(holds)

        async with asyncio.timeout(10):
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(wait(), _Loop.get()))
        return self.heard[number]

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    # for the providers

    def given(self, headers: dict[str, str]) -> str:
        """The key that the headers carry."""
        raise NotImplementedError

    def error(self, status: int) -> dict[str, Any]:
        return {"error": f"refused with {status}"}

    async def take(self, heard: Heard, connection: ServerConnection, message: str | bytes) -> bool:
        """Whether it goes on after the message."""
        raise NotImplementedError

    async def greet(self, heard: Heard, connection: ServerConnection) -> None: ...

    # the server

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        fate = self.fates.pop(0) if self.fates else Fate()
        split = urlsplit(request.path)
        pairs = parse_qsl(split.query, keep_blank_values=True)
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        heard = Heard(split.path, dict(pairs), headers, fate)
        connection.heard = heard  # type: ignore[attr-defined]  # carried to the handler
        status = fate.refuse or (404 if split.path != self.path else None)
        status = status or (None if self.given(headers) in self.keys else 401) or (None if self._fits(pairs) else 400)
        self.heard.append(heard)
        if status is None:
            return None
        heard.over = True
        response = connection.respond(HTTPStatus(status), json.dumps(self.error(status)))
        if fate.retry_after is not None:
            response.headers["retry-after"] = fate.retry_after
        return response

    def _fits(self, pairs: list[tuple[str, str]]) -> bool:
        known = all(name in self.query and re.fullmatch(self.query[name], value) for name, value in pairs)
        return known and self.required <= dict(pairs).keys() and len(dict(pairs)) == len(pairs)

    async def _talk(self, connection: ServerConnection) -> None:
        heard: Heard = connection.heard  # type: ignore[attr-defined]  # see `_admit`
        fate = heard.fate
        with contextlib.suppress(ConnectionClosed):
            await self.greet(heard, connection)
            if fate.says is not None:
                await connection.send(json.dumps(fate.says))
            if fate.closes is not None:
                await connection.close(fate.closes, "told to")
            async for message in connection:
                if fate.dies is not None and len(heard.sound) >= fate.dies:
                    connection.transport.abort()
                    break
                going = await self.take(heard, connection, message)
                await self._tell()
                if not going:
                    break
        await connection.close()
        heard.code = connection.close_code
        heard.over = True
        await self._tell()


class Nova(Listener):
    """Deepgram's `/v1/listen`."""

    path = "/v1/listen"
    query: ClassVar[dict[str, str]] = {
        "model": r"nova-\d[\w-]*", "encoding": "linear16", "sample_rate": "16000", "channels": "1",
        "interim_results": "true", "punctuate": "true", "endpointing": r"false|\d+", "language": "[a-z]{2}|multi",
    }  # fmt: skip
    required = frozenset({"model", "encoding", "sample_rate"})

    def given(self, headers: dict[str, str]) -> str:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        return key if scheme == "Token" else ""

    def error(self, status: int) -> dict[str, Any]:
        return {"err_code": "INVALID_AUTH", "err_msg": f"refused with {status}", "request_id": "r"}

    async def take(self, heard: Heard, connection: ServerConnection, message: str | bytes) -> bool:
        if isinstance(message, bytes):
            heard.sound += message
            if not message:
                heard.wrong.append("an empty binary message closes the stream")
            if not self.holds:
                await connection.send(self._result(heard, final=False))
            return True
        kind = json.loads(message)["type"]
        heard.messages.append(kind)
        if kind not in {"Finalize", "CloseStream", "KeepAlive"}:
            heard.wrong.append(f"unknown message {kind}")
        if heard.fate.mute:
            return True
        if kind == "Finalize" and heard.words():
            await connection.send(self._result(heard, final=True))
        if kind == "CloseStream":
            metadata = {
                "type": "Metadata", "transaction_key": "deprecated", "request_id": "r", "sha256": "0",
                "created": "2026-01-01T00:00:00Z", "duration": len(heard.sound) / RATE / 2, "channels": 1,
            }  # fmt: skip
            await connection.send(json.dumps(metadata))
            return False
        return True

    def _result(self, heard: Heard, *, final: bool) -> str:
        best = {"transcript": " ".join(heard.words()), "confidence": 0.9, "words": []}
        told = {
            "type": "Results", "channel_index": [0, 1], "start": 0.0, "duration": len(heard.sound) / RATE / 2,
            "is_final": final, "speech_final": final, "from_finalize": final, "channel": {"alternatives": [best]},
            "metadata": {"request_id": "r", "model_info": {}, "model_uuid": "m"},
        }  # fmt: skip
        return json.dumps(told)


class Universal(Listener):
    """AssemblyAI's `/v3/ws`. It ends a turn of its own after the third word."""

    path = "/v3/ws"
    query: ClassVar[dict[str, str]] = {
        "sample_rate": "16000", "encoding": "pcm_s16le", "format_turns": "true|false",
        "speech_model": "universal-streaming-(english|multilingual)", "language_codes": r'\["[a-z]{2}"\]',
    }  # fmt: skip
    required = frozenset({"sample_rate", "speech_model"})

    def given(self, headers: dict[str, str]) -> str:
        return headers.get("authorization", "")

    async def greet(self, heard: Heard, connection: ServerConnection) -> None:
        await connection.send(json.dumps({"type": "Begin", "id": "s", "expires_at": 1767225600}))

    async def take(self, heard: Heard, connection: ServerConnection, message: str | bytes) -> bool:
        if isinstance(message, bytes):
            if not 0.05 <= len(message) / RATE / 2 <= 1.0:
                heard.wrong.append(f"3007: a chunk of {len(message)} bytes")
            heard.sound += message
            words = heard.words()
            if not self.holds and words:
                await connection.send(self._turn(words[:3], 0, end=len(words) > 3))
                if len(words) > 3:
                    await connection.send(self._turn(words[3:], 1, end=False))
            return True
        kind = json.loads(message)["type"]
        heard.messages.append(kind)
        if heard.fate.mute:
            return True
        words = heard.words()
        if kind == "ForceEndpoint":
            last = 1 if len(words) > 3 else 0
            await connection.send(self._turn(words[3:] if last else words, last, end=True, formatted=False))
            await connection.send(self._turn(words[3:] if last else words, last, end=True))
        elif kind == "Terminate":
            seconds = round(len(heard.sound) / RATE / 2)
            end = {"type": "Termination", "audio_duration_seconds": seconds, "session_duration_seconds": seconds}
            await connection.send(json.dumps(end))
            return False
        else:
            heard.wrong.append(f"unknown message {kind}")
        return True

    def _turn(self, words: list[str], order: int, *, end: bool, formatted: bool = True) -> str:
        text = " ".join(words)
        each = [
            {"text": word, "start": 0, "end": 500, "confidence": 0.8, "word_is_final": end or word != words[-1]}
            for word in words
        ]
        said = text if end else " ".join(words[:-1])  # the last word may still change
        turn = {"type": "Turn", "turn_order": order, "turn_is_formatted": end and formatted, "end_of_turn": end,
                "transcript": f"{text.capitalize()}." if end and formatted else said,
                "end_of_turn_confidence": 0.5, "words": each}  # fmt: skip
        return json.dumps(turn)


class Scribe(Listener):
    """ElevenLabs' `/v1/speech-to-text/realtime`, committed by hand."""

    path = "/v1/speech-to-text/realtime"
    query: ClassVar[dict[str, str]] = {
        "model_id": "scribe_v2_realtime", "audio_format": "pcm_16000", "commit_strategy": "manual",
        "language_code": "[a-z]{2,3}",
    }  # fmt: skip
    required = frozenset({"model_id"})

    def given(self, headers: dict[str, str]) -> str:
        return headers.get("xi-api-key", "")

    async def greet(self, heard: Heard, connection: ServerConnection) -> None:
        await connection.send(json.dumps({"message_type": "session_started", "session_id": "s", "config": {}}))

    async def take(self, heard: Heard, connection: ServerConnection, message: str | bytes) -> bool:
        chunk = json.loads(message)
        if chunk.pop("message_type") != "input_audio_chunk" or chunk.pop("sample_rate") != RATE:
            heard.wrong.append(f"not a chunk of sound: {chunk}")
        if "previous_text" in chunk and heard.sound:
            heard.wrong.append("previous_text may only come with the first chunk")
        sound, commit = base64.b64decode(chunk.pop("audio_base_64"), validate=True), chunk.pop("commit")
        heard.messages.append({**chunk, "commit": commit})
        heard.sound += sound
        text = " ".join(heard.words())
        if not commit:
            if not self.holds:
                await connection.send(json.dumps({"message_type": "partial_transcript", "text": text}))
            return True
        if len(heard.sound) < 0.3 * RATE * 2:
            heard.wrong.append("commit_throttled: less than 0.3 s")
        if not heard.fate.mute:
            await connection.send(json.dumps({"message_type": "committed_transcript", "text": text}))
        return True
