"""Calls over WebRTC through the gateway, to a realtime server that gives a fixed reply."""

import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from fakes.talker import Talker, hush, talk, tone
from realtime.gate import Gate, gate
from server.calls.caller import Caller

ADMIN = "dgm-admin-0123456789"
QUESTION = tone(0.5)


@pytest.fixture
def talker() -> Iterator[Talker]:
    with talk(Talker(reply=hush(0.1) + tone(1))) as server:
        yield server


class Office:
    """A gateway with the talker as its provider, and who calls it."""

    def __init__(self, here: Gate, stack: AsyncExitStack) -> None:
        self.here = here
        self._stack = stack
        self.http = httpx.AsyncClient(base_url=here.url, timeout=20)

    async def caller(self, sound: bytes = b"") -> Caller:
        caller = Caller(sound)
        self._stack.push_async_callback(caller.hang_up)
        return caller

    async def call(self, sound: bytes = b"", path: str = "/v1/realtime/calls?model=openai/gpt-realtime") -> Any:
        """A caller whose call was answered, and the call's address."""
        caller = await self.caller(sound)
        reply = await self.http.post(
            path, content=await caller.offer(), headers={"content-type": "application/sdp", "x-api-key": ADMIN}
        )
        assert reply.status_code == 201, reply.text
        assert reply.headers["content-type"] == "application/sdp"
        await caller.take(reply.text)
        return caller, reply.headers["location"]


@pytest.fixture
async def office(talker: Talker, tmp_path: Path) -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:

        async def open(**tables: Any) -> Office:
            account = {
                "name": "a", "provider": "openai", "key": "sk-fake",
                "base_url": talker.url.replace("ws:", "http:").removesuffix("/realtime"),
            }  # fmt: skip
            office = Office(await stack.enter_async_context(gate(tmp_path, [account], **tables)), stack)
            stack.push_async_callback(office.http.aclose)
            return office

        yield open


async def test_a_call_is_a_conversation(office: Any, talker: Talker) -> None:
    there = await office()
    caller, _ = await there.call(QUESTION)
    said = await caller.until("conversation.item.input_audio_transcription.completed")
    assert said["transcript"] == "What is the time?"
    await caller.until("output_audio_buffer.started")
    await caller.until_heard(5000)
    await caller.until("output_audio_buffer.stopped")
    assert "response.output_audio.delta" not in caller.types, "sound is heard, not said"
    assert caller.of("response.output_audio_transcript.done")[0]["transcript"] == "It is ten past two."


async def test_speech_into_the_reply_stops_it(office: Any, talker: Talker) -> None:
    talker.reply = tone(30)
    there = await office()
    caller, _ = await there.call(QUESTION + hush(1) + QUESTION)
    cleared = await caller.until("output_audio_buffer.cleared")
    truncated = await caller.until("conversation.item.truncated")
    assert 0 < truncated["audio_end_ms"] < 30_000
    assert cleared["response_id"] == caller.of("output_audio_buffer.started")[0]["response_id"]


async def test_the_openai_sdk_calls(office: Any, talker: Talker) -> None:
    there = await office()
    caller = await there.caller(QUESTION)
    client = openai.AsyncOpenAI(base_url=f"{there.here.url}/v1", api_key="any")
    reply = await client.realtime.calls.create(
        sdp=await caller.offer(),
        session={"type": "realtime", "model": "openai/gpt-realtime", "instructions": "Be brief.",
                 "audio": {"input": {"format": {"type": "audio/pcmu"}}}},
    )  # fmt: skip
    await caller.take(reply.text)
    await caller.until("response.done")
    (update,) = talker.of("session.update")
    assert update["session"] == {"type": "realtime", "instructions": "Be brief.", "audio": {"input": {}}}
    await client.close()


async def test_a_call_is_booked_by_its_turns(office: Any) -> None:
    there = await office()
    caller, location = await there.call(QUESTION)
    await caller.until("response.done")
    await there.http.post(location + "/hangup")
    await there.here.app.idle()
    assert [row.target for row in there.here.rows] == ["openai/gpt-realtime"]
    assert there.here.rows[0].dialect == "realtime.ga"


@pytest.mark.parametrize("way", ["hangup", "delete"])
async def test_a_call_is_hung_up(office: Any, way: str) -> None:
    there = await office()
    caller, location = await there.call()
    await caller.until("session.created")
    if way == "delete":
        reply = await there.http.delete(location)
    else:
        reply = await there.http.post(location + "/hangup")
    assert reply.status_code == 200
    await there.here.app.idle()
    assert (await there.http.post(location + "/hangup")).status_code == 404


@pytest.mark.parametrize("what", ["accept", "reject", "refer"])
async def test_what_only_calls_over_sip_have_is_refused(office: Any, what: str) -> None:
    there = await office()
    _, location = await there.call()
    refused = await there.http.post(f"{location}/{what}")
    assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")
    assert "SIP" in refused.json()["error"]["message"]
    assert (await there.http.post(f"/v1/realtime/calls/rtc_nobody/{what}")).status_code == 404


async def test_a_server_joins_a_call_with_the_official_sdk(office: Any, talker: Talker) -> None:
    there = await office()
    caller, location = await there.call(QUESTION)
    await caller.until("session.created")
    client = openai.AsyncOpenAI(base_url=f"{there.here.url}/v1", api_key="any")
    async with client.realtime.connect(call_id=location.rpartition("/")[2]) as side:
        assert (await side.recv()).type == "session.created"
        await side.session.update(session={"type": "realtime", "instructions": "Be brief."})
        seen = []
        while not seen or seen[-1] != "session.updated":
            seen.append((await side.recv()).type)
        await caller.until("session.updated")
        assert talker.of("session.update")[-1]["session"]["instructions"] == "Be brief."
        await there.http.post(location + "/hangup")
        with pytest.raises(Exception, match="1000"):
            while True:
                assert (await side.recv()).type != "response.output_audio.delta"
    await client.close()
    await there.here.app.idle()


async def test_a_call_that_is_not_there_cannot_be_joined(office: Any) -> None:
    there = await office()
    client = openai.AsyncOpenAI(base_url=f"{there.here.url}/v1", api_key="any")
    with pytest.raises(Exception, match="404"):
        async with client.realtime.connect(call_id="rtc_nobody"):
            pass
    await client.close()


async def test_a_call_is_its_callers_own(office: Any) -> None:
    there = await office(access={"mode": "keys", "admin_key": ADMIN})
    _, location = await there.call()
    nobody = await there.http.post(location + "/hangup")
    assert nobody.status_code == 401
    assert (await there.http.post(location + "/hangup", headers={"x-api-key": ADMIN})).status_code == 200


async def test_a_page_calls_with_a_client_secret(office: Any, talker: Talker) -> None:
    there = await office(access={"mode": "keys", "admin_key": ADMIN})
    asked = {"session": {"type": "realtime", "model": "openai/gpt-realtime", "instructions": "Be brief."}}
    secret = await there.http.post("/v1/realtime/client_secrets", json=asked, headers={"x-api-key": ADMIN})
    caller = await there.caller(QUESTION)
    reply = await there.http.post(
        "/v1/realtime/calls", content=await caller.offer(),
        headers={"content-type": "application/sdp", "authorization": f"Bearer {secret.json()['value']}"},
    )  # fmt: skip
    assert reply.status_code == 201, reply.text
    await caller.take(reply.text)
    await caller.until("response.done")
    assert talker.of("session.update")[0]["session"]["instructions"] == "Be brief."


async def test_a_stranger_is_refused(office: Any) -> None:
    there = await office(access={"mode": "keys", "admin_key": ADMIN})
    caller = await there.caller()
    reply = await there.http.post("/v1/realtime/calls?model=openai/gpt-realtime", content=await caller.offer())
    assert reply.status_code == 401
    assert reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "status", "param"),
    [("/v1/realtime/calls?model=nope", 404, "model"), ("/v1/realtime/calls", 400, "model")],
)
async def test_a_model_that_is_not_there_is_refused(office: Any, path: str, status: int, param: str) -> None:
    there = await office()
    caller = await there.caller()
    reply = await there.http.post(path, content=await caller.offer())
    assert (reply.status_code, reply.json()["error"]["param"]) == (status, param)


async def test_what_is_no_offer_is_refused(office: Any) -> None:
    there = await office()
    reply = await there.http.post("/v1/realtime/calls?model=openai/gpt-realtime", content=b"hello")
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "sdp")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"session": "{}"}, "sdp"),
        ({"sdp": "v=0" * 30_000}, "sdp"),
        ({"sdp": "v=0", "session": "nope"}, "session"),
        ({"sdp": "v=0", "session": "[]"}, "session"),
        ({"sdp": "v=0", "session": json.dumps({"model": 3})}, "session.model"),
    ],
)
async def test_what_is_wrong_with_a_form_is_named(office: Any, fields: dict[str, str], param: str) -> None:
    there = await office()
    files = {name: (None, value) for name, value in fields.items()}
    reply = await there.http.post("/v1/realtime/calls", files=files)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)


async def test_without_the_extra_the_mend_is_named(office: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dragoman.server.calls.peer", None)
    there = await office()
    reply = await there.http.post("/v1/realtime/calls?model=openai/gpt-realtime", content=b"v=0")
    assert reply.status_code == 501
    assert "dragoman[webrtc]" in reply.json()["error"]["message"]
