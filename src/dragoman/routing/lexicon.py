"""What words mean, in a few numbers each: a table distilled from a sentence embedding model, so that the meaning of a
prompt costs microseconds. `docs/router.md` says how it was made and under which licence.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import msgspec
import numpy as np
from msgspec import Struct

from dragoman.routing import artifact

if TYPE_CHECKING:
    from numpy.typing import NDArray

USUAL = 8_000  # words, the most frequent, of which misspellings are known
SHORTEST, LONGEST = 4, 16  # letters: of a word that is mended, and how many are tried
SHIPPED = Path(__file__).with_name("lexicon.dgm")


class Lexicon:
    """Words to numbers, numbers to vectors.

    `vectors[number]` is a word's vector, already weighted: frequent words count little. Words that are not listed have
    no vector, but a number by which they can still be told apart."""

    def __init__(self, file: artifact.File) -> None:
        about = msgspec.json.decode(file.about, type=_About)

        self.name = file.name
        usual = np.argsort(file.arrays["weights"].astype("f4"), kind="stable")[:USUAL]
        self.words = _Numbers(about.words, usual)
        self.dimensions: int = file.arrays["vectors"].shape[1]
        vectors = file.arrays["vectors"].astype("f4") * about.scale
        table: NDArray[Any] = np.zeros((len(about.words) + 1, self.dimensions), "f4")  # the last row: no meaning known
        table[:-1] = vectors * file.arrays["weights"].astype("f4")[:, None]
        self.table = table

    def numbers(self, words: list[str]) -> list[int]:
        """A number for each word."""
        return list(map(self.words.__getitem__, words))


class _Numbers(dict[str, int]):
    """Numbers of words. A word that is not listed has that of a listed one from which it differs by one letter (a slip
    of the finger must not change a decision), else one above 2^31, made from its spelling. It is not kept."""

    def __init__(self, words: list[str], usual: "NDArray[Any]") -> None:
        """`usual`: the numbers of the words of which misspellings are looked for."""
        super().__init__((word, number) for number, word in enumerate(words))
        self._shortened: dict[str, int] = {}
        for number in usual.tolist():
            word = words[number]
            if len(word) >= SHORTEST:
                for less in _shortened(word):
                    self._shortened.setdefault(less, number)

    def __missing__(self, word: str) -> int:
        if len(word) >= SHORTEST and word.isalpha():
            near = self._shortened
            if word in near:
                return near[word]
            for less in _shortened(word):
                if less in self:
                    return self[less]
                if less in near:
                    return near[less]
        return crc32(word.encode()) | 1 << 31


def _shortened(word: str) -> list[str]:
    """The word without each of its letters in turn."""
    return [word[:place] + word[place + 1 :] for place in range(min(len(word), LONGEST))]


class _About(Struct, frozen=True, forbid_unknown_fields=True):
    words: list[str]
    scale: float
    source: str


@cache
def shipped() -> Lexicon:
    """The one that is part of the package."""
    return Lexicon(artifact.read(SHIPPED, "lexicon"))
