import asyncio
import ssl
from pathlib import Path

import pytest
import trustme
from loopback import Peer, echo, ok, serving

from dragoman.wire.client import Client
from dragoman.wire.dial import tls_context
from dragoman.wire.errors import ProxyFailed, TimedOut, TlsFailed
from dragoman.wire.origin import Origin, Timeouts
from dragoman.wire.proxies import Proxies

SITE = Origin("https", "api.example.com", 443)


@pytest.mark.parametrize(
    ("environment", "origin", "proxy"),
    [
        ({}, SITE, None),
        ({"HTTPS_PROXY": "http://p:3128"}, SITE, "http://p:3128"),
        ({"HTTPS_PROXY": "p:3128"}, SITE, "http://p:3128"),
        ({"HTTPS_PROXY": "http://big", "https_proxy": "http://small"}, SITE, "http://small"),
        ({"HTTP_PROXY": "http://p"}, SITE, None),
        ({"HTTP_PROXY": "http://p"}, Origin("http", "x", 80), "http://p"),
        ({"HTTP_PROXY": "http://p", "REQUEST_METHOD": "GET"}, Origin("http", "x", 80), None),
        ({"ALL_PROXY": "https://p:1"}, SITE, "https://p:1"),
        ({"ALL_PROXY": "http://all", "HTTPS_PROXY": "http://one"}, SITE, "http://one"),
        ({"HTTPS_PROXY": "  "}, SITE, None),
    ],
)
def test_proxies_are_read_from_an_environment(environment: dict[str, str], origin: Origin, proxy: str | None) -> None:
    found = Proxies.read(environment).of(origin)
    assert (found and str(found.origin)) == proxy


@pytest.mark.parametrize(
    ("entry", "host", "port", "straight"),
    [
        ("*", "api.example.com", 443, True),
        ("example.com", "api.example.com", 443, True),
        (".example.com", "api.example.com", 443, True),
        ("*.example.com", "api.example.com", 443, True),
        ("example.com", "example.com", 443, True),
        ("EXAMPLE.com", "Example.COM", 443, True),
        ("ample.com", "example.com", 443, False),
        ("example.com:443", "example.com", 443, True),
        ("example.com:8443", "example.com", 443, False),
        ("other.org, localhost", "localhost", 80, True),
        ("other.org localhost", "localhost", 80, True),
        ("10.0.0.0/8", "10.1.2.3", 80, True),
        ("10.0.0.0/8", "11.1.2.3", 80, False),
        ("127.0.0.1", "127.0.0.1", 80, True),
        ("0.0.1", "127.0.0.1", 80, False),
        ("127.0.0.1:81", "127.0.0.1", 80, False),
        ("::1", "::1", 80, True),
        ("[::1]:80", "::1", 80, True),
        ("fd00::/8", "fd12::1", 80, True),
        ("10.0.0.0/8", "fd12::1", 80, False),
        (".", "example.com", 80, False),
    ],
)
def test_no_proxy_names_who_is_reached_straight(entry: str, host: str, port: int, straight: bool) -> None:
    proxies = Proxies.read({"ALL_PROXY": "http://p", "NO_PROXY": entry})
    assert (proxies.of(Origin("http", host, port)) is None) == straight


@pytest.mark.parametrize("value", ["socks5://p:1080", "http://", "http://p:port", "ftp://p"])
def test_a_proxy_that_cannot_be_used_is_refused_by_name(value: str) -> None:
    with pytest.raises(ValueError, match="HTTPS_PROXY"):
        Proxies.read({"HTTPS_PROXY": value})


def test_a_proxy_does_not_show_its_password() -> None:
    proxy = Proxies.read({"ALL_PROXY": "http://me:s3cret@p"}).of(SITE)
    assert proxy.authorization == b"Basic bWU6czNjcmV0"
    for text in (repr(proxy), str(proxy), repr(proxy.origin)):
        assert "s3cret" not in text
        assert "bWU6" not in text


def going_through(server, userinfo: str = "", **options) -> Client:
    scheme = server.origin.scheme
    return Client(
        proxies=Proxies.read({"ALL_PROXY": f"{scheme}://{userinfo}localhost:{server.origin.port}"}), **options
    )


async def test_plain_http_is_asked_of_the_proxy_by_its_whole_address() -> None:
    heads = []

    async def proxy(peer: Peer) -> None:
        while True:
            head, body = await peer.request()
            heads.append(head)
            peer.say(ok(body))

    async with serving(proxy) as server:
        client = going_through(server, "me:pass@")
        for _ in range(2):
            reply = await client.send(Origin("http", "api.test", 8080), "POST", b"/v1?x", body=b"hi")
            assert await reply.read(2) == b"hi"
        await client.close()
        assert server.connections == 1
    assert heads[0].startswith(b"POST http://api.test:8080/v1?x HTTP/1.1\r\nhost: api.test:8080\r\n")
    assert b"proxy-authorization: Basic bWU6cGFzcw==\r\n" in heads[0]


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusting(ca: trustme.CA, tmp_path: Path) -> ssl.SSLContext:
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tls_context(tmp_path / "ca.pem")


def server_side(ca: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(context)
    return context


class Tunnels:
    """A proxy whose tunnels all lead to one port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.heads: list[bytes] = []

    async def script(self, peer: Peer) -> None:
        head, _ = await peer.request()
        self.heads.append(head)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        peer.say(b"HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n")

        async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            try:
                while data := await source.read(65536):
                    sink.write(data)
            except ConnectionError:
                pass
            finally:
                sink.close()

        await asyncio.gather(pass_on(peer.reader, writer), pass_on(reader, peer.writer))


@pytest.mark.parametrize("secure_proxy", [False, True])
async def test_https_goes_through_a_tunnel(ca: trustme.CA, trusting: ssl.SSLContext, secure_proxy: bool) -> None:
    async with serving(echo, server_side(ca, "api.test"), "api.test") as site:
        tunnels = Tunnels(site.origin.port)
        tls = server_side(ca, "localhost") if secure_proxy else None
        async with serving(tunnels.script, tls) as proxy:
            client = going_through(proxy, "me:pass@", tls=trusting)
            for _ in range(2):
                reply = await client.send(Origin("https", "api.test", 443), "POST", b"/v1", body=b"x" * 200_000)
                assert await reply.read(10**6) == b"x" * 200_000
            await client.close()
        assert site.connections == 1
    (head,) = tunnels.heads
    assert head.startswith(b"CONNECT api.test:443 HTTP/1.1\r\nhost: api.test:443\r\n")
    assert b"proxy-authorization: Basic bWU6cGFzcw==\r\n" in head


async def test_the_tunnel_does_not_excuse_the_wrong_name(ca: trustme.CA, trusting: ssl.SSLContext) -> None:
    async with (
        serving(echo, server_side(ca, "other.test")) as site,
        serving(Tunnels(site.origin.port).script) as proxy,
    ):
        client = going_through(proxy, tls=trusting)
        with pytest.raises(TlsFailed, match=r"api\.test.*does not verify"):
            await client.send(Origin("https", "api.test", 443), "GET", b"/")
        await client.close()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407 Proxy Authentication Required"),
        (b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 3\r\n\r\nno!", "502"),
        (b"", "did not answer CONNECT"),
        (b"HTTP/1.1 200 OK\r\n", "did not answer CONNECT"),
        (b"garbage\r\n\r\n", "did not answer CONNECT"),
        (b"x" * 100_000, "did not answer CONNECT"),
        (b"HTTP/1.1 200 OK\r\n\r\nearly", "spoke into the tunnel"),
    ],
)
async def test_a_refused_tunnel_says_why(answer: bytes, message: str) -> None:
    async def proxy(peer: Peer) -> None:
        await peer.request()
        peer.say(answer)

    async with serving(proxy) as server:
        client = going_through(server, "me:s3cret@")
        with pytest.raises(ProxyFailed, match=message) as failed:
            await client.send(SITE, "GET", b"/")
        assert "s3cret" not in str(failed.value)
        await client.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_nobody_listens_at_is_named(scheme: str) -> None:
    async with serving(echo) as server:
        client = going_through(server)
    with pytest.raises(ProxyFailed, match=f"proxy http://localhost:{server.origin.port} was not reached"):
        await client.send(Origin(scheme, "api.test", 443), "GET", b"/")
    await client.close()


async def test_a_proxy_that_keeps_silent_is_a_connect_time_out(trusting: ssl.SSLContext) -> None:
    closed = asyncio.Event()

    async def proxy(peer: Peer) -> None:
        await peer.gone()
        closed.set()

    async with serving(proxy) as server:
        client = going_through(server, tls=trusting)
        with pytest.raises(TimedOut) as late:
            await client.send(SITE, "GET", b"/", timeouts=Timeouts(connect=0.1))
        assert late.value.stage == "connect"
        if server.connections:
            await closed.wait()
        await client.close()


async def test_no_proxy_goes_straight() -> None:
    async with serving(echo) as server:
        client = Client(proxies=Proxies.read({"ALL_PROXY": "http://127.0.0.1:1", "NO_PROXY": "127.0.0.0/8"}))
        assert await (await client.send(server.origin, "POST", b"/", body=b"hi")).read(2) == b"hi"
        await client.close()
