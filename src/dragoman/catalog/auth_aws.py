"""AWS Signature Version 4: the headers that prove a call. Pure: the time is an argument.

    string to sign = "AWS4-HMAC-SHA256" | time | date/region/service/aws4_request | SHA-256 of the canonical request
    canonical request = method | path | query | headers | names of the headers | SHA-256 of the body

Source: AWS, "Create a signed AWS API request". A Bedrock API key needs none of this: it is a bearer token.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote, urlsplit

from msgspec import Struct

_ALGORITHM = "AWS4-HMAC-SHA256"
# proxies may change these on the way, so they are not signed
_UNSIGNED = frozenset({
    "authorization", "baggage", "connection", "expect", "keep-alive", "proxy-authenticate", "proxy-authorization", "te",
    "traceparent", "tracestate", "trailer", "transfer-encoding", "upgrade", "user-agent", "x-amzn-trace-id",
})  # fmt: skip
_OURS = frozenset({"x-amz-date", "x-amz-security-token"})
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Credentials(Struct, frozen=True):
    """An access key. `session_token` comes with temporary ones."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials({self.access_key_id[:4]}…)"


def sign(  # noqa: PLR0917 - a call has this many parts
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    credentials: Credentials,
    region: str,
    service: str,
    now: datetime,
) -> dict[str, str]:
    """The headers to add to the call: `x-amz-date`, `x-amz-security-token` where there is one, `authorization`.

    `url` is as it goes over the wire: its path and query are already percent-encoded. `headers` are those of the call
    that shall be signed too. `now` has a time zone. S3, which encodes paths in its own way, is not served.
    """
    time = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    added = {"x-amz-date": time}
    if credentials.session_token:
        added["x-amz-security-token"] = credentials.session_token
    parts = urlsplit(url)
    signed = _signed_headers(headers, added, _host(url))
    names = ";".join(signed)
    canonical = "\n".join([
        method.upper(),
        _path(parts.path),
        _query(parts.query),
        *(f"{name}:{value}" for name, value in signed.items()),
        "",
        names,
        hashlib.sha256(body).hexdigest(),
    ])  # fmt: skip
    scope = f"{time[:8]}/{region}/{service}/aws4_request"
    string = f"{_ALGORITHM}\n{time}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = _key(credentials.secret_access_key, time[:8], region, service)
    signature = hmac.new(key, string.encode(), hashlib.sha256).hexdigest()
    added["authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return added


def _signed_headers(headers: Mapping[str, str], added: Mapping[str, str], host: str) -> dict[str, str]:
    """Names in lower case and in order; values with their white space made single."""
    lowered = {name.lower().strip(): value for name, value in headers.items()}
    kept = {name: value for name, value in lowered.items() if name not in _UNSIGNED and name not in _OURS}
    kept = {"host": host, **kept, **added}
    return {name: " ".join(kept[name].split()) for name in sorted(kept)}


def _host(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    return host if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f"{host}:{parts.port}"


def _path(path: str) -> str:
    """Without `.`, `..` and doubled slashes; encoded once more, as AWS does for all services but S3."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if kept:
                kept.pop()
        elif segment and segment != ".":
            kept.append(segment)
    normal = "/" + "/".join(kept)
    if kept and path.endswith("/"):
        normal += "/"
    return quote(normal, safe="/~")


def _query(query: str) -> str:
    pairs = sorted(pair.partition("=")[::2] for pair in query.split("&")) if query else []
    return "&".join(f"{name}={value}" for name, value in pairs)


@lru_cache(maxsize=256)
def _key(secret: str, date: str, region: str, service: str) -> bytes:
    """The signing key of one day; four hashes that need not be made for every call."""
    key = f"AWS4{secret}".encode()
    for step in (date, region, service, "aws4_request"):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    return key
