"""Blind votes over HTTP, for the console: the comparisons there are, the next pair of answers without names, a vote on
it. Who gave which answer is told when a voter has voted on every pair.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct

from dragoman.canon import Failed, Failure
from dragoman.routing.blind import Better

if TYPE_CHECKING:
    from dragoman.gateway.comparing import Comparison


class Vote(Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /dragoman/v1/comparisons/{name}`. `number`: the pair's, as it was shown."""

    voter: Annotated[str, Meta(min_length=1, max_length=64)]
    number: Annotated[int, Meta(ge=0)]
    better: Better


async def every(state: Path) -> bytes:
    """`GET /dragoman/v1/comparisons`"""
    return await asyncio.to_thread(_every, state)


async def pair(state: Path, name: str, voter: str) -> bytes:
    """`GET /dragoman/v1/comparisons/{name}?voter=`: the next pair, or the result. Raises `Failed`."""
    return await asyncio.to_thread(_next, state, name, voter)


async def cast(state: Path, name: str, body: bytes) -> bytes:
    """`POST /dragoman/v1/comparisons/{name}`: keeps a vote, and answers with the next pair. Raises `Failed`."""
    try:
        said = msgspec.json.decode(body, type=Vote)
    except msgspec.DecodeError as error:
        raise _bad(f"vote: {error}") from None
    return await asyncio.to_thread(_cast, state, name, said)


def _every(state: Path) -> bytes:
    from dragoman.gateway.comparison_files import NoComparison, listed, read

    found = []
    for name, folder in listed(state).items():
        try:
            made = read(folder)
        except NoComparison:
            continue
        pairs, _ = made.ballot("")
        found.append({"name": name, "prompts": len(made.prompts), "pairs": len(pairs)})
    return msgspec.json.encode({"comparisons": found})


def _next(state: Path, name: str, voter: str) -> bytes:
    _, made = _open(state, name, voter)
    return msgspec.json.encode(_shown(made, voter))


def _cast(state: Path, name: str, said: Vote) -> bytes:
    from dragoman.gateway.comparison_files import read, report, vote

    folder, made = _open(state, name, said.voter)
    pairs, _ = made.ballot(said.voter)
    if said.number >= len(pairs):
        raise _bad(f"number: there are {len(pairs)} pairs")
    vote(folder, pairs[said.number].voted(said.voter, said.better))
    made = read(folder)
    report(folder, made)
    return msgspec.json.encode(_shown(made, said.voter))


def _open(state: Path, name: str, voter: str) -> "tuple[Path, Comparison]":
    from dragoman.gateway.comparison_files import NoComparison, listed, read

    folder = listed(state).get(name)
    if folder is None:
        raise Failed(Failure(kind="not_found", status=404, message=f'there is no comparison "{name}"'))
    try:
        made = read(folder)
    except NoComparison as error:
        raise Failed(Failure(kind="not_found", status=404, message=str(error))) from None
    if not voter or voter in made.judges:
        raise _bad("voter: a name for the report, and none of a judge's")
    return folder, made


def _shown(made: "Comparison", voter: str) -> dict[str, Any]:
    from dragoman.gateway.comparison_report import summary

    pairs, voted = made.ballot(voter)
    answer: dict[str, Any] = {"pairs": len(pairs), "voted": len(voted), "pair": None, "result": None}
    number = next((number for number in range(len(pairs)) if number not in voted), None)
    if number is None:
        told = summary(made)
        answer["result"] = {key: told[key] for key in ("verdict", "models", "judges")}
    else:
        each = pairs[number]
        answer["pair"] = {
            "number": number,
            "prompt": made.asked(each.prompt),
            "left": made.text(each.prompt, each.left),
            "right": made.text(each.prompt, each.right),
        }
    return answer


def _bad(message: str) -> Failed:
    return Failed(Failure(kind="bad_request", message=message))
