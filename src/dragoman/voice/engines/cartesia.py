"""Cartesia's voices, at `/tts/bytes`.

    tts = "cartesia/sonic-3"

Sources: docs.cartesia.ai (API reference), cartesia 4.
"""

from __future__ import annotations

import re

from dragoman.voice.engine import SPOKEN
from dragoman.voice.engines.calls import Calls
from dragoman.voice.engines.speaking import Asked, HttpSpeaker, within

VOICES = {
    "katie": "f786b574-daa5-4673-aa0c-cbe3e8534c02",
    "kiefer": "228fca29-3a0a-435c-8728-5cb483251068",
    "tessa": "6ccbfb76-1fc6-48f7-b71d-91ac6298247b",
    "kyle": "c961b81c-a935-4c17-bfb3-ba2239de8c2f",
}
SLOWEST, FASTEST = 0.6, 1.5
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # of a voice that somebody has there
_FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": SPOKEN}


def speaker(calls: Calls, model: str) -> HttpSpeaker:
    def ask(text: str, voice: str, speed: float) -> Asked:
        body: dict[str, object] = {
            "model_id": model, "transcript": text, "voice": {"mode": "id", "id": VOICES.get(voice, voice)},
            "output_format": _FORMAT,
        }  # fmt: skip
        if speed != 1.0:
            body["generation_config"] = {"speed": within(SLOWEST, speed, FASTEST)}
        return Asked("/tts/bytes", body)

    return HttpSpeaker(calls, ask, tuple(VOICES), own=_ID)
