"""The ledger for programs: what `dragoman usage --json` prints and `/dragoman/v1/usage` answers."""

from typing import TYPE_CHECKING, Any

import msgspec

from dragoman.ledger.row import Row, Share

if TYPE_CHECKING:
    from dragoman.ledger.usage import Totals

PICO = 10**12
_TOKENS = ("input", "cached", "cache_write", "cache_write_1h", "output", "reasoning", "audio_input", "audio_output")
_TIMES = ("admit", "route", "queue", "upstream", "ttft", "total")


def shown(row: Row) -> dict[str, Any]:
    """A finished request for programs. Times are milliseconds, `time` is Unix seconds."""
    return {
        "request_id": row.request_id,
        "time": row.time,
        "key": row.key,
        "key_name": row.key_name,
        "dialect": row.dialect,
        "model": row.model,
        "target": row.target,
        "account": row.account,
        "decision": row.decision,
        "status": row.status,
        "error": row.error,
        "stream": row.stream,
        "attempts": row.attempts,
        "tokens": {name: getattr(row, name) for name in _TOKENS} | {"estimated": row.estimated},
        "cost_usd": None if row.cost is None else row.cost / PICO,
        "times": {name: getattr(row, name) for name in _TIMES},
        "resumed": row.resumed,
        "hedged": row.hedged,
        "shares": [_share(share) for share in row.shares],
        "lossy": row.lossy,
        "tags": row.tags,
    }


def _share(share: Share) -> dict[str, Any]:
    cost = None if share.cost is None else share.cost / PICO
    return msgspec.structs.asdict(share) | {"cost": None, "cost_usd": cost}


def summary(totals: "Totals") -> dict[str, Any]:
    """Totals for programs. `unpriced`: requests with tokens that no price is known for; they are not in `cost_usd`."""
    return {
        "requests": totals.requests,
        "errors": totals.errors,
        "cost_usd": totals.cost / PICO,
        "unpriced": totals.unpriced,
        "tokens": totals.tokens,
    }
