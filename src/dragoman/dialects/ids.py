"""Tool-call ids that a stricter dialect accepts.

A pure function of the id, so that a call and its result, and every later turn, agree without any memory.
"""

import hashlib
import re

_FOREIGN = re.compile(r"[^a-zA-Z0-9_-]")


def fit(call_id: str, limit: int = 64) -> str:
    """`call_id` itself where it has only letters, digits, `_`, `-` and at most `limit` characters; else a short id made
    from its hash."""
    if call_id and len(call_id) <= limit and not _FOREIGN.search(call_id):
        return call_id
    return "call_" + hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()[:24]
