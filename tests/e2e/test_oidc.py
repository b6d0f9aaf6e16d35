"""Signing in with an issuer's tokens, through the whole gateway: every surface, limits, administration, errors."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from e2e.gateway import GatewayProcess
from e2e.raw import SURFACES, call, is_error_of
from e2e.test_access import FORMS
from fakes import start
from fakes.issuer import Issuer, unsigned


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(issuer: Issuer) -> Iterator[GatewayProcess]:
    grants = [
        {"group": "ops", "admin": True},
        {"group": "slow", "rpm": 1},
        {"group": "poor", "budget_usd": 1e-9},
        {"group": "staff"},
    ]
    oidc = {"issuer": issuer.url, "audience": "gateway", "name": "email", "grants": grants}
    with start("anthropic") as fake:
        account = {"name": "a", "provider": "anthropic", "base_url": fake.base_url, "key": fake.key}
        model = {"name": "m", "targets": ["anthropic/claude-mock"], "price": {"input": 1, "output": 1}}
        access = {"mode": "keys", "oidc": oidc}
        with GatewayProcess(access=access, accounts=[account], models=[model]) as process:
            yield process


@pytest.fixture(scope="module")
def http(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.http() as client:
        yield client


def ask(http: httpx.Client, token: str, surface: str = "openai-chat") -> httpx.Response:
    path, body = call(surface, "m")
    return http.post(path, json=body, headers={"authorization": f"Bearer {token}"})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("surface", SURFACES)
def test_a_token_is_taken_in_every_form_that_keys_are(
    http: httpx.Client, issuer: Issuer, surface: str, form: str
) -> None:
    headers, query = FORMS[form](issuer.token("ec", groups=["staff"]))
    path, body = call(surface, "m")
    reply = http.post(path, json=body, headers=headers, params=query)
    assert reply.status_code == 200, reply.text
    assert "You said: hello" in reply.text


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"exp": 1}, "has expired"),
        ({"aud": "another"}, "not for this gateway"),
        ({"groups": ["guests"]}, "none of this token's groups"),
    ],
    ids=["expired", "another's", "in no group"],
)
def test_what_does_not_count_is_refused_in_the_clients_envelope(
    http: httpx.Client, issuer: Issuer, surface: str, claims: dict[str, Any], words: str
) -> None:
    reply = ask(http, issuer.token(**({"groups": ["staff"]} | claims)), surface)
    assert (reply.status_code, reply.headers["x-dragoman-error"]) == (401, "unauthorized")
    assert is_error_of(surface, reply.json())
    assert words in reply.text


def test_an_unsigned_token_is_refused(http: httpx.Client, issuer: Issuer) -> None:
    reply = ask(http, unsigned({"alg": "none"}, issuer.claims(groups=["ops"])) + ".")
    assert (reply.status_code, "signed with none" in reply.text) == (401, True)


def test_the_ledger_says_who_it_was(gateway: GatewayProcess, http: httpx.Client, issuer: Issuer) -> None:
    reply = ask(http, issuer.token(sub="grace", email="grace@example.com", groups=["staff"]))
    row = next(row for row in gateway.rows() if row["request_id"] == reply.headers["x-request-id"])
    assert (row["key"], row["key_name"]) == ("oidc:grace", "grace@example.com")


def test_a_grants_rate_is_its_bearers_own(http: httpx.Client, issuer: Issuer) -> None:
    one, other = (issuer.token(sub=name, groups=["slow"]) for name in ("one", "other"))
    assert [ask(http, token).status_code for token in (one, one, other)] == [200, 429, 200]
    assert ask(http, issuer.token("ec", sub="one", groups=["slow"])).status_code == 429, (
        "another token, the same bearer"
    )


def test_a_grants_budget_holds(http: httpx.Client, issuer: Issuer) -> None:
    token = issuer.token(sub="broke", groups=["poor"])
    assert [ask(http, token).status_code for _ in range(2)] == [200, 402]  # a call that is alone may have what is left


def test_who_administers_is_a_matter_of_groups(http: httpx.Client, issuer: Issuer) -> None:
    found = {
        group: http.get("/dragoman/v1/accounts", headers={"authorization": "Bearer " + issuer.token(groups=[group])})
        for group in ("ops", "staff", "guests")
    }
    assert {group: reply.status_code for group, reply in found.items()} == {"ops": 200, "staff": 403, "guests": 401}


def test_gateway_keys_count_beside_tokens(gateway: GatewayProcess, http: httpx.Client) -> None:
    key = json.loads(gateway.run("keys", "create", "--name", "k", "--json").stdout)["key"]
    assert ask(http, key).status_code == 200
    assert ask(http, "dgm-wrong").status_code == 401


def test_a_reload_forgets_no_one(gateway: GatewayProcess, http: httpx.Client, issuer: Issuer) -> None:
    token = issuer.token(groups=["staff"])
    assert ask(http, token).status_code == 200
    asked = len(issuer.asked)
    gateway.reload()
    gateway.wait_log("config reloaded")
    assert ask(http, token).status_code == 200
    assert len(issuer.asked) == asked
