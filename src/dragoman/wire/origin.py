"""Where requests go: the origin (scheme, host, port), and how long to wait for it."""

from urllib.parse import urlsplit

from msgspec import Struct

PORTS = {"http": 80, "https": 443}


class Origin(Struct, frozen=True, cache_hash=True):
    """Scheme, host and port of a server (RFC 6454). Connections are pooled by it. An IPv6 host has no brackets."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Origin":
        """The origin of an absolute http or https URL. Raises `ValueError`."""
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValueError(f"expected a URL like https://host[:port]/path, got {url!r}")
        return cls(parts.scheme, parts.hostname, parts.port or PORTS[parts.scheme])

    @property
    def authority(self) -> str:
        """What the `host` header says: the host, with the port unless it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host.encode("idna").decode("ascii")
        return host if self.port == PORTS.get(self.scheme) else f"{host}:{self.port}"

    @property
    def endpoint(self) -> str:
        """Host and port, the port always given, as CONNECT wants it."""
        host = f"[{self.host}]" if ":" in self.host else self.host.encode("idna").decode("ascii")
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


class Timeouts(Struct, frozen=True):
    """Limits of one exchange, in seconds; None is no limit.

    connect: until a connection stands: waiting for a place, DNS, TCP, proxy and TLS together.
    first_byte: from the request to the end of the response's head. A long request body starts it anew as long as
        it keeps moving.
    idle: for each wait for more of the body.
    total: the whole exchange, from the call to the end of the body.
    """

    connect: float | None = 5.0
    first_byte: float | None = 600.0
    idle: float | None = 120.0
    total: float | None = None
