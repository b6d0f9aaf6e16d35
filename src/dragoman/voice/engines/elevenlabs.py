"""ElevenLabs: voices at `/v1/text-to-speech/{voice}/stream`, Scribe's realtime transcription over a WebSocket.

    stt = "elevenlabs/scribe_v2_realtime"
    tts = "elevenlabs/eleven_flash_v2_5"

Sources: elevenlabs.io/docs (API reference), elevenlabs 2.
"""

from __future__ import annotations

import re
from math import inf
from typing import Any
from urllib.parse import urlencode

import msgspec

from dragoman.canon import FailureKind
from dragoman.voice.engine import HEARD, SPOKEN, Words
from dragoman.voice.engines.calls import Calls
from dragoman.voice.engines.speaking import Asked, HttpSpeaker, within
from dragoman.voice.engines.streaming import SECOND, StreamingTranscriber, failed, lost
from dragoman.voice.pcm import base64_of

VOICES = {
    "sarah": "EXAVITQu4vr4xnSDxMaL",
    "george": "JBFqnCBsd6RMkjVDRZzb",
    "laura": "FGY2WhTYpPnrIDTdsKH5",
    "roger": "CwhRBWXzGAHq8TQ4Fs17",
    "charlie": "IKne3meq5aSn9XLyUdCD",
    "callum": "N2lVS1w4EtoT3dr4eOWO",
    "river": "SAz9YHcvj6GT2YYXdXww",
    "liam": "TX3LPaxmHKxFdv7VOQHJ",
    "alice": "Xb7hH8MSUJpSbSDYk0k2",
    "matilda": "XrExE9yKIg1WjnnlVkGX",
    "jessica": "cgSgspJ2msm6clMCkdW9",
    "eric": "cjVigY5qzO86Huf0OWal",
    "brian": "nPczCjzI2devNBz1zQrb",
    "daniel": "onwK4e9ZLuTAKqWW03F9",
    "lily": "pFZP5JQG7iQjIQuC4Bku",
    "bill": "pqHfZKP75CvOlQylNhV4",
    "rachel": "21m00Tcm4TlvDq8ikWAM",
}
SLOWEST, FASTEST = 0.7, 1.2
LEAST = SECOND * 3 // 10  # bytes: less than 0.3 s can't be committed
_ID = re.compile(r"[A-Za-z0-9]{20}")  # of a voice that somebody has there
_ERRORS: dict[str, FailureKind] = {
    "error": "upstream_error", "auth_error": "unauthorized", "quota_exceeded": "budget_spent",
    "rate_limited": "rate_limited", "commit_throttled": "rate_limited", "queue_overflow": "overloaded",
    "resource_exhausted": "overloaded", "unaccepted_terms": "forbidden", "unaccepted_terms_error": "forbidden",
    "transcriber_error": "upstream_error", "session_time_limit_exceeded": "upstream_error",
    "input_error": "bad_request", "invalid_request": "bad_request", "chunk_size_exceeded": "bad_request",
}  # fmt: skip


def transcriber(calls: Calls, model: str) -> StreamingTranscriber:
    def path(language: str | None) -> str:
        query = {"model_id": model, "audio_format": f"pcm_{HEARD}", "commit_strategy": "manual"}
        if language:
            query["language_code"] = language
        return f"/v1/speech-to-text/realtime?{urlencode(query)}"

    return StreamingTranscriber(calls, path, Listening)


class Listening:
    """See `Talk`. `prompt` is told as the text that came before."""

    covered = inf

    def __init__(self, prompt: str | None = None) -> None:
        self.done = False
        self._prompt = prompt
        self._committed: list[str] = []
        self._partial = ""
        self._sent = 0
        self._ended = False

    def words(self) -> Words:
        return Words(" ".join(filter(None, [*self._committed, self._partial])))

    def sound(self, pcm: bytes) -> list[str | bytes]:
        return [self._chunk(pcm)] if pcm else []

    def end(self) -> list[str | bytes]:
        self._ended = True
        padding = bytes(max(0, LEAST - self._sent))
        return [self._chunk(padding, commit=True)]

    def _chunk(self, pcm: bytes, *, commit: bool = False) -> str:
        message: dict[str, object] = {
            "message_type": "input_audio_chunk", "audio_base_64": base64_of(pcm), "commit": commit,
            "sample_rate": HEARD,
        }  # fmt: skip
        if self._prompt and not self._sent:
            message["previous_text"] = self._prompt
        self._sent += len(pcm)
        return msgspec.json.encode(message).decode()

    def read(self, message: dict[str, Any]) -> None:
        kind = message.get("message_type")
        text = str(message.get("text", "")).strip()
        if kind == "partial_transcript":
            self._partial = text
        elif kind == "committed_transcript":
            self._committed.append(text)
            self._partial = ""
            self.done = self._ended
        elif kind == "insufficient_audio_activity" and self._ended:
            self.done = True
        elif isinstance(kind, str) and kind in _ERRORS:
            raise failed(_ERRORS[kind], str(message.get("error") or kind))

    def closed(self, code: int, reason: str) -> None:
        raise lost(code, reason)


def speaker(calls: Calls, model: str) -> HttpSpeaker:
    def ask(text: str, voice: str, speed: float) -> Asked:
        body: dict[str, object] = {"text": text, "model_id": model}
        if speed != 1.0:
            body["voice_settings"] = {"speed": within(SLOWEST, speed, FASTEST)}
        path = f"/v1/text-to-speech/{VOICES.get(voice, voice)}/stream?output_format=pcm_{SPOKEN}"
        return Asked(path, body)

    return HttpSpeaker(calls, ask, tuple(VOICES), own=_ID)
