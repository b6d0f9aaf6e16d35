"""Client secrets: made with a key, for sessions of one configuration, understood by every worker, for a while."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from gate import REALTIME, Gate, account, event, gate, say, until
from openai import AsyncOpenAI

from dragoman.access import client_secrets
from dragoman.access.client_secrets import ClientSecrets, Grant
from dragoman.config import State
from dragoman.wire.errors import NotUpgraded
from dragoman.wire.upgrade import connect
from dragoman.wire.websocket import Socket
from fakes.issuer import Issuer
from fakes.realtime import RealtimeFake

BRIEF = {"type": "realtime", "model": REALTIME, "instructions": "Be brief."}


async def post(running: Gate, path: str, body: Any, key: str = "any") -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.post(running.url + path, json=body, headers={"authorization": f"Bearer {key}"})


async def with_secret(running: Gate, secret: str, query: str = "") -> Socket:
    return await connect(f"{running.ws}/v1/realtime{query}", [(b"authorization", f"Bearer {secret}".encode())])


async def test_a_secret_opens_a_session_of_its_model_and_configuration(tmp_path: Path, fake: RealtimeFake) -> None:
    async with gate(tmp_path, [account("a", fake)]) as running:
        client = AsyncOpenAI(api_key="any", base_url=f"{running.url}/v1")
        made = await client.realtime.client_secrets.create(session=BRIEF)
        assert made.value.startswith("ek_")
        assert 595 <= made.expires_at - time.time() <= 600
        assert (made.session.type, made.session.instructions, made.session.model) == ("realtime", "Be brief.", REALTIME)
        assert made.session.audio.input.turn_detection.type == "server_vad"
        for _ in range(2):  # it may be used again
            socket = await with_secret(running, made.value)
            created = await event(socket)
            assert (created["type"], created["session"]["instructions"]) == ("session.created", "Be brief.")
            await say(socket, "response.create")
            events = await until(socket, "response.done")
            assert "session.updated" not in [each["type"] for each in events]
            await socket.close()
        assert [talk.wrong for talk in fake.talks] == [[], []]


async def test_a_browser_sends_it_as_a_subprotocol(tmp_path: Path, fake: RealtimeFake) -> None:
    async with gate(tmp_path, [account("a", fake)]) as running:
        secret = (await post(running, "/v1/realtime/client_secrets", {"session": BRIEF})).json()["value"]
        socket = await connect(
            f"{running.ws}/v1/realtime?model={REALTIME}", subprotocols=["realtime", f"openai-insecure-api-key.{secret}"]
        )
        assert socket.subprotocol == "realtime"
        assert (await event(socket))["session"]["instructions"] == "Be brief."
        await socket.close()


async def test_where_access_is_by_keys_a_secret_stands_for_the_key_it_was_made_with(
    tmp_path: Path, fake: RealtimeFake
) -> None:
    from dragoman.access import keys
    from dragoman.ledger.store import Store

    (tmp_path / "state").mkdir()
    with Store(State(dir=str(tmp_path / "state"))) as store:
        mine = keys.create(store, keys.Key(id="key_mine", name="mine", created=time.time()))
        async with gate(tmp_path, [account("a", fake)], access={"mode": "keys"}) as running:
            refused = await post(running, "/v1/realtime/client_secrets", {"session": BRIEF})
            assert refused.status_code == 401
            secret = (await post(running, "/v1/realtime/client_secrets", {"session": BRIEF}, mine)).json()["value"]
            assert (await post(running, "/v1/realtime/client_secrets", {"session": BRIEF}, secret)).status_code == 401
            socket = await with_secret(running, secret)
            await say(socket, "response.create")
            await until(socket, "response.done")
            assert [(row.key, row.key_name) for row in running.rows] == [("key_mine", "mine")]
            keys.revoke(store, "key_mine", time.time())
            await running.gateway.keys.refresh()
            await say(socket, "response.create")
            assert (await until(socket, "error"))[-1]["error"]["code"] == "invalid_api_key"
            assert await socket.receive() is None
            with pytest.raises(NotUpgraded) as late:
                await with_secret(running, secret)
            assert late.value.status == 401


@pytest.mark.parametrize("secret", ["ek_", "ek_nothing", "ek_" + "A" * 100, "ek_ÿ"])
async def test_what_is_no_secret_is_refused(tmp_path: Path, fake: RealtimeFake, secret: str) -> None:
    async with gate(tmp_path, [account("a", fake)]) as running:
        with pytest.raises(NotUpgraded) as refused:
            await connect(f"{running.ws}/v1/realtime", [(b"authorization", b"Bearer " + secret.encode("latin-1"))])
        assert refused.value.status == 401


async def test_a_secret_is_for_its_own_model_only(tmp_path: Path, fake: RealtimeFake) -> None:
    async with gate(tmp_path, [account("a", fake)]) as running:
        secret = (await post(running, "/v1/realtime/client_secrets", {"session": BRIEF})).json()["value"]
        with pytest.raises(NotUpgraded) as refused:
            await with_secret(running, secret, "?model=openai/gpt-realtime-2")
        assert refused.value.status == 403
        socket = await with_secret(running, secret, f"?model={REALTIME}")
        await socket.close()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"expires_after": {"seconds": 9}}, "expires_after.seconds"),
        ({"expires_after": {"seconds": 7201}}, "expires_after.seconds"),
        ({"expires_after": {"anchor": "now", "seconds": 60}}, "expires_after.anchor"),
        ({"expires_after": 60}, "expires_after"),
        ({"session": "x"}, "session"),
        ({"session": {"type": "song"}}, "session.type"),
        ({"session": {"type": "realtime", "instructions": "x" * 40_000}}, "session"),
    ],
)
async def test_a_bad_wish_is_refused_by_its_name(tmp_path: Path, fake: RealtimeFake, body: Any, param: str) -> None:
    async with gate(tmp_path, [account("a", fake)]) as running:
        answer = await post(running, "/v1/realtime/client_secrets", body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("home", ["/v1", "/openai/v1"])
async def test_the_beta_s_sessions_carry_a_secret(tmp_path: Path, fake: RealtimeFake, home: str) -> None:
    async with gate(tmp_path, [account("a", fake)]) as running:
        wish = {"model": REALTIME, "instructions": "Be brief.", "modalities": ["text"], "turn_detection": None}
        made = (await post(running, f"{home}/realtime/sessions", wish)).json()
        assert (made["object"], made["model"], made["modalities"]) == ("realtime.session", REALTIME, ["text"])
        socket = await with_secret(running, made["client_secret"]["value"])
        session = (await event(socket))["session"]
        assert session["instructions"] == "Be brief."
        assert session["audio"]["input"]["turn_detection"] is None
        assert session["output_modalities"] == ["text"]
        await socket.close()


async def test_the_beta_s_transcription_sessions_carry_one_too(tmp_path: Path, fake: RealtimeFake) -> None:
    async with gate(tmp_path, [account("a", fake)]) as running:
        wish = {"input_audio_format": "g711_ulaw", "input_audio_transcription": {"model": "gpt-4o-transcribe"}}
        made = (await post(running, "/v1/realtime/transcription_sessions", wish)).json()
        assert made["object"] == "realtime.transcription_session"
        grant = await ClientSecrets(running.settings.state).read(made["client_secret"]["value"], time.time())
        assert grant is not None
        assert grant.session["type"] == "transcription"
        assert grant.session["audio"]["input"]["transcription"] == {"model": "gpt-4o-transcribe"}


async def test_every_worker_of_a_state_directory_reads_it_until_it_expires(tmp_path: Path) -> None:
    one, other = (ClientSecrets(State(dir=str(tmp_path))) for _ in range(2))
    secret = await one.make(Grant(expires=1000.0, session={"type": "realtime"}, maker="key_1"))
    assert await other.read(secret, 999.0) == Grant(expires=1000.0, session={"type": "realtime"}, maker="key_1")
    assert await other.read(secret, 1000.0) is None
    assert (tmp_path / client_secrets.FILE).stat().st_mode & 0o777 == 0o600
    assert json.dumps("key_1") not in secret


async def test_no_byte_of_it_may_be_another(tmp_path: Path) -> None:
    made = ClientSecrets(State(dir=str(tmp_path)))
    secret = await made.make(Grant(expires=1000.0, session={"instructions": "x"}))
    for at in range(3, len(secret) - 1):
        forged = secret[:at] + ("A" if secret[at] != "A" else "B") + secret[at + 1 :]
        assert await made.read(forged, 0.0) is None


async def test_nodes_that_share_a_database_share_its_key(tmp_path: Path, database: str) -> None:
    one, other = (ClientSecrets(State(dir=str(tmp_path / name), database=database)) for name in ("one", "other"))
    secret = await one.make(Grant(expires=1000.0, session={}))
    if database == "sqlite":
        assert await other.read(secret, 0.0) is None
    else:
        assert await other.read(secret, 0.0) == Grant(expires=1000.0, session={})


async def test_a_secret_made_by_who_was_signed_in_is_in_that_name(tmp_path: Path, fake: RealtimeFake) -> None:
    with Issuer() as issuer:
        access = {"mode": "keys", "oidc": {"issuer": issuer.url, "audience": "gateway"}}
        async with gate(tmp_path, [account("a", fake)], access=access) as running:
            made = await post(running, "/v1/realtime/client_secrets", {"session": BRIEF}, issuer.token(sub="ada"))
            socket = await with_secret(running, made.json()["value"])
            for _ in range(2):  # nobody asks for the token again
                await say(socket, "response.create")
                await until(socket, "response.done")
            await socket.close()
            assert [(row.key, row.key_name) for row in running.rows] == [("oidc:ada", "ada")] * 2
            refused = await post(running, "/v1/realtime/client_secrets", {"session": BRIEF}, issuer.token(aud="x"))
            assert refused.status_code == 401
