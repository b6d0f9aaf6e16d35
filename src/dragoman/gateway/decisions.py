"""Decisions for people and programs: a stored one with what came of it, and one that is only thought through."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from dragoman import dialects
from dragoman.canon import Failed, Failure
from dragoman.dialects.fields import Malformed, decode
from dragoman.gateway.router import WELL, Health, Router
from dragoman.ledger.report import shown
from dragoman.routing.constraints import AZURE, BODY, of_request
from dragoman.routing.narrate import REASONS, explained, why_nothing_fits
from dragoman.routing.needs import read_needs
from dragoman.routing.record import VERSION, Record, read, replay

if TYPE_CHECKING:
    from dragoman.ledger.decisions import Found

CLIENTS = tuple(name for name in dialects.NAMES if name not in dialects.UPSTREAM_ONLY)


def told(found: "Found") -> dict[str, Any]:
    """A decision from the ledger: the explanation, the attempts, what really happened, and what was said of it."""
    row = found.row
    answer: dict[str, Any] = {"id": row.decision, "request_id": row.request_id, "time": row.time, "model": row.model}
    if found.record is None:
        answer |= {"chosen": row.model, "reason": "direct", "why": REASONS["direct"], "candidates": []}
    else:
        answer |= _recorded(read(found.record))
    return answer | {"happened": shown(row), "feedback": [msgspec.to_builtins(each) for each in found.feedback]}


def _recorded(record: Record) -> dict[str, Any]:
    same = record.version == VERSION
    return explained(record.case, record.decision) | {
        "route": record.route,
        "features": {"digest": record.digest, "turns": record.turns, "task": record.task, "category": record.category},
        "attempts": [msgspec.to_builtins(each) for each in record.attempts],
        "notes": record.notes,
        "shadow": None if record.shadow is None else msgspec.to_builtins(record.shadow),
        "replays": same and replay(record) == record.decision,
    }


def think(
    router: Router,
    body: bytes,
    *,
    now: float,
    header: str | None = None,
    model: str | None = None,
    dialect: str | None = None,
    health: Callable[[str], Health] = lambda target: WELL,
) -> dict[str, Any]:
    """The decision for the request in `body` (of `dialect`; None: as it looks), as it would be made now, calling
    nobody. `model` goes before the body's. Raises `Malformed`, or `Failed` for a model that there is not."""
    fields = decode(body)
    if not isinstance(fields, dict):
        raise Malformed("", "a request: a JSON object", fields)
    said = of_request(header, fields.pop(BODY, None), fields.pop(AZURE, None))
    name = model or fields.get("model")
    if not isinstance(name, str) or not name:
        raise Malformed("model", "the name of a route or model", name)
    if dialect is not None and dialect not in CLIENTS:
        raise Malformed("dialect", "one of " + ", ".join(CLIENTS), dialect)
    request = dialects.client(dialect or looks_like(fields)).read_request(fields | {"model": name})
    choice = router.choose(name, read_needs(request), said, now=now, health=health)
    if choice is None:
        message = f'no model or route is named "{name}"'
        raise Failed(Failure(kind="unknown_model", status=404, message=message, param="model"))
    answer: dict[str, Any] = {"model": name} | explained(choice.case, choice.decision)
    if not choice.decision.order:
        answer["error"] = why_nothing_fits(name, choice.case)
    certificate = router.certificates.get(name)
    return answer | {"notes": choice.notes, "floor": certificate.status() if certificate else None}


def looks_like(fields: Mapping[str, Any]) -> str:
    """The dialect that a request's body is in, by the fields that only one has."""
    if "contents" in fields:
        return "gemini"
    if "input" in fields:
        return "openai-responses"
    tools = fields.get("tools")
    anthropic = isinstance(tools, list) and any(isinstance(tool, dict) and "input_schema" in tool for tool in tools)
    return "anthropic" if anthropic or "system" in fields else "openai-chat"
