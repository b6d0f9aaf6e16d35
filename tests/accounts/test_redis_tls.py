"""Limits shared through a Redis that is reached by TLS."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from dragoman.accounts.links import LinkError, RedisLink
from dragoman.accounts.steward import RATE, Group, Report, Used
from services import RedisServer

Secure = Callable[[str], str]  # the host its certificate is for -> its URL


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    """Starts a Redis that speaks TLS alone."""
    servers: list[RedisServer] = []

    def start(host: str) -> str:
        folder = tmp_path_factory.mktemp("r")
        made = ca.issue_cert(host)
        made.private_key_pem.write_to_path(folder / "key.pem")
        made.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        ca.cert_pem.write_to_path(folder / "ca.pem")
        port = free_port()
        server = RedisServer(
            folder, "--bind", "127.0.0.1", "--tls-port", str(port), "--tls-auth-clients", "no",
            "--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem", "--tls-ca-cert-file", "ca.pem",
        )  # fmt: skip
        server.start()
        servers.append(server)
        return f"rediss://127.0.0.1:{port}/0"

    yield start
    for server in servers:
        server.stop()


def trusting(url: str, ca: trustme.CA, tmp_path: Path) -> str:
    ca.cert_pem.write_to_path(tmp_path / "trusted.pem")
    return f"{url}?ssl_ca_certs={tmp_path / 'trusted.pem'}"


async def test_limits_are_shared_over_tls(secure: Secure, ca: trustme.CA, tmp_path: Path) -> None:
    link = RedisLink(trusting(secure("127.0.0.1"), ca, tmp_path))
    await link.connect("w", lambda: None)
    used = Used("requests", RATE, 0, 0, -1, 10)
    reply = await link.exchange(Report("w", 1, link.run, 0, [Group("account|a", [used])]))
    assert reply.workers == 1 and [share.limit for _, shares in reply.groups for share in shares] == [10]
    await link.close()


async def test_a_redis_whose_authority_is_unknown_is_not_spoken_to(secure: Secure) -> None:
    with pytest.raises(LinkError, match="certificate verify failed"):
        await RedisLink(secure("127.0.0.1")).connect("w", lambda: None)


async def test_nor_is_one_that_shows_anothers_certificate(secure: Secure, ca: trustme.CA, tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="certificate verify failed"):
        await RedisLink(trusting(secure("elsewhere.example"), ca, tmp_path)).connect("w", lambda: None)
