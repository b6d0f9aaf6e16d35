"""The HTTP server against clients that are rude, slow, confused or hostile, over real sockets."""

import asyncio

import pytest
import trustme
from rude_clients import Served, Talk, echo, serve, write

from dragoman.server import http
from dragoman.server.http import Request
from dragoman.server.response import Response, lines

POST = b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"


async def refused(served: Served, data: bytes, status: int = 400) -> None:
    """`data` is refused with `status`, and nothing after it is read."""
    talk = await served.say(data + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await talk.answer()).status == status
    talk.writer.write_eof()
    assert await talk.ended() == b""
    assert not [request for request in served.seen if request.path == "/smuggled"]


async def test_a_request_is_understood_wherever_the_network_cuts_it():
    async with serve() as served:
        whole = POST + b"POST /d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
        for cut in range(1, len(whole)):
            talk = await served.say(whole[:cut])
            await asyncio.sleep(0)
            talk.send(whole[cut:])
            assert (await talk.answer()).body == b"POST|/a|b=c|hello"
            assert (await talk.answer()).body == b"POST|/d||hi"
            talk.leave()


async def test_a_request_may_come_byte_by_byte():
    async with serve() as served:
        talk = await served.dial()
        for byte in POST:
            talk.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await talk.answer()).body == b"POST|/a|b=c|hello"


async def test_pipelined_requests_are_answered_in_order():
    async with serve() as served:
        count = 100
        talk = await served.say(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % i for i in range(count)))
        assert [(await talk.answer()).body for _ in range(count)] == [b"GET|/%d||" % i for i in range(count)]


async def test_a_pipelining_client_does_not_fill_the_memory():
    gate = asyncio.Event()

    async def slow(request: Request, out: Response) -> None:
        await gate.wait()
        await echo(request, out)

    async with serve(slow) as served:
        talk = await served.dial()
        one = b"GET /x HTTP/1.1\r\nHost: x\r\nPad: " + b"p" * 60_000 + b"\r\n\r\n"
        sender = asyncio.create_task(_send_all(talk, one, 500))
        await _until(lambda: len(served.listener.connections) == 1)
        (connection,) = served.listener.connections
        await _until(lambda: len(connection._queue) >= http.PIPELINED)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(connection._queue) < http.PIPELINED + 10
        gate.set()
        for _ in range(500):
            assert (await talk.answer()).status == 200
        await sender


async def _send_all(talk: Talk, data: bytes, times: int) -> None:
    for _ in range(times):
        talk.send(data)
        await talk.writer.drain()


async def _until(condition) -> None:
    while not condition():
        await asyncio.sleep(0)


async def test_a_connection_is_used_again_and_closed_when_asked():
    async with serve() as served:
        talk = await served.say(POST)
        assert "connection" not in (await talk.answer()).headers
        talk.send(b"GET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await talk.answer()
        assert (answer.body, answer.headers["connection"]) == (b"GET|/2||", "close")
        assert await talk.ended() == b""


async def test_bytes_after_a_last_request_do_not_spoil_its_answer():
    async with serve() as served:
        last = b"GET /1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        for trailing in (b"\r\n", b"garbage", b"GET /2 HTTP/1.1\r\nHost: x\r\n\r\n"):
            talk = await served.say(last + trailing)
            assert (await talk.answer()).body == b"GET|/1||"
            assert await talk.ended() == b""
        assert {request.path for request in served.seen} == {"/1"}


async def test_http_1_0_is_answered_and_the_connection_closed():
    async with serve() as served:
        talk = await served.say(b"GET /x HTTP/1.0\r\n\r\n")
        assert (await talk.answer()).body == b"GET|/x||"
        assert await talk.ended() == b""


async def test_a_stream_to_http_1_0_is_not_chunked():
    async with serve(_streams) as served:
        talk = await served.say(b"GET /x HTTP/1.0\r\n\r\n")
        answer = await talk.answer()
        assert answer.body == b"onetwo"
        assert "transfer-encoding" not in answer.headers


async def _streams(request: Request, out: Response) -> None:
    await out.start(200, b"")
    await write(out, b"one")
    await out.finish(b"two")


async def test_head_is_answered_without_a_body():
    async with serve() as served:
        talk = await served.say(b"HEAD /x HTTP/1.1\r\nHost: x\r\n\r\nGET /y HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await talk.answer(bare=True)).headers["content-length"] == str(len(b"HEAD|/x||"))
        assert (await talk.answer()).body == b"GET|/y||"


async def test_a_204_has_no_length():
    async def nothing(request: Request, out: Response) -> None:
        await out.whole(204, b"", b"")

    async with serve(nothing) as served:
        talk = await served.say(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
        assert "content-length" not in (await talk.answer()).headers


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"http://other.example/v1/x?q=1", b"/v1/x|q=1"),
        (b"http://other.example", b"/|"),
        (b"*", b"/|"),
        (b"/%2fetc%00%0d%0a", b"//etc\x00\r\n|"),
        (b"//x", b"//x|"),
    ],
)
async def test_every_form_of_a_target_is_read(target: bytes, path: bytes):
    async with serve() as served:
        talk = await served.say(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await talk.answer()).body == b"GET|" + path + b"|"


async def test_the_host_of_an_absolute_target_is_the_one_that_counts():
    async with serve() as served:
        talk = await served.say(b"GET http://evil.example:80/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await talk.answer()).status == 200
        assert served.seen[0].headers[b"host"] == b"evil.example:80"


async def test_a_path_that_is_not_utf8_is_read_as_replacement_characters():
    async with serve() as served:
        talk = await served.say(b"GET /%ff HTTP/1.1\r\nHost: x\r\nX-Odd: \xff\xfe\r\n\r\n")
        assert (await talk.answer()).status == 200
        assert served.seen[0].path == "/\ufffd"
        assert served.seen[0].headers[b"x-odd"] == b"\xff\xfe"


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
LENGTH = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
SMUGGLING = {
    "length and chunks": LENGTH + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": CHUNKED + b"Content-Length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "a list of lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc",
    "a signed length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
    "a length beyond all": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nabc",
    "a chunk size beyond all": CHUNKED + b"\r\n" + b"f" * 20 + b"\r\n",
    "a chunk size with a space": CHUNKED + b"\r\n1 \r\na\r\n0\r\n\r\n",
    "a chunk longer than it says": CHUNKED + b"\r\n1\r\nabc\r\n0\r\n\r\n",
    "chunks ended by line feeds": CHUNKED + b"\r\n1\na\n0\n\n",
    "an unknown transfer coding": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding after chunked": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a coding before chunked": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\nabc",
    "a folded line": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "line feeds alone": b"GET / HTTP/1.1\nHost: x\n\n",
    "a return alone": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\n\r\n",
    "a null in a value": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a later version": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00",
    "a tunnel": b"CONNECT evil:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a raw non-ASCII path": b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("data", SMUGGLING.values(), ids=SMUGGLING.keys())
async def test_what_can_be_read_in_two_ways_is_refused(data: bytes):
    async with serve() as served:
        await refused(served, data)


async def test_a_websocket_that_the_application_does_not_take_up_ends_with_its_answer():
    async def application(request: Request, out: Response) -> None:
        await out.whole(426 if request.upgrade else 200, b"", b"")

    async with serve(application) as served:
        offer = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n"
        await refused(served, offer, status=426)


async def test_a_refused_request_says_its_path_so_that_its_envelope_can_be_chosen():
    async with serve() as served:
        talk = await served.say(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nBroken\r\n\r\n")
        await talk.answer()
        assert served.seen[0].path == "/v1/messages"


async def test_a_spoiled_request_behind_a_good_one_does_not_take_its_answer():
    async with serve() as served:
        talk = await served.say(POST + b"\x00\x00\x00")
        assert (await talk.answer()).status == 200
        assert (await talk.answer()).status == 400


@pytest.mark.parametrize(
    "head",
    [b"A: " + b"x" * 70_000, b"".join(b"A%d: x\r\n" % i for i in range(250)) + b"B: c", b"A" * 70_000 + b": x"],
    ids=["a huge value", "too many", "a huge name"],
)
async def test_heads_beyond_all_measure_are_431(head: bytes):
    async with serve() as served:
        await refused(served, b"GET / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n", 431)


async def test_a_huge_target_is_431():
    async with serve() as served:
        await refused(served, b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431)


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 1001\r\n\r\n" + b"x" * 1001,
        b"Content-Length: 999999999999\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n" + b"100\r\n" + b"x" * 256 + b"\r\n" + b"400\r\n" + b"y" * 1024 + b"\r\n",
    ],
)
async def test_a_body_above_the_limit_is_413(framing: bytes):
    async with serve(body_limit=1000) as served:
        await refused(served, b"POST / HTTP/1.1\r\nHost: x\r\n" + framing, 413)
        assert served.seen[0].body == b""


async def test_a_client_that_goes_on_sending_still_gets_its_413():
    async with serve(body_limit=1000) as served:
        talk = await served.say(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n")
        await _send_all(talk, b"x" * 100_000, 100)
        assert (await talk.answer()).status == 413
        talk.leave()
        await _until(lambda: not served.listener.connections)


async def test_a_refused_client_that_stays_is_cut(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http, "LINGER", 0.01)
    async with serve() as served:
        talk = await served.say(b"nonsense\r\n\r\n")
        assert (await talk.answer()).status == 400
        await _until(lambda: not served.listener.connections)


async def test_expect_is_answered_before_the_body_comes():
    async with serve() as served:
        talk = await served.say(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n")
        assert (await talk.answer()).status == 100
        assert (await talk.send(b"hi").answer()).body == b"POST|/||hi"


async def test_a_body_too_large_is_refused_instead_of_being_asked_for():
    async with serve(body_limit=10) as served:
        talk = await served.say(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 20\r\n\r\n")
        assert (await talk.answer()).status == 413


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
)
async def test_an_offer_of_another_protocol_is_passed_over(framing: bytes):
    async with serve() as served:
        head = b"POST /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        talk = await served.say(head + framing + POST)
        assert (await talk.answer()).body == b"POST|/a||hello"
        assert (await talk.answer()).body == b"POST|/a|b=c|hello"


async def test_a_trailer_is_no_header():
    async with serve() as served:
        talk = await served.say(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: Bearer stolen\r\n"
            b"Host: evil\r\n\r\n"
        )
        assert (await talk.answer()).status == 200
        assert b"authorization" not in served.seen[0].headers
        assert served.seen[0].headers[b"host"] == b"x"


async def test_endless_trailers_are_431():
    async with serve() as served:
        trailers = b"".join(b"T%d: %b\r\n" % (i, b"x" * 1000) for i in range(100))
        await refused(
            served, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + trailers + b"\r\n", 431
        )


# time


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_TICK", 0.01)
    monkeypatch.setattr(http, "KEEP_ALIVE", 0.05)
    monkeypatch.setattr(http, "READ", 0.05)
    monkeypatch.setattr(http, "WRITE", 0.05)


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize(
    "data", [b"", POST, b"GET / HT", POST[:-1]], ids=["nothing", "idle", "half a head", "half a body"]
)
async def test_a_client_that_stops_is_closed(data: bytes):
    async with serve() as served:
        talk = await served.say(data)
        await talk.ended()


@pytest.mark.usefixtures("hurry")
async def test_a_head_that_drips_is_closed_though_it_never_stops():
    async with serve() as served:
        talk = await served.say(b"GET / HTTP/1.1\r\nHost: x\r\nA: ")
        closed = asyncio.create_task(talk.ended())
        while not closed.done():
            talk.send(b"x")
            await asyncio.sleep(0.002)
        assert served.seen == []


@pytest.mark.usefixtures("hurry")
async def test_a_client_that_never_takes_its_answer_is_cut_and_costs_little():
    written = 0

    async def endless(request: Request, out: Response) -> None:
        nonlocal written
        await out.start(200, b"")
        while True:
            await write(out, b"x" * 65536)
            written += 65536

    async with serve(endless) as served:
        talk = await served.say(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        talk.stop_reading()
        await served.cancelled.wait()
        assert written < 32 * 1024 * 1024  # what the kernel holds, and one write more
        assert not served.listener.connections


@pytest.mark.usefixtures("hurry")
async def test_an_answer_left_in_the_buffer_after_closing_is_cut():
    async def large(request: Request, out: Response) -> None:
        await out.whole(200, b"", b"x" * 64 * 1024 * 1024)

    async with serve(large) as served:
        talk = await served.say(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        talk.stop_reading()
        await _until(lambda: served.seen)
        async with asyncio.timeout(5):
            while served.listener.connections:
                await asyncio.sleep(0.01)


# clients that leave


async def _waits(request: Request, out: Response) -> None:
    await asyncio.Event().wait()


async def _waits_midway(request: Request, out: Response) -> None:
    await out.start(200, b"")
    await write(out, b"first")
    await asyncio.Event().wait()


async def test_a_client_that_leaves_before_the_answer_cancels_it():
    async with serve(_waits) as served:
        talk = await served.say(POST)
        await _until(lambda: served.seen)
        talk.leave()
        await served.cancelled.wait()


async def test_a_client_that_leaves_midway_cancels_the_rest():
    async with serve(_waits_midway) as served:
        talk = await served.say(POST)
        await talk.reader.readuntil(b"first\r\n")
        talk.leave()
        await served.cancelled.wait()


async def test_a_client_that_hangs_up_its_sending_half_has_left():
    async with serve(_waits) as served:
        talk = await served.say(POST)
        await _until(lambda: served.seen)
        talk.writer.write_eof()
        await served.cancelled.wait()


async def test_a_client_that_leaves_in_its_body_is_never_answered():
    async with serve() as served:
        talk = await served.say(POST[:-1])
        await _until(lambda: served.listener.connections)
        talk.leave()
        await _until(lambda: not served.listener.connections)
        assert served.seen == []


async def test_requests_queued_by_a_client_that_left_are_not_answered():
    async with serve(_waits) as served:
        talk = await served.say(POST * 5)
        await _until(lambda: served.seen)
        talk.leave()
        await served.cancelled.wait()
        await _until(lambda: not served.listener.connections)
        assert len(served.seen) == 1


# answers


async def test_half_an_answer_never_looks_whole():
    async def breaks(request: Request, out: Response) -> None:
        await out.start(200, b"")
        await write(out, b"half")
        raise RuntimeError("on purpose")

    async with serve(breaks) as served:
        talk = await served.say(POST)
        assert not (await talk.ended()).endswith(b"0\r\n\r\n")


async def test_a_second_answer_after_the_first_began_cuts_the_connection():
    async def twice(request: Request, out: Response) -> None:
        await out.start(200, b"")
        await write(out, b"half")
        await out.whole(500, b"", b"an error")

    async with serve(twice) as served:
        said = await (await served.say(POST)).ended()
        assert said.count(b"HTTP/1.1") == 1
        assert not said.endswith(b"0\r\n\r\n")


async def test_an_answer_whose_head_did_not_go_out_yet_can_be_replaced():
    async def instead(request: Request, out: Response) -> None:
        await out.start(200, b"")
        await out.whole(500, b"", b"an error")

    async with serve(instead) as served:
        answer = await (await served.say(POST)).answer()
        assert (answer.status, answer.body) == (500, b"an error")


@pytest.mark.parametrize("status", [529, 499, 599, 460])
async def test_every_status_can_be_said(status: int):
    async def odd(request: Request, out: Response) -> None:
        await out.whole(status, b"", b"")

    async with serve(odd) as served:
        assert (await (await served.say(POST)).answer()).status == status


async def test_no_value_breaks_a_header_line():
    async def reflect(request: Request, out: Response) -> None:
        await out.whole(200, lines([("x-value", request.path)]), b"")

    async with serve(reflect) as served:
        talk = await served.say(
            b"GET /a%0d%0aset-cookie:%20evil%0d%0a%0d%0abody%00%ff%e2%80%a8 HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        answer = await talk.answer()
        assert [name for name, _ in answer.lines] == ["date", "x-value", "content-length"]


async def test_all_of_it_works_through_tls():
    authority = trustme.CA()
    import ssl

    ours, theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(ours)
    authority.configure_trust(theirs)
    async with serve(tls=(ours, theirs)) as served:
        talk = await served.say(POST + POST)
        assert (await talk.answer()).body == (await talk.answer()).body == b"POST|/a|b=c|hello"
        talk.send(b"nonsense\r\n\r\n")
        assert (await talk.answer()).status == 400


async def test_closing_idle_connections_lets_the_others_finish():
    gate = asyncio.Event()

    async def gated(request: Request, out: Response) -> None:
        await gate.wait()
        await echo(request, out)

    async with serve(gated) as served:
        busy, idle = await served.say(POST), await served.dial()
        await _until(lambda: served.seen and len(served.listener.connections) == 2)
        served.listener.close_idle()
        assert await idle.ended() == b""
        gate.set()
        answer = await busy.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await busy.ended() == b""
