"""The predictor that was trained on nothing: what is declared of a model, else a table of what models are worth.

`priors.toml` is the table, made to be read and argued with.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

import msgspec
from msgspec import Struct

from dragoman.routing.estimate import UNKNOWN, Estimate, Estimates, Query
from dragoman.routing.text import normalise

_LOOKED_AT = 2000  # characters of a prompt
DECLARED_SE = 0.1
TABLE_SE = 0.15
_VERSION = re.compile(r"(?<=\d)-(?=\d(?!\d))|(?<=\d)p(?=\d)")  # claude-opus-4-5, glm-5p2
KINDS = {
    "code": re.compile(
        r"```|\bdef |\bclass |\bimport |\bfunction\b|\bpython\b|\bjavascript\b|\bsql\b|\bregex\b|\bcompile"
        r"|\btraceback"
    ),
    "math": re.compile(
        r"\\frac|\\sqrt|\$[^$]+\$|\bsolve\b|\bintegral\b|\bequation\b|\bprove\b|\bprobability\b|\d\s*[-+*/^=]\s*\d"
    ),
    "writing": re.compile(
        r"^(?:write|draft|compose|rewrite|summarise|summarize|translate)\b|\bpoem\b|\bstory\b|\bessay\b|\bemail\b"
    ),
}
"""What a question of each kind looks like, once normalised."""
# The expressions are slow beside these: they are asked only where one of these is there.
_SIGNS = {
    "code": (
        "```",
        "def ",
        "class ",
        "import ",
        "function",
        "python",
        "javascript",
        "sql",
        "regex",
        "compile",
        "trace",
    ),
    "math": ("\\", "$", "solve", "integral", "equation", "prove", "probability", *"-+*/^="),
    "writing": ("wri", "draft", "compose", "summari", "translate", "poem", "story", "essay", "email"),
}
_TAGS = {
    "code": ("code", "coding", "programming", "mbpp", "humaneval", "crux"),
    "math": ("math", "maths", "gsm8k", "physics", "engineering", "chemistry"),
    "writing": ("writing", "chat", "roleplay", "translation", "summary"),
}


class Prior(Struct, frozen=True, forbid_unknown_fields=True):
    """Quality by kind of question, for models whose name fits one of the patterns."""

    models: list[str]
    general: float
    math: float
    code: float
    writing: float


class _Table(Struct, frozen=True, forbid_unknown_fields=True):
    priors: list[Prior]


class Priors:
    """The same for every query of a kind: code, mathematics, writing, or anything else."""

    name = "priors"

    def __init__(self, declared: Mapping[str, float], makers: Mapping[str, str] | None = None) -> None:
        """`makers`: what the maker calls a model that has another name here."""
        self._makers = makers or {}
        self._declared = {model: Estimate(quality, DECLARED_SE) for model, quality in declared.items()}

    def predict(self, query: Query, models: Sequence[str]) -> Estimates:
        """What is declared, else what the table says, else 0.5 ± 0.25."""
        kind = family(query)
        makers, declared = self._makers, self._declared
        return Estimates(0.0, {model: declared.get(model) or of(makers.get(model, model), kind) for model in models})


def family(query: Query) -> str:
    """The kind of question: told by the caller's tags, else guessed from the text."""
    told = f"{query.task or ''} {query.category or ''}".lower()
    for kind, tags in _TAGS.items():
        if any(tag in told for tag in tags):
            return kind
    text = normalise(query.prompt[:_LOOKED_AT])
    there = text.__contains__
    for kind, looks in KINDS.items():
        if any(map(there, _SIGNS[kind])) and looks.search(text):
            return kind
    return "general"


@cache
def of(model: str, kind: str) -> Estimate:
    """The table's word on a model, by the name that its provider or the config gives it."""
    plain = _VERSION.sub(".", model.rpartition("/")[2].lower())
    plain = re.sub(r"^(?:[a-z]{2,9}\.)+(?=[a-z])|^meta-|^databricks-(?:meta-)?", "", plain)
    for prior in table():
        if any(fnmatchcase(plain, pattern) for pattern in prior.models):
            return Estimate(getattr(prior, kind), TABLE_SE)
    return UNKNOWN


@cache
def table() -> list[Prior]:
    """The table, in its order."""
    text = files("dragoman.routing").joinpath("priors.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _Table).priors
