"""Changes of accounts as they lie in a Redis: sealed, so that who reads it there has no credentials.

The key is made of `access.admin_key`, which all nodes have in their configs: scrypt (RFC 7914), then AES-256-GCM (NIST
SP 800-38D) with a nonce of its own for each change, bound to the account's name. Without an admin key there is no
secret that the nodes share, and a change lies there as it is. `at` stays legible: Redis keeps the later of two.
"""

import hashlib
import secrets
from functools import lru_cache

import msgspec
from msgspec import Struct

from dragoman.accounts.overlay import Change
from dragoman.config import Secret

_SALT = b"dragoman accounts"  # one for all: nodes that never met must come to the same key
_NONCE = 12  # bytes


class Unreadable(ValueError):
    """It was sealed with another key, or by a newer program."""


class _Sealed(Struct, forbid_unknown_fields=True):
    at: float
    sealed: bytes


def seal(name: str, change: Change, admin_key: Secret | None) -> bytes:
    """JSON of the change of account `name`."""
    text = msgspec.json.encode(change)
    if admin_key is None:
        return text
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(_NONCE)
    return msgspec.json.encode(
        _Sealed(change.at, nonce + AESGCM(_key(admin_key.reveal())).encrypt(nonce, text, name.encode()))
    )


def unseal(name: str, text: bytes, admin_key: Secret | None) -> Change:
    """What `seal` made, here or elsewhere. Raises `Unreadable`."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        if b'"sealed"' not in text:
            return msgspec.json.decode(text, type=Change)
        if admin_key is None:
            raise Unreadable("it is sealed with an access.admin_key, and this node has none")
        sealed = msgspec.json.decode(text, type=_Sealed).sealed
        opened = AESGCM(_key(admin_key.reveal())).decrypt(sealed[:_NONCE], sealed[_NONCE:], name.encode())
        return msgspec.json.decode(opened, type=Change)
    except InvalidTag:
        raise Unreadable("it is sealed with another access.admin_key than this node has") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise error if isinstance(error, Unreadable) else Unreadable(str(error)) from None


@lru_cache(maxsize=4)
def _key(secret: str) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=_SALT, n=2**14, r=8, p=1, dklen=32)
