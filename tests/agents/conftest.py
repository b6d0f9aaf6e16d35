"""One gateway in front of every fake, for agents that know nothing of it."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from e2e.gateway import GatewayProcess
from fakes import Fake, start

# upstream -> (fake, provider, model)
UPSTREAMS = {
    "openai-chat": ("openai-chat", "chat", "gpt-4o-mock"),
    "openai-responses": ("openai-responses", "responses", "gpt-5-mock"),
    "openai": ("openai-chat", "openai", "gpt-5.6-sol"),  # refuses tools in Chat Completions
    "anthropic": ("anthropic", "anthropic", "claude-mock"),
    "claude": ("anthropic", "anthropic", "claude-opus-4-8"),
    "gemini": ("gemini", "gemini", "gemini-3-mock"),
    "ollama": ("ollama", "ollama", "qwen3-mock"),
}
_OTHERS = {"imitator": ("openai-chat", "openai", "gpt-5.4")}


class House:
    """The gateway and the fakes behind it, by upstream; the model named like an upstream is served there."""

    def __init__(self, fakes: dict[str, Fake], gateway: GatewayProcess) -> None:
        self.fakes, self.gateway = fakes, gateway
        self.http = gateway.http()

    def ask(self, captured: dict[str, Any], body: dict[str, Any], model: str) -> httpx.Response:
        """Sends a body as the captured request went out."""
        path = captured["path"].replace("MODEL", model)
        body = {**body, "model": model} if "model" in body else body
        headers = captured["headers"] | {"authorization": "Bearer sk-anything"}
        return self.http.request(captured["method"], path, json=body, headers=headers)


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    with ExitStack() as stack:
        fakes = {name: stack.enter_context(start(fake)) for name, (fake, _, _) in UPSTREAMS.items()}
        fakes["imitator"] = stack.enter_context(start("openai-chat", reasoning_field="reasoning_content"))
        accounts = [
            {"name": name, "provider": provider, "base_url": fakes[name].base_url, "models": [model]}
            | ({} if provider == "ollama" else {"key": fakes[name].key})
            for name, (_, provider, model) in {**UPSTREAMS, **_OTHERS}.items()
        ]
        gateway = GatewayProcess(
            providers=[
                {"name": "chat", "dialect": "openai-chat", "base_url": "http://replaced.invalid"},
                {"name": "responses", "dialect": "openai-responses", "base_url": "http://replaced.invalid"},
            ],
            accounts=accounts,
            models=[
                {"name": name, "targets": [f"{p}/{model}"]} for name, (_, p, model) in {**UPSTREAMS, **_OTHERS}.items()
            ],
        )
        yield House(fakes, stack.enter_context(gateway))


@pytest.fixture(params=UPSTREAMS)
def upstream(request: pytest.FixtureRequest, house: House) -> Iterator[str]:
    """Every upstream; its fake must come out of the test without having refused anything."""
    fake = house.fakes[request.param]
    fake.refusals.clear()
    yield request.param
    assert fake.refusals == []
    assert fake.crashes == []
