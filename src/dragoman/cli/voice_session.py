"""Plays a recording to a realtime session, as a microphone and a player would: in real time, in frames of 20 ms."""

import asyncio
import base64
import ssl
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from dragoman.cli.recording import RATE
from dragoman.cli.voice_turns import ServerEvent, Turns

FRAME = 0.02  # seconds
_FRAME_BYTES = round(FRAME * RATE) * 2
_READY = 60.0  # seconds a session may take to begin: the first may load its engines
_SETUP = {
    "type": "session.update",
    "session": {
        "type": "realtime",
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": RATE},
                "transcription": {"model": "gpt-4o-mini-transcribe"},
                "turn_detection": {"type": "semantic_vad"},
            },
            "output": {"format": {"type": "audio/pcm", "rate": RATE}},
        },
    },
}
Show = Callable[[ServerEvent], None]


class SessionError(RuntimeError):
    """There is no session, or it broke; the message says where and why."""


def session_url(url: str, model: str | None) -> str:
    """The WebSocket address of `url`, which may be the gateway's (http or https), with what is asked for in its query.
    Raises `SessionError`."""
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not parts.hostname:
        raise SessionError(f'{url}: expected an address such as "wss://host/v1/realtime"')
    query = dict(parse_qsl(parts.query)) | ({"model": model} if model else {})
    if "model" not in query:
        raise SessionError(f"{url}: which model? Name one with --model, or with ?model= in the address")
    path = parts.path if parts.path not in ("", "/") else "/v1/realtime"
    return parts._replace(scheme=scheme, path=path, query=urlencode(query | {"dragoman_turns": "1"})).geturl()


async def play(
    url: str,
    recording: bytes,
    turns: Turns,
    show: Show,
    *,
    key: str | None,
    tls: ssl.SSLContext | None,
    patience: float,
) -> None:
    """Plays `recording` to the session at `url`, then silence until it has been answered; `turns` and `show` follow
    what it says. Raises `SessionError`."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    # Compression would cost more time than sound leaves.
    near = urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
    try:
        async with connect(
            url, additional_headers=headers, ssl=tls if url.startswith("wss:") else None, compression=None,
            max_size=None, proxy=None if near else True,
        ) as socket:  # fmt: skip
            await _begin(socket, show)
            await _talk(socket, recording, turns, show, patience)
    except InvalidStatus as refused:
        raise SessionError(f"{url}: {_refusal(refused)}") from None
    except (InvalidHandshake, InvalidURI, OSError) as error:
        raise SessionError(f"{url}: can't connect: {error}") from None
    except ConnectionClosed as closed:
        said = f": {turns.errors[-1].message}" if turns.errors else ""
        raise SessionError(f"{url}: the session broke off: {closed}{said}") from None


async def _begin(socket: ClientConnection, show: Show) -> None:
    """Waits until the session is set up, so that no sound meets one that is not."""
    await socket.send(msgspec.json.encode(_SETUP).decode())
    with suppress(TimeoutError):
        async with asyncio.timeout(_READY):
            while True:
                event = _read(await socket.recv())
                show(event)
                if event.type == "error":
                    raise SessionError(f"the session does not begin: {event.error.message}")
                if event.type == "session.updated":
                    return
    raise SessionError(f"the session did not begin within {_READY:.0f} s")


async def _talk(socket: ClientConnection, recording: bytes, turns: Turns, show: Show, patience: float) -> None:
    clock = asyncio.get_running_loop().time
    began = clock()

    async def listen() -> None:
        while True:
            event = _read(await socket.recv())
            for answer in turns.take(event, clock() - began):
                await socket.send(msgspec.json.encode(answer).decode())
            show(event)

    listening = asyncio.create_task(listen())
    try:
        frame = 0
        while frame * _FRAME_BYTES < len(recording) or not turns.over(clock() - began, patience):
            sound = recording[frame * _FRAME_BYTES : (frame + 1) * _FRAME_BYTES].ljust(_FRAME_BYTES, b"\0")
            frame += 1  # it can be sent when all of it has sounded
            await asyncio.sleep(began + frame * FRAME - clock())
            if listening.done():
                listening.result()
            append = {"type": "input_audio_buffer.append", "audio": base64.b64encode(sound).decode()}
            await socket.send(msgspec.json.encode(append).decode())
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


def _read(message: str | bytes) -> ServerEvent:
    try:
        return msgspec.json.decode(message, type=ServerEvent)
    except msgspec.DecodeError as error:
        raise SessionError(f"what answers is no realtime session: {error}") from None


def _refusal(refused: InvalidStatus) -> str:
    """Why the handshake was refused, in the server's words where it gives some."""
    response = refused.response
    try:
        message = msgspec.json.decode(response.body)["error"]["message"]
    except (msgspec.DecodeError, KeyError, TypeError):
        message = bytes(response.body or b"").decode(errors="replace")[:200].strip() or response.reason_phrase
    mend = ": give a key with --key, or in DRAGOMAN_KEY" if response.status_code in (401, 403) else ""
    return f"refused with {response.status_code}: {message}{mend}"
