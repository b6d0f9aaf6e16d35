"""A call's connection, with aiortc at the far end, over loopback."""

import asyncio
import base64
import json
from array import array
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest
from aiortc.rtp import RtpPacket

from dragoman.server.calls import peer as calls
from dragoman.server.calls.peer import BadOffer, Peer
from fakes.talker import tone
from server.calls.caller import Caller


class Line:
    """Both ends of a call, connected."""

    def __init__(self, sound: bytes) -> None:
        ids = count(1)
        self.peer = Peer(lambda: f"event_{next(ids)}")
        self.caller = Caller(sound)

    async def connect(self) -> None:
        await self.caller.take(await self.peer.answer(await self.caller.offer()))

    async def receive(self, kind: str) -> dict[str, Any]:
        """The next message of that type that the session receives."""
        async with asyncio.timeout(20):
            while (message := await self.peer.receive()) is not None:
                event: dict[str, Any] = json.loads(message)
                if event["type"] == kind:
                    return event
        raise AssertionError(f"hung up before {kind}")

    async def send(self, kind: str, **fields: Any) -> None:
        await self.peer.send(json.dumps({"type": kind, **fields}))

    async def sound(self, seconds: float) -> None:
        delta = base64.b64encode(tone(seconds)).decode()
        await self.send("response.output_audio.delta", delta=delta, response_id="r1", item_id="i1")


@pytest.fixture
async def line() -> AsyncIterator[Any]:
    opened: list[Line] = []

    async def dial(sound: bytes = b"") -> Line:
        line = Line(sound)
        opened.append(line)
        await line.connect()
        return line

    yield dial
    for line in opened:
        await line.caller.hang_up()
        await line.peer.close()


async def test_the_microphone_becomes_appended_sound(line: Any) -> None:
    call = await line(tone(5))
    peak = 0
    while peak < 5000:
        pcm = base64.b64decode((await call.receive("input_audio_buffer.append"))["audio"])
        peak = max(map(abs, array("h", pcm)), default=0)


async def test_events_cross_both_ways(line: Any) -> None:
    call = await line()
    await call.send("session.created", session={"id": "s1"})
    assert (await call.caller.until("session.created"))["session"] == {"id": "s1"}
    call.caller.say("response.create")
    assert await call.receive("response.create") == {"type": "response.create"}


async def test_the_reply_is_heard_and_marked(line: Any) -> None:
    call = await line()
    await call.sound(0.5)
    await call.send("response.done", response={"id": "r1"})
    await call.caller.until("output_audio_buffer.started")
    await call.caller.until_heard(9000)
    await call.caller.until("output_audio_buffer.stopped")
    assert call.caller.types == ["response.done", "output_audio_buffer.started", "output_audio_buffer.stopped"]


async def test_speech_silences_the_reply_at_once(line: Any) -> None:
    call = await line()
    await call.sound(60)
    await call.caller.until_heard(9000)
    await call.send("input_audio_buffer.speech_started", item_id="i2")
    truncate = await call.receive("conversation.item.truncate")
    assert truncate["item_id"] == "i1"
    assert 0 < truncate["audio_end_ms"] < 20_000
    await call.caller.until("output_audio_buffer.cleared")


async def test_a_microphone_that_sends_nothing_is_silence(line: Any) -> None:
    call = await line(tone(60))
    await call.receive("input_audio_buffer.append")
    for sender in call.caller.connection.getSenders():
        sender.replaceTrack(None)
    peak = 1
    while peak > 0:
        pcm = base64.b64decode((await call.receive("input_audio_buffer.append"))["audio"])
        peak = max(map(abs, array("h", pcm)), default=0)


async def test_the_far_end_hangs_up(line: Any) -> None:
    call = await line()
    await call.receive("input_audio_buffer.append")
    await call.caller.hang_up()
    async with asyncio.timeout(20):
        while await call.peer.receive() is not None:
            pass


async def test_what_is_said_last_is_heard_before_the_end(line: Any) -> None:
    call = await line()
    await call.receive("input_audio_buffer.append")
    await call.send("error", error={"message": "good bye"})
    await call.peer.close()
    assert (await call.caller.until("error"))["error"]["message"] == "good bye"


async def test_what_is_no_json_is_for_the_session_to_judge(line: Any) -> None:
    call = await line()
    await call.send("session.created")
    await call.caller.until("session.created")
    call.caller._data.send("hello")
    async with asyncio.timeout(20):
        while (message := await call.peer.receive()) != "hello":
            assert message is not None


async def test_who_never_connects_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "CONNECT", 0.0)
    line = Line(b"")
    await line.peer.answer(await line.caller.offer())
    async with asyncio.timeout(20):
        assert await line.peer.receive() is None
    await line.peer.close()
    await line.caller.hang_up()


@pytest.mark.parametrize(
    "offer", ["", "hello", "v=0\r\nm=audio", "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"]
)
async def test_what_is_no_offer_is_refused(offer: str) -> None:
    with pytest.raises(BadOffer):
        await Peer(lambda: "event").answer(offer)


async def test_packets_do_not_wait_for_others(line: Any) -> None:
    """That is set by a private name: a new aiortc must still have it."""
    call = await line()
    (receiver,) = call.peer._connection.getReceivers()
    assert type(getattr(receiver, calls._JITTER)) is calls.Straight
    assert getattr(call.caller.connection.getReceivers()[0], calls._JITTER), "as aiortc names it itself"


def test_packets_come_in_order_or_not_at_all() -> None:
    def packet(number: int, data: bytes = b"x") -> RtpPacket:
        made = RtpPacket(sequence_number=number, timestamp=number * 960)
        made._data = data  # type: ignore[attr-defined]
        return made

    buffer = calls.Straight()
    numbers = [65534, 65535, 0, 2, 1, 2, 3]  # they begin anew after 65535
    frames = [buffer.add(packet(number))[1] for number in numbers]
    assert [frame and frame.timestamp // 960 for frame in frames] == [65534, 65535, 0, 2, None, None, 3]
    assert buffer.add(packet(4, b""))[1] is None
