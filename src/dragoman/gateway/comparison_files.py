"""A comparison in its folder: what was asked and answered, the votes that people cast, and the report made of both.

| file | has |
|---|---|
| `comparison.json` | all that was asked, answered and judged by models |
| `votes.jsonl` | people's votes, a line each, as they come |
| `report.html`, `report.json`, `outcomes.jsonl` | made of these two, anew with every vote |

The state directory's `comparisons` has a link to each folder: by these the console finds them.
"""

import os
from pathlib import Path

import msgspec

from dragoman.gateway.comparing import Comparison
from dragoman.gateway.comparison_report import page, summary
from dragoman.routing.panel import Judged

_WHOLE, _VOTES = "comparison.json", "votes.jsonl"


class NoComparison(RuntimeError):
    """There is none in the folder, or it can't be read; the message says which."""


def check_free(folder: Path) -> None:
    """Raises `NoComparison` where a new one would leave people's votes without the answers they were cast on."""
    if (folder / _VOTES).exists():
        raise NoComparison(f"{folder} has people's votes on an earlier comparison: take another folder (--out)")


def create(folder: Path, made: Comparison, state: Path) -> None:
    """Puts a comparison into its folder, and where the console finds it. Raises `NoComparison` as `check_free`."""
    check_free(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / _WHOLE, msgspec.json.encode(made))
    links = state / "comparisons"
    links.mkdir(parents=True, exist_ok=True)
    there = folder.resolve()
    for link in links.iterdir():
        if link.is_symlink() and (link.resolve() == there or not link.exists()):
            link.unlink()
    names = (there.name if number == 1 else f"{there.name}-{number}" for number in range(1, 10_000))
    next(link for name in names if not (link := links / name).is_symlink()).symlink_to(there)


def listed(state: Path) -> dict[str, Path]:
    """The folders of all comparisons that are still there, by name."""
    links = state / "comparisons"
    return {link.name: link for link in sorted(links.glob("*")) if (link / _WHOLE).exists()} if links.exists() else {}


def read(folder: Path) -> Comparison:
    """The comparison in `folder`, people's votes included. Raises `NoComparison`."""
    try:
        made = msgspec.json.decode((folder / _WHOLE).read_bytes(), type=Comparison)
        votes = folder / _VOTES
        if votes.exists():
            made.votes = [msgspec.json.decode(line, type=Judged) for line in votes.read_bytes().splitlines()]
    except (OSError, msgspec.DecodeError) as error:
        raise NoComparison(f"{folder} is no comparison: {error}") from None
    return made


def vote(folder: Path, said: Judged) -> None:
    """Keeps a person's vote."""
    file = os.open(folder / _VOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(file, msgspec.json.encode(said) + b"\n")
    finally:
        os.close(file)


def report(folder: Path, made: Comparison) -> dict[str, object]:
    """Writes the report and the outcomes; returns the report's numbers."""
    told = summary(made)
    _replace(folder / "report.json", msgspec.json.format(msgspec.json.encode(told)))
    _replace(folder / "report.html", page(made, told).encode())
    _replace(folder / "outcomes.jsonl", b"".join(msgspec.json.encode(line) + b"\n" for line in made.outcomes()))
    return told


def _replace(path: Path, content: bytes) -> None:
    """In one step: somebody may be reading."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(content)
    fresh.replace(path)
