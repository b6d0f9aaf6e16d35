"""Token servers: Google's for service accounts (RFC 7523), Entra's for client credentials (RFC 6749, section 4.4).

The tokens they issue stand in `tokens`, a set that may be given to another fake as its `keys`:

    with start("oauth") as oauth, start("vertex", keys=oauth.tokens) as vertex: ...
"""

import base64
import json
import time
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from .brain import JSON
from .fake import Fake, Refused, reply_json
from .scenario import Scenario
from .server import Reply, Request

_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_GOOGLES_OWN = "https://oauth2.googleapis.com/token"  # what google-auth says, whatever the key file's token_uri is
_EMAIL = "fake@project.iam.gserviceaccount.com"
_KEY_ID = "0123456789abcdef"


class OAuth(Fake):
    """`lifetime`: seconds a token is said to be valid. `clients`: Entra's client secrets by client id."""

    dialect = "oauth"
    routes = (
        ("POST", "/token", "google"),
        ("POST", "/(?P<tenant>[^/]+)/oauth2/v2.0/token", "entra"),
    )

    def __init__(self, *, lifetime: int = 3599, clients: dict[str, str] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.lifetime = lifetime
        self.clients = {"fake-client": "fake-secret"} if clients is None else clients
        self.tokens: set[str] = set()

    @cached_property
    def _private(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def service_account(self) -> JSON:
        """What Google's key file of a service account says, with this server as its `token_uri`."""
        pem = self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": _KEY_ID,
            "private_key": pem.decode(),
            "client_email": _EMAIL,
            "client_id": "1",
            "token_uri": f"{self.url}/token",
        }

    def authorise(self, request: Request) -> str:
        return ""

    def envelope(self, refused: Refused) -> bytes:
        return json.dumps({"error": refused.code, "error_description": refused.message}).encode()

    def status_refusal(self, scenario: Scenario) -> Refused:
        return Refused(scenario.status, scenario.message or "try again later", code="temporarily_unavailable")

    def google(self, request: Request) -> Reply:
        """`POST /token`: an access token for a signed assertion."""
        form = dict(parse_qsl(request.body.decode()))
        if form.get("grant_type") != _JWT_BEARER:
            raise Refused(400, f"Invalid grant_type: {form.get('grant_type')}", code="unsupported_grant_type")
        self._check_claims(self._verified(form.get("assertion", "")))
        return self._issue("ya29.")

    def _verified(self, assertion: str) -> JSON:
        """The claims of a JWT (RFC 7519) that the service account signed."""
        try:
            signed, _, signature = assertion.rpartition(".")
            header, claims = (json.loads(_decoded(part)) for part in signed.split("."))
            if header["alg"] != "RS256" or header.get("kid", _KEY_ID) != _KEY_ID:
                raise Refused(400, "Invalid JWT: unknown key or algorithm.", code="invalid_grant")
            self._private.public_key().verify(_decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise Refused(400, "Invalid JWT Signature.", code="invalid_grant") from None
        except (ValueError, KeyError) as error:
            raise Refused(400, f"Bad Request: {error}", code="invalid_request") from error
        assert isinstance(claims, dict)
        return claims

    def _check_claims(self, claims: JSON) -> None:
        if claims.get("iss") != _EMAIL:
            raise Refused(400, "Invalid grant: account not found", code="invalid_grant")
        if claims.get("aud") not in (f"{self.url}/token", _GOOGLES_OWN):
            raise Refused(400, "Invalid JWT: wrong audience.", code="invalid_grant")
        if not claims.get("scope"):
            raise Refused(400, "Invalid OAuth scope or ID token audience provided.", code="invalid_scope")
        issued, expires, now = claims.get("iat", 0), claims.get("exp", 0), time.time()
        if not (now - 3600 < issued <= now + 300 and now < expires <= issued + 3600):
            raise Refused(
                400,
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your "
                "iat and exp values in the JWT claim.",
                code="invalid_grant",
            )

    def entra(self, request: Request, tenant: str) -> Reply:
        """`POST /{tenant}/oauth2/v2.0/token`: an access token for a client's secret."""
        form = dict(parse_qsl(request.body.decode()))
        if form.get("grant_type") != "client_credentials":
            raise Refused(
                400, "AADSTS70003: The app requested an unsupported grant type.", code="unsupported_grant_type"
            )
        if not form.get("scope", "").endswith("/.default"):
            raise Refused(400, "AADSTS1002012: The provided value for scope is not valid.", code="invalid_scope")
        if form.get("client_id") not in self.clients:
            raise Refused(
                400, f"AADSTS700016: Application was not found in the directory '{tenant}'.", code="unauthorized_client"
            )
        if form.get("client_secret") != self.clients[form["client_id"]]:
            raise Refused(401, "AADSTS7000215: Invalid client secret provided.", code="invalid_client")
        return self._issue("eyJ0.", ext_expires_in=self.lifetime)

    def _issue(self, prefix: str, **more: Any) -> Reply:
        token = self.next_id(prefix, 32)
        self.tokens.add(token)
        return reply_json({"access_token": token, "expires_in": self.lifetime, "token_type": "Bearer", **more})


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
