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


def test_a_target_of_no_provider_is_a_bad_config(checked: Path, run: Run) -> None:
    (checked / "dragoman.toml").write_text('[[models]]\nname = "m"\ntargets = ["nobody/x"]\n')
    status, out, err = run("check")
    assert (status, out) == (2, "") and "nobody" in err


def test_without_a_config_the_environment_is_what_is_checked(
    checked: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checked / "dragoman.toml").unlink()
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-0123456789abcd")
    accounts = {each["provider"]: each for each in json.loads(run("check", "--json")[1])["accounts"]}
    assert accounts["anthropic"]["key"] == "sk-…abcd"
