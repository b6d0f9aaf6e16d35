"""`dragoman check`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
CONFIG = """
[[accounts]]
name = "a"
provider = "openai"
key = "env:SOME_KEY"
base_url = "https://user:hunter2@proxy.example/v1"
rpm = 5

[[models]]
name = "m"
targets = ["openai/gpt-4o", ["mine/x"]]
aliases = ["n"]

[[providers]]
name = "mine"
dialect = "openai-chat"
base_url = "http://127.0.0.1:1/v1"

[[routes]]
name = "auto"
models = ["m"]
"""


@pytest.fixture
def checked(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOME_KEY", "sk-secret-secret-a1b2")
    (home / "dragoman.toml").write_text(CONFIG)
    return home


def test_accounts_models_and_routes_are_shown_and_secrets_are_not(checked: Path, run: Run) -> None:
    for words in (("check",), ("check", "--json")):
        status, out, err = run(*words)
        assert (status, err) == (0, "")
        for shown in ("sk-…a1b2", "openai/gpt-4o", "mine/x", "auto", "proxy.example"):
            assert shown in out
        assert "secret-secret" not in out and "hunter2" not in out


def test_prices_are_shown_or_said_to_be_unknown(checked: Path, run: Run) -> None:
    assert "no price" in run("check")[1]
    targets = json.loads(run("check", "--json")[1])["models"][0]["targets"]
    assert targets[0]["price"] == {"input": 2.5, "output": 10} and targets[1]["price"] is None
    assert [target["preference"] for target in targets] == [1, 2]
    assert [target["account"] for target in targets] == [True, False]


ACCOUNT = '[[accounts]]\nname = "a"\nprovider = "openai"\nkey = "k"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[[models]]\nname = "m"\ntargets = ["nobody/x"]',
            'models[0].targets: "nobody/x": no provider is named "nobody"',
        ),
        (ACCOUNT.replace("openai", "nobody"), 'accounts[0].provider: no provider is named "nobody": declare it'),
        (ACCOUNT + '[[routes]]\nname = "r"\nmodels = ["groq/x"]', 'routes[0].models: "groq/x" is no model, and no'),
        (
            ACCOUNT + '[voice]\ntts = "deepgram/aura"',
            'voice.tts: "deepgram/aura": no account has it: add one of deepgram',
        ),
        ('[server]\ntls_cert = "no.pem"\ntls_key = "no.pem"', "server.tls_cert: can't read no.pem"),
        ('[[accounts]]\nname = "a"\nprovider = "local"\ngguf = "no.gguf"', "accounts[0].gguf: can't read no.gguf"),
    ],
)
def test_what_is_named_and_not_there_is_a_bad_config(checked: Path, run: Run, text: str, said: str) -> None:
    (checked / "dragoman.toml").write_text(text)
    for command in ("check", "serve", "explain"):
        status, out, err = run(command, *(["-"] if command == "explain" else []))
        assert (status, out) == (2, "") and f"dragoman.toml: {said}" in err


def test_a_route_may_choose_the_embedded_model(checked: Path, run: Run) -> None:
    local = '[[accounts]]\nname = "l"\nprovider = "local"\n'
    (checked / "dragoman.toml").write_text(local + '[[routes]]\nname = "r"\nmodels = ["local"]\n')
    assert json.loads(run("check", "--json")[1])["routes"][0]["models"] == ["local"]


def test_a_host_that_serve_would_refuse_is_told(checked: Path, run: Run) -> None:
    (checked / "dragoman.toml").write_text('[server]\nhost = "0.0.0.0"\n')
    assert "--insecure-open" in run("check")[1]
    status, _, err = run("serve", "--port", "99999")
    assert status == 2 and "--port" in err


def test_without_a_config_the_environment_is_what_is_checked(
    checked: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checked / "dragoman.toml").unlink()
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-0123456789abcd")
    accounts = {each["provider"]: each for each in json.loads(run("check", "--json")[1])["accounts"]}
    assert accounts["anthropic"]["key"] == "sk-…abcd"


def test_who_signs_callers_in_and_where_telemetry_goes_is_shown(checked: Path, run: Run) -> None:
    more = """
[access]
mode = "keys"
[access.oidc]
issuer = "https://login.example.com"
audience = "gateway"
[telemetry]
endpoint = "https://user:hunter2@collector.example.com"
"""
    (checked / "dragoman.toml").write_text(CONFIG + more)
    status, out, _ = run("check")
    assert status == 0
    assert "signed in by https://login.example.com" in out
    assert "telemetry goes to https://…@collector.example.com" in out
    assert "hunter2" not in out
