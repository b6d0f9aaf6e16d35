"""`dragoman accounts`."""

import io
import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dragoman import config
from dragoman.accounts import overlay
from dragoman.accounts.overlay import Overlay

Run = Callable[..., Any]
KEY = "sk-0123456789abcdefghij"


@pytest.fixture
def home(home: Path) -> Path:
    """Two accounts of the config; nobody listens at its port."""
    (home / "dragoman.toml").write_text(
        f"""
[state]
dir = "state"
[server]
port = 1
[[accounts]]
name = "a"
provider = "openai"
key = "{KEY}"
base_url = "http://127.0.0.1:1/v1"
[[accounts]]
name = "b"
provider = "anthropic"
key = "{KEY}"
base_url = "http://127.0.0.1:1"
"""
    )
    return home


def accounts(home: Path) -> dict[str, config.Account]:
    found = Overlay(home / "state").lay(config.load(home / "dragoman.toml"))
    return {account.name: account for account in found.accounts}


class Gateway(ThreadingHTTPServer):
    """Answers as a gateway would, and keeps what it was asked."""

    answers: dict[tuple[str, str], tuple[int, Any]]
    asked: list[tuple[str, str, dict[str, str], bytes]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Gateway

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.asked.append((self.command, self.path, dict(self.headers), body))
        status, answer = self.server.answers.get((self.command, self.path), (404, {"error": {"message": "not here"}}))
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = _answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    server = Gateway(("127.0.0.1", 0), Handler)
    server.answers, server.asked = {}, []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


LIVE = {
    "name": "a", "state": "serving", "provider": "openai", "region": None, "weight": 1, "models": None,
    "serving": True, "in_flight": 3, "waiting": 2, "served": 11, "failed": 4, "failures": {"rate_limited": 4},
    "limits": {"in_flight": {"used": 3, "limit": 8, "source": "declared"}}, "host": "h", "host_rest": None,
    "rest": {"state": "resting", "kind": "budget_spent", "seconds": 60, "until": 1_800_000_000.0, "soft": False},
    "last_error": {"kind": "budget_spent", "message": "no credit", "at": 1_790_000_000.0}, "seats": [],
    "spent_usd": {"day": 0.5, "month": 12.0}, "budget_usd": {"day": None, "month": None},
}  # fmt: skip


def test_without_a_gateway_the_accounts_of_the_config_are_listed(home: Path, run: Run) -> None:
    status, out, _ = run("accounts", "list")
    assert status == 0 and "no gateway answers" in out and "sk-…ghij" in out and KEY not in out
    status, out, _ = run("accounts", "list", "--json")
    found = json.loads(out)
    assert (found["running"], [each["name"] for each in found["accounts"]]) == (False, ["a", "b"])
    assert KEY not in out


def test_the_bare_command_lists(home: Path, run: Run) -> None:
    status, out, _ = run("accounts")
    assert status == 0 and "anthropic" in out


def test_the_bare_command_takes_the_options_of_list(home: Path, run: Run, gateway: Gateway) -> None:
    gateway.answers["GET", "/dragoman/v1/accounts"] = 200, {"accounts": [LIVE], "waiting": 5, "workers": 1}
    status, out, _ = run("accounts", "--url", gateway.url, "--json")
    assert status == 0 and json.loads(out)["waiting"] == 5
    status, _, err = run("accounts", "--url", gateway.url, "disable", "a")
    assert status == 2 and "behind the command" in err


def test_a_running_gateway_tells_how_they_do(home: Path, run: Run, gateway: Gateway) -> None:
    gateway.answers["GET", "/dragoman/v1/accounts"] = 200, {"accounts": [LIVE], "waiting": 5, "workers": 1}
    status, out, _ = run("accounts", "list", "--url", gateway.url)
    assert status == 0
    for text in (
        "3 of 8",
        "11",
        "$0.5",
        "$12",
        "no credit",
        "all until 2027-01-15 08:00:00: budget_spent",
        "5 calls wait",
    ):
        assert text in out
    found = json.loads(run("accounts", "list", "--url", gateway.url, "--json").out)
    assert found == {"running": True, "accounts": [LIVE], "waiting": 5, "workers": 1}


def test_the_admin_key_is_sent_and_a_refusal_says_the_mend(
    home: Path, run: Run, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.answers["GET", "/dragoman/v1/accounts"] = 401, {"error": {"message": "this needs a gateway key"}}
    status, out, _ = run("accounts", "list", "--url", gateway.url)
    assert status == 0 and "this needs a gateway key" in out and "DRAGOMAN_KEY" in out and "anthropic" in out
    monkeypatch.setenv("DRAGOMAN_KEY", "dgm-admin")
    run("accounts", "list", "--url", gateway.url)
    assert [asked[2].get("x-api-key") for asked in gateway.asked] == [None, "dgm-admin"]


@pytest.mark.parametrize(("verb", "state"), [("disable", "disabled"), ("drain", "draining"), ("enable", "serving")])
def test_a_switch_holds_without_a_gateway(home: Path, run: Run, verb: str, state: str) -> None:
    status, out, _ = run("accounts", verb, "a", "--json")
    assert (status, json.loads(out)) == (0, {"name": "a", "state": state, "in_flight": None})
    assert (accounts(home)["a"].state, accounts(home)["b"].state) == (state, "serving")


def test_drain_says_how_many_calls_are_left(home: Path, run: Run, gateway: Gateway) -> None:
    gateway.answers["GET", "/dragoman/v1/accounts"] = 200, {"accounts": [LIVE], "waiting": 0, "workers": 1}
    assert "Calls under way: 3." in run("accounts", "drain", "a", "--url", gateway.url).out
    assert accounts(home)["a"].state == "draining"


class Looks:
    """A gateway that answers each look with the next of what it has under way, on a clock that only waiting moves."""

    def __init__(self, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, seen: list[dict[str, Any]], workers: int):
        self._gateway, self._seen, self._workers, self.now = gateway, iter(seen), workers, 0.0
        monkeypatch.setattr("dragoman.cli.accounts.time.monotonic", lambda: self.now)
        monkeypatch.setattr("dragoman.cli.accounts.time.sleep", self.wait)
        self.wait(0.0)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        each = LIVE | {"serving": False} | next(self._seen, {"in_flight": 0})
        self._gateway.answers["GET", "/dragoman/v1/accounts"] = (
            200,
            {"accounts": [each], "waiting": 0, "workers": self._workers},
        )


def test_drain_waits_until_no_call_is_left(
    home: Path, run: Run, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [{"in_flight": 3}, {"in_flight": 0, "serving": True}, {"in_flight": 1}, {"in_flight": 0}]
    looks = Looks(gateway, monkeypatch, seen, workers=1)
    status, out, _ = run("accounts", "drain", "a", "--wait", "--url", gateway.url)
    assert (status, looks.now) == (0, 0.75) and "No calls are under way" in out
    assert accounts(home)["a"].state == "draining"


def test_drain_waits_for_each_of_several_workers_to_say_so(
    home: Path, run: Run, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [{"in_flight": 0}] * 4 + [{"in_flight": 2}] * 4  # one that had not heard of it yet
    looks = Looks(gateway, monkeypatch, seen, workers=2)
    assert run("accounts", "drain", "a", "--wait", "--url", gateway.url).status == 0
    assert looks.now > 1.75 + 3.0


def test_drain_waits_no_longer_than_it_is_told(
    home: Path, run: Run, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    Looks(gateway, monkeypatch, [{"in_flight": 2}] * 99, workers=1)
    status, out, _ = run("accounts", "drain", "a", "--wait", "--timeout", "5", "--json", "--url", gateway.url)
    assert (status, json.loads(out)["in_flight"]) == (1, 2)


def test_an_account_is_added_rekeyed_and_removed(home: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "key").write_text("sk-from-a-file-0123456\n")
    words = ("--provider", "openai", "--key", "file:key", "--set", "weight=3", "--set", 'models=["x"]')
    assert run("accounts", "add", "c", *words, "--set", "region=eu").status == 0
    made = accounts(home)["c"]
    assert made.key == config.Secret("sk-from-a-file-0123456")
    assert (made.weight, made.models, made.region) == (3, ["x"], "eu")
    monkeypatch.setattr(sys, "stdin", io.StringIO("sk-typed-in-0123456789\n"))
    status, out, _ = run("accounts", "rekey", "c")
    assert status == 0 and "sk-typed" not in out
    assert accounts(home)["c"].key == config.Secret("sk-typed-in-0123456789")
    assert run("accounts", "rekey", "a", "--set", "rpm=7").status == 0
    assert (accounts(home)["a"].rpm, accounts(home)["a"].key) == (7, config.Secret(KEY))
    for name in ("c", "a"):
        assert run("accounts", "remove", name).status == 0
    assert list(accounts(home)) == ["b"]


def test_an_account_may_get_its_key_from_the_environment(home: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEW_KEY", "sk-of-the-environment")
    assert run("accounts", "add", "c", "--provider", "openai", "--key", "env:NEW_KEY").status == 0
    assert accounts(home)["c"].key == config.Secret("sk-of-the-environment")
    assert "sk-of-the" not in (home / "state" / overlay.FILE).read_text()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("disable", "nobody"), 1, 'there is no account "nobody": there are a, b'),
        (("remove", "nobody"), 1, "there is no account"),
        (("rekey", "nobody", "--set", "rpm=1"), 1, "there is no account"),
        (("test", "nobody"), 1, "there is no account"),
        (("add", "a", "--provider", "openai", "--key", "env:HOME"), 1, "there is an account"),
        (("add", "c", "--provider", "nobody"), 2, "no provider is named"),
        (("add", "c", "--provider", "openai"), 2, "key is required"),
        (("add", "c", "--provider", "openai", "--key", KEY), 2, "others can see a command's words"),
        (("rekey", "a", "--set", f"key={KEY}"), 2, "others can see a command's words"),
        (("add", "c d", "--provider", "openai"), 2, "expected up to 64 letters"),
        (("rekey", "a", "--set", "rpm=many"), 2, 'accounts.a: rpm: expected a whole number above 0, got "many"'),
        (("rekey", "a", "--set", "rpm"), 2, "expected KEY=VALUE"),
        (("rekey", "a", "--set", "name=b"), 2, "expected KEY=VALUE"),
    ],
)
def test_what_can_t_be_done_is_said_and_changes_nothing(
    home: Path, run: Run, words: tuple[str, ...], status: int, said: str
) -> None:
    before = accounts(home)
    got, _, err = run("accounts", *words)
    flat = " ".join(err.replace("│", " ").split())
    assert (got, said in flat) == (status, True), err
    assert KEY not in err
    assert accounts(home) == before


def test_a_test_is_made_by_the_running_gateway(home: Path, run: Run, gateway: Gateway) -> None:
    well = {"account": "a", "ok": True, "ms": 12, "by": "reply", "model": "x"}
    gateway.answers["POST", "/dragoman/v1/accounts/a/test"] = 200, well
    status, out, _ = run("accounts", "test", "a", "--model", "x", "--url", gateway.url, "--json")
    assert (status, json.loads(out)) == (0, {"tests": [well]})
    assert json.loads(gateway.asked[0][3]) == {"model": "x"}
    ill = {"account": "b", "ok": False, "ms": 1, "by": "models", "error": "unauthorized", "message": "wrong key"}
    gateway.answers["POST", "/dragoman/v1/accounts/test"] = 200, {"tests": [well, ill]}
    status, out, _ = run("accounts", "test", "--url", gateway.url)
    assert status == 1 and "unauthorized: wrong key" in out and "a reply of x" in out


def test_without_a_gateway_a_test_is_made_here(home: Path, run: Run, provider: Callable[..., Any]) -> None:
    good, other = provider("openai-chat"), provider("anthropic", keys={"sk-ant-another-key-01234"})
    text = (home / "dragoman.toml").read_text()
    text = text.replace("http://127.0.0.1:1/v1", good.base_url).replace('"http://127.0.0.1:1"', f'"{other.base_url}"')
    text = text.replace(KEY, good.key, 1)
    (home / "dragoman.toml").write_text(text)
    status, out, _ = run("accounts", "test", "--json")
    first, second = json.loads(out)["tests"]
    assert status == 1
    assert (first["account"], first["ok"], first["by"]) == ("a", True, "models")
    assert (second["account"], second["ok"], second["error"]) == ("b", False, "unauthorized")
    assert KEY not in out


def test_what_a_test_took_is_booked(home: Path, run: Run, provider: Callable[..., Any]) -> None:
    fake = provider("openai-chat")
    text = (home / "dragoman.toml").read_text().replace("http://127.0.0.1:1/v1", fake.base_url).replace(KEY, fake.key)
    (home / "dragoman.toml").write_text(text)
    assert run("accounts", "test", "a", "--model", "gpt-4o").status == 0
    (row,) = [json.loads(line) for line in run("usage", "--rows", "--json").out.splitlines()]
    assert (row["account"], row["target"], row["key"]) == ("a", "openai/gpt-4o", None)
    assert row["tokens"]["input"] > 0 and row["cost_usd"] > 0
