"""What Prometheus sees. Counting is plain arithmetic on the hot path; the exposition text is made at a scrape.

With several workers a scrape reaches one of them: each leaves its counts in a file in the state directory, and
whoever is asked adds them up.
"""

import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct, field

from dragoman import __version__
from dragoman.accounts.view import AccountView
from dragoman.ledger.row import Row

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)  # seconds
_MOST = 2000  # label sets kept; what comes after is counted together
_Key = tuple[str, str, str, str, str]  # dialect, target, account, status, error
_LABELS = ("dialect", "target", "account", "status", "error")
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
        self._known: dict[tuple[str, str | None, str | None, int, str | None], Counts] = {}  # the same, by raw values

    def observe(self, row: Row) -> None:
        """Counts one finished request."""
        key = (row.dialect, row.target, row.account, row.status, row.error)
        counts = self._known.get(key)
        if counts is None:
            counts = self._new(row)
        counts.requests += 1
        counts.input += row.input
        counts.output += row.output
        if row.cached:
            counts.cached += row.cached
        if row.reasoning:
            counts.reasoning += row.reasoning
        if row.cost:
            counts.cost += row.cost
        seconds = (row.total or 0.0) / 1000
        counts.seconds += seconds
        counts.buckets[bisect_left(BUCKETS, seconds)] += 1
        if row.ttft is not None:
            counts.ttft_seconds += row.ttft / 1000
            counts.ttft_count += 1
            counts.ttft_buckets[bisect_left(BUCKETS, row.ttft / 1000)] += 1

    def _new(self, row: Row) -> Counts:
        full = len(self._counts) >= _MOST
        label = (row.dialect, row.target or "", row.account or "", str(row.status), row.error or "")
        counts = self._counts.setdefault(_OTHER if full else label, Counts())
        if not full:
            self._known[row.dialect, row.target, row.account, row.status, row.error] = counts
        return counts

    def share(self, folder: Path) -> None:
        """Leaves this worker's counts for the others."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = folder / f"{os.getpid()}.json"
        draft = file.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(list(self._counts.items())))
        draft.replace(file)

    def text(self, accounts: Iterable[AccountView], folder: Path | None) -> bytes:
        """The exposition text, of this worker and those that left their counts in `folder`."""
        from prometheus_client.exposition import generate_latest
        from prometheus_client.registry import CollectorRegistry

        merged = {key: msgspec.structs.replace(counts) for key, counts in self._counts.items()}
        for key, counts in _left_by_others(folder) if folder else ():
            if key in merged:
                merged[key].add(counts)
            else:
                merged[key] = counts
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Families(list(_families(merged, accounts))))
        return generate_latest(registry)


def _left_by_others(folder: Path) -> Iterator[tuple[_Key, Counts]]:
    for file in folder.glob("*.json"):
        if file.stem != str(os.getpid()):
            try:
                yield from msgspec.json.decode(file.read_bytes(), type=list[tuple[_Key, Counts]])
            except (OSError, msgspec.DecodeError):
                continue  # a worker that has just gone


class _Families:
    """A collector of what is known already."""

    def __init__(self, families: "list[Metric]") -> None:
        self._families = families

    def collect(self) -> "list[Metric]":
        return self._families


def _families(merged: dict[_Key, Counts], accounts: Iterable[AccountView]) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    build = GaugeMetricFamily("dragoman_build_info", "The version that runs.", labels=["version"])
    build.add_metric([__version__], 1)
    requests = CounterMetricFamily("dragoman_requests", "Finished requests.", labels=_LABELS)
    tokens = CounterMetricFamily(
        "dragoman_tokens", "Tokens; cached is a part of input, reasoning of output.", labels=[*_LABELS, "kind"]
    )
    money = CounterMetricFamily("dragoman_cost_usd", "What the requests cost, in US dollars.", labels=_LABELS)
    whole = HistogramMetricFamily("dragoman_request_seconds", "To the end of the reply.", labels=_LABELS)
    first = HistogramMetricFamily("dragoman_first_byte_seconds", "To the first byte of a stream.", labels=_LABELS)
    for key, counts in merged.items():
        requests.add_metric(key, counts.requests)
        money.add_metric(key, counts.cost / 1e12)
        whole.add_metric(key, _cumulative(counts.buckets), counts.seconds)
        if counts.ttft_count:
            first.add_metric(key, _cumulative(counts.ttft_buckets), counts.ttft_seconds)
        for kind in ("input", "cached", "output", "reasoning"):
            tokens.add_metric([*key, kind], getattr(counts, kind))
    busy = GaugeMetricFamily("dragoman_account_in_flight", "Upstream calls under way.", labels=["account"])
    for account in accounts:
        busy.add_metric([account.name], account.in_flight)
    yield from (build, requests, tokens, money, whole, first, busy)


def _cumulative(buckets: list[int]) -> list[tuple[str, int]]:
    bounds = [*(f"{bound:g}" for bound in BUCKETS), "+Inf"]
    return list(zip(bounds, accumulate(buckets), strict=True))
