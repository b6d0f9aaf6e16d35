"""Secrets sealed: AES-256-GCM (NIST SP 800-38D), each with a nonce of its own in front.

Changes of accounts lie so in a Redis, that who reads it there has no credentials. Their key is made of
`access.admin_key`, which all nodes have in their configs, by scrypt (RFC 7914), and a change is bound to its account's
name. Without an admin key there is no secret that the nodes share, and a change lies there as it is. `at` stays
legible: Redis keeps the later of two.
"""

import hashlib
import secrets
from functools import lru_cache

import msgspec
from msgspec import Struct

from dragoman.accounts.overlay import Change
from dragoman.config import Secret

KEY = 32  # bytes
_SALT = b"dragoman accounts"  # one for all: nodes that never met must come to the same key
_NONCE = 12  # bytes


class Unreadable(ValueError):
    """It was sealed with another key, or changed since, or is by a newer program."""


class _Lying(Struct):
    """A change in the Redis. `sealed` None: it lies open."""

    at: float = 0.0
    sealed: bytes | None = None


def seal(key: bytes, data: bytes, bound: bytes = b"") -> bytes:
    """`data`, to be read by who has `key` and names what it is `bound` to."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, data, bound)


def unseal(key: bytes, sealed: bytes, bound: bytes = b"") -> bytes:
    """What was given to `seal`. Raises `Unreadable`."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], bound)
    except (InvalidTag, ValueError):  # the latter: too short
        raise Unreadable("it is sealed with another key") from None


def lay(name: str, change: Change, admin_key: Secret | None) -> bytes:
    """The change of account `name` as it lies in the Redis."""
    text = msgspec.json.encode(change)
    if admin_key is None:
        return text
    return msgspec.json.encode(_Lying(change.at, seal(_key(admin_key.reveal()), text, name.encode())))


def lift(name: str, lying: bytes, admin_key: Secret | None) -> Change:
    """What `lay` made, here or elsewhere. Raises `Unreadable`."""
    try:
        sealed = msgspec.json.decode(lying, type=_Lying).sealed
        if sealed is None:
            return msgspec.json.decode(lying, type=Change)
        if admin_key is None:
            raise Unreadable("it is sealed with an access.admin_key, and this node has none")
        return msgspec.json.decode(unseal(_key(admin_key.reveal()), sealed, name.encode()), type=Change)
    except msgspec.DecodeError as error:
        raise Unreadable(str(error)) from None


@lru_cache(maxsize=4)
def _key(secret: str) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=_SALT, n=2**14, r=8, p=1, dklen=KEY)
