import gzip
import zlib
from contextlib import suppress

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from loopback import chunked, ok, serving

from dragoman.wire.client import Client
from dragoman.wire.decode import decoder
from dragoman.wire.errors import BodyTooLarge, BodyTruncated, BodyUndecodable, WireError


def bare(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


ENCODERS = {
    "gzip": (b"gzip", gzip.compress),
    "x-gzip": (b"X-GZip", gzip.compress),
    "two members": (b"gzip", lambda data: gzip.compress(data[:3]) + gzip.compress(data[3:])),
    "padded gzip": (b"gzip", lambda data: gzip.compress(data) + b"\0" * 9),
    "zlib": (b"deflate", zlib.compress),
    "bare deflate": (b"deflate", bare),
    "br": (b"br", brotli.compress),
    "zstd": (b"zstd", zstandard.compress),
    "two frames": (b"zstd", lambda data: zstandard.compress(data[:3]) + zstandard.compress(data[3:])),
    "twice": (b"gzip, br", lambda data: brotli.compress(gzip.compress(data))),
}
every = pytest.mark.parametrize(("name", "encode"), ENCODERS.values(), ids=ENCODERS.keys())
SINGLE = {name: pair for name, pair in ENCODERS.items() if name in {"gzip", "zlib", "br", "zstd"}}
single = pytest.mark.parametrize(("name", "encode"), SINGLE.values(), ids=SINGLE.keys())


def decode(name: bytes, pieces: list[bytes], limit: int = 1 << 26) -> bytes:
    inner = decoder(name, limit)
    plain = b"".join([inner.feed(piece) for piece in pieces])
    inner.finish()
    return plain


@every
@given(data=st.binary(max_size=300), cut=st.integers(1, 50))
def test_any_cut_of_an_encoded_body_decodes_to_it(name: bytes, encode, data: bytes, cut: int) -> None:
    body = encode(data)
    assert decode(name, [body[at : at + cut] for at in range(0, len(body), cut)]) == data


@single
def test_a_large_body_is_decoded_whole(name: bytes, encode) -> None:
    data = bytes(range(256)) * 8192
    assert decode(name, [encode(data)]) == data


@single
def test_a_body_cut_anywhere_is_truncated(name: bytes, encode) -> None:
    body = encode(b"hello, hello, hello")
    for end in range(1, len(body)):
        with pytest.raises(BodyTruncated):
            decode(name, [body[:end]])


@single
@given(data=st.binary(min_size=1, max_size=60))
def test_junk_is_a_declared_error_or_nothing(name: bytes, encode, data: bytes) -> None:
    with suppress(WireError):
        decode(name, [data], limit=1 << 20)


@single
def test_a_bomb_does_not_go_off(name: bytes, encode) -> None:
    bomb = encode(b"\0" * (8 << 20))
    inner = decoder(name, 100_000)
    with pytest.raises(BodyTooLarge, match="100000"):
        inner.feed(bomb)


def test_a_bomb_in_a_bomb_does_not_go_off() -> None:
    with pytest.raises(BodyTooLarge):
        decode(b"gzip, gzip", [gzip.compress(gzip.compress(b"\0" * (64 << 20)))], limit=10_000)


@pytest.mark.parametrize("name", [None, b"", b"identity", b" Identity , "])
def test_no_encoding_needs_no_decoder(name: bytes | None) -> None:
    assert decoder(name) is None


@pytest.mark.parametrize("name", [b"lzma", b"gzip, rot13", b"gzip,gzip,gzip,gzip"])
def test_an_unknown_encoding_is_said_not_guessed(name: bytes) -> None:
    with pytest.raises(BodyUndecodable):
        decoder(name)


@every
async def test_a_reply_is_read_decoded(client: Client, name: bytes, encode) -> None:
    data = b"hello " * 100
    body = encode(data)  # once: gzip writes the time into it

    async def script(peer) -> None:
        while True:
            await peer.request()
            peer.say(ok(body, b"Content-Encoding: " + name))

    async with serving(script) as server:
        assert await (await client.send(server.origin, "GET", b"/")).read(600) == data
        with pytest.raises(BodyTooLarge):
            await (await client.send(server.origin, "GET", b"/")).read(599)
        raw = await client.send(server.origin, "GET", b"/")
        assert await raw.chunk() == body


async def test_a_stream_is_decoded_as_it_comes(client: Client) -> None:
    deflate = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    pieces = [deflate.compress(word) + deflate.flush(zlib.Z_SYNC_FLUSH) for word in (b"one", b"two")]
    pieces.append(deflate.flush())

    async def script(peer) -> None:
        await peer.request()
        peer.say(chunked(*pieces).replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n", 1))
        await peer.gone()

    async with serving(script) as server:
        reply = await client.send(server.origin, "GET", b"/")
        got = []
        while data := await reply.decoded():
            got.append(data)
        assert b"".join(got) == b"onetwo"
        assert await reply.decoded() == b""


async def test_a_reply_that_is_not_what_it_says_is_an_error(client: Client) -> None:
    async def script(peer) -> None:
        await peer.request()
        peer.say(ok(b"plain", b"content-encoding: gzip"))

    async with serving(script) as server:
        with pytest.raises(BodyUndecodable):
            await (await client.send(server.origin, "GET", b"/")).read(100)
