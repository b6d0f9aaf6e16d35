"""By which names an open gateway on loopback may be called."""

import pytest

from dragoman.config import Config
from dragoman.server.browsers import judge


@pytest.mark.parametrize("host", [b"localhost", b"LOCALHOST:4040", b"localhost.:80", b"127.0.0.1:1", b"[::1]:4040"])
def test_the_names_of_this_machine_are_answered(host: bytes) -> None:
    assert judge({b"host": host}, Config()).refused == ""


@pytest.mark.parametrize(
    "host",
    [b"", b"evil", b"localhost.evil", b"localhost:1@evil", b"localhost@evil", b"[::1]evil", b"[localhost]",
     b"127.0.0.1.x", b"localhost, evil", b"localhost:80:90"],
)  # fmt: skip
def test_what_only_looks_like_one_of_them_is_not(host: bytes) -> None:
    assert "local names" in judge({b"host": host}, Config()).refused
