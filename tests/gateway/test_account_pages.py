"""`/dragoman/v1/accounts`: what an operator sees and changes, in one worker and in the next."""

import asyncio
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fake_wire import Make, Recorder, Says, World, account

from dragoman import config
from dragoman.access import keys as gateway_keys
from dragoman.access.keys import KeyBook
from dragoman.accounts import overlay
from dragoman.ledger.store import Store
from dragoman.server.app import App
from dragoman.server.http import Request
from dragoman.server.serve import Worker

SECRET = "sk-fresh-secret-0123456789"
ADMIN = "dgm-admin-0123456789"
HOME = "/dragoman/v1/accounts"


class Page(Recorder):
    extra = b""


class Operator:
    """Asks a worker's pages."""

    def __init__(self, app: App, key: str | None = None) -> None:
        self.app = app
        self.key = key

    async def ask(self, method: str, path: str, body: Any = None) -> Page:
        page = Page()
        headers = {b"host": b"127.0.0.1"} | ({b"x-api-key": self.key.encode()} if self.key else {})
        sent = b"" if body is None else json.dumps(body).encode()
        await self.app(Request(method, path, b"", headers, sent), page)  # type: ignore[arg-type]
        return page

    async def get(self, path: str = "") -> Any:
        page = await self.ask("GET", HOME + path)
        assert page.status == 200, page.body
        return page.json

    async def post(self, path: str, body: Any = None) -> Page:
        return await self.ask("POST", HOME + path, body)


def operator(there: World, key: str | None = None) -> Operator:
    return Operator(App(there.gateway, there.metrics), key)


def new(name: str = "new", **more: Any) -> dict[str, Any]:
    return {"name": name, "provider": "openai", "key": SECRET, "base_url": f"http://{name}.test/v1"} | more


@pytest.fixture
def second() -> Any:
    """Another worker of the same config and state, and what it does each second."""
    made: list[Worker] = []

    def make(there: World) -> Worker:
        made.append(Worker(there.settings, lambda: there.settings, None))
        return made[-1]

    return make


# -- what is seen -----------------------------------------------------------------------------------------------------


async def test_an_account_is_shown_with_limits_load_health_rests_and_money(world: Make) -> None:
    there = world(
        account("a", max_in_flight=7, rpm=100, weight=2, region="eu", daily_usd=5),
        price=config.Price(input=1, output=1),
    )
    there.wire.will("a", Says(), Says(429, {"error": {"message": "slow down"}}, retry_after="40"))
    await there.ask()
    await there.ask()
    pages = operator(there)
    shown = await pages.get("/a")
    assert (shown["name"], shown["state"], shown["provider"], shown["region"]) == ("a", "serving", "openai", "eu")
    assert (shown["weight"], shown["in_flight"], shown["served"], shown["failed"]) == (2, 0, 1, 1)
    assert shown["limits"]["in_flight"] == {"used": 0, "limit": 7, "source": "declared"}
    assert shown["limits"]["requests"] == {"used": 2, "limit": 100, "source": "declared"}
    assert (shown["last_error"]["kind"], shown["last_error"]["message"]) == ("rate_limited", "slow down")
    assert shown["failures"] == {"rate_limited": 1}
    (seat,) = shown["seats"]
    assert (seat["model"], seat["success"], seat["rest"]["kind"]) == ("x", 1.0, "rate_limited")
    assert {"ttft", "speed"} <= seat.keys()
    assert 30 < seat["rest"]["until"] - there.gateway.leases.now() < 50
    assert shown["spent_usd"]["day"] == shown["spent_usd"]["month"] == pytest.approx(12e-6)
    assert shown["budget_usd"] == {"day": 5, "month": None}
    every = await pages.get()
    assert [each["name"] for each in every["accounts"]] == ["a"]
    assert (every["waiting"], every["workers"]) == (0, 1)


async def test_those_who_wait_are_shown(world: Make) -> None:
    there = world(account("a", max_in_flight=1), server=config.Server(queue_seconds=30))
    there.wire.will("a", Says(hangs=True))
    tasks = [asyncio.create_task(there.ask()) for _ in range(3)]
    for _ in range(20):
        await asyncio.sleep(0)
    shown = await operator(there).get()
    assert (shown["waiting"], shown["accounts"][0]["waiting"], shown["accounts"][0]["in_flight"]) == (2, 2, 1)
    tasks[0].cancel()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nobody"), ("POST", "/nobody/disable"), ("POST", "/nobody/test"), ("PATCH", "/nobody"),
        ("DELETE", "/nobody"), ("POST", "/a/explode"), ("POST", "/disable"),
    ],
)  # fmt: skip
async def test_what_is_not_there_is_a_404(world: Make, method: str, path: str) -> None:
    page = await operator(world("a")).ask(method, HOME + path, {"weight": 1} if method == "PATCH" else None)
    assert page.status == 404


# -- what is changed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["disable", "drain"])
async def test_an_account_that_is_switched_off_gets_nothing_and_is_back_when_enabled(world: Make, verb: str) -> None:
    there = world("a", "b")
    pages = operator(there)
    said = (await pages.post(f"/a/{verb}")).json
    assert said == {"name": "a", "state": f"{verb}d".replace("draind", "draining"), "in_flight": 0}
    for _ in range(12):
        assert (await there.ask()).headers["x-dragoman-account"] == "b"
    assert (await pages.get("/a"))["state"] == said["state"]
    assert (await pages.post("/a/enable")).json["state"] == "serving"
    for _ in range(40):
        await there.ask()
    assert "a" in there.tried


async def test_when_all_are_switched_off_a_call_is_told_so(world: Make) -> None:
    there = world("a")
    await operator(there).post("/a/disable")
    out = await there.ask()
    assert out.status == 503 and b"switched off" in out.body


async def test_those_who_wait_for_an_account_that_is_switched_off_are_told_at_once(world: Make) -> None:
    there = world(account("a", max_in_flight=1), server=config.Server(queue_seconds=30))
    there.wire.will("a", Says(hangs=True))
    first, second = asyncio.create_task(there.ask()), asyncio.create_task(there.ask())
    for _ in range(20):
        await asyncio.sleep(0)
    said = (await operator(there).post("/a/drain")).json
    assert said["in_flight"] == 1
    assert (await asyncio.wait_for(second, 10)).status == 503
    first.cancel()
    await first


async def test_an_account_is_added_used_changed_and_removed(world: Make) -> None:
    there = world("a")
    pages = operator(there)
    page = await pages.post("", new(weight=1000))
    assert (page.status, page.json["name"], page.json["weight"]) == (201, "new", 1000)
    for _ in range(20):
        await there.ask()
    assert "new" in there.tried
    assert f"Bearer {SECRET}" in next(sent.headers for sent in there.wire.sent if sent.host == "new")
    assert (await pages.post("", new())).status == 409
    patched = await pages.ask("PATCH", f"{HOME}/new", {"weight": 3, "rpm": 50, "limits": {"x": {"tpm": 9}}})
    assert (patched.json["weight"], patched.json["limits"]["requests"]["limit"]) == (3, 50)
    assert patched.json["served"] == there.tried.count("new")  # it goes on as it was
    gone = await pages.ask("DELETE", f"{HOME}/new")
    assert gone.json == {"name": "new", "removed": True, "in_flight": 0}
    tried = len(there.tried)
    for _ in range(10):
        await there.ask()
    assert set(there.tried[tried:]) == {"a"}
    assert (await pages.post("", new())).status == 201  # the name is free again


async def test_an_account_of_the_config_that_is_removed_stays_out_after_a_reload(world: Make) -> None:
    there = world("a", "b")
    await operator(there).ask("DELETE", f"{HOME}/a")
    there.gateway.reload(there.settings)
    assert list(there.gateway.serving.pool.accounts) == ["b"]


async def test_a_new_key_ends_the_rest_that_the_old_one_began(world: Make) -> None:
    there = world("a")
    there.wire.will("a", Says(401, {"error": {"message": "wrong key"}}))
    assert (await there.ask()).status == 502
    assert (await there.ask()).status == 502
    assert there.tried == ["a"]
    await operator(there).ask("PATCH", f"{HOME}/a", {"key": SECRET})
    assert (await there.ask()).status == 200
    assert f"Bearer {SECRET}" in there.wire.sent[-1].headers


async def test_calls_that_wait_while_a_key_changes_go_with_the_new_one(world: Make) -> None:
    there = world(account("a", max_in_flight=1), server=config.Server(queue_seconds=30))
    there.wire.will("a", Says(hangs=True))
    first, second = asyncio.create_task(there.ask()), asyncio.create_task(there.ask())
    for _ in range(20):
        await asyncio.sleep(0)
    await operator(there).ask("PATCH", f"{HOME}/a", {"key": SECRET})
    first.cancel()
    assert (await asyncio.wait_for(second, 10)).status == 200
    assert f"Bearer {SECRET}" in there.wire.sent[-1].headers


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (new(key="env:HOME"), "key: can't be env:"),
        (new(headers={"x": "file:/etc/passwd"}), "headers.x: can't be env: or file:"),
        (new(credentials="file:/etc/passwd"), "credentials: can't be"),
        (new(gguf="/etc/passwd"), "gguf: can't be given over HTTP"),
        (new(name="a\r\nx-injected: 1"), "name: expected"),
        (new(name=7), "name: expected"),
        (new(provider="nobody"), "no provider is named"),
        (new(rpm="many"), 'rpm: expected a whole number above 0, got "many"'),
        (new(colour="red"), "colour: no such key"),
        (new(base_url="gopher://x"), "base_url: expected an http"),
        ([], "expected a JSON object"),
    ],
)
async def test_what_can_t_be_added_is_refused_and_nothing_changes(world: Make, body: Any, problem: str) -> None:
    there = world("a")
    page = await operator(there).post("", body)
    assert page.status == 400 and problem in page.json["error"]["message"], page.body
    assert list(there.gateway.serving.pool.accounts) == ["a"]
    assert not (there.settings.state.path / overlay.FILE).exists()


@pytest.mark.parametrize("body", [{"base_url": "http://evil.test"}, {"name": "b"}, {"region": "x"}, {"headers": {}}])
async def test_where_a_credential_is_sent_can_t_be_changed_over_http(world: Make, body: dict[str, Any]) -> None:
    there = world("a")
    page = await operator(there).ask("PATCH", f"{HOME}/a", body)
    assert page.status == 400 and b"can't be changed" in page.body
    await there.ask()
    assert there.tried == ["a"]


async def test_where_access_is_by_keys_only_admins_see_and_change(world: Make) -> None:
    there = world("a", access=config.Access(mode="keys", admin_key=config.Secret(ADMIN)))
    there.gateway.keys = KeyBook(there.settings.state, there.settings.access.admin_key)
    with Store(there.settings.state) as store:
        plain = gateway_keys.create(store, gateway_keys.Key(id="key_1", name="plain", created=0.0))
    await there.gateway.keys.refresh()
    asked = [
        ("GET", "", None), ("GET", "/a", None), ("POST", "", new()), ("POST", "/a/disable", None),
        ("POST", "/test", None), ("PATCH", "/a", {"weight": 2}), ("DELETE", "/a", None),
    ]  # fmt: skip
    for method, path, body in asked:
        assert (await operator(there).ask(method, HOME + path, body)).status == 401
        assert (await operator(there, plain).ask(method, HOME + path, body)).status == 403
    assert (await there.ask(key=plain)).status == 200
    assert (await operator(there, ADMIN).post("/a/disable")).status == 200
    there.gateway.keys.close()


async def test_an_open_gateway_that_others_can_reach_is_not_changed_over_http(world: Make) -> None:
    there = world("a", server=config.Server(host="0.0.0.0"))
    pages = operator(there)
    assert (await pages.post("/a/disable")).status == 403
    assert (await pages.ask("DELETE", f"{HOME}/a")).status == 403
    assert (await pages.get("/a"))["state"] == "serving"


# -- tests of accounts ------------------------------------------------------------------------------------------------


async def test_a_test_is_one_call_of_one_token_and_ends_the_rests(world: Make) -> None:
    there = world("a", price=config.Price(input=1, output=1))
    there.wire.will("a", Says(429, {"error": {"message": "no"}}, retry_after="300"))
    assert (await there.ask()).status == 429
    assert (await there.ask()).status == 429
    said = (await operator(there).post("/a/test", {"model": "x"})).json
    assert (said["account"], said["ok"], said["by"], said["model"]) == ("a", True, "reply", "x")
    sent = there.wire.sent[-1].json
    assert (sent["model"], sent["max_completion_tokens"]) == ("x", 1)
    assert (await there.ask()).status == 200
    booked = there.rows[2]
    assert (booked.account, booked.target, booked.input, booked.output) == ("a", "openai/x", 5, 7)


async def test_a_test_that_fails_says_why_without_the_key_and_changes_nothing(world: Make) -> None:
    there = world("a")
    secret = "sk-secret-of-a-0123456789"
    there.wire.will("a", Says(401, {"error": {"message": f"Incorrect API key provided: {secret}"}}))
    page = await operator(there).post("/a/test", {"model": "x"})
    assert (page.json["ok"], page.json["error"]) == (False, "unauthorized")
    assert secret.encode() not in page.body and b"Incorrect API key" in page.body
    assert not (there.settings.state.path / overlay.FILE).exists()
    assert (await there.ask()).status == 200


async def test_accounts_that_are_switched_off_can_be_tested_all_at_once(world: Make) -> None:
    there = world("a", account("b", "anthropic"), account("c", models=["other"]), targets=["openai/x", "anthropic/y"])
    pages = operator(there)
    await pages.post("/a/disable")
    there.wire.will("b", Says(500, {"error": {"message": "ill"}}))
    said = (await pages.post("/test")).json["tests"]
    assert [(each["account"], each["ok"]) for each in said] == [("a", True), ("b", False), ("c", True)]
    assert (await pages.get("/a"))["state"] == "disabled"
    said = (await pages.post("/test", {"model": "x"})).json["tests"]
    assert [each["account"] for each in said] == ["a", "b"]  # c has no such model


# -- the second worker ------------------------------------------------------------------------------------------------


Second = Callable[[World], Worker]


async def test_every_change_is_seen_by_a_second_worker(world: Make, second: Second) -> None:
    there = world("a", "b")
    worker = second(there)
    pool = lambda: worker.gateway.serving.pool.accounts  # noqa: E731
    desk = worker.gateway.leases.desk
    pages = operator(there)
    await pages.post("/a/disable")
    worker.look()
    assert (pool()["a"].spec.state, desk.accounts["a"].serving) == ("disabled", False)
    await pages.post("/a/drain")
    worker.look()
    assert pool()["a"].spec.state == "draining"
    await pages.post("/a/enable")
    worker.look()
    assert desk.accounts["a"].serving
    await pages.post("", new())
    worker.look()
    assert pool()["new"].spec.key == config.Secret(SECRET)
    await pages.ask("PATCH", f"{HOME}/a", {"key": SECRET, "weight": 5})
    worker.look()
    assert (pool()["a"].spec.key, desk.accounts["a"].spec.weight) == (config.Secret(SECRET), 5)
    await pages.ask("DELETE", f"{HOME}/b")
    worker.look()
    assert list(pool()) == ["a", "new"]


async def test_a_test_that_goes_well_ends_the_rests_at_a_second_worker(world: Make, second: Second) -> None:
    there = world("a")
    worker = second(there)
    desk, now = worker.gateway.leases.desk, worker.gateway.leases.now()
    resting = desk.accounts["a"].cooldown
    resting.failed("unauthorized", config_rule(), now, since=now, draw=0.5)
    await operator(there).post("/a/test", {"model": "x"})
    worker.look()
    assert desk.accounts["a"].cooldown.allows(now) == 2
    desk.accounts["a"].cooldown.failed("unauthorized", config_rule(), now + 1, since=now + 1, draw=0.5)
    worker.gateway.reload(worker.gateway.settings)  # the same word is not heard twice
    assert desk.accounts["a"].cooldown.allows(now + 2) == 0


def config_rule() -> Any:
    from dragoman.accounts.cooldown import RULES

    return RULES["unauthorized"]


async def test_changes_outlive_the_process(world: Make, second: Second) -> None:
    there = world("a", "b")
    pages = operator(there)
    await pages.post("/a/disable")
    await pages.post("", new())
    worker = second(there)  # as after a restart
    assert [(a.name, a.spec.state) for a in worker.gateway.serving.pool.accounts.values()] == [
        ("a", "disabled"), ("b", "serving"), ("new", "serving"),
    ]  # fmt: skip


async def test_a_spoiled_layer_is_refused_and_what_was_stays(world: Make, second: Second) -> None:
    there = world("a")
    worker = second(there)
    (there.settings.state.path / overlay.FILE).write_text("{")
    worker.look()
    assert list(worker.gateway.serving.pool.accounts) == ["a"]


async def test_whoever_is_asked_answers_for_all_workers(world: Make) -> None:
    there = world("a", server=config.Server(workers=2, queue_seconds=0))
    pages = operator(there)
    folder = there.settings.state.path / "metrics"
    there.wire.will("a", Says(), Says(500, {"error": {"message": "ill"}}))
    await there.ask()
    await there.ask()
    now = there.gateway.leases.now()
    there.metrics.share(folder, there.gateway.serving.pool.views(), 3, now)
    (folder / f"{os.getpid()}.json").rename(folder / "1.json")  # another worker, that saw just the same
    shown = await pages.get()
    (one,) = shown["accounts"]
    assert (shown["waiting"], shown["workers"], one["served"], one["failed"]) == (3, 2, 2, 2)
    text = (await pages.ask("GET", "/metrics")).body.decode()
    for line in (
        'dragoman_account_served_total{account="a"} 2.0',
        'dragoman_account_failed_total{account="a",kind="upstream_error"} 2.0',
        'dragoman_account_in_flight{account="a"} 0.0',
        'dragoman_account_serving{account="a"} 1.0',
        'dragoman_account_used{account="a",model="x",resource="requests"} 4.0',
        "dragoman_waiting 3.0",
    ):
        assert line in text.splitlines(), text
    assert 'dragoman_account_rest_seconds{account="a",kind="upstream_error",model="x"}' in text
    assert 'dragoman_account_success{account="a",model="x"} 0.8' in text
    left = msgspec.json.decode((folder / "1.json").read_bytes())
    (folder / "1.json").write_bytes(msgspec.json.encode(left | {"at": now - 3600}))  # it is gone since an hour
    shown = await pages.get()
    assert (shown["waiting"], shown["accounts"][0]["served"]) == (0, 1)


async def test_metrics_name_limits_and_where_they_come_from(world: Make) -> None:
    there = world(account("a", rpm=9, max_in_flight=4, daily_usd=2), price=config.Price(input=1, output=1))
    await there.ask()
    text = (await operator(there).ask("GET", "/metrics")).body.decode().splitlines()
    assert 'dragoman_account_limit{account="a",model="",resource="requests",source="declared"} 9.0' in text
    assert 'dragoman_account_limit{account="a",model="",resource="in_flight",source="declared"} 4.0' in text
    assert 'dragoman_account_used{account="a",model="",resource="requests"} 1.0' in text
    assert any(line.startswith('dragoman_account_spent_usd{account="a",period="day"} 1.2e-05') for line in text)


# -- pinning and priority ---------------------------------------------------------------------------------------------


async def test_an_operator_pins_a_call_to_an_account(world: Make) -> None:
    there = world("a", "b", "c")
    for _ in range(8):
        out = await there.ask(headers={b"x-dragoman-account": b"b"})
        assert out.headers["x-dragoman-account"] == "b"


async def test_a_pinned_call_goes_nowhere_else(world: Make) -> None:
    there = world("a", "b")
    there.wire.will("b", *[Says(500, {"error": {"message": "ill"}})] * 8)
    out = await there.ask(headers={b"x-dragoman-account": b"b"})
    assert out.status == 502 and set(there.tried) == {"b"}
    await operator(there).post("/b/disable")
    out = await there.ask(headers={b"x-dragoman-account": b"b"})
    assert out.status == 503 and b"(b)" in out.body


async def test_a_pin_to_an_account_that_has_no_target_of_the_model_is_refused(world: Make) -> None:
    there = world("a", account("b", "anthropic"))
    for name in (b"b", b"nobody"):
        out = await there.ask(headers={b"x-dragoman-account": name})
        assert out.status == 400 and b"x-dragoman-account" in out.body
    assert there.tried == []


async def test_where_access_is_by_keys_only_admin_keys_may_pin(world: Make) -> None:
    there = world("a", access=config.Access(mode="keys"))
    with Store(there.settings.state) as store:
        plain, admin = (
            gateway_keys.create(store, gateway_keys.Key(id=f"key_{i}", name="k", created=0.0, admin=bool(i)))
            for i in (0, 1)
        )
    await there.keys.refresh()
    pin = {b"x-dragoman-account": b"a"}
    out = await there.ask(key=plain, headers=pin)
    assert (out.status, out.headers["x-dragoman-error"]) == (403, "forbidden")
    assert (await there.ask(key=plain)).status == 200
    assert (await there.ask(key=admin, headers=pin)).status == 200


async def test_keys_of_a_lower_priority_number_are_served_first(world: Make) -> None:
    there = world(account("a", max_in_flight=1), server=config.Server(queue_seconds=30))
    with Store(there.settings.state) as store:
        made = {
            name: gateway_keys.create(store, gateway_keys.Key(id=name, name=name, created=0.0, priority=priority))
            for name, priority in (("last", 5), ("usual", 1), ("first", 0))
        }
    await there.keys.refresh()
    there.wire.will("a", Says(hangs=True))
    blocking = asyncio.create_task(there.ask())
    tasks = []
    for name in ("last", "usual", "first"):
        for _ in range(20):
            await asyncio.sleep(0)
        tasks.append(asyncio.create_task(there.ask(key=made[name])))
    for _ in range(20):
        await asyncio.sleep(0)
    blocking.cancel()
    await asyncio.gather(blocking, *tasks)
    assert [row.key for row in there.rows if row.key] == ["first", "usual", "last"]


# -- secrets ----------------------------------------------------------------------------------------------------------


async def test_a_secret_that_was_given_at_run_time_is_never_shown(
    world: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    there = world("a")
    pages = operator(there)
    old, newer = "sk-secret-of-a-0123456789", "sk-newer-secret-0123456789"
    seen = [
        await pages.post("", new()),
        await pages.post("", new()),
        await pages.post("", new(name="other", rpm="many")),
        await pages.ask("PATCH", f"{HOME}/new", {"key": newer}),
        await pages.ask("PATCH", f"{HOME}/a", {"key": newer}),
        await pages.ask("PATCH", f"{HOME}/a", {"key": 7}),
    ]
    for name, first in (("a", old), ("new", SECRET)):
        echo = Says(401, {"error": {"message": f"wrong: {first} {newer}", "code": first}})
        there.wire.will(name, echo, echo)
    seen += [await pages.post("/test", {"model": "x"}), await there.ask(), await there.ask()]
    seen += [await pages.ask("GET", path) for path in (HOME, f"{HOME}/a", f"{HOME}/new", "/metrics")]
    seen += [await pages.ask("DELETE", f"{HOME}/new")]
    written = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file() and file.name != overlay.FILE]
    shown = b"".join([*(page.head + page.body for page in seen), *written, caplog.text.encode()])
    assert b"wrong: " in shown
    assert [secret for secret in (old, newer, SECRET) if secret.encode() in shown] == []
