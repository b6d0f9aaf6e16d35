"""Google's own library gets a token from the fake, and what is not signed or not known gets none."""

import time

import httpx
import pytest
from google.auth import jwt
from google.auth.crypt import RSASigner
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request
from google.oauth2 import service_account

from fakes import start

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
ENTRA = {
    "grant_type": "client_credentials",
    "client_id": "fake-client",
    "client_secret": "fake-secret",
    "scope": "https://cognitiveservices.azure.com/.default",
}


@pytest.fixture(scope="module")
def oauth():
    with start("oauth") as running:
        yield running


def test_a_service_accounts_token_opens_vertex(oauth):
    with start("vertex", keys=oauth.tokens) as vertex:
        credentials = service_account.Credentials.from_service_account_info(oauth.service_account(), scopes=[SCOPE])
        credentials.refresh(Request())
        path = "/v1/projects/p/locations/l/publishers/google/models/gemini-3-mock:generateContent"
        body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
        headers = {"authorization": f"Bearer {credentials.token}"}
        assert httpx.post(vertex.url + path, json=body, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"iss": "other@x"}, "account not found"),
        ({"aud": "https://other"}, "wrong audience"),
        ({"scope": ""}, "Invalid OAuth scope"),
        ({"exp": 3_000_000_000}, "short-lived token"),
        ({"iat": 1_000_000_000, "exp": 1_000_003_600}, "short-lived token"),
    ],
)
def test_wrong_claims_get_no_token(oauth, change, message):
    info = oauth.service_account()
    signer = RSASigner.from_service_account_info(info)
    now = int(time.time())
    claims = {"iss": info["client_email"], "aud": info["token_uri"], "scope": SCOPE, "iat": now, "exp": now + 600}
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}
    right = httpx.post(info["token_uri"], data={**form, "assertion": jwt.encode(signer, claims).decode()})
    assert right.json()["token_type"] == "Bearer"
    wrong = httpx.post(info["token_uri"], data={**form, "assertion": jwt.encode(signer, {**claims, **change}).decode()})
    assert (wrong.status_code, message in wrong.json()["error_description"]) == (400, True), wrong.text


def test_another_key_gets_no_token(oauth):
    with start("oauth") as other:
        info = other.service_account() | {"token_uri": f"{oauth.url}/token"}
    credentials = service_account.Credentials.from_service_account_info(info, scopes=[SCOPE])
    with pytest.raises(RefreshError, match="Invalid JWT Signature"):
        credentials.refresh(Request())


def test_a_clients_secret_opens_azure(oauth):
    reply = httpx.post(f"{oauth.url}/tenant/oauth2/v2.0/token", data=ENTRA).json()
    with start("azure", keys=oauth.tokens) as azure:
        body = {"model": "d", "messages": [{"role": "user", "content": "hi"}]}
        headers = {"authorization": f"Bearer {reply['access_token']}"}
        assert httpx.post(f"{azure.url}/openai/v1/chat/completions", json=body, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"client_secret": "no"}, "invalid_client"),
        ({"client_id": "no"}, "unauthorized_client"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_entra_refuses_what_it_does_not_know(oauth, change, code):
    reply = httpx.post(f"{oauth.url}/tenant/oauth2/v2.0/token", data={**ENTRA, **change})
    assert (reply.status_code >= 400, reply.json()["error"]) == (True, code)
