"""Asking the issuer for its keys: when, how often, and what holds while it can't be reached."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from dragoman.access.oidc import AGAIN, FRESH, PAUSE, SignIn
from dragoman.canon import Failed
from dragoman.config import Oidc
from dragoman.wire.client import Client
from fakes.issuer import Issuer

BOTH = ["/.well-known/openid-configuration", "/keys"]


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer(clock: Clock) -> Iterator[Issuer]:
    with Issuer(clock) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    made = Client()
    yield made
    await made.close()


def sign_in(issuer: Issuer, client: Client, clock: Clock, **spec: Any) -> SignIn:
    return SignIn(Oidc(**({"issuer": issuer.url, "audience": "gateway"} | spec)), client, clock)


async def refused(made: SignIn, token: str) -> tuple[int, str]:
    with pytest.raises(Failed) as raised:
        await made.read(token)
    return raised.value.failure.status, raised.value.failure.message


async def test_keys_are_fetched_once_and_a_known_token_asks_nobody(
    issuer: Issuer, client: Client, clock: Clock
) -> None:
    made, token = sign_in(issuer, client, clock), issuer.token()
    assert made.find(token) is None
    principal = await made.read(token)
    assert made.find(token) == principal
    await made.read(issuer.token(sub="bob"))
    assert issuer.asked == BOTH


async def test_where_the_keys_are_may_be_said(issuer: Issuer, client: Client, clock: Clock) -> None:
    made = sign_in(issuer, client, clock, jwks_url=issuer.url + "/keys")
    assert (await made.read(issuer.token())).id == "oidc:ada"
    assert issuer.asked == ["/keys"]


async def test_many_at_once_are_one_question(issuer: Issuer, client: Client, clock: Clock) -> None:
    made = sign_in(issuer, client, clock)
    found = await asyncio.gather(*(made.read(issuer.token(sub=str(n))) for n in range(20)))
    assert len({principal.id for principal in found}) == 20
    assert issuer.asked == BOTH


async def test_a_token_signed_with_a_new_key_has_the_keys_fetched_again(
    issuer: Issuer, client: Client, clock: Clock
) -> None:
    made = sign_in(issuer, client, clock)
    await made.read(issuer.token())
    issuer.add("next", "RS256")
    clock.now += PAUSE
    assert (await made.read(issuer.token("next"))).id == "oidc:ada"
    assert issuer.asked == BOTH * 2


async def test_tokens_of_keys_that_nobody_has_ask_the_issuer_now_and_then(
    issuer: Issuer, client: Client, clock: Clock
) -> None:
    made = sign_in(issuer, client, clock)
    await made.read(issuer.token())
    for number in range(50):
        status, message = await refused(made, issuer.token(header={"kid": f"invented-{number}"}))
        assert (status, "does not show" in message) == (401, True)
    assert issuer.asked == BOTH
    clock.now += PAUSE
    for number in range(50):
        await refused(made, issuer.token(header={"kid": f"invented-{number}"}))
    assert issuer.asked == BOTH * 2


async def test_a_withdrawn_key_s_tokens_end_before_their_time(issuer: Issuer, client: Client, clock: Clock) -> None:
    made, token = sign_in(issuer, client, clock), issuer.token(exp=int(clock.now) + 10 * 3600)
    await made.read(token)
    issuer.shown = {"ec"}
    clock.now += max(FRESH, AGAIN) + 1
    assert made.find(token) is None, "it is looked at anew"
    await made.read(token)  # the old keys hold while new ones are on their way
    asking = made._asking
    assert asking is not None
    await asking
    assert made.find(token) is None
    assert (await refused(made, token))[0] == 401


async def test_a_known_token_ends_when_it_does(issuer: Issuer, client: Client, clock: Clock) -> None:
    made, token = sign_in(issuer, client, clock), issuer.token()
    await made.read(token)
    clock.now += 331
    assert made.find(token) is None
    assert "has expired" in (await refused(made, token))[1]


async def test_while_the_issuer_is_away_known_keys_stay_in_force(issuer: Issuer, client: Client, clock: Clock) -> None:
    made = sign_in(issuer, client, clock)
    await made.read(issuer.token())
    issuer.down = True
    clock.now += FRESH + 1
    assert (await made.read(issuer.token(sub="bob"))).id == "oidc:bob"
    assert made._asking is not None
    await made._asking
    assert (await made.read(issuer.token(sub="eve"))).id == "oidc:eve"


async def test_without_any_keys_it_can_t_be_told(
    issuer: Issuer, client: Client, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    made, token = sign_in(issuer, client, clock), issuer.token()
    issuer.down = True
    for _ in range(3):
        status, message = await refused(made, token)
        assert (status, "can't be had now: try again" in message) == (503, True)
    assert len(issuer.asked) == 1
    assert "answered 503" in caplog.text
    issuer.down = False
    clock.now += PAUSE
    assert (await made.read(token)).id == "oidc:ada"


async def test_an_issuer_that_does_not_listen_is_away(client: Client, clock: Clock) -> None:
    issuer = Issuer(clock)
    made = SignIn(Oidc(issuer="http://127.0.0.1:9", audience="gateway"), client, clock)
    assert (await refused(made, issuer.token()))[0] == 503


async def test_a_document_of_another_issuer_is_not_believed(
    issuer: Issuer, client: Client, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.claims_to_be = "https://other.example.com"
    assert (await refused(sign_in(issuer, client, clock), issuer.token()))[0] == 503
    assert "is of https://other.example.com" in caplog.text


async def test_what_is_remembered_is_bounded(
    issuer: Issuer, client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dragoman.access.oidc.MOST", 3)
    made = sign_in(issuer, client, clock)
    for number in range(10):
        token = issuer.token(sub=str(number))
        await made.read(token)
        assert made.find(token) is not None
        assert len(made._known) <= 3
