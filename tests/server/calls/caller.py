"""The far end of a call, as an app has it: a data channel, a microphone, an ear."""

import asyncio
import json
import time
from fractions import Fraction
from typing import Any

import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from av import AudioFrame

from fakes.talker import RATE

Event = dict[str, Any]


class Microphone(MediaStreamTrack):
    """Hears `sound` (16-bit, 24 kHz), and then silence, in real time."""

    kind = "audio"

    def __init__(self, sound: bytes) -> None:
        super().__init__()
        self._sound = sound
        self._begin = time.monotonic()
        self._frames = 0

    async def recv(self) -> AudioFrame:
        pcm = self._sound[self._frames * 960 : (self._frames + 1) * 960].ljust(960, b"\0")
        self._frames += 1
        await asyncio.sleep(self._begin + self._frames * 0.02 - time.monotonic())
        frame = AudioFrame(format="s16", layout="mono", samples=480)
        frame.planes[0].update(pcm)
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), (self._frames - 1) * 480
        return frame


class Caller:
    """Calls by WebRTC. `events`: what the data channel said; `heard`: the loudest sample of each frame that came."""

    def __init__(self, sound: bytes = b"") -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.connection.addTrack(Microphone(sound))
        self.events: list[Event] = []
        self.heard: list[int] = []
        self._news = asyncio.Condition()
        self._ear: asyncio.Task[None] | None = None
        self._data = self.connection.createDataChannel("oai-events")
        self._data.on("message", lambda message: asyncio.ensure_future(self._told(json.loads(message))))
        self.connection.on("track", self._listen)

    async def offer(self) -> str:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def take(self, answer: str) -> None:
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    def say(self, kind: str, **fields: Any) -> None:
        self._data.send(json.dumps({"type": kind, **fields}))

    async def until(self, kind: str, times: int = 1) -> Event:
        """The event of that type, once it has come (so many times)."""
        async with asyncio.timeout(20), self._news:
            await self._news.wait_for(lambda: len(self.of(kind)) >= times)
        return self.of(kind)[times - 1]

    async def until_heard(self, least: int) -> None:
        """A frame is as loud as that."""
        async with asyncio.timeout(20), self._news:
            await self._news.wait_for(lambda: max(self.heard, default=0) >= least)

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event["type"] == kind]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    async def hang_up(self) -> None:
        await self.connection.close()
        if self._ear is not None:
            self._ear.cancel()

    async def _told(self, event: Event) -> None:
        async with self._news:
            self.events.append(event)
            self._news.notify_all()

    def _listen(self, track: MediaStreamTrack) -> None:
        async def listen() -> None:
            while True:
                frame: Any = await track.recv()
                async with self._news:
                    self.heard.append(int(np.abs(frame.to_ndarray().astype(int)).max()))
                    self._news.notify_all()

        self._ear = asyncio.ensure_future(listen())
