"""How each API says it: canon <-> JSON and stream events, both ways. One module a dialect, all of one shape. Pure.

Modules are imported when they are first asked for: a gateway that never meets Bedrock never loads it.
"""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from dragoman.dialects.dialect import Dialect, Upstream

UPSTREAM_ONLY = frozenset({"bedrock", "cohere"})
NAMES = ("openai-chat", "openai-responses", "anthropic", "gemini", "ollama", "bedrock", "cohere")


@cache
def upstream(name: str) -> "Upstream":
    """The dialect of this name, as providers speak it."""
    return cast("Upstream", import_module("dragoman.dialects." + name.replace("-", "_")))


@cache
def client(name: str) -> "Dialect":
    """The dialect of this name, as clients and providers speak it; `ollama.generate` is Ollama's older surface."""
    if name in UPSTREAM_ONLY:
        raise LookupError(f"no client surface speaks {name}")
    return cast("Dialect", import_module("dragoman.dialects." + name.replace("-", "_")))
