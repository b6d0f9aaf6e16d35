"""What keeps a conversation at one account, so that its provider's prompt cache stays warm.

In this order: the session that the client names (`session` of `x-dragoman-constraints` or of the body's `dragoman`, or
Codex's `session_id` header), its `prompt_cache_key`, or, where the prompt is long enough to be cached at all, the
beginning of the prompt, which stays the same from turn to turn.
"""

import re
from zlib import crc32

from msgspec import Raw

from dragoman.dialects.fields import decode
from dragoman.gateway.call import Call

_LONGEST = 128  # characters of a name that is kept as it is: many are remembered
CACHED = 4096  # bytes of a prompt from which on providers keep it (1,024 tokens)
_SESSION = re.compile(rb"(?:^|;)\s*session\s*=\s*([^;]+)")
_PROMPT = (
    "tools", "system", "instructions", "systemInstruction", "system_instruction", "messages", "input", "contents",
)  # fmt: skip


def affinity(call: Call, fields: dict[str, Raw], constraints: Raw | None) -> str | None:
    """The key of a call with these top-level fields; None: any account will do."""
    if (named := _named(call, fields, constraints)) is not None:
        return named if len(named) <= _LONGEST else f"{crc32(named.encode(errors='replace')):08x}{len(named)}"
    if len(call.body) < CACHED:
        return None
    prompt = b""
    for name in _PROMPT:
        if name in fields:
            prompt += bytes(fields[name])[: CACHED - len(prompt)]
    return f"{crc32(prompt):08x}" if len(prompt) >= CACHED else None


def _named(call: Call, fields: dict[str, Raw], constraints: Raw | None) -> str | None:
    headers = call.headers
    if (said := headers.get(b"x-dragoman-constraints")) and (found := _SESSION.search(said)):
        return found[1].strip().decode("latin-1")
    if constraints is not None:
        own = decode(constraints)
        if isinstance(own, dict) and isinstance(own.get("session"), str):
            return str(own["session"])
    if (session := headers.get(b"session_id")) is not None:
        return session.decode("latin-1")
    if (raw := fields.get("prompt_cache_key")) is not None and isinstance(key := decode(raw), str):
        return key
    return None
