"""Dragoman's own pages about decisions: explain one, look one up, say what came of one."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct

from dragoman.canon import Failed, Failure
from dragoman.config import State
from dragoman.dialects.fields import Malformed
from dragoman.gateway.decisions import think, told
from dragoman.gateway.router import Health, Router
from dragoman.routing.constraints import HEADER
from dragoman.routing.record import read

if TYPE_CHECKING:
    from dragoman.access.principal import Principal
    from dragoman.ledger.decisions import Found


class Said(Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /dragoman/v1/feedback`. One of `score`, `thumbs` and `corrected` at least. `decision` is an
    `x-dragoman-decision` or `x-request-id`."""

    decision: str
    score: Annotated[float, Meta(ge=0, le=1)] | None = None
    thumbs: str | None = None  # up | down
    corrected: str | None = None  # the model that should have answered
    source: Annotated[str, Meta(max_length=64)] = "user"

    def quality(self) -> float | None:
        """What was said as a quality, 0..1; a thumb is 1 or 0."""
        return self.score if self.score is not None else None if self.thumbs is None else float(self.thumbs == "up")


def explain(
    router: Router,
    health: Callable[[str], Health],
    body: bytes,
    headers: dict[bytes, bytes],
    query: dict[str, list[str]],
) -> bytes:
    """`POST /dragoman/v1/explain[?dialect=&model=]`, with a request as its body. Raises `Failed`."""
    header = headers.get(HEADER.encode())
    try:
        answer = think(
            router,
            body,
            now=time.time(),
            header=None if header is None else header.decode("latin-1"),
            model=query["model"][0] if "model" in query else None,
            dialect=query["dialect"][0] if "dialect" in query else None,
            health=health,
        )
    except Malformed as error:
        raise Failed(Failure(kind="bad_request", message=str(error), param=error.path or None)) from None
    return msgspec.json.encode(answer)


async def decision(state: State, wanted: str, principal: "Principal | None", everything: bool) -> bytes:
    """`GET /dragoman/v1/decisions/{id}`: for whoever made the request, or may see `everything`. Raises `Failed`."""
    found = await asyncio.to_thread(_find, state, wanted)
    mine = found is not None and principal is not None and found.row.key == principal.id
    if found is None or not (everything or mine):
        raise Failed(Failure(kind="not_found", status=404, message=f'there is no decision "{wanted}"'))
    return msgspec.json.encode(told(found))


async def decisions(state: State, query: dict[str, list[str]]) -> bytes:
    """`GET /dragoman/v1/decisions[?limit=]`: the newest of what routes chose. Raises `Failed`."""
    text = query.get("limit", ["50"])[0]
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 1000):
        raise Failed(
            Failure(kind="bad_request", message="limit: expected a whole number from 1 to 1000", param="limit")
        )
    found = await asyncio.to_thread(_recent, state, int(text))
    return msgspec.json.encode({"decisions": [told(each) for each in found]})


async def feedback(router: Router, state: State, body: bytes, principal: "Principal | None", everything: bool) -> bytes:
    """`POST /dragoman/v1/feedback`: kept in the ledger, and heard by the watch for drift. Raises `Failed`."""
    try:
        said = msgspec.json.decode(body, type=Said)
    except msgspec.DecodeError as error:
        raise Failed(Failure(kind="bad_request", message=f"feedback: {error}")) from None
    if said.thumbs not in (None, "up", "down"):
        raise Failed(Failure(kind="bad_request", message="thumbs: expected up or down", param="thumbs"))
    if said.score is None and said.thumbs is None and said.corrected is None:
        raise Failed(Failure(kind="bad_request", message="feedback: expected score (0 to 1), thumbs, or corrected"))
    found = await asyncio.to_thread(_find, state, said.decision)
    mine = found is not None and principal is not None and found.row.key == principal.id
    if found is None or not (everything or mine):
        raise Failed(Failure(kind="not_found", status=404, message=f'there is no decision "{said.decision}"'))
    await asyncio.to_thread(_keep, state, said, found, principal.id if principal else None)
    quality = said.quality()
    if found.record is not None and quality is not None:
        _tell(router, found.record, quality)
    return msgspec.json.encode({"decision": found.row.decision, "kept": True})


def _tell(router: Router, stored: str, quality: float) -> None:
    record = read(stored)
    if record.decision.order and record.case.predictor != "priors":
        chosen = record.decision.order[0]
        expected = record.case.estimates[chosen].quality
        router.scored(record.route, record.case.options[chosen].name, expected, quality)


def _find(state: State, wanted: str) -> "Found | None":
    from dragoman.ledger.decisions import find
    from dragoman.ledger.fold import fold
    from dragoman.ledger.store import Store

    fold(state)
    with Store(state) as store:
        return find(store, wanted)


def _recent(state: State, limit: int) -> "list[Found]":
    from dragoman.ledger.decisions import recent
    from dragoman.ledger.fold import fold
    from dragoman.ledger.store import Store

    fold(state)
    with Store(state) as store:
        return list(recent(store, limit=limit))


def _keep(state: State, said: Said, found: "Found", key: str | None) -> None:
    from dragoman.ledger.decisions import Feedback, say
    from dragoman.ledger.store import Store

    with Store(state) as store:
        say(
            store,
            Feedback(
                decision=str(found.row.decision),
                time=time.time(),
                key=key,
                quality=said.quality(),
                corrected=said.corrected,
                source=said.source,
            ),
        )
