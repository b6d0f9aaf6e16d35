"""What the predictor sees of a prompt: its form, its meaning, and its words."""

from math import log1p
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dragoman.routing.lexicon import Lexicon
from dragoman.routing.text import normalise, words

if TYPE_CHECKING:
    from numpy.typing import NDArray

BITS = 14
BUCKETS = 2**BITS  # of hashed words and pairs of words
HEAD, TAIL = 1_500, 500  # characters of a normalised prompt that are looked at closely
_MARKS = [f" {letter}. " for letter in "abcdefghij"]
FORM = (
    "words",
    "characters",
    "digits",
    "mathematical signs",
    "signs of code",
    "options",
    "length of an option",
    "formula",
    "backslashes",
    "code",
    "question mark",
    "length of a word",
    "gap to fill",
    "negation",
    "following",
    "opens with which",
    "opens with what",
    "opens with an article",
    "condition",
    "enumeration",
    "statements",
    "all or none of them",
)
"""Names of the form's numbers, in their order."""


class Reading(NamedTuple):
    """A prompt in numbers: its form (see `FORM`), its meaning (a direction among the lexicon's dimensions), and the
    buckets into which its words and pairs of words fall."""

    form: list[float]
    meaning: "NDArray[Any]"
    buckets: "NDArray[Any]"


def read(prompt: str, lexicon: Lexicon) -> Reading:
    """All of them, in one go."""
    normal = normalise(prompt)
    seen = normal if len(normal) <= HEAD + TAIL else f"{normal[:HEAD]} {normal[-TAIL:]}"
    found = words(seen)
    numbers = np.array(lexicon.numbers(found) or [0], np.uint32)  # uint32 wraps around: that is what mixes the bits
    mixed = numbers * 0x9E3779B1
    pairs = (mixed[:-1] ^ (numbers[1:] * 0x85EBCA6B)) * 0x2545F491
    buckets = np.concatenate((mixed, pairs)) >> 32 - BITS
    total = np.ones(len(numbers), np.float32).dot(lexicon.table.take(numbers, 0, mode="clip"))  # faster than a sum
    length = float(total.dot(total)) ** 0.5
    return Reading(_form(normal, seen), total / length if length else total, buckets)


def _form(normal: str, text: str) -> list[float]:
    """The numbers named in `FORM`, of a normalised prompt and what is looked at closely of it."""
    size = len(text) + 1
    spaces = normal.count(" ")
    letters = text.encode("ascii", "ignore")
    plain = len(letters)
    options, first = _options(text)
    return [
        log1p(spaces + 1),
        log1p(len(normal) + 1),
        (plain - len(letters.translate(None, b"0123456789"))) / size,
        (plain - len(letters.translate(None, b"=+*/^<>\\$"))) / size,
        (plain - len(letters.translate(None, b"{}[]_;"))) / size,
        options,
        log1p((size - first) / options) if options else 0,
        text.count("$") > 1,
        "\\" in text,
        "def " in text or "import " in text or "```" in text,
        "?" in text,
        min(20.0, len(normal) / (spaces + 1)),
        "___" in text,
        " not " in text or " except" in text,
        "following" in text,
        text.startswith("which"),
        text.startswith("what"),
        text.startswith(("a ", "an ", "the ")),
        "if " in text,
        " ii" in text,
        "statement 1" in text or "statement i" in text,
        "none of" in text or "all of the" in text,
    ]


def _options(text: str) -> tuple[int, int]:
    """How many options the text lists ("a. … b. …"), and where they begin; a lost letter does no harm."""
    if " b. " not in text and " c. " not in text:
        return 0, -1
    places = [text.find(mark) for mark in _MARKS]
    last = max(number for number, place in enumerate(places) if place >= 0)
    return last + 1, min(place for place in places if place >= 0)
