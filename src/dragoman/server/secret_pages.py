"""`POST /v1/realtime/client_secrets`, and the beta's `/realtime/sessions` and `/realtime/transcription_sessions`: gives
out a client secret for sessions of one configuration, and shows that configuration as it will hold.

Source: the types of openai (`types/realtime/client_secret_create_*`, `types/beta/realtime/*session*`).
"""

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import msgspec

from dragoman.access.client_secrets import LONGEST, MOST, SHORTEST, USUAL, ClientSecrets, Grant
from dragoman.access.principal import Principal
from dragoman.dialects.fields import Malformed, decode
from dragoman.voice.codecs import CLIENTS

JSON = dict[str, Any]
MakeSecret: TypeAlias = Callable[[bytes, Principal | None], Awaitable[JSON]]  # of a body, for whoever asks
_BETA_USUAL = 60  # seconds
_TURNS = {
    "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 200,
    "idle_timeout_ms": None, "create_response": True, "interrupt_response": True,
}  # fmt: skip
_INPUT = {
    "format": {"type": "audio/pcm", "rate": 24000}, "transcription": None, "noise_reduction": None,
    "turn_detection": _TURNS,
}  # fmt: skip
_REALTIME = {
    "output_modalities": ["audio"], "instructions": "", "tools": [], "tool_choice": "auto", "max_output_tokens": "inf",
    "tracing": None, "truncation": "auto", "prompt": None, "include": None,
    "audio": {
        "input": _INPUT, "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy", "speed": 1.0},
    },
}  # fmt: skip
_TRANSCRIPTION = {"include": None, "audio": {"input": _INPUT}}


class SecretPages:
    """The three pages; each takes the body, and who asks."""

    def __init__(self, made: ClientSecrets) -> None:
        self._made = made

    async def client_secret(self, body: bytes, principal: Principal | None) -> JSON:
        """Raises `Malformed`."""
        asked = _table(body)
        session = asked.get("session") or {}
        if not isinstance(session, dict):
            raise Malformed("session", "an object", session)
        kind = session.get("type", "realtime")
        if kind not in {"realtime", "transcription"}:
            raise Malformed("session.type", "realtime or transcription", kind)
        expires = _expiry(asked.get("expires_after"), "expires_after", USUAL)
        value = await self._seal({**session, "type": kind}, expires, principal)
        return {"value": value, "expires_at": expires, "session": _shown(session, kind)}

    async def beta_session(self, body: bytes, principal: Principal | None) -> JSON:
        """Raises `Malformed`."""
        return await self._beta(_table(body), "session.update", "realtime", principal)

    async def beta_transcription(self, body: bytes, principal: Principal | None) -> JSON:
        """Raises `Malformed`."""
        return await self._beta(_table(body), "transcription_session.update", "transcription", principal)

    async def _beta(self, asked: JSON, event: str, kind: str, principal: Principal | None) -> JSON:
        wanted = asked.pop("client_secret", None) or {}
        expires = _expiry(wanted.get("expires_after"), "client_secret.expires_after", _BETA_USUAL)
        model = asked.pop("model", None)
        said = CLIENTS["beta"](lambda name: f"{name}_0").read(msgspec.json.encode({"type": event, "session": asked}))
        session = said[0]["session"] | {"type": kind}
        if isinstance(model, str):
            session["model"] = model
        value = await self._seal(session, expires, principal)
        noun = "realtime.session" if kind == "realtime" else "realtime.transcription_session"
        head = {"id": _id(), "object": noun} | ({"model": model} if model is not None else {})
        return head | asked | {"client_secret": {"value": value, "expires_at": expires}}

    async def _seal(self, session: JSON, expires: int, principal: Principal | None) -> str:
        if len(msgspec.json.encode(session)) > MOST:
            raise Malformed("session", f"at most {MOST} bytes: the secret carries it")
        made = Grant(expires=expires, session=session)
        if principal is not None and principal.signed_in:
            made.holder = principal
        elif principal is not None:
            made.maker = principal.id
        return await self._made.make(made)


def _table(body: bytes) -> JSON:
    asked = decode(body) if body.strip() else {}
    if not isinstance(asked, dict):
        raise Malformed("", "an object", asked)
    return asked


def _expiry(after: object, where: str, usual: int) -> int:
    """Unix seconds. Raises `Malformed`."""
    seconds: object = usual
    if after is not None:
        if not isinstance(after, dict):
            raise Malformed(where, "an object", after)
        if after.get("anchor", "created_at") != "created_at":
            raise Malformed(f"{where}.anchor", "created_at", after["anchor"])
        seconds = after.get("seconds", usual)
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not SHORTEST <= seconds <= LONGEST:
        raise Malformed(f"{where}.seconds", f"a whole number from {SHORTEST} to {LONGEST}", seconds)
    return int(time.time()) + seconds


def _shown(session: JSON, kind: str) -> JSON:
    """The session as it will be: what is given, over what is usual."""
    usual = _REALTIME if kind == "realtime" else _TRANSCRIPTION
    noun = "realtime.session" if kind == "realtime" else "realtime.transcription_session"
    return {"id": _id(), "object": noun, "type": kind, "expires_at": 0} | _over(usual, session)


def _over(usual: JSON, given: JSON) -> JSON:
    """`given` over `usual`; what says its own `type` is taken whole."""
    result = dict(usual)
    for name, value in given.items():
        before = result.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            alike = value.get("type", before.get("type")) == before.get("type")
            result[name] = _over(before, value) if alike else value
        else:
            result[name] = value
    return result


def _id() -> str:
    return f"sess_{secrets.token_urlsafe(15)}"
