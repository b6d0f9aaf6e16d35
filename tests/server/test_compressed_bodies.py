"""Requests whose bodies come compressed."""

import asyncio
import gzip
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from rude_clients import echo, serve

from dragoman.server import coding
from dragoman.server.http import Request
from dragoman.server.response import Response

TEXT = b'{"model": "m", "messages": [{"role": "user", "content": "Say hello, in as many words as you like."}]}'


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


CODINGS: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "gzip": (b"gzip", gzip.compress),
    "capitals": (b"GZip", gzip.compress),
    "deflate": (b"deflate", zlib.compress),
    "bare deflate": (b"deflate", raw_deflate),
    "br": (b"br", brotli.compress),
    "zstd": (b"zstd", zstd),
    "two": (b"br, gzip", lambda data: gzip.compress(brotli.compress(data))),
    "none": (b"identity", bytes),
}


def post(name: bytes, body: bytes) -> bytes:
    return b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        name, len(body), body,
    )  # fmt: skip


def chunked(name: bytes, body: bytes) -> bytes:
    chunks = b"".join(b"1\r\n%b\r\n" % body[i : i + 1] for i in range(len(body)))
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Encoding: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % name
    return head + chunks + b"0\r\n\r\n"


@pytest.mark.parametrize("framing", [post, chunked])
@pytest.mark.parametrize("name", CODINGS)
async def test_a_compressed_body_is_read_and_the_connection_goes_on(
    name: str, framing: Callable[[bytes, bytes], bytes]
) -> None:
    known, pack = CODINGS[name]
    async with serve() as served:
        talk = await served.say(framing(known, pack(TEXT)))
        assert (await talk.answer()).body == b"POST|/a||" + TEXT
        talk.send(b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")  # plain again
        assert (await talk.answer()).body == b"POST|/b||hi"


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
async def test_a_bomb_is_refused(name: str) -> None:
    known, pack = CODINGS[name]
    bomb = pack(bytes(40 * 2**20))
    async with serve(body_limit=100 * 2**20) as served:
        for framing in (post, chunked):
            talk = await served.say(framing(known, bomb))
            assert (await talk.answer()).status == 413
            await talk.ended()
    assert not any(len(request.body) > coding.UNKNOWN for request in served.seen)


async def test_a_body_is_held_to_the_limit_after_it_is_decoded() -> None:
    async with serve(body_limit=1000) as served:
        for size, status in ((1000, 200), (1001, 413)):
            talk = await served.say(post(b"gzip", gzip.compress(bytes(size))))
            assert (await talk.answer()).status == status


async def test_bodies_that_wait_in_line_share_one_limit() -> None:
    begun, gate = asyncio.Event(), asyncio.Event()

    async def slow(request: Request, out: Response) -> None:
        begun.set()
        await gate.wait()
        await echo(request, out)

    async with serve(slow, body_limit=3000) as served:
        talk = await served.say(post(b"gzip", gzip.compress(bytes(2000))))
        await begun.wait()
        talk.send(post(b"gzip", gzip.compress(bytes(2000))) * 3)
        gate.set()
        statuses = [(await talk.answer()).status for _ in range(3)]
        assert statuses == [200, 200, 413]
        await talk.ended()


@pytest.mark.parametrize("name", [b"compress", b"gzip, lzma", b"gzip,gzip,gzip,gzip"])
async def test_an_unknown_coding_is_refused(name: bytes) -> None:
    async with serve() as served:
        talk = await served.say(post(name, b"hello"))
        assert (await talk.answer()).status == 415
        await talk.ended()


@pytest.mark.parametrize("framing", [post, chunked])
@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("harm", ["cut", "garbage"])
async def test_a_body_that_is_not_what_it_says_is_refused(
    name: str, harm: str, framing: Callable[[bytes, bytes], bytes]
) -> None:
    known, pack = CODINGS[name]
    body = pack(TEXT)[:-3] if harm == "cut" else b"\xff\xfe" * 30
    async with serve() as served:
        talk = await served.say(framing(known, body))
        assert (await talk.answer()).status == 415
        await talk.ended()


async def test_no_body_is_as_good_in_any_coding() -> None:
    async with serve() as served:
        talk = await served.say(b"GET /a HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n\r\n")
        assert (await talk.answer()).body == b"GET|/a||"


async def test_an_offer_to_upgrade_does_not_disturb_the_coding() -> None:
    body = gzip.compress(TEXT)
    head = (
        b"POST /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Encoding: gzip\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    async with serve() as served:
        assert (await (await served.say(head + body)).answer()).body == b"POST|/a||" + TEXT
