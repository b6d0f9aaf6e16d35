"""Which tokens count, and what they make their bearer."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dragoman.access.tokens import BadToken, UnknownKey, Verifier, looks_like_one, read_keys
from dragoman.config import Oidc, OidcGrant
from fakes.issuer import Issuer, encoded, unsigned, with_shared_secret
from fakes.server import Request

NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    made = Issuer(lambda: NOW)
    made.add("ed", "EdDSA")
    yield made


def keys(issuer: Issuer) -> list[Any]:
    body = issuer._answer(Request("GET", "/keys", "/keys", {}, {}, b"")).body
    assert isinstance(body, bytes)
    return read_keys(body)


def verify(issuer: Issuer, token: str, now: float = NOW, **spec: Any) -> Any:
    return Verifier(Oidc(**({"issuer": issuer.url, "audience": "gateway"} | spec))).verify(token, keys(issuer), now)


@pytest.mark.parametrize("kid", ["rsa", "ec", "ed"])
def test_a_token_of_the_issuer_counts(issuer: Issuer, kid: str) -> None:
    verified = verify(issuer, issuer.token(kid))
    assert (verified.principal.id, verified.principal.name) == ("oidc:ada", "ada")
    assert not verified.principal.admin
    assert verified.until == pytest.approx(NOW + 330, abs=5)


def test_a_key_of_a_kind_not_known_does_not_spoil_the_others(issuer: Issuer) -> None:
    assert len(keys(issuer)) == 3


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"aud": "another"}, "not for this gateway: .*aud"),
        ({"aud": ["another", "third"]}, "not for this gateway: .*aud"),
        ({"aud": None}, "lacks what it must say: aud"),
        ({"aud": []}, "not for this gateway: .*aud"),
        ({"iss": "https://elsewhere"}, "not for this gateway: .*iss"),
        ({"iss": None}, "lacks what it must say: iss"),
        ({"sub": None}, "lacks what it must say: sub"),
        ({"sub": ""}, "sub"),
        ({"sub": 7}, "sub"),
        ({"exp": None}, "lacks what it must say: exp"),
        ({"exp": int(NOW) - 31}, "has expired"),
        ({"exp": "tomorrow"}, "exp"),
        ({"exp": True}, "exp"),
        ({"nbf": int(NOW) + 3600}, "not yet valid"),
        ({"iat": int(NOW) + 3600}, "issued in the future"),
    ],
)
def test_what_it_must_say_is_asked_of_it(issuer: Issuer, claims: dict[str, Any], words: str) -> None:
    with pytest.raises(BadToken, match=words):
        verify(issuer, issuer.token(**claims))


def test_one_of_several_audiences_is_enough(issuer: Issuer) -> None:
    assert verify(issuer, issuer.token(aud=["other", "gateway"])).principal.id == "oidc:ada"
    assert verify(issuer, issuer.token(aud="b"), audience=["a", "b"]).principal.id == "oidc:ada"


def test_clocks_may_differ_a_little(issuer: Issuer) -> None:
    assert verify(issuer, issuer.token(exp=int(NOW) - 20, nbf=int(NOW) + 20)).principal.id == "oidc:ada"


def test_an_unsigned_token_does_not_count(issuer: Issuer) -> None:
    text = unsigned({"alg": "none", "kid": "rsa"}, issuer.claims())
    for token in (f"{text}.", f"{text}.AAAA", text.replace(".", ".", 1) + "."):
        with pytest.raises(BadToken, match="signed with none"):
            verify(issuer, token)


def test_the_public_key_is_no_shared_secret(issuer: Issuer) -> None:
    """The old trick: HS256, with what everybody knows as the secret."""
    modulus = issuer.keys["rsa"].public_key().public_numbers().n  # type: ignore[union-attr]
    for secret in (issuer.public("rsa"), issuer.public("rsa").strip(), modulus.to_bytes(256, "big")):
        with pytest.raises(BadToken, match="signed with HS256"):
            verify(issuer, with_shared_secret({"kid": "rsa"}, issuer.claims(), secret))


def test_a_shared_secret_in_the_key_set_is_not_taken() -> None:
    assert read_keys(json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "s"}]}).encode()) == []


def test_keys_for_encryption_are_not_taken(issuer: Issuer) -> None:
    body = issuer._answer(Request("GET", "/keys", "/keys", {}, {}, b"")).body
    assert isinstance(body, bytes)
    entries = [entry | {"use": "enc"} for entry in json.loads(body)["keys"]]
    assert read_keys(json.dumps({"keys": entries}).encode()) == []


def test_an_algorithm_of_another_kind_of_key_finds_none(issuer: Issuer) -> None:
    with pytest.raises(UnknownKey):
        verify(issuer, issuer.token("rsa", header={"alg": "ES256"}))


def test_a_changed_token_does_not_count(issuer: Issuer) -> None:
    head, _, signature = issuer.token().split(".")
    forged = encoded(json.dumps(issuer.claims(sub="somebody else")).encode())
    with pytest.raises(BadToken, match="signature is not its issuer's"):
        verify(issuer, f"{head}.{forged}.{signature}")


def test_a_key_that_the_token_brings_itself_is_not_taken(issuer: Issuer) -> None:
    stranger = Issuer(lambda: NOW)
    own = json.loads(stranger._answer(Request("GET", "/keys", "/keys", {}, {}, b"")).body)["keys"][1]  # type: ignore[arg-type]
    for header in ({"jwk": own}, {"jku": "http://127.0.0.1:9/keys"}):
        with pytest.raises(BadToken):
            verify(issuer, stranger.token("rsa", header=header, iss=issuer.url))


def test_a_token_of_a_key_not_shown_may_have_a_newer_one(issuer: Issuer) -> None:
    with pytest.raises(UnknownKey, match="does not show"):
        verify(issuer, issuer.token(header={"kid": "newer"}))


def test_a_token_that_names_no_key_is_of_the_only_one_it_could_be(issuer: Issuer) -> None:
    text = unsigned({"alg": "RS256"}, issuer.claims())
    from fakes.issuer import _sign

    token = f"{text}.{encoded(_sign(issuer.keys['rsa'], text.encode()))}"
    assert verify(issuer, token).principal.id == "oidc:ada"


@pytest.mark.parametrize(
    "token", ["eyJ.a.b", "eyJhbGciOjF9.e30.", "eyJhbGciOiJSUzI1NiJ9.e30.AA", "a.b.c", "eyJ\ud800.e30.x"]
)
def test_rubbish_does_not_count(issuer: Issuer, token: str) -> None:
    with pytest.raises(BadToken):
        verify(issuer, token)


def test_keys_and_tokens_are_told_apart() -> None:
    assert looks_like_one("eyJhbGciOiJSUzI1NiJ9.e30.AA")
    assert not any(map(looks_like_one, ["dgm-abc", "sk-abc", "", "eyJabc", "a.b.c"]))


def grants(*found: OidcGrant) -> dict[str, Any]:
    return {"grants": list(found)}


def test_the_first_grant_that_fits_says_what_it_may(issuer: Issuer) -> None:
    rules = grants(
        OidcGrant(group="ops", admin=True),
        OidcGrant(group="engineers", rpm=60, tpm=1000, budget_usd=1.5, period="day", models=["smart"], priority=2),
        OidcGrant(rpm=1),
    )
    operator = verify(issuer, issuer.token(groups=["engineers", "ops"]), **rules).principal
    engineer = verify(issuer, issuer.token(groups=["engineers"]), **rules).principal
    anybody = verify(issuer, issuer.token(), **rules).principal
    assert (operator.admin, operator.rpm) == (True, None)
    assert (engineer.admin, engineer.rpm, engineer.tpm, engineer.period) == (False, 60, 1000, "day")
    assert (engineer.budget, engineer.models, engineer.priority) == (1_500_000_000_000, frozenset({"smart"}), 2)
    assert (anybody.rpm, anybody.models) == (1, None)


def test_who_is_in_none_of_the_groups_may_nothing(issuer: Issuer) -> None:
    with pytest.raises(BadToken, match="none of this token's groups"):
        verify(issuer, issuer.token(groups=["guests"]), **grants(OidcGrant(group="ops")))


@pytest.mark.parametrize(
    ("claim", "claims"),
    [
        ("groups", {"groups": "ops"}),
        ("scope", {"scope": "openid ops"}),
        ("realm_access.roles", {"realm_access": {"roles": ["ops"]}}),
        ("https://example.com/roles", {"https://example.com/roles": ["ops"]}),
    ],
)
def test_groups_stand_where_issuers_put_them(issuer: Issuer, claim: str, claims: dict[str, Any]) -> None:
    found = verify(issuer, issuer.token(**claims), groups=claim, **grants(OidcGrant(group="ops", admin=True)))
    assert found.principal.admin


@pytest.mark.parametrize("value", [7, {"ops": 1}, [["ops"], 7, None], None, {"a": {"b": 1}}])
def test_groups_of_another_form_are_none(issuer: Issuer, value: Any) -> None:
    with pytest.raises(BadToken, match="none of this token's groups"):
        verify(issuer, issuer.token(groups=value), **grants(OidcGrant(group="ops")))


def test_the_name_is_a_claim_and_the_id_the_subject(issuer: Issuer) -> None:
    found = verify(issuer, issuer.token(sub="auth0|7 7", email="ada@example.com"), name="email").principal
    assert (found.id, found.name, found.signed_in) == ("oidc:auth0%7C7%207", "ada@example.com", True)
    assert verify(issuer, issuer.token(email=5), name="email").principal.name == "ada"
