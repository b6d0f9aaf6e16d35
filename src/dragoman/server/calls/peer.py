"""The connection of a call (aiortc), as the two-way line of messages that a session has.

The microphone's track becomes `input_audio_buffer.append`; the session's sound goes out at the pace at which it is
heard, in frames of 20 ms, silence where there is nothing to say.

aiortc keeps 100 ms of what it receives to put packets in order, which every turn would wait for. Here a packet counts
when it comes; what comes after a later one is lost, as it would be at any phone.
"""

import asyncio
import base64
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from typing import Any, Literal

import msgspec
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtpPacket
from aiortc.utils import uint16_gt
from av import AudioFrame, AudioResampler

from dragoman.server.calls.channel import Channel, Crossing, Event
from dragoman.server.calls.loudspeaker import MS, Loudspeaker, Mark

log = logging.getLogger("dragoman")
for chatty in ("aioice", "aiortc"):  # they tell of each address they try at level INFO
    logging.getLogger(chatty).setLevel(logging.ERROR)
SESSION_RATE, CALL_RATE = 24_000, 48_000  # samples a second
FRAME_MS = 20
CONNECT = 30.0  # seconds in which the far end must be connected
STALL = 0.5  # seconds behind its time after which sound is not caught up with
GAP = 0.2  # seconds without a packet after which silence is heard
MOST = 3000  # messages that may wait for the session: a minute of sound
UNREAD = 4 * 1024 * 1024  # bytes a client may leave unread on the data channel
_JITTER = "_RTCRtpReceiver__jitter_buffer"


class BadOffer(Exception):
    """The client's SDP is no offer that can be answered; the message says why."""


class Peer:
    """One call; a `Duplex`. `new_id`: ids of events that are our own."""

    def __init__(self, new_id: Callable[[], str], ice_servers: list[str] | None = None) -> None:
        servers = [RTCIceServer(url) for url in ice_servers or ()]
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self._loudspeaker = Loudspeaker()
        self._channel = Channel(self._loudspeaker, Widening().feed, new_id)
        self._data: RTCDataChannel | None = None
        self._unsaid: list[str] = []  # until there is a data channel
        self._inbox: deque[str] = deque()
        self._arrived = asyncio.Event()
        self._over = False
        self._guests: list[Callable[[str], None]] = []  # who hears what the caller is told
        self._session: Event | None = None  # as it was told last
        self._listening: asyncio.Task[None] | None = None
        self._deadline = asyncio.get_running_loop().call_later(CONNECT, self._end)
        self._connection.on("datachannel", self._open)
        self._connection.on("track", self._hear)
        self._connection.on("connectionstatechange", self._changed)

    async def answer(self, offer: str) -> str:
        """The SDP that answers the client's. Raises `BadOffer`."""
        connection = self._connection
        try:
            await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            if not connection.getTransceivers() and connection.sctp is None:
                raise BadOffer("it offers neither sound nor a data channel")
            if any(each.kind == "audio" for each in connection.getTransceivers()):
                connection.addTrack(Voice(self._loudspeaker, self._tell_marks))
            for receiver in connection.getReceivers():
                _be_quick(receiver)
            await connection.setLocalDescription(await connection.createAnswer())
        except Exception as error:  # it parses SDP by whatever comes to hand
            await self.close()
            if isinstance(error, BadOffer):
                raise
            raise BadOffer(f"the SDP offer can't be answered: {error or type(error).__name__}") from error
        return connection.localDescription.sdp

    def begin(self, event: Event) -> None:
        """What the session is told before all that the client says."""
        self._put(msgspec.json.encode(event).decode())

    # as a line of messages

    async def receive(self) -> str | None:
        while not self._inbox:
            if self._over:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        return self._inbox.popleft()

    async def send(self, message: str | bytes) -> None:
        event: Event = msgspec.json.decode(message)
        self._cross(self._channel.from_session(event))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Hangs up, once the client has what it was told."""
        data = self._data
        if data is not None and data.readyState == "open" and data.bufferedAmount:
            sent = asyncio.Event()
            data.bufferedAmountLowThreshold = 0
            data.on("bufferedamountlow", sent.set)
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await sent.wait()
        self._end()
        await self._connection.close()

    def join(self, hear: Callable[[str], None]) -> Callable[[], None]:
        """`hear` is told what the caller is told, and first of the session as it is; what is returned ends that."""
        if self._session is not None:
            hear(msgspec.json.encode({**self._session, "type": "session.created"}).decode())
        self._guests.append(hear)
        return lambda: self._guests.remove(hear)

    # what aiortc tells

    def _open(self, data: RTCDataChannel) -> None:
        if self._data is None:
            self._data = data
            data.on("message", self.said)
            for message in self._unsaid:
                data.send(message)
            self._unsaid.clear()

    def said(self, message: str | bytes) -> None:
        """By the caller, or by who has joined the call."""
        try:
            event = msgspec.json.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError):
            event = None
        if isinstance(event, dict):
            self._cross(self._channel.from_client(event))
        else:  # the session knows best what to say to that
            self._put(message if isinstance(message, str) else message.decode("utf-8", "replace"))

    def _hear(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio" and self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._listen(track))

    async def _listen(self, track: MediaStreamTrack) -> None:
        """Until the track ends. A microphone that sends nothing is heard as silence, or no turn would end."""
        narrow = AudioResampler(format="s16", layout="mono", rate=SESSION_RATE)
        silence = bytes(2 * round(GAP * SESSION_RATE))
        begun = False
        while True:
            try:
                async with asyncio.timeout(GAP if begun else None):
                    frame = await track.recv()
                begun = True
                pcm = b"".join(_samples(frame, narrow))
            except TimeoutError:
                pcm = silence
            except MediaStreamError:
                return
            self._put(_append(pcm))

    def _changed(self) -> None:
        state = self._connection.connectionState
        if state == "connected":
            self._deadline.cancel()
        elif state in ("failed", "closed"):
            self._end()

    def _end(self) -> None:
        self._over = True
        self._arrived.set()
        self._deadline.cancel()
        if self._listening is not None:
            self._listening.cancel()

    # what is said

    def _cross(self, crossing: Crossing) -> None:
        for event in crossing.client:
            self._tell(event)
        for event in crossing.session:
            self._put(msgspec.json.encode(event).decode())

    def _tell_marks(self, marks: list[Mark]) -> None:
        for mark in marks:
            self._tell(self._channel.marked(mark))

    def _tell(self, event: Event) -> None:
        message = msgspec.json.encode(event).decode()
        if event.get("type") in ("session.created", "session.updated"):
            self._session = event
        for hear in self._guests:
            hear(message)
        data = self._data
        if data is None:
            self._unsaid.append(message)
        elif data.readyState == "open":
            data.send(message)
            if data.bufferedAmount > UNREAD:
                self._end()

    def _put(self, message: str) -> None:
        if len(self._inbox) >= MOST:
            log.warning("a call is hung up: its session hears nothing of what it says")
            self._end()
            return
        self._inbox.append(message)
        self._arrived.set()


class Voice(MediaStreamTrack):
    """The track that the far end hears. `tell`: what begins or ends with a frame, when it goes out."""

    kind = "audio"

    def __init__(self, loudspeaker: Loudspeaker, tell: Callable[[list[Mark]], None]) -> None:
        super().__init__()
        self._loudspeaker = loudspeaker
        self._tell = tell
        self._due = time.monotonic()
        self._pts = 0

    async def recv(self) -> AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        now = time.monotonic()
        self._due = self._due + FRAME_MS / 1000 if now - self._due < STALL else now
        await asyncio.sleep(self._due - now)
        sound, marks = self._loudspeaker.take(FRAME_MS * MS)
        self._tell(marks)
        frame = _frame(_on_both_sides(sound), CALL_RATE, self._pts, "stereo")
        self._pts += frame.samples
        return frame


class Widening:
    """The session's sound at the rate of calls, piece by piece."""

    def __init__(self) -> None:
        self._resampler = AudioResampler(format="s16", layout="mono", rate=CALL_RATE)
        self._pts = 0

    def feed(self, pcm: bytes) -> bytes:
        if len(pcm) < 2:
            return b""
        frame = _frame(pcm[: len(pcm) // 2 * 2], SESSION_RATE, self._pts)
        self._pts += frame.samples
        return b"".join(_samples(frame, self._resampler))


def _on_both_sides(pcm: bytes) -> bytes:
    """Mono as stereo. aiortc would do it too, but 3 dB lower."""
    both = bytearray(2 * len(pcm))
    both[0::4] = both[2::4] = pcm[0::2]
    both[1::4] = both[3::4] = pcm[1::2]
    return bytes(both)


def _frame(pcm: bytes, rate: int, pts: int, layout: Literal["mono", "stereo"] = "mono") -> AudioFrame:
    frame = AudioFrame(format="s16", layout=layout, samples=len(pcm) // (4 if layout == "stereo" else 2))
    frame.planes[0].update(pcm)
    frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), pts
    return frame


def _samples(frame: Any, resampler: AudioResampler) -> Iterator[bytes]:
    """A plane may be longer than what is in it."""
    for each in resampler.resample(frame):
        yield bytes(each.planes[0])[: each.samples * 2]


def _append(pcm: bytes) -> str:
    return '{"type":"input_audio_buffer.append","audio":"' + base64.b64encode(pcm).decode() + '"}'


class Straight(JitterBuffer):
    """Keeps nothing: a packet of speech is a whole frame."""

    def __init__(self) -> None:
        super().__init__(capacity=1)
        self._newest: int | None = None

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """The packet's frame, unless it comes late or is empty; never asks for a key frame."""
        data: bytes = packet._data  # type: ignore[attr-defined]  # the receiver puts it there
        if self._newest is not None and not uint16_gt(packet.sequence_number, self._newest):
            return False, None
        self._newest = packet.sequence_number
        return False, JitterFrame(data, packet.timestamp) if data else None


def _be_quick(receiver: RTCRtpReceiver) -> None:
    """See the module. There is no public way."""
    if receiver.track.kind == "audio":
        setattr(receiver, _JITTER, Straight())
