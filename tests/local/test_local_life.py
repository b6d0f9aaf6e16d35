"""When the child that serves the embedded model begins and ends."""

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from dragoman import config
from dragoman.config import ConfigError
from dragoman.local.engine import Engine
from dragoman.local.model import chosen, names
from dragoman.wire.errors import ConnectFailed
from e2e.gateway import GatewayProcess
from local.processes import announced, ends, kill, memory_mb

HOME = config.Account(name="home", provider="local")
BODY = {"model": "local", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 3}
LONG = {"model": "local", "messages": [{"role": "user", "content": "Tell a long story."}], "ignore_eos": True}


def ask(gateway: GatewayProcess, **more: object) -> httpx.Response:
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=BODY | more, timeout=60)


@pytest.fixture
def fresh() -> Iterator[GatewayProcess]:
    """A gateway that a test may end as it likes."""
    with GatewayProcess(accounts=[{"name": "home", "provider": "local"}]) as running:
        yield running


def test_no_model_runs_before_it_is_asked_for_and_none_after_the_gateway_was_killed(fresh: GatewayProcess) -> None:
    assert not (fresh.state / "local").exists()
    assert memory_mb(fresh.process.pid) < 80
    assert ask(fresh).status_code == 200
    assert memory_mb(fresh.process.pid) < 80
    child = announced(fresh.state)
    assert not ends(child.pid, 0)
    fresh.kill()
    assert ends(child.pid)


def test_an_orderly_end_of_the_gateway_ends_the_model(fresh: GatewayProcess) -> None:
    assert ask(fresh).status_code == 200
    child = announced(fresh.state)
    fresh.process.send_signal(signal.SIGTERM)
    assert ends(child.pid)
    assert ends(fresh.process.pid)


def test_workers_share_one_model() -> None:
    tables = {"server": {"workers": 2}, "accounts": [{"name": "home", "provider": "local"}]}
    with GatewayProcess(**tables) as running:
        replies = [ask(running) for _ in range(6)]  # each on a new connection, which either worker may take
        assert [reply.status_code for reply in replies] == [200] * 6
        child = announced(running.state)
        running.process.send_signal(signal.SIGTERM)
        assert ends(child.pid)


def test_a_model_that_dies_in_the_middle_breaks_that_stream_and_serves_the_next_request(
    gateway: GatewayProcess,
) -> None:
    assert ask(gateway).status_code == 200
    first = announced(gateway.state)
    body = LONG | {"stream": True}
    with httpx.stream("POST", f"{gateway.url}/v1/chat/completions", json=body, timeout=60) as reply:
        lines = reply.iter_lines()
        assert next(lines).startswith("data: ")
        kill(first.pid)
        rest = [line for line in lines if line.startswith("data: ")]
    assert "[DONE]" not in rest[-1]
    assert json.loads(rest[-1].removeprefix("data: "))["error"]["message"]
    assert ask(gateway).status_code == 200
    assert announced(gateway.state).pid != first.pid


def test_a_model_that_died_between_requests_is_started_anew(gateway: GatewayProcess) -> None:
    assert ask(gateway).status_code == 200
    kill(announced(gateway.state).pid)
    assert ask(gateway).status_code == 200


def test_a_client_that_leaves_ends_the_generation(gateway: GatewayProcess) -> None:
    """Each of the four slots is taken by an endless reply whose client leaves; a fifth request finds one free."""
    for _ in range(5):
        body = LONG | {"stream": True, "max_tokens": 100_000}
        with httpx.stream("POST", f"{gateway.url}/v1/chat/completions", json=body, timeout=60) as reply:
            assert next(reply.iter_lines()).startswith("data: ")
    assert ask(gateway).status_code == 200


def test_only_the_gateway_has_the_key(gateway: GatewayProcess) -> None:
    assert ask(gateway).status_code == 200
    child = announced(gateway.state)
    assert httpx.post(f"{child.url}/chat/completions", json=BODY).status_code == 401
    assert child.url.startswith("http://127.0.0.1:")
    assert {path.stat().st_mode & 0o077 for path in (gateway.state / "local").iterdir()} == {0}
    assert child.key.encode() not in Path(f"/proc/{child.pid}/cmdline").read_bytes()


def test_two_engines_of_one_state_directory_share_a_child_and_keep_it_until_both_are_gone(tmp_path: Path) -> None:
    async def share(engines: list[Engine]) -> list[str]:
        return [(await engine.ready()).url for engine in engines]

    engines = [Engine(chosen(HOME), tmp_path), Engine(chosen(HOME), tmp_path)]
    urls = asyncio.run(share(engines))
    child = announced(tmp_path)
    assert urls == [child.url] * 2
    engines.pop()
    assert not ends(child.pid, 0)
    engines.pop()
    assert ends(child.pid)


def test_an_engine_notices_that_another_one_replaced_the_child(tmp_path: Path) -> None:
    async def replace() -> None:
        assert (await one.ready()).url == (await other.ready()).url
        kill(announced(tmp_path).pid)
        anew = await one.ready()
        assert anew.url == announced(tmp_path).url
        assert await other.ready() == anew

    one, other = Engine(chosen(HOME), tmp_path), Engine(chosen(HOME), tmp_path)
    asyncio.run(replace())


def test_a_file_that_is_no_model_is_an_error_that_names_it_and_is_not_tried_at_every_request(tmp_path: Path) -> None:
    file = tmp_path / "bad.gguf"
    file.write_bytes(b"GGUF, but for the rest")
    engine = Engine(chosen(config.Account(name="a", provider="local", gguf=str(file))), tmp_path)

    async def fail_twice() -> list[str]:
        said = []
        for _ in range(2):
            with pytest.raises(ConnectFailed) as failed:
                await engine.ready()
            said.append(str(failed.value))
            file.unlink(missing_ok=True)  # a second try would say something else
        return said

    first, second = asyncio.run(fail_twice())
    assert "bad.gguf" in first
    assert first == second


def test_a_file_that_is_not_there_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"gguf: there is no file .*/nowhere\.gguf"):
        chosen(config.Account(name="a", provider="local", gguf="nowhere.gguf"))


def test_a_file_offers_its_own_name_beside_local() -> None:
    assert names(config.Account(name="a", provider="local", gguf="/models/tiny-1b.Q4.gguf")) == ("local", "tiny-1b.Q4")


def test_another_file_is_served_under_its_name_and_its_context() -> None:
    file = str(chosen(HOME).path)
    account = {"name": "mine", "provider": "local", "gguf": file, "context_window": 512}
    with GatewayProcess(accounts=[account]) as running:
        name = Path(file).stem
        reply = ask(running, model=name)
        assert reply.json()["model"] == name
        assert reply.headers["x-dragoman-target"] == f"local/{name}"
        long = [{"role": "user", "content": "word " * 600}]
        assert ask(running, messages=long).headers["x-dragoman-error"] == "context_length"


def test_a_reply_without_a_limit_ends_all_the_same() -> None:
    """The context is where a reply ends that nothing else ends: made small here, so as not to wait for long."""
    with GatewayProcess(accounts=[{"name": "home", "provider": "local", "context_window": 256}]) as running:
        body = {"model": "local", "messages": BODY["messages"], "ignore_eos": True}
        reply = httpx.post(f"{running.url}/v1/chat/completions", json=body, timeout=60).json()
        assert reply["choices"][0]["finish_reason"] == "length"
        assert reply["usage"]["total_tokens"] <= 256
