"""Which proxy, if any, stands between here and an origin: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.

Read as curl and the Python clients read them: the lower-case name first; HTTP_PROXY in capitals is not taken where
REQUEST_METHOD is set (CGI, where a client could set it). NO_PROXY lists hosts (and their subdomains), `.suffix`,
`*`, addresses and CIDR networks, each with an optional `:port`.
"""

from base64 import b64encode
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from dragoman.wire.origin import PORTS, Origin


class Proxy(Struct, frozen=True):
    """An HTTP proxy: where it listens (`https` = TLS to the proxy itself), and its `proxy-authorization` value."""

    origin: Origin
    authorization: bytes = b""

    def __repr__(self) -> str:
        return f"Proxy({self.origin})"


class Proxies:
    """The proxies of one environment. Build it with `read`."""

    def __init__(self, by_scheme: Mapping[str, Proxy], without: str = "") -> None:
        self._by_scheme = dict(by_scheme)
        self._without = [entry for part in without.replace(",", " ").split() if (entry := part.lower())]

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Proxies":
        """The proxies named in a mapping like `os.environ`. Raises `ValueError` naming the variable at fault."""
        found: dict[str, Proxy] = {}
        for scheme in PORTS:
            name, value = _first(environment, f"{scheme}_proxy", "all_proxy")
            if value:
                found[scheme] = _proxy(name, value)
        return cls(found, _first(environment, "no_proxy")[1])

    def of(self, origin: Origin) -> Proxy | None:
        """The proxy to take to `origin`; None to go straight."""
        proxy = self._by_scheme.get(origin.scheme)
        if proxy is None or any(_matches(entry, origin) for entry in self._without):
            return None
        return proxy


def _first(environment: Mapping[str, str], *names: str) -> tuple[str, str]:
    for name in names:
        for variant in (name, name.upper()):
            if variant == "HTTP_PROXY" and "REQUEST_METHOD" in environment:
                continue
            if value := environment.get(variant, "").strip():
                return variant, value
    return "", ""


def _proxy(name: str, value: str) -> Proxy:
    parts = urlsplit(value if "://" in value else f"http://{value}")
    if parts.scheme not in PORTS:
        raise ValueError(f"{name}: {parts.scheme} proxies are not supported; give an http:// or https:// one")
    try:
        origin = Origin(parts.scheme, parts.hostname or "", parts.port or PORTS[parts.scheme])
    except ValueError as error:
        raise ValueError(f"{name}: the port is not a number") from error
    if not origin.host:
        raise ValueError(f"{name}: expected http://[user:password@]host:port")
    if parts.username is None:
        return Proxy(origin)
    credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return Proxy(origin, b"Basic " + b64encode(credentials))


def _matches(entry: str, origin: Origin) -> bool:
    if entry == "*":
        return True
    host = origin.host.lower().rstrip(".")
    pattern, port = _split_port(entry)
    if port and port != str(origin.port):
        return False
    address = _address(host)
    if address is not None:
        try:
            return address in ip_network(pattern, strict=False)
        except ValueError:
            return False
    pattern = pattern.removeprefix("*").lstrip(".")
    return bool(pattern) and (host == pattern or host.endswith("." + pattern))


def _split_port(entry: str) -> tuple[str, str]:
    if entry.startswith("["):
        pattern, _, rest = entry[1:].partition("]")
        return pattern, rest.removeprefix(":")
    if entry.count(":") == 1:
        pattern, _, port = entry.partition(":")
        return pattern, port
    return entry, ""


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
