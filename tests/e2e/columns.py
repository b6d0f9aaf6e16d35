"""The upstreams: one column of the matrix each, with the fake behind it and what its API can say."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fakes import DIALECTS, Fake

JSON = Any


@dataclass(frozen=True)
class Column:
    """An upstream. `fake` names what is started and `options` how; `account` and `provider` are entries of the config.

    `thinker` is a model that thinks; `shows` says that its thinking can be seen, and `kept` finds in a request's body
    what the API wants back of it. `links`, `papers` and `stops`: it takes images by address, PDF documents, stop
    sequences. `filters`: how an answer ends that its content filter cut.
    """

    name: str
    fake: str
    model: str
    thinker: str
    options: dict[str, Any] = field(default_factory=dict)
    account: dict[str, Any] = field(default_factory=dict)
    provider: dict[str, Any] | None = None
    shows: bool = True
    kept: Callable[[JSON], bool] | None = None
    links: bool = True
    papers: bool = True
    stops: bool = True
    filters: str = "content_filter"


def _anthropic_kept(body: JSON) -> bool:
    blocks = [b for m in body["messages"] if m["role"] == "assistant" for b in m["content"]]
    return any(b["type"] == "thinking" and b["signature"] for b in blocks)


def _gemini_kept(body: JSON) -> bool:
    parts = [p for c in body["contents"] if c["role"] == "model" for p in c["parts"]]
    return any("skip_thought" not in p.get("thoughtSignature", "skip_thought") for p in parts)


def _responses_kept(body: JSON) -> bool:
    return any(item.get("encrypted_content") for item in body["input"] if item.get("type") == "reasoning")


def _bedrock_kept(body: JSON) -> bool:
    blocks = [b for m in body["messages"] if m["role"] == "assistant" for b in m["content"]]
    return any(b.get("reasoningContent", {}).get("reasoningText", {}).get("signature") for b in blocks)


_ALL = (
    Column(
        "openai-chat",
        "openai-chat",
        "gpt-4o-mock",
        "gpt-5-mock",
        provider={"name": "openai", "dialect": "openai-chat", "base_url": "http://replaced.invalid"},
        account={"provider": "openai"},
        shows=False,
    ),
    Column(
        "compatible",
        "openai-chat",
        "qwen-mock",
        "qwen-mock",
        options={
            "reasoning_field": "reasoning_content",
            "refuses": frozenset({"role:developer", "tools.strict", "content:file", "safety_identifier"}),
        },
        account={"provider": "vllm"},
        papers=False,
    ),
    Column(
        "openai-responses",
        "openai-responses",
        "gpt-4o-mock",
        "gpt-5-mock",
        provider={"name": "responses", "dialect": "openai-responses", "base_url": "http://replaced.invalid"},
        account={"provider": "responses"},
        kept=_responses_kept,
        stops=False,
    ),
    Column("anthropic", "anthropic", "claude-mock", "claude-mock", kept=_anthropic_kept),
    Column("gemini", "gemini", "gemini-3-mock", "gemini-3-mock", kept=_gemini_kept),
    Column("azure", "azure", "gpt-4o-mock", "gpt-5-mock", account={"api_version": "2026-10-01"}, shows=False),
    Column(
        "vertex",
        "vertex",
        "gemini-3-mock",
        "gemini-3-mock",
        account={"project": "p", "region": "us-central1"},
        kept=_gemini_kept,
    ),
    Column("ollama", "ollama", "llama-mock", "qwen3-mock", filters="stop", links=False, papers=False),
    Column(
        "cohere",
        "cohere",
        "command-mock",
        "command-a-reasoning-mock",
        filters="error",
        papers=False,
    ),
    Column(
        "bedrock",
        "bedrock",
        "anthropic.claude-mock",
        "anthropic.claude-mock",
        account={"region": "us-east-1"},
        kept=_bedrock_kept,
        links=False,
    ),
)
COLUMNS = {column.name: column for column in _ALL if column.fake in DIALECTS}


def decoded(fake: Fake) -> JSON:
    """The latest request's body."""
    return json.loads(fake.last.body)
