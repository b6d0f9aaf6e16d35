"""AssemblyAI's Universal Streaming, version 3: `wss …/v3/ws`.

    stt = "assemblyai/universal-streaming-english"

It cuts the sound into turns of its own, which are joined here. It charges for the time that a session is open.
Sources: assemblyai.com/docs (Streaming API), assemblyai 1 (`streaming/v3`).
"""

from __future__ import annotations

from math import inf
from typing import Any
from urllib.parse import urlencode

from dragoman.canon import FailureKind
from dragoman.voice.engine import HEARD, Words
from dragoman.voice.engines.calls import Calls
from dragoman.voice.engines.streaming import SECOND, StreamingTranscriber, failed, lost

LEAST, MOST = SECOND // 20, SECOND * 8 // 10  # bytes of a piece of sound: 50 ms are demanded, a second is allowed
_CLOSED: dict[int, FailureKind] = {
    1008: "unauthorized", 1013: "overloaded", 3006: "bad_request", 3009: "rate_limited", 4001: "unauthorized",
    4002: "budget_spent", 4003: "budget_spent", 4029: "rate_limited", 4101: "bad_request", 4102: "rate_limited",
}  # fmt: skip


def transcriber(calls: Calls, model: str) -> StreamingTranscriber:
    def path(language: str | None) -> str:
        query = {"sample_rate": HEARD, "encoding": "pcm_s16le", "format_turns": "true", "speech_model": model}
        if language and not model.endswith("-english"):
            query["language_codes"] = f'["{language}"]'
        return f"/v3/ws?{urlencode(query)}"

    return StreamingTranscriber(calls, path, lambda prompt: Listening())


class Listening:
    """See `Talk`."""

    covered = inf

    def __init__(self) -> None:
        self.done = False
        self._turns: dict[int, str] = {}
        self._sure: dict[int, float] = {}
        self._held = b""
        self._ended = False

    def words(self) -> Words:
        text = " ".join(filter(None, (self._turns[turn] for turn in sorted(self._turns))))
        return Words(text, min(self._sure.values(), default=None))

    def sound(self, pcm: bytes) -> list[str | bytes]:
        held = self._held + pcm
        pieces: list[str | bytes] = []
        while len(held) >= LEAST:
            pieces.append(held[:MOST])
            held = held[MOST:]
        self._held = held
        return pieces

    def end(self) -> list[str | bytes]:
        """The turn is ended, so that what has not been said of it is said, and then the session."""
        self._ended = True
        rest: list[str | bytes] = [self._held.ljust(LEAST, b"\0")] if self._held else []
        return [*rest, '{"type":"ForceEndpoint"}', '{"type":"Terminate"}']

    def read(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "Turn":
                self._turn(message)
            case "Termination":
                self.done = True
            case "Error":
                raise failed(_CLOSED.get(message.get("error_code", 0), "upstream_error"), str(message.get("error")))

    def _turn(self, message: dict[str, Any]) -> None:
        try:
            turn, words = int(message["turn_order"]), message["words"]
            heard = " ".join(str(word["text"]) for word in words)
            sure = [float(word["confidence"]) for word in words]
            text = str(message["transcript"]) if message["end_of_turn"] else heard or str(message["transcript"])
        except (KeyError, TypeError, ValueError):
            raise failed("upstream_error", "sent a turn that can't be read") from None
        self._turns[turn] = text.strip()
        if sure:
            self._sure[turn] = min(sure)

    def closed(self, code: int, reason: str) -> None:
        if code in _CLOSED:
            raise failed(_CLOSED[code], reason or f"closed with {code}")
        if not (self._ended and code == 1000):
            raise lost(code, reason)
