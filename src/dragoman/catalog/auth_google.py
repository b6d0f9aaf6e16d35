"""OAuth tokens for Vertex AI from a service account's key file. Pure: the time is an argument, nothing is sent here.

An assertion (a JWT that the account's private key signs, RS256) is exchanged for an access token at the account's token
endpoint. Sources: RFC 7515, RFC 7519, RFC 7523; Google, "Using OAuth 2.0 for server to server applications".
"""

import base64
from typing import Any
from urllib.parse import urlencode

import msgspec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from dragoman.config import ConfigError

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
LIFETIME = 3600  # seconds; Google allows no more
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class ServiceAccount(msgspec.Struct, frozen=True):
    """A service account that can sign. `token_url` is where its assertions are exchanged."""

    email: str
    key: RSAPrivateKey
    key_id: str | None = None
    token_url: str = TOKEN_URL

    def __repr__(self) -> str:
        return f"ServiceAccount({self.email})"


class AccessToken(msgspec.Struct, frozen=True):
    """A bearer token; `until` is when it ends, in Unix seconds."""

    token: str
    until: float

    def __repr__(self) -> str:
        return f"AccessToken(…, until={self.until})"


class TokenRefused(Exception):
    """The token endpoint gave no token. The message has its own words."""


class _KeyFile(msgspec.Struct):
    client_email: str
    private_key: str
    private_key_id: str | None = None
    token_uri: str | None = None
    type: str = "service_account"


def read_account(text: str) -> ServiceAccount:
    """The account in a key file's JSON. Raises `ConfigError` where it is not one; the key itself is never shown."""
    try:
        file = msgspec.json.decode(text.encode(), type=_KeyFile)
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise ConfigError(
            "credentials: expected the JSON key file of a service account, with client_email and private_key"
        ) from None
    if file.type != "service_account":
        raise ConfigError(f'credentials: expected the key file of a service account, got one of type "{file.type}"')
    try:
        key = load_pem_private_key(file.private_key.encode(), password=None)
    except (ValueError, TypeError):
        raise ConfigError("credentials: private_key: expected a PEM private key without a password") from None
    if not isinstance(key, RSAPrivateKey):
        raise ConfigError("credentials: private_key: expected an RSA key")
    return ServiceAccount(file.client_email, key, file.private_key_id, file.token_uri or TOKEN_URL)


def assertion(account: ServiceAccount, now: int, audience: str | None = None, scope: str = SCOPE) -> str:
    """A signed JWT that says who asks, for which scope, until an hour from `now` (Unix seconds).

    `audience` is the token endpoint; the account's own where not given.
    """
    header: dict[str, Any] = {"alg": "RS256", "typ": "JWT"}
    if account.key_id:
        header["kid"] = account.key_id
    claims = {
        "iss": account.email,
        "scope": scope,
        "aud": audience or account.token_url,
        "iat": now,
        "exp": now + LIFETIME,
    }
    signing = _part(msgspec.json.encode(header)) + b"." + _part(msgspec.json.encode(claims))
    return (signing + b"." + _part(account.key.sign(signing, PKCS1v15(), SHA256()))).decode()


def token_request(account: ServiceAccount, now: int, token_url: str | None = None) -> tuple[str, bytes]:
    """Where to post which form (`application/x-www-form-urlencoded`) for an access token.

    `token_url` is where to post instead of the account's own endpoint (a proxy): the audience stays the account's.
    """
    form = urlencode({"grant_type": _GRANT, "assertion": assertion(account, now)})
    return token_url or account.token_url, form.encode()


def read_token(body: bytes, now: float) -> AccessToken:
    """The token in the endpoint's answer, got at `now` (Unix seconds). Raises `TokenRefused`."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise TokenRefused("the token endpoint's answer is not JSON")
    token, lifetime = answer.get("access_token"), answer.get("expires_in", LIFETIME)
    if isinstance(token, str) and token:
        return AccessToken(token, now + _seconds(lifetime))
    words = answer.get("error_description") or answer.get("error") or "no access_token in the answer"
    raise TokenRefused(f"the token endpoint gave no token: {str(words)[:500]}")


def _seconds(lifetime: object) -> float:
    """Some endpoints write the number as a string."""
    try:
        return max(0.0, float(lifetime)) if isinstance(lifetime, int | float | str) else float(LIFETIME)
    except ValueError:
        return float(LIFETIME)


def _part(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
