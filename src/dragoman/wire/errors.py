"""What can go wrong between here and an upstream, as few types. No message holds a secret.

Every error is a `WireError`; the type says what failed, the message says where and, where there is one, the mend.
"""

from collections.abc import Mapping
from typing import Literal

Stage = Literal["connect", "first_byte", "idle", "total"]

_STAGES: dict[Stage, str] = {
    "connect": "no connection within {} s",
    "first_byte": "no reply within {} s of the request",
    "idle": "nothing more came for {} s",
    "total": "the exchange took more than {} s",
}


class WireError(Exception):
    """Anything this floor raises about an exchange with an upstream."""


class ConnectFailed(WireError):
    """No connection: the name did not resolve, or no address of it answered."""


class TlsFailed(WireError):
    """The TLS handshake failed: a certificate that does not verify, or no TLS spoken there."""


class ProxyFailed(WireError):
    """The proxy could not be reached, or refused the tunnel."""


class TimedOut(WireError):
    """A time-out of `Timeouts` passed. `stage` names it."""

    def __init__(self, stage: Stage, limit: float, where: str) -> None:
        super().__init__(f"{where}: {_STAGES[stage].format(f'{limit:g}')}")
        self.stage: Stage = stage
        self.limit = limit


class ConnectionLost(WireError):
    """The connection ended before the head of the response was whole, or was closed by the caller.

    With `before_first_byte` not one byte of a response had come.
    """

    def __init__(self, message: str, *, before_first_byte: bool = False) -> None:
        super().__init__(message)
        self.before_first_byte = before_first_byte


class ProtocolBroken(WireError):
    """The peer sent something that is not HTTP/1.1, or answered what was not asked."""


class NotUpgraded(WireError):
    """The peer answered the offer of a WebSocket with an HTTP response of its own: `status`, `headers` (lower-case
    names) and `body` say which."""

    def __init__(self, where: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"{where}: no WebSocket there: it answered {status}")
        self.status = status
        self.headers = headers
        self.body = body


class HeadersTooLarge(WireError):
    """The head of a response is above the limit of bytes or of header lines."""


class BodyTooLarge(WireError):
    """A body, decoded, is above the limit the caller gave."""


class BodyTruncated(WireError):
    """A body ended before its end: short of its content-length, or without its last chunk."""


class BodyUndecodable(WireError):
    """A body is not what its content-encoding says, or its encoding is not known here."""
