"""An issuer of tokens (OpenID Connect): its discovery document, its keys, and whatever token a test wants.

Signatures are made with `cryptography` alone (RFC 7515, RFC 7518), not with the library that is to verify them.
"""

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from .server import Reply, Request, Server, reply_json

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _number(value: int, size: int | None = None) -> str:
    return encoded(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


class Issuer:
    """On a loopback port. `keys`: those it signs with, by id; `shown`: the ids in its key set, None: all. `down`: it
    answers 503. `claims_to_be`: what its discovery document says instead of its URL."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.keys: dict[str, Private] = {}
        self.shown: set[str] | None = None
        self.down = False
        self.claims_to_be: str | None = None
        self._server = Server(self._answer)
        self.add("rsa", "RS256")
        self.add("ec", "ES256")

    def __enter__(self) -> "Issuer":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def asked(self) -> list[str]:
        """The paths it was asked for."""
        return [request.path for request in self._server.requests]

    def add(self, kid: str, alg: str) -> None:
        """A key of that id for that algorithm."""
        match alg[:2]:
            case "RS":
                self.keys[kid] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            case "ES":
                self.keys[kid] = ec.generate_private_key(ec.SECP256R1())
            case _:
                self.keys[kid] = ed25519.Ed25519PrivateKey.generate()

    def claims(self, **more: Any) -> dict[str, Any]:
        """What a good token says, and `more`; None leaves a claim out."""
        now = int(self._clock())
        usual = {"iss": self.url, "aud": "gateway", "sub": "ada", "iat": now, "exp": now + 300}
        return {name: value for name, value in (usual | more).items() if value is not None}

    def token(self, kid: str = "rsa", *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        key = self.keys[kid]
        alg = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "EdDSA"
        alg = "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else alg
        text = unsigned({"alg": alg, "kid": kid, "typ": "JWT"} | (header or {}), self.claims(**claims))
        return f"{text}.{encoded(_sign(key, text.encode()))}"

    def public(self, kid: str) -> bytes:
        """The public key, as PEM."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.keys[kid].public_key().public_bytes(serialization.Encoding.PEM, form)

    def _answer(self, request: Request) -> Reply:
        if self.down:
            return Reply(503)
        if request.path == "/.well-known/openid-configuration":
            return reply_json({"issuer": self.claims_to_be or self.url, "jwks_uri": f"{self.url}/keys"})
        if request.path == "/keys":
            shown = self.keys if self.shown is None else self.shown
            strange = {"kty": "AKP", "alg": "ML-DSA-44", "kid": "of tomorrow", "pub": "AA"}
            return reply_json({"keys": [strange, *(_shown(kid, self.keys[kid]) for kid in shown)]})
        return Reply(404)


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))


def with_shared_secret(header: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    """A token of HS256."""
    text = unsigned({"alg": "HS256", **header}, claims)
    return f"{text}.{encoded(hmac.digest(secret, text.encode(), hashlib.sha256))}"


def _sign(key: Private, text: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(text)
    r, s = decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _shown(kid: str, key: Private) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        return {"kty": "RSA", "kid": kid, "use": "sig", "n": _number(numbers.n), "e": _number(numbers.e)}
    if isinstance(key, ed25519.Ed25519PrivateKey):
        raw = key.public_key().public_bytes_raw()
        return {"kty": "OKP", "kid": kid, "crv": "Ed25519", "x": encoded(raw)}
    point = key.public_key().public_numbers()
    return {"kty": "EC", "kid": kid, "crv": "P-256", "x": _number(point.x, 32), "y": _number(point.y, 32)}
