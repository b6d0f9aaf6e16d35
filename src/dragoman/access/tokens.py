"""What a token says of its bearer (JWT, RFC 7519; as OpenID Connect issues them). Pure: keys and time are arguments.

A token counts if a key of the issuer has signed it, with an algorithm that only the issuer's private key can do (never
`none`, never a shared secret), and it is of this issuer, for this audience, and in force. What its own header says of
keys and where they are is not heeded.
"""

import binascii
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from dragoman.access.principal import Principal
from dragoman.config import Oidc, OidcGrant

if TYPE_CHECKING:
    from joserfc.jwk import Key

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
_KINDS = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}  # an algorithm's first two letters: its keys' type
LEEWAY = 30  # seconds that clocks may differ
_PICO = 10**12


class BadToken(Exception):
    """The token does not count; the message says why, and goes to its bearer."""


class UnknownKey(BadToken):
    """None of the keys has signed it. The issuer may have newer ones."""


class Verified(Struct, frozen=True):
    """Who the bearer is, until the token ends (Unix seconds)."""

    principal: Principal
    until: float


class _Header(Struct):
    alg: str
    kid: str | None = None


def looks_like_one(text: str) -> bool:
    """Whether it is a JWT rather than a key."""
    return text.startswith("eyJ") and text.count(".") == 2


def read_keys(data: bytes) -> list["Key"]:
    """The keys of a JWK set (RFC 7517) that can verify signatures. Raises `ValueError` where it is none."""
    from joserfc.errors import JoseError
    from joserfc.jwk import import_key

    found = []
    for entry in msgspec.json.decode(data, type=dict[str, Any]).get("keys", ()):
        if isinstance(entry, dict) and entry.get("kty") in _KINDS.values() and entry.get("use", "sig") == "sig":
            try:
                found.append(import_key(entry))
            except (JoseError, ValueError, TypeError):
                continue  # a curve or a form that is not known here: others may do
    return found


class Verifier:
    """Judges tokens by what the config says of their issuer."""

    def __init__(self, spec: Oidc) -> None:
        self._spec = spec
        self._audiences = [spec.audience] if isinstance(spec.audience, str) else spec.audience

    def verify(self, token: str, keys: Sequence["Key"], now: float) -> Verified:
        """Raises `BadToken`."""
        from joserfc import jwt
        from joserfc.errors import BadSignatureError, ClaimError, ExpiredTokenError, JoseError, MissingClaimError

        key = _signer(_header(token), keys)
        rules = jwt.JWTClaimsRegistry(
            now=int(now), leeway=LEEWAY, iss={"essential": True, "value": self._spec.issuer},
            aud={"essential": True, "values": self._audiences}, exp={"essential": True}, sub={"essential": True},
        )  # fmt: skip
        try:
            claims = jwt.decode(token, key, algorithms=ALGORITHMS).claims
            rules.validate(claims)
        except ExpiredTokenError:
            raise BadToken("this token has expired: sign in again") from None
        except MissingClaimError as error:
            raise BadToken(f"this token lacks what it must say: {error.claim}") from None
        except ClaimError as error:
            raise BadToken(f"this token is not for this gateway: {error.description or error.claim}") from None
        except BadSignatureError:
            raise BadToken("this token's signature is not its issuer's") from None
        except (JoseError, ValueError, TypeError) as error:
            raise BadToken(f"this token can't be read: {error}") from None
        return Verified(self._principal(claims), claims["exp"] + LEEWAY)

    def _principal(self, claims: dict[str, Any]) -> Principal:
        grant = self._grant(_groups(_claim(claims, self._spec.groups)))
        subject = claims["sub"]
        name = _claim(claims, self._spec.name)
        return Principal(
            id="oidc:" + quote(subject, safe="@+="), name=name if isinstance(name, str) and name else subject,
            admin=grant.admin, models=None if grant.models is None else frozenset(grant.models), rpm=grant.rpm,
            tpm=grant.tpm, budget=None if grant.budget_usd is None else round(grant.budget_usd * _PICO),
            period=grant.period, priority=grant.priority, signed_in=True,
        )  # fmt: skip

    def _grant(self, groups: frozenset[str]) -> OidcGrant:
        """Raises `BadToken` where there are grants, and none for such groups."""
        grants = self._spec.grants or [OidcGrant()]
        found = next((grant for grant in grants if grant.group is None or grant.group in groups), None)
        if found is None:
            raise BadToken(f"none of this token's groups (its claim {self._spec.groups}) may use this gateway")
        return found


def _header(token: str) -> _Header:
    text = token.partition(".")[0]
    try:
        header = msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=_Header)
    except (binascii.Error, ValueError):
        raise BadToken("this token can't be read: its header is not a JWT's") from None
    if header.alg not in ALGORITHMS:
        raise BadToken(f"this token is signed with {header.alg}: expected one of {', '.join(ALGORITHMS)}")
    return header


def _signer(header: _Header, keys: Sequence["Key"]) -> "Key":
    """The key that the token says it is signed with. One that names none is of the only key that could be meant."""
    kind = _KINDS[header.alg[:2]]
    fitting = [key for key in keys if key.key_type == kind and key.get("alg", header.alg) == header.alg]
    meant = [key for key in fitting if key.kid == header.kid] if header.kid is not None else fitting
    if len(meant) != 1:
        raise UnknownKey("this token is signed with a key that its issuer does not show")
    return meant[0]


def _claim(claims: dict[str, Any], name: str) -> Any:
    """A claim; `realm_access.roles` is one within another, unless a claim has just that name."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for step in name.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _groups(value: Any) -> frozenset[str]:
    """A list of names, or names in one text, as `scope` has them."""
    if isinstance(value, str):
        return frozenset((value, *value.split()))
    return frozenset(each for each in value if isinstance(each, str)) if isinstance(value, list) else frozenset()
