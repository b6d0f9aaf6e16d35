import ssl
from pathlib import Path

import pytest
import trustme
from loopback import answering, echo, ok, serving

from dragoman.wire.client import Client
from dragoman.wire.dial import tls_context
from dragoman.wire.errors import TlsFailed
from dragoman.wire.origin import Origin


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


def server_side(ca: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    ca.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> Path:
    file = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(file)
    return file


async def test_a_known_ca_and_the_right_name_are_trusted(ca: trustme.CA, ca_file: Path) -> None:
    client = Client(tls=tls_context(ca_file))
    names = []
    spoken = []
    tls = server_side(ca, "localhost")
    tls.sni_callback = lambda _, name, __: names.append(name)

    async def script(peer) -> None:
        spoken.append(peer.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await echo(peer)

    async with serving(script, tls, "localhost") as server:
        for _ in range(3):
            reply = await client.send(server.origin, "POST", b"/", body=b"x" * 100_000)
            assert await reply.read(10**6) == b"x" * 100_000
        assert (server.connections, names, spoken) == (1, ["localhost"], ["http/1.1"])
    await client.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_the_wrong_name_is_refused(ca: trustme.CA, ca_file: Path, host: str) -> None:
    client = Client(tls=tls_context(ca_file))
    async with serving(echo, server_side(ca, "elsewhere.example"), host) as server:
        with pytest.raises(TlsFailed, match="does not verify"):
            await client.send(server.origin, "GET", b"/")
    await client.close()


async def test_an_unknown_ca_is_refused_by_default(ca: trustme.CA) -> None:
    client = Client()
    async with serving(echo, server_side(ca, "localhost"), "localhost") as server:
        with pytest.raises(TlsFailed, match="name that CA's file"):
            await client.send(server.origin, "GET", b"/")
    await client.close()


async def test_a_server_without_tls_is_a_tls_failure() -> None:
    client = Client()

    async def script(peer) -> None:
        await peer.reader.read(1)
        peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await peer.gone()

    async with serving(script) as server:
        with pytest.raises(TlsFailed):
            await client.send(Origin("https", "127.0.0.1", server.origin.port), "GET", b"/")
    await client.close()


async def test_a_closed_tls_connection_is_noticed_and_not_used(ca: trustme.CA, ca_file: Path) -> None:
    client = Client(tls=tls_context(ca_file))
    async with serving(answering(ok(b"1")), server_side(ca, "localhost"), "localhost") as server:
        for _ in range(2):
            assert await (await client.send(server.origin, "GET", b"/")).read(1) == b"1"
        assert server.connections == 2
    await client.close()
