"""A connection without a socket: any cut of a reply gives the same reply, and no bytes crash or hang it."""

import asyncio
from contextlib import suppress
from math import inf

import pytest
from httptools import HttpParserError, HttpResponseParser
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.wire.connection import UNREAD_LIMIT, Connection
from dragoman.wire.errors import BodyTruncated, WireError
from dragoman.wire.origin import Timeouts

FOREVER = Timeouts(None, None, None, None)


class Transport:
    """Takes what is written, and says whether it was closed or paused."""

    closed = paused = False

    def write(self, data: bytes) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.closed = True

    close = abort

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Home:
    released = forgotten = 0

    def release(self, connection: Connection) -> None:
        self.released += 1

    def forget(self, connection: Connection) -> None:
        self.forgotten += 1


def receive(pieces: list[bytes]) -> tuple[object, ...]:
    """What a reader sees of a reply that comes in `pieces` and then ends: head, body, error, and what becomes of the
    connection."""

    async def run() -> tuple[object, ...]:
        home, transport = Home(), Transport()
        connection = Connection(home, None, "here", inf)
        connection.connection_made(transport)
        reply = connection.start(b"", b"", False, FOREVER, inf)
        waiter = connection.head_arrived()
        for piece in pieces:
            if not transport.closed and not home.released:
                connection.data_received(piece)
        if not connection.closed and not home.released:
            connection.eof_received()
        assert waiter.done()
        body, error = b"", None
        try:
            while data := await reply.chunk():
                body += data
        except WireError as raised:
            error = type(raised)
        assert home.forgotten <= 1
        return reply.status, reply.headers, body, error, home.released, home.forgotten

    return asyncio.run(run())


token = st.text("abcXYZ-", min_size=1, max_size=6).map(str.encode)
value = st.binary(max_size=12).map(lambda data: bytes(byte for byte in data if byte > 0x20 and byte != 0x7F))
names = token.filter(lambda name: name.lower() not in {b"te", b"trailer"})
headers = st.lists(st.tuples(names.map(lambda name: b"x-" + name), value), max_size=4)
interim = st.lists(
    st.sampled_from([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hi\r\nlink: <x>\r\n\r\n"]), max_size=2
)
pieces = st.lists(st.binary(min_size=1, max_size=30), max_size=5)


@st.composite
def replies(draw: st.DrawFn) -> tuple[bytes, tuple[object, ...]]:
    """A valid reply, and what is to be seen of it."""
    lines = draw(headers)
    body = draw(pieces)
    kind = draw(st.sampled_from(["length", "chunked", "to the end"]))
    if kind == "length":
        framing, text = (b"Content-Length", b"%d" % len(b"".join(body))), b"".join(body)
    elif kind == "chunked":
        extension = draw(st.sampled_from([b"", b";a=b", b';q="x"']))
        trailer = draw(st.sampled_from([b"", b"x-trailer: 1\r\n"]))
        text = b"".join(b"%X%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in body)
        framing, text = (b"Transfer-Encoding", b"chunked"), text + b"0\r\n" + trailer + b"\r\n"
    else:
        framing, text = (b"Connection", b"close"), b"".join(body)
    lines = [*lines, framing]
    head = b"".join(b"%b:%b%b\r\n" % (name, draw(st.sampled_from([b"", b" ", b"  "])), text) for name, text in lines)
    raw = b"".join(draw(interim)) + b"HTTP/1.1 200 Fine\r\n" + head + b"\r\n" + text
    kept = kind != "to the end"
    seen = (200, [(name.lower(), text) for name, text in lines], b"".join(body), None, int(kept), int(not kept))
    return raw, seen


@settings(max_examples=200)
@given(replies(), st.data())
def test_any_cut_of_a_reply_gives_the_same_reply(reply: tuple[bytes, tuple[object, ...]], data: st.DataObject) -> None:
    raw, seen = reply
    cuts = sorted(data.draw(st.sets(st.integers(1, len(raw) - 1), max_size=8)))
    parts = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert receive(parts) == seen


@settings(max_examples=100)
@given(replies())
def test_a_reply_byte_by_byte_is_the_same_reply(reply: tuple[bytes, tuple[object, ...]]) -> None:
    raw, seen = reply
    assert receive([raw[at : at + 1] for at in range(len(raw))]) == seen


@settings(max_examples=200)
@given(replies(), st.data())
def test_a_reply_with_flipped_bytes_ends_in_a_declared_way(reply, data: st.DataObject) -> None:
    raw = bytearray(reply[0])
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.sampled_from(b"\r\n\0 :;0fHx\xff"))
    receive([bytes(raw)])
    cut = data.draw(st.integers(0, len(raw)))
    receive([bytes(raw[:cut]), bytes(raw[cut:])])


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=40), max_size=5))
def test_random_bytes_end_in_a_declared_way(parts: list[bytes]) -> None:
    status, _, body, error, released, _ = receive(parts)
    assert (status, body, released) == (0, b"", 0)
    assert error is not None


class Listening:
    """The parser's own idea of the header lines."""

    def __init__(self) -> None:
        self.pairs: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.complete:
            self.pairs.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from([b"a: b", b"A:", b"c:\td ", b" e", b":", b"f", b"\r", b"\n", b"\r\n", b"\0", b"x y: z"]))
)
def test_headers_are_those_that_the_parser_sees(bits: list[bytes]) -> None:
    """Header lines are cut out of the head without the parser: the two must never disagree."""
    raw = b"HTTP/1.1 204 OK\r\n" + b"".join(bits) + b"\r\n\r\n"
    listening = Listening()
    with suppress(HttpParserError):
        HttpResponseParser(listening).feed_data(raw)
    status, pairs, *_ = receive([raw])
    assert bool(status) == listening.complete
    if status:
        assert pairs == listening.pairs


def test_what_is_unread_is_bounded() -> None:
    async def run() -> None:
        transport = Transport()
        connection = Connection(Home(), None, "here", inf)
        connection.connection_made(transport)
        reply = connection.start(b"", b"", False, FOREVER, inf)
        connection.data_received(b"HTTP/1.1 200 OK\r\n\r\n")
        sent = 0
        while not transport.paused:
            connection.data_received(b"x" * 1000)
            sent += 1000
        assert UNREAD_LIMIT < sent <= UNREAD_LIMIT + 1000
        assert len(await reply.chunk()) == sent
        assert not transport.paused

    asyncio.run(run())


def test_arrivals_while_the_reader_is_on_its_way_are_one_chunk() -> None:
    async def run() -> None:
        connection = Connection(Home(), None, "here", inf)
        connection.connection_made(Transport())
        reply = connection.start(b"", b"", False, FOREVER, inf)
        connection.data_received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        waiting = asyncio.create_task(reply.chunk())
        await asyncio.sleep(0)
        for piece in (b"3\r\none\r\n", b"3\r", b"\ntwo\r\n"):
            connection.data_received(piece)
        assert await waiting == b"onetwo"
        reply.close()

    asyncio.run(run())


@given(st.lists(st.sampled_from([b"a", b"bc", b"def"]), max_size=8), st.integers(0, 8), st.booleans())
def test_what_is_poured_is_the_body_whoever_stops_in_between(pieces: list[bytes], stop: int, broken: bool) -> None:
    async def run() -> None:
        connection = Connection(Home(), None, "here", inf)
        connection.connection_made(Transport())
        reply = connection.start(b"", b"", False, FOREVER, inf)
        connection.data_received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        taken: list[bytes] = []

        def take(data: bytes) -> bool:
            taken.append(data)
            return len(taken) != stop

        async def read() -> None:
            while await reply.pour(take):
                assert len(taken) == stop

        reading = asyncio.create_task(read())
        for piece in pieces:
            await asyncio.sleep(0)
            connection.data_received(b"%x\r\n%b\r\n" % (len(piece), piece))
        if broken:
            connection.eof_received()
            with pytest.raises(BodyTruncated):
                await reading
        else:
            connection.data_received(b"0\r\n\r\n")
            await reading
        assert b"".join(taken) == b"".join(pieces)

    asyncio.run(run())


@pytest.mark.parametrize("blank", [b"\r\n", b"\r\n\r\n", b"\n"])
def test_empty_lines_before_a_reply_do_not_shift_its_headers(blank: bytes) -> None:
    raw = blank + b"HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 1\r\n\r\nx"
    assert receive([raw])[:4] == (200, [(b"a", b"b"), (b"content-length", b"1")], b"x", None)
