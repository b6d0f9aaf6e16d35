"""The embedded voice: hibari (Apache-2.0; English), whose wheel carries it. 24 kHz.

A sentence comes out of the model with a quarter of a second of silence on both sides. That is cut, since the listener
waits for what is audible, and a pause of natural length is put behind it instead, by how it ends.
"""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from dragoman.voice.engine import SPOKEN, Book, EngineError, Sound
from dragoman.voice.engines import weights
from dragoman.voice.engines.hibari_sound import Prediction
from dragoman.voice.engines.pool import Once, Pool, Urgency
from dragoman.voice.pcm import pcm_of

MODEL = "assets/hibari.onnx", "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8"
LONG, LONGEST = 48, 400  # letters
SLOWEST, FASTEST = 0.5, 2.0
HISS = 1  # seed of the noise in the voice: the same text always sounds the same
PAUSES = {".": 0.30, "!": 0.30, "?": 0.30, "…": 0.35, ":": 0.20, ";": 0.20, ",": 0.12, "—": 0.15}  # s
CLOSERS = "\"'”’)]* "


class Hibari:
    """See `Speaker`."""

    name = "local"
    voices: tuple[str, ...] = ("heart",)

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._model = Once(lambda: pool.run(Urgency.NOW, load))

    async def ready(self) -> None:
        """Loads it. Raises `EngineError`."""
        await self._model.get()

    async def say(
        self, text: str, *, voice: str | None = None, speed: float = 1.0, book: Book | None = None
    ) -> AsyncIterator[Sound]:
        model = await self._model.get()
        pace = min(FASTEST, max(SLOWEST, speed))
        urgency = Urgency.NOW
        for start, end in phrases(text, model.split_sentences(text)):
            pieces = spoken(model, text[start:end], pace)
            while (piece := await self._pool.run(urgency, next, pieces, None)) is not None:
                pcm, part = piece
                yield Sound(pcm, start + round((end - start) * part))
                urgency = Urgency.NEXT

    async def close(self) -> None:
        """The pool is closed by who made it."""


@functools.cache
def load() -> Any:
    """hibari's own object, warm. Blocks. Raises `EngineError`."""
    path = weights.find("hibari", *MODEL)
    try:
        import hibari
    except ImportError as error:
        raise EngineError(f"hibari can't be loaded ({error}): {weights.MEND}") from None
    model = hibari.Hibari(model=str(path))
    next(spoken(model, "Warm up, Dr. Smith.", 1.0))
    return model


def phrases(text: str, sentences: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Where in `text` each thing to say at once stands, with the space behind it: its `sentences`, the first of them in
    two if it is long, since nothing is heard before the whole of it was predicted; and what is no sentence any more, in
    pieces, since predicting takes room."""
    at = 0
    for sentence in sentences:
        end = _behind(text, text.index(sentence, at) + len(sentence))
        comma = _COMMA.search(text, at, end) if at == 0 and end > LONG else None
        if comma is not None:
            yield at, comma.end()
            at = comma.end()
        while end - at > LONGEST:
            space = text.rfind(" ", at, at + LONGEST)
            cut = space + 1 if space > at else at + LONGEST
            yield at, cut
            at = cut
        yield at, end
        at = end


_COMMA = re.compile(r"(?<=[^,;:—]{12}[,;:—])\s+")  # one that does not come at once


def _behind(text: str, at: int) -> int:
    return at + len(text[at:]) - len(text[at:].lstrip())


def spoken(model: Any, text: str, speed: float) -> Iterator[tuple[bytes, float]]:
    """The sound of a sentence, piece by piece, and the pause behind it; each with how much of the text is said at its
    end (0..1, as if all letters took equally long, since the model does not tell). Each piece is computed when it is
    asked for, and blocks."""
    import numpy as np

    noise = np.random.default_rng(HISS)
    parts = model.phonemize(text) if any(map(str.isalnum, text)) else []
    for before, phrase in enumerate(parts):
        ids = np.array([model.ids(phrase)], np.int64)
        outputs = model.sess.run(None, {"ids": ids, "speed": np.array([speed], np.float32)})
        for heard, part in Prediction(outputs, noise).pieces():
            yield pcm_of(heard), (before + part) / len(parts)
    pause = PAUSES.get(text.rstrip(CLOSERS)[-1:], 0.0) / speed
    if parts and pause:
        yield bytes(2 * int(pause * SPOKEN)), 1.0
