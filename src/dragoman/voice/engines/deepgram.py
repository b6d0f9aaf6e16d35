"""Deepgram: transcription at `wss …/v1/listen`, Aura's voices at `/v1/speak`.

    stt = "deepgram/nova-3"
    tts = "deepgram/aura-2"            # or one voice of it: "deepgram/aura-2-thalia-en"

Sources: developers.deepgram.com (Live Audio, Finalize, Close Stream, Text to Speech), deepgram-sdk 7.
"""

from __future__ import annotations

import re
from math import inf
from typing import Any
from urllib.parse import urlencode

from dragoman.voice.engine import HEARD, SPOKEN, Words
from dragoman.voice.engines.calls import Calls
from dragoman.voice.engines.speaking import Asked, HttpSpeaker, within
from dragoman.voice.engines.streaming import StreamingTranscriber, failed, lost

VOICES = (
    "thalia", "andromeda", "helena", "apollo", "arcas", "aries", "asteria", "athena", "atlas", "aurora", "callista",
    "cora", "cordelia", "delia", "draco", "electra", "harmonia", "hera", "hermes", "hyperion", "iris", "janus", "juno",
    "jupiter", "luna", "mars", "minerva", "neptune", "odysseus", "ophelia", "orion", "orpheus", "pandora", "phoebe",
    "pluto", "saturn", "selene", "theia", "vesta", "zeus",
)  # fmt: skip
FIRST_VOICES = (
    "asteria", "luna", "stella", "athena", "hera", "orion", "arcas", "perseus", "angus", "orpheus", "helios", "zeus",
)  # fmt: skip
SLOWEST, FASTEST = 0.7, 1.5
_FAMILY = re.compile(r"aura(-2)?")


def transcriber(calls: Calls, model: str) -> StreamingTranscriber:
    def path(language: str | None) -> str:
        query = {
            "model": model, "encoding": "linear16", "sample_rate": HEARD, "channels": 1, "interim_results": "true",
            "punctuate": "true", "endpointing": "false",
        } | ({"language": language} if language else {})  # fmt: skip
        return f"/v1/listen?{urlencode(query)}"

    return StreamingTranscriber(calls, path, lambda prompt: Listening())


class Listening:
    """See `Talk`. Results come for one stretch of sound after the other: interim ones, then a final one."""

    def __init__(self) -> None:
        self.done = False
        self.covered = 0.0
        self._final: list[Words] = []
        self._interim = ""
        self._ended = False

    def words(self) -> Words:
        said = [words.text for words in self._final] + [self._interim]
        sure = [words.sure for words in self._final if words.sure is not None]
        return Words(" ".join(filter(None, said)), min(sure, default=None))

    def sound(self, pcm: bytes) -> list[str | bytes]:
        return [pcm] if pcm else []

    def end(self) -> list[str | bytes]:
        """`Finalize` brings the last words at once, where there are any; `CloseStream` an end in any case."""
        self._ended = True
        return ['{"type":"Finalize"}', '{"type":"CloseStream"}']

    def read(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "Results":
                self._result(message)
            case "Metadata":
                self.done = self._ended
            case "Error":
                raise failed("upstream_error", str(message.get("description") or message.get("message")))

    def _result(self, message: dict[str, Any]) -> None:
        try:
            best = message["channel"]["alternatives"][0]
            text, sure = str(best["transcript"]).strip(), float(best["confidence"])
            covered = float(message["start"]) + float(message["duration"])
        except (KeyError, IndexError, TypeError, ValueError):
            raise failed("upstream_error", "sent a result that can't be read") from None
        self.covered = max(self.covered, covered)
        self._interim = text
        if message.get("is_final"):
            self._interim = ""
            if text:
                self._final.append(Words(text, sure))
        if self._ended and message.get("from_finalize"):
            self.covered, self.done = inf, True

    def closed(self, code: int, reason: str) -> None:
        raise lost(code, reason)


def speaker(calls: Calls, model: str) -> HttpSpeaker:
    """`model`: a family of voices, or one of them."""
    family = found[0] if (found := _FAMILY.match(model)) else model
    voices = VOICES if family == "aura-2" else FIRST_VOICES
    one = model.removeprefix(family).strip("-")  # "thalia-en", or nothing

    def ask(text: str, voice: str, speed: float) -> Asked:
        query: dict[str, object] = {"model": f"{family}-{one or f'{voice}-en'}", "encoding": "linear16",
                                    "sample_rate": SPOKEN, "container": "none"}  # fmt: skip
        if speed != 1.0:
            query["speed"] = within(SLOWEST, speed, FASTEST)
        return Asked(f"/v1/speak?{urlencode(query)}", {"text": text})

    return HttpSpeaker(calls, ask, (one.partition("-")[0],) if one else voices)
