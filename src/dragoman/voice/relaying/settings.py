"""What of a session's configuration matters to who only watches it, in either version of the protocol (pure)."""

from typing import Any

from msgspec import Struct

_PCM = 48.0  # bytes a millisecond at 24 kHz
_PHONE = 8.0  # of G.711


class Settings(Struct, frozen=True):
    """`listens`: the provider tells turns by itself; `replies`: and answers them by itself. `heard`, `spoken`: bytes a
    millisecond of sound either way. `transcriber`: the model that writes down what the user says."""

    listens: bool = False
    replies: bool = False
    heard: float = _PCM
    spoken: float = _PCM
    transcriber: str | None = None


def settings(session: dict[str, Any]) -> Settings:
    """Of a `session` as `session.created` or `session.updated` shows it."""
    audio = _table(session, "audio")
    given, said = _table(audio, "input"), _table(audio, "output")
    turns = given.get("turn_detection", session.get("turn_detection"))
    listens = isinstance(turns, dict)
    transcription = _table(given, "transcription") or _table(session, "input_audio_transcription")
    model = transcription.get("model")
    return Settings(
        listens=listens,
        replies=isinstance(turns, dict)
        and turns.get("create_response") is not False
        and session.get("type") != "transcription",
        heard=_rate(given.get("format") or session.get("input_audio_format"), session),
        spoken=_rate(said.get("format") or session.get("output_audio_format"), {}),
        transcriber=model if isinstance(model, str) else None,
    )


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """`other` laid over `one`, level by level."""
    result = dict(one)
    for name, value in other.items():
        before = result.get(name)
        result[name] = merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return result


def _table(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _rate(given: object, session: dict[str, Any]) -> float:
    """Bytes a millisecond of an audio format: `audio/pcm` with its rate, `pcm16`, `pcm16_16000hz`, `g711_ulaw`, …"""
    kind = given.get("type") if isinstance(given, dict) else given
    if not isinstance(kind, str):
        return _PCM
    if kind in {"audio/pcmu", "audio/pcma"} or kind.startswith("g711"):
        return _PHONE
    rate = given.get("rate") if isinstance(given, dict) else session.get("input_audio_sampling_rate")
    for hertz in (8000, 16000):
        if kind in {f"pcm16_{hertz}hz", f"pcm16-{hertz}hz"}:
            rate = hertz
    return (rate if isinstance(rate, int) and rate > 0 else 24_000) * 2 / 1000
