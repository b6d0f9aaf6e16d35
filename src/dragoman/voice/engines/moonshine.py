"""Moonshine tiny (English, MIT), as the `moonshine-voice` wheel carries it, run directly with onnxruntime.

Sound of any length goes in, without a spectrogram; a decoder writes token after token. What an earlier pass over less
of the same sound wrote is a draft: one pass of the decoder verifies all of it, and only what comes after is written
token by token.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from dragoman.voice.engine import HEARD
from dragoman.voice.engines import weights
from dragoman.voice.engines.tokens import END, START, text_of, vocabulary

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from dragoman.voice.pcm import Float32

FOLDER = "assets/tiny-en/"
ENCODER = "encoder_model.ort", "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221"
DECODER = "decoder_model_merged.ort", "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0"
TOKENS = "tokenizer.bin", "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d"

LAYERS, HEADS, WIDTH = 6, 8, 36
SHORTEST = HEARD // 4  # samples; less is padded with silence
TOKENS_A_SECOND = 6.5  # the fastest speech; the model's authors' own bound
MARGIN = 8  # tokens that are always allowed
LOOPS = 4  # a phrase that comes so often in a row is not speech


class Written(Struct, frozen=True):
    """What the decoder wrote. `sure`: the mean probability of its tokens."""

    tokens: tuple[int, ...] = ()
    text: str = ""
    sure: float = 1.0


class Moonshine:
    """The model. One is enough for all sessions; calls may overlap in several threads."""

    def __init__(self, encoder: InferenceSession, decoder: InferenceSession, entries: Sequence[bytes]) -> None:
        self._encoder, self._decoder, self._entries = encoder, decoder, entries
        caches = [f"{layer}.{side}.{part}" for layer in range(LAYERS) for side in _SIDES for part in ("key", "value")]
        self._past = [f"past_key_values.{name}" for name in caches]
        self._present = [f"present.{name}" for name in caches]
        self._growing = [name for name in caches if ".decoder." in name]

    def transcribe(self, heard: Float32, draft: Sequence[int] = ()) -> Written:
        """What is said in `heard` (-1..1). `draft`: the tokens of an earlier pass. Blocks."""
        import numpy as np

        if len(heard) < SHORTEST:
            heard = np.pad(heard, (0, SHORTEST - len(heard)))
        everywhere = np.ones((1, len(heard)), np.int64)
        (seen,) = self._encoder.run(None, {"input_values": heard[None], "attention_mask": everywhere})
        limit = int(len(heard) / HEARD * TOKENS_A_SECOND) + MARGIN
        return self._write(seen, list(draft[:limit]), limit)

    def _write(self, seen: Any, draft: list[int], limit: int) -> Written:
        import numpy as np

        given: dict[str, Any] = {
            "encoder_hidden_states": seen,
            "encoder_attention_mask": np.ones((1, 1), np.int64),  # by samples; nothing is masked
            "input_ids": np.array([[START, *draft]], np.int64),
            "use_cache_branch": np.array([False]),
        }
        given |= dict.fromkeys(self._past, np.zeros((1, HEADS, 0, WIDTH), np.float32))
        logits, *caches = self._decoder.run(["logits", *self._present], given)
        best = logits[0].argmax(-1)
        good = next((at for at, token in enumerate(draft) if best[at] != token), len(draft))
        tokens = draft[:good]
        chances = [_chance(logits[0, at], best[at]) for at in range(good + 1)]
        given |= zip(self._past, caches, strict=True)
        for name in self._growing:  # of what was refuted nothing may stay
            given[f"past_key_values.{name}"] = given[f"past_key_values.{name}"][:, :, : good + 1]
        given["use_cache_branch"] = np.array([True])
        wanted = ["logits", *(f"present.{name}" for name in self._growing)]
        token = int(best[good])
        while token != END and len(tokens) < limit and not _loops(tokens):
            tokens.append(token)
            given["input_ids"] = np.array([[token]], np.int64)
            logits, *grown = self._decoder.run(wanted, given)
            given |= {f"past_key_values.{name}": cache for name, cache in zip(self._growing, grown, strict=True)}
            token = int(logits[0, -1].argmax())
            chances.append(_chance(logits[0, -1], token))
        tokens = _without_loop(tokens)
        return Written(tuple(tokens), text_of(tokens, self._entries), float(np.mean(chances)))


_SIDES = ("decoder", "encoder")


def _chance(logits: Float32, token: int) -> float:
    import numpy as np

    return float(1 / np.exp(logits - logits[token]).sum())


def _loops(tokens: Sequence[int]) -> int:
    """The length of the phrase that `tokens` end with `LOOPS` times over; 0 if there is none."""
    for length in range(1, len(tokens) // LOOPS + 1):
        phrase = tokens[-length:]
        if all(tokens[-length * n : len(tokens) - length * (n - 1)] == phrase for n in range(2, LOOPS + 1)):
            return length
    return 0


def _without_loop(tokens: list[int]) -> list[int]:
    """A loop keeps its phrase once."""
    length = _loops(tokens)
    return tokens[: len(tokens) - length * (LOOPS - 1)] if length else tokens


@functools.cache
def load() -> Moonshine:
    """The model; sessions share it. Blocks. Raises `EngineError`."""
    encoder, decoder, tokens = (
        weights.find("moonshine_voice", FOLDER + name, sha256) for name, sha256 in (ENCODER, DECODER, TOKENS)
    )
    return Moonshine(weights.opened(encoder), weights.opened(decoder), vocabulary(tokens.read_bytes()))
