"""How a command asks the gateway that runs, where one does."""

import http.client
import os
import ssl
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from dragoman import config

KEY = "DRAGOMAN_KEY"  # in the environment: an admin key, where access is by keys
_SECONDS = 2.0  # for the connection: it is near


class AskError(RuntimeError):
    """A gateway answers, but not what was asked."""


class Running:
    """The gateway at the config's host and port, or at `url`."""

    def __init__(self, settings: config.Config, url: str | None = None) -> None:
        server = settings.server
        scheme = "https" if server.tls_cert else "http"
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)  # noqa: S104 - who listens on all
        host = f"[{host}]" if ":" in host else host
        self.url = url or f"{scheme}://{host}:{server.port}"
        self._cert = server.tls_cert
        admin = settings.access.admin_key
        self.key = os.environ.get(KEY) or (admin.reveal() if admin else None)

    def ask(self, method: str, path: str, body: object = None, seconds: float = 30.0) -> Any:
        """What it answers, decoded; None where nobody answers. `path` is not quoted yet. Raises `AskError` where it
        refuses."""
        connection = self._connection()
        headers = {"content-type": "application/json"} | ({"x-api-key": self.key} if self.key else {})
        try:
            connection.connect()
            if connection.sock is not None:
                connection.sock.settimeout(seconds)
            sent = None if body is None else msgspec.json.encode(body)
            connection.request(method, quote(path), sent, headers)
            reply = connection.getresponse()
            status, text = reply.status, reply.read()
        except ConnectionRefusedError:
            return None
        except (OSError, http.client.HTTPException) as error:
            raise AskError(f"{self.url}: {error}") from None
        finally:
            connection.close()
        return self._read(status, text)

    def _read(self, status: int, text: bytes) -> Any:
        try:
            answer = msgspec.json.decode(text)
        except msgspec.DecodeError:
            raise AskError(f"{self.url}: what answers there is no dragoman") from None
        if status < 300:
            return answer
        message = answer.get("error", {}).get("message") if isinstance(answer, dict) else None
        mend = f": set {KEY} to an admin key, or access.admin_key in the config" if status in (401, 403) else ""
        raise AskError(f"{self.url}: {message or status}{mend}")

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        if parts.scheme != "https":
            return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_SECONDS)
        return http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=_SECONDS, context=self.tls())

    def tls(self) -> ssl.SSLContext:
        """How to know the gateway by its certificate."""
        context = ssl.create_default_context()
        if self._cert:  # this very certificate is what it must show, by whatever name it is asked
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(self._cert)
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.check_hostname = False
        return context
