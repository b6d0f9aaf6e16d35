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

    `vectors[number]` is a word's vector, already weighted: frequent words count little. Words that are not listed get a
    number above the table, from their spelling; they have no vector, but can still be told apart."""

    def __init__(self, file: artifact.File) -> None:
        about = msgspec.json.decode(file.about, type=_About)
        import numpy as np

        self.name = file.name
        self.words = {word: number for number, word in enumerate(about.words)}
        self.dimensions: int = file.arrays["vectors"].shape[1]
        vectors = file.arrays["vectors"].astype("f4") * about.scale
        table: NDArray[Any] = np.zeros((len(about.words) + 1, self.dimensions), "f4")  # the last row: no meaning known
        table[:-1] = vectors * file.arrays["weights"].astype("f4")[:, None]
        self.table = table
        self.unknown = np.uint32(len(about.words))

    def numbers(self, words: list[str]) -> list[int]:
        """A number for each word."""
        known = self.words
        found = [known.get(word, -1) for word in words]
        if -1 in found:
            above = len(known)
            found = [
                number if number >= 0 else above + crc32(word.encode())
                for number, word in zip(found, words, strict=True)
            ]
        return found


class _About(Struct, frozen=True, forbid_unknown_fields=True):
    words: list[str]
    scale: float
    source: str


@cache
def shipped() -> Lexicon:
    """The one that is part of the package."""
    return Lexicon(artifact.read(SHIPPED, "lexicon"))
