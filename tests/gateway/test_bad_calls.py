"""Calls that can't be answered, and gateways that break: refused in the client's own dialect, never a lie."""

import asyncio
import json

import pytest
from fake_wire import CHAT, CHUNKS, Make, Recorder, Says, account, stream

from dragoman.wire.errors import BodyTruncated

BAD = {
    "not UTF-8 in the model": b'{"model":"\xff"}',
    "a lone surrogate": b'{"model":"\\ud800","messages":[]}',
    "not UTF-8 in what decides about streaming": b'{"model":"m","stream":"\xff","messages":[]}',
    "deeper than can be read": b'{"model":"m","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "no JSON": b"model=m",
    "no object": b"[]",
    "nothing": b"",
    "a model that breaks lines": b'{"model":"openai/x\\r\\nx-injected: 1","messages":[]}',
}


@pytest.mark.parametrize("dialect", ["openai-chat", "openai-responses", "anthropic", "ollama", "ollama.generate"])
@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
async def test_a_bad_body_is_the_clients_fault_in_every_dialect(world: Make, body: bytes, dialect: str):
    out = await world("a").ask(body, dialect, op="respond" if dialect == "openai-responses" else "generate")
    assert out.status in {400, 404}
    assert "x-injected" not in out.headers
    assert "error" in out.json


@pytest.mark.parametrize("op", ["moderations", "audio/speech", "embed"])
async def test_a_bad_body_is_the_clients_fault_at_every_endpoint(world: Make, op: str):
    for name, body in BAD.items():
        if name != "not UTF-8 in what decides about streaming":  # nothing is decided by it here
            assert (await world("a").ask(body, op=op)).status in {400, 404}


async def test_a_schema_too_deep_to_be_translated_is_the_clients_fault(world: Make):
    there = world(account("a", "anthropic"), targets=["anthropic/x"])
    schema = b'{"type":"object","properties":{"a":' * 450 + b"{}" + b"}}" * 450
    tools = b'[{"type":"function","function":{"name":"f","strict":true,"parameters":' + schema + b"}}]"
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"tools":' + tools + b"}"
    out = await there.ask(body)
    assert (out.status, out.headers["x-dragoman-error"]) == (400, "bad_request")


async def test_gemini_embeddings_take_their_model_from_the_path(world: Make):
    there = world("a")
    vectors = {
        "object": "list",
        "model": "x",
        "data": [{"index": 0, "embedding": [0.5]}],
        "usage": {"prompt_tokens": 1},
    }
    there.wire.will("a", Says(body=vectors))
    body = json.dumps({"content": {"parts": [{"text": "a"}]}}).encode()
    out = await there.ask(body, "gemini", op="embed", model="m")
    assert out.status == 200
    assert out.json["embedding"]["values"] == [0.5]


@pytest.mark.parametrize("body", [b"\xff", b"[" * 100_000, b'{"data": 7}', b'{"data": {"a": 1}}', b"[]", b'"x"', b"{"])
async def test_a_nonsense_list_of_models_offers_nothing(world: Make, body: bytes):
    there = world("a")

    async def send(*_: object, **__: object) -> object:
        from fake_wire import _Source

        return _Source(Says(body=body)).reply

    there.wire.send = send  # type: ignore[method-assign, assignment]
    assert (await there.ask({"model": "unheard-of"})).status == 404


# streams


async def test_a_stream_cut_off_ends_with_an_error_and_is_booked_so(world: Make):
    for dialect in ("openai-chat", "anthropic", "openai-responses", "ollama"):
        there = world("a")
        there.wire.will("a", stream(CHUNKS[:1], end=b"", error=BodyTruncated("cut")))
        body = {"stream": True, "max_tokens": 9, "input": "x"}
        out = await there.ask(body, dialect)
        assert out.ended
        assert b"hel" in out.body
        assert b"error" in out.body.splitlines()[-2 if dialect != "ollama" else -1]
        assert b"[DONE]" not in out.body
        assert b"message_stop" not in out.body
        assert there.rows[-1].error == "stream_broken"


async def test_a_stream_without_its_end_mark_is_broken(world: Make):
    there = world("a")
    there.wire.will("a", stream(end=b""))
    out = await there.ask({"stream": True})
    assert b'"error"' in out.body
    assert there.rows[-1].error == "stream_broken"


async def test_a_client_that_leaves_frees_its_account_and_is_booked(world: Make):
    for dialect in ("openai-chat", "anthropic"):
        there = world("a")
        there.wire.will("a", stream(CHUNKS[:1], end=b"", hangs=True))
        out = Recorder()
        out.rows = there.rows
        task = asyncio.create_task(there.gateway.answer(there.call({"stream": True, "max_tokens": 9}, dialect), out))
        await out.wrote.wait()
        assert there.account("a").in_flight == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert there.account("a").in_flight == 0
        assert there.wire.sources[-1].closed
        assert (there.rows[-1].status, there.rows[-1].error) == (499, "client_left")


async def test_a_writer_that_breaks_midway_never_ends_the_stream_cleanly(world: Make, monkeypatch: pytest.MonkeyPatch):
    from dragoman.dialects import anthropic

    class Breaks:
        def __init__(self, request: object) -> None:
            self.calls = 0

        def write(self, events: object) -> bytes:
            self.calls += 1
            if self.calls > 1:
                raise RuntimeError("on purpose")
            return b"event: ping\ndata: {}\n\n"

    monkeypatch.setattr(anthropic, "StreamWriter", Breaks)
    there = world("a")
    there.wire.will("a", stream())
    out = await there.ask({"stream": True, "max_tokens": 9}, "anthropic")
    assert out.aborted
    assert not out.ended
    assert there.account("a").in_flight == 0


async def test_a_field_name_of_the_client_breaks_no_header(world: Make):
    there = world(account("a", "anthropic"), targets=["anthropic/x"])
    there.wire.will("a", Says(400, {"type": "error", "error": {"type": "invalid_request_error", "message": "m"}}))
    names = {"x\r\nset-cookie: a": 1, "é\u2028😀": 2, "\x00": 3}
    from fake_wire import MESSAGE

    there.wire.script.clear()
    there.wire.will("a", Says(body=MESSAGE))
    out = await there.ask(names)
    assert out.status == 200
    assert "set-cookie" not in out.headers
    assert out.headers["x-dragoman-lossy"] == "x??set-cookie: a,é??,?"


async def test_a_reply_that_is_no_reply_is_the_providers_fault(world: Make):
    odd = json.dumps({**CHAT, "choices": 7}).encode()
    for body in (b"", b"{", b"[]", b"null", b"<html>", b"\xff", b"[" * 100_000, odd):
        there = world("a")
        there.wire.will("a", Says(body=body))
        out = await there.ask({"max_tokens": 5}, "anthropic")
        assert (out.status, out.headers["x-dragoman-error"]) == (502, "upstream_error")


# the memory of the Responses API


async def test_a_providers_nonsense_is_not_blamed_on_the_client_that_wants_it_stored(world: Make):
    there = world(account("a"), targets=["openai/x"])
    there.wire.will("a", Says(body=b"\xff{"))
    out = await there.ask({"input": "x", "store": True}, "openai-responses", op="respond")
    assert out.status != 400


async def test_an_answer_that_cant_be_stored_is_still_given(world: Make, monkeypatch: pytest.MonkeyPatch):
    there = world(account("a"), targets=["openai/x"])

    async def full(kept: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(there.gateway.responses, "save", full)
    response = {"id": "resp_1", "object": "response", "status": "completed", "output": [], "model": "x"}
    there.wire.will("a", Says(body=response))
    out = await there.ask({"input": "x", "store": True}, "openai-responses", op="respond")
    assert (out.status, out.json["id"]) == (200, "resp_1")
    event = {"type": "response.completed", "sequence_number": 0, "response": response}
    there.wire.will("a", stream([event], end=b""))
    out = await there.ask({"input": "x", "store": True, "stream": True}, "openai-responses", op="respond")
    assert out.ended
    assert b"response.completed" in out.body
    assert not out.aborted
