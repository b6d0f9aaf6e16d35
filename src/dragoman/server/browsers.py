"""Which web pages may use the gateway (CORS), and how an open gateway keeps strange ones out.

A gateway without keys on a laptop would otherwise serve every web page its owner visits: a page can post to
127.0.0.1, and by DNS rebinding even read the answer. So without keys only pages of this machine (and of apps, which
are no web pages) may call, and only by a local name. With keys, or as `server.cors_origins` says, any may.
"""

import re
from functools import lru_cache
from urllib.parse import urlsplit

from msgspec import Struct

from dragoman import config
from dragoman.server.response import lines

_LOCAL_HOST = re.compile(rb"(?i:localhost\.?|127\.0\.0\.1|\[::1\])(?::[0-9]*)?")
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class Access(Struct):
    """What a request's `origin` and `host` allow: response header lines, or why it is refused."""

    headers: bytes = b""
    refused: str = ""


_PLAIN = Access()


def judge(headers: dict[bytes, bytes], settings: config.Config) -> Access:
    """By the request's headers and the config."""
    origin = headers.get(b"origin")
    open_to_all = settings.access.mode == "keys"
    if not open_to_all and not _is_local_name(headers.get(b"host"), settings):
        host = headers.get(b"host", b"").decode("latin-1")
        return Access(refused=f'an open gateway answers only to local names, not to "{host}": set access.mode = "keys"')
    if origin is None:
        return _PLAIN
    allowed = settings.server.cors_origins
    text = origin.decode("latin-1")
    if not (text in allowed or "*" in allowed if allowed is not None else open_to_all or _is_local_origin(text)):
        return Access(refused=f"pages of {text} may not call this gateway: add it to server.cors_origins, or use keys")
    asked = headers.get(b"access-control-request-headers", b"*").decode("latin-1")
    return Access(
        headers=lines(
            [
                ("access-control-allow-origin", text),
                ("vary", "origin"),
                ("access-control-allow-methods", "GET, POST, PATCH, DELETE, OPTIONS"),
                ("access-control-allow-headers", asked),
                ("access-control-expose-headers", "*"),
                ("access-control-max-age", "600"),
            ]
        )
    )


def _is_local_origin(origin: str) -> bool:
    """A page of this machine, or no web page at all (an editor's or desktop app's own scheme)."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.hostname in LOCAL if parts.scheme in {"http", "https"} else bool(parts.scheme)


def _is_local_name(host: bytes | None, settings: config.Config) -> bool:
    """Whether the client called us by a name that only this machine (or the operator's own choice) gives us."""
    if host is None or settings.server.host not in LOCAL:
        return True  # an operator who listens elsewhere without keys has said so with --insecure-open
    return _names_this_machine(host)


@lru_cache(maxsize=64)
def _names_this_machine(host: bytes) -> bool:
    return _LOCAL_HOST.fullmatch(host) is not None
