"""What Prometheus sees. Counting is plain arithmetic on the hot path; the exposition text is made at a scrape.

With several workers a scrape reaches one of them: each leaves its counts in a file in the state directory, and
whoever is asked adds them up.
"""

import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct, field

from dragoman import __version__
from dragoman.accounts.account import Account
from dragoman.ledger.row import Row

BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)  # seconds
_MOST = 2000  # label sets kept; what comes after is counted together
_Key = tuple[str, str, str, str, str]  # dialect, target, account, status, error
_SUMS = ("requests", "input", "cached", "output", "reasoning", "cost", "seconds", "ttft_seconds", "ttft_count")
_OTHER: _Key = ("other", "other", "other", "", "")


class Counts(Struct):
    """The counts of one label set. Times are seconds, money pico-dollars."""

    requests: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0
    cost: int = 0
    seconds: float = 0.0
    ttft_seconds: float = 0.0
    ttft_count: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    ttft_buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))

    def add(self, other: "Counts") -> None:
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.buckets = [a + b for a, b in zip(self.buckets, other.buckets, strict=True)]
        self.ttft_buckets = [a + b for a, b in zip(self.ttft_buckets, other.ttft_buckets, strict=True)]


class Metrics:
    """One worker's counts."""

    def __init__(self) -> None:
        self._counts: dict[_Key, Counts] = {}

    def observe(self, row: Row) -> None:
        """Counts one finished request."""
        key = (row.dialect, row.target or "", row.account or "", str(row.status), row.error or "")
        counts = self._counts.get(key)
        if counts is None:
            key = key if len(self._counts) < _MOST else _OTHER
            counts = self._counts.setdefault(key, Counts())
        counts.requests += 1
        counts.input += row.input
        counts.cached += row.cached
        counts.output += row.output
        counts.reasoning += row.reasoning
        counts.cost += row.cost or 0
        seconds = (row.total or 0.0) / 1000
        counts.seconds += seconds
        counts.buckets[bisect_left(BUCKETS, seconds)] += 1
        if row.ttft is not None:
            counts.ttft_seconds += row.ttft / 1000
            counts.ttft_count += 1
            counts.ttft_buckets[bisect_left(BUCKETS, row.ttft / 1000)] += 1

    def share(self, folder: Path) -> None:
        """Leaves this worker's counts for the others."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = folder / f"{os.getpid()}.json"
        draft = file.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(list(self._counts.items())))
        draft.replace(file)

    def text(self, accounts: Iterable[Account], folder: Path | None) -> str:
        """The exposition text, of this worker and those that left their counts in `folder`."""
        merged = {key: msgspec.structs.replace(counts) for key, counts in self._counts.items()}
        for key, counts in _left_by_others(folder) if folder else ():
            if key in merged:
                merged[key].add(counts)
            else:
                merged[key] = counts
        return "".join(f"{line}\n" for line in _lines(merged, accounts))


def _left_by_others(folder: Path) -> Iterator[tuple[_Key, Counts]]:
    for file in folder.glob("*.json"):
        if file.stem != str(os.getpid()):
            try:
                yield from msgspec.json.decode(file.read_bytes(), type=list[tuple[_Key, Counts]])
            except (OSError, msgspec.DecodeError):
                continue  # a worker that has just gone


def _lines(merged: dict[_Key, Counts], accounts: Iterable[Account]) -> Iterator[str]:
    yield from _head("dragoman_build_info", "gauge", "The version that runs.")
    yield f'dragoman_build_info{{version="{__version__}"}} 1'
    labelled = [(_labels(key), counts) for key, counts in merged.items()]
    yield from _head("dragoman_requests_total", "counter", "Finished requests.")
    yield from (f"dragoman_requests_total{{{labels}}} {counts.requests}" for labels, counts in labelled)
    yield from _head("dragoman_tokens_total", "counter", "Tokens; cached is a part of input, reasoning of output.")
    for kind in ("input", "cached", "output", "reasoning"):
        for labels, counts in labelled:
            if value := getattr(counts, kind):
                yield f'dragoman_tokens_total{{{labels},kind="{kind}"}} {value}'
    yield from _head("dragoman_cost_usd_total", "counter", "What the requests cost, in US dollars.")
    yield from (f"dragoman_cost_usd_total{{{labels}}} {c.cost / 1e12:.12f}" for labels, c in labelled if c.cost)
    yield from _head("dragoman_request_seconds", "histogram", "From the request to the end of the reply.")
    for labels, c in labelled:
        yield from _histogram("dragoman_request_seconds", labels, c.buckets, c.seconds, c.requests)
    yield from _head("dragoman_first_byte_seconds", "histogram", "From the request to the first byte of a stream.")
    for labels, c in labelled:
        if c.ttft_count:
            yield from _histogram("dragoman_first_byte_seconds", labels, c.ttft_buckets, c.ttft_seconds, c.ttft_count)
    yield from _head("dragoman_account_in_flight", "gauge", "Upstream calls under way.")
    yield from (f'dragoman_account_in_flight{{account="{_escape(a.name)}"}} {a.in_flight}' for a in accounts)


def _head(name: str, kind: str, words: str) -> tuple[str, str]:
    return f"# HELP {name} {words}", f"# TYPE {name} {kind}"


def _histogram(name: str, labels: str, buckets: list[int], total: float, count: int) -> Iterator[str]:
    below = 0
    for bound, hits in zip(BUCKETS, buckets, strict=False):
        below += hits
        yield f'{name}_bucket{{{labels},le="{bound:g}"}} {below}'
    yield f'{name}_bucket{{{labels},le="+Inf"}} {count}'
    yield f"{name}_sum{{{labels}}} {total:.6f}"
    yield f"{name}_count{{{labels}}} {count}"


def _labels(key: _Key) -> str:
    names = ("dialect", "target", "account", "status", "error")
    return ",".join(f'{name}="{_escape(value)}"' for name, value in zip(names, key, strict=True))


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
