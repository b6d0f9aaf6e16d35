"""What words mean, in a few numbers each: a table distilled from a sentence embedding model, so that the meaning of a
prompt costs microseconds. `docs/router.md` says how it was made and under which licence.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import msgspec
from msgspec import Struct

from dragoman.routing import artifact

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHIPPED = Path(__file__).with_name("lexicon.dgm")


class Lexicon:
    """Words to numbers, numbers to vectors.

    `vectors[number]` is a word's vector, already weighted: frequent words count little. Words that are not listed have
    no vector, but a number by which they can still be told apart."""

    def __init__(self, file: artifact.File) -> None:
        about = msgspec.json.decode(file.about, type=_About)
        import numpy as np

        self.name = file.name
        self.words = _Numbers((word, number) for number, word in enumerate(about.words))
        self.dimensions: int = file.arrays["vectors"].shape[1]
        vectors = file.arrays["vectors"].astype("f4") * about.scale
        table: NDArray[Any] = np.zeros((len(about.words) + 1, self.dimensions), "f4")  # the last row: no meaning known
        table[:-1] = vectors * file.arrays["weights"].astype("f4")[:, None]
        self.table = table

    def numbers(self, words: list[str]) -> list[int]:
        """A number for each word."""
        return list(map(self.words.__getitem__, words))


class _Numbers(dict[str, int]):
    """Numbers of words; what is not listed has one above 2^31, made from its spelling, and is not kept."""

    def __missing__(self, word: str) -> int:
        return crc32(word.encode()) | 1 << 31


class _About(Struct, frozen=True, forbid_unknown_fields=True):
    words: list[str]
    scale: float
    source: str


@cache
def shipped() -> Lexicon:
    """The one that is part of the package."""
    return Lexicon(artifact.read(SHIPPED, "lexicon"))
