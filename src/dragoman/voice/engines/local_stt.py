"""The embedded transcriber: one Moonshine model for all sessions, each turn's words drafted while it is still spoken.

English only, whatever language is asked for.

Each pass hears all the sound there is, with the last pass's tokens as a draft, so it costs what the encoder takes and
little more. Where only silence came since the last pass, its words stand. Turns of more than `LONG` are cut at pauses,
and what lies before a cut is settled.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from dragoman.voice.engine import HEARD, Book, Token, Words
from dragoman.voice.engines import moonshine
from dragoman.voice.engines.moonshine import Moonshine
from dragoman.voice.engines.pool import Job, Once, Pool, Urgency
from dragoman.voice.pcm import floats

if TYPE_CHECKING:
    from dragoman.voice.pcm import Float32

LONG = 20 * HEARD  # samples; the model was trained on less than 30 s, and shorter parts cost words (20 s: 1.6 % wrong
# of 177 s of reading, 12 s: 3.5 %, 6 s: 4.4 %)
EARLIEST = 8 * HEARD  # samples from the start of a part to where it may be cut
PAUSE = HEARD // 5  # samples; the quietest stretch of this length is where a part is cut
BLOCK = HEARD // 50  # samples in which loudness is told
DROP = 30.0  # dB below the loudest block: no speech
NEAR, CLEAR = 8.0, 15.0  # dB above the quietest block, if that is so far below the loudest: no speech either
SILENT = -70.0  # dBFS: no speech in any case


class LocalTranscriber:
    """See `Transcriber`."""

    name = "local"
    metered = False

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._model = Once(lambda: pool.run(Urgency.NOW, _warm))

    async def ready(self) -> None:
        """Loads it. Raises `EngineError`."""
        await self._model.get()

    def begin(
        self, *, language: str | None = None, prompt: str | None = None, book: Book | None = None
    ) -> LocalUtterance:
        return LocalUtterance(self._pool, self._model)

    async def close(self) -> None:
        """The pool is closed by who made it."""


class Heard(Struct, frozen=True):
    """What a pass made of a turn. `until`: the samples it heard. `cut`: those at the start that need not be heard
    again, since their words, `settled`, stand. `tokens` and `text`: what follows. `spelt`: all of it, token by token;
    `stands`: so much of that is settled. `loudest`, `quietest`: of the blocks
    of sound, dBFS."""

    until: int = 0
    cut: int = 0
    settled: str = ""
    tokens: tuple[int, ...] = ()
    text: str = ""
    sure: float = 1.0
    loudest: float = -100.0
    quietest: float = 0.0
    spelt: tuple[Token, ...] = ()
    stands: int = 0

    def words(self) -> Words:
        return Words(f"{self.settled} {self.text}".strip(), self.sure, self.spelt)


class LocalUtterance:
    """See `Utterance`."""

    def __init__(self, pool: Pool, model: Once[Moonshine]) -> None:
        self._pool, self._model = pool, model
        self._sound = bytearray()
        self._heard = Heard()
        self._one = asyncio.Lock()
        self._job: Job[Heard] | None = None

    def feed(self, pcm: bytes) -> None:
        self._sound += pcm

    async def words(self) -> Words:
        return await self._listen(Urgency.DRAFT)

    async def finish(self) -> Words:
        if self._job is not None:
            self._pool.hasten(self._job, Urgency.NOW)
        words = await self._listen(Urgency.NOW)
        self._sound.clear()
        return words

    def drop(self) -> None:
        if self._job is not None and not self._job.result.done():
            self._job.result.set_result(self._heard)
        self._sound.clear()

    async def _listen(self, urgency: Urgency) -> Words:
        model = await self._model.get()
        async with self._one:
            if len(self._sound) // 2 > self._heard.until:
                self._job = self._pool.begin(urgency, listen, model, bytes(self._sound), self._heard)
                try:
                    heard = await self._job.result
                finally:
                    self._job = None
                del self._sound[: 2 * heard.cut]
                self._heard = replace(heard, until=heard.until - heard.cut, cut=0)
            return self._heard.words()


def listen(model: Moonshine, sound: bytes, before: Heard) -> Heard:
    """All that is said in the turn's `sound`, of whose start `before` was made. Blocks."""
    heard = floats(sound)
    levels = _levels(heard[before.until :])
    loudest = max(before.loudest, float(levels.max(initial=-100.0)))
    quietest = min(before.quietest, float(levels.min(initial=0.0)))
    known = replace(before, until=len(heard), loudest=loudest, quietest=quietest)
    if before.until and levels.max(initial=-100.0) < max(SILENT, loudest - DROP, min(quietest + NEAR, loudest - CLEAR)):
        return known
    cut, settled, draft = 0, before.settled, before.tokens
    spelt = before.spelt[: before.stands]
    while len(heard) - cut > LONG:
        part = heard[cut : cut + _quietest(heard[cut : cut + LONG])]
        written = model.transcribe(part, draft)
        settled, spelt = f"{settled} {written.text}".strip(), spelt + written.spelt
        cut, draft = cut + len(part), ()
    written = model.transcribe(heard[cut:], draft)
    return replace(
        known, cut=cut, settled=settled, tokens=written.tokens, text=written.text, sure=written.sure,
        spelt=spelt + written.spelt, stands=len(spelt),
    )  # fmt: skip


def _levels(heard: Float32) -> Float32:
    """dBFS of each block; the last, shorter one counts too."""
    import numpy as np

    blocks = np.pad(heard, (0, -len(heard) % BLOCK)).reshape(-1, BLOCK)
    levels: Float32 = 10 * np.log10(np.einsum("bs,bs->b", blocks, blocks) / BLOCK + 1e-10)
    return levels


def _quietest(heard: Float32) -> int:
    """The middle of the quietest stretch, not too near the start."""
    import numpy as np

    power = np.concatenate(([0.0], np.cumsum(heard.astype(np.float64) ** 2)))
    stretches = power[EARLIEST + PAUSE :] - power[EARLIEST:-PAUSE]
    return EARLIEST + int(stretches.argmin()) + PAUSE // 2


def _warm() -> Moonshine:
    import numpy as np

    model = moonshine.load()
    model.transcribe(np.zeros(HEARD, np.float32), (3,))
    return model
