"""Strict fake providers: small servers on loopback that speak a provider's API and refuse what it refuses.

    with start("anthropic") as fake:
        client = anthropic.Anthropic(base_url=fake.base_url, api_key=fake.key)
        ...
        assert fake.last.json["max_tokens"] == 100
        assert fake.refusals == []

What the model says is in `brain`, what can be made to go wrong in `scenario`. The fakes run in one thread of their
own, so they serve blocking clients as well as asyncio ones; both `with` and `async with` work.
"""

from collections.abc import Callable
from typing import Any

from .anthropic import Anthropic
from .bedrock import Bedrock
from .brain import Answer, Call, Refusal, Say, Thought, Usage
from .cohere import Cohere
from .fake import Fake
from .gemini import Gemini, Vertex
from .oauth import OAuth
from .ollama import Ollama
from .openai import Azure, OpenAI
from .scenario import Scenario, status
from .server import Request

DIALECTS: dict[str, Callable[..., Fake]] = {
    "anthropic": Anthropic,
    "azure": Azure,
    "bedrock": Bedrock,
    "cohere": Cohere,
    "gemini": Gemini,
    "oauth": OAuth,
    "ollama": Ollama,
    "openai-chat": OpenAI,
    "openai-responses": OpenAI,
    "vertex": Vertex,
}


def start(dialect: str, **options: Any) -> Any:
    """A running fake of this dialect (or `azure`, `vertex`, `oauth`).

    Stop it with `stop()`, or use it as a context manager. The return type is Any as each class has members of its own.
    """
    return DIALECTS[dialect](**options).start()


__all__ = [
    "DIALECTS",
    "Answer",
    "Anthropic",
    "Azure",
    "Bedrock",
    "Call",
    "Cohere",
    "Fake",
    "Gemini",
    "OAuth",
    "Ollama",
    "OpenAI",
    "Refusal",
    "Request",
    "Say",
    "Scenario",
    "Thought",
    "Usage",
    "Vertex",
    "start",
    "status",
]
