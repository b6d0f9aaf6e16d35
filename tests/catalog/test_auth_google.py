"""Service accounts: the assertion is one that an independent JWT library accepts."""

from urllib.parse import parse_qs

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jwt
from joserfc.jwk import RSAKey

from dragoman.catalog import auth_google
from dragoman.config import ConfigError

PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
NOW = 1_795_417_200


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


FILE = {
    "type": "service_account",
    "project_id": "p",
    "private_key_id": "kid-1",
    "private_key": pem(PRIVATE),
    "client_email": "me@p.iam.gserviceaccount.com",
    "token_uri": "https://oauth2.googleapis.com/token",
}


def read(**changed):
    return auth_google.read_account(msgspec.json.encode({**FILE, **changed}).decode())


def test_the_assertion_is_a_jwt_signed_by_the_account():
    public = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    token = jwt.decode(auth_google.assertion(read(), NOW), RSAKey.import_key(public), algorithms=["RS256"])
    assert token.header == {"alg": "RS256", "typ": "JWT", "kid": "kid-1"}
    assert token.claims == {
        "iss": "me@p.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": NOW,
        "exp": NOW + 3600,
    }


def test_the_form_asks_for_a_token_with_the_assertion():
    url, form = auth_google.token_request(read(), NOW)
    assert url == "https://oauth2.googleapis.com/token"
    fields = parse_qs(form.decode(), strict_parsing=True)
    assert fields["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    assert fields["assertion"] == [auth_google.assertion(read(), NOW)]


def test_another_token_endpoint_can_be_told():
    assert auth_google.token_request(read(), NOW, "http://127.0.0.1:9/token")[0] == "http://127.0.0.1:9/token"


def test_a_token_is_read_with_its_end():
    token = auth_google.read_token(b'{"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer"}', NOW)
    assert (token.token, token.until) == ("ya29.x", NOW + 3599)
    assert auth_google.read_token(b'{"access_token":"x","expires_in":"60"}', NOW).until == NOW + 60


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error":"invalid_grant","error_description":"Invalid JWT Signature."}', "Invalid JWT Signature"),
        (b'{"error":"invalid_client"}', "invalid_client"),
        (b"<html>", "not JSON"),
        (b"[]", "not JSON"),
        (b"{}", "no access_token"),
    ],
)
def test_a_refusal_keeps_the_endpoints_words(body, words):
    with pytest.raises(auth_google.TokenRefused, match=words):
        auth_google.read_token(body, NOW)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not json", "client_email"),
        ("{}", "client_email"),
        (msgspec.json.encode({**FILE, "type": "authorized_user"}).decode(), "authorized_user"),
        (msgspec.json.encode({**FILE, "private_key": "nonsense"}).decode(), "PEM"),
        (msgspec.json.encode({**FILE, "private_key": pem(ec.generate_private_key(ec.SECP256R1()))}).decode(), "RSA"),
    ],
)
def test_a_wrong_key_file_is_refused_with_the_mend_and_without_the_key(text, words):
    with pytest.raises(ConfigError, match=words) as refused:
        auth_google.read_account(text)
    assert "PRIVATE KEY" not in str(refused.value)


def test_nothing_secret_is_printed():
    assert repr(read()) == "ServiceAccount(me@p.iam.gserviceaccount.com)"
    assert "ya29" not in repr(auth_google.AccessToken("ya29.x", 1.0))
