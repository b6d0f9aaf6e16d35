"""What Prometheus sees. Counting is plain arithmetic on the hot path; the exposition text is made at a scrape.

With several workers a scrape reaches one of them: each leaves its counts, and what it sees of the accounts, in a file
in the state directory, and whoever is asked adds them up.
"""

import contextlib
import os
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct, field

from dragoman import __version__
from dragoman.accounts.view import AccountView, merged
from dragoman.ledger.row import Row
from dragoman.server.account_metrics import account_families
from dragoman.server.voice_metrics import Stage, count, session_families, stage_families
from dragoman.voice.record import Turn
from dragoman.voice.relaying.relay import Counts as Sessions

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)  # seconds
STALE = 10.0  # seconds after which a worker's view of the accounts is one of a worker that is gone
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


class Left(Struct):
    """What a worker leaves for the others. `at`: when, Unix seconds. `waiting`: calls that wait for an account."""

    at: float
    counts: list[tuple[_Key, Counts]]
    accounts: list[AccountView]
    waiting: int
    stages: dict[str, Stage] = field(default_factory=dict)
    sessions: Sessions = field(default_factory=Sessions)


class Metrics:
    """One worker's counts."""

    def __init__(self) -> None:
        self._counts: dict[_Key, Counts] = {}
        self._stages: dict[str, Stage] = {}
        self.sessions = Sessions()
        self._known: dict[tuple[str, str | None, str | None, int, str | None], Counts] = {}  # the same, by raw values

    def observe(self, row: Row) -> None:
        """Counts one finished request."""
        key = (row.dialect, row.target, row.account, row.status, row.error)
        counts = self._known.get(key)
        if counts is None:
            counts = self._new(row)
        counts.requests += 1
        if row.input or row.output:
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
            first = row.ttft / 1000
            counts.ttft_seconds += first
            counts.ttft_count += 1
            counts.ttft_buckets[bisect_left(BUCKETS, first)] += 1

    def spoke(self, turn: Turn) -> None:
        """Counts a turn of a realtime session."""
        count(self._stages, turn)

    def _new(self, row: Row) -> Counts:
        full = len(self._counts) >= _MOST
        label = (row.dialect, row.target or "", row.account or "", str(row.status), row.error or "")
        counts = self._counts.setdefault(_OTHER if full else label, Counts())
        if not full:
            self._known[row.dialect, row.target, row.account, row.status, row.error] = counts
        return counts

    def share(self, folder: Path, accounts: list[AccountView], waiting: int, now: float) -> None:
        """Leaves this worker's counts, and what it sees at `now`, for the others."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = folder / f"{os.getpid()}.json"
        draft = file.with_suffix(".draft")
        draft.write_bytes(
            msgspec.json.encode(Left(now, list(self._counts.items()), accounts, waiting, self._stages, self.sessions))
        )
        draft.replace(file)

    def text(self, accounts: list[AccountView], waiting: int, folder: Path | None, now: float) -> bytes:
        """The exposition text, of this worker and those that left their counts in `folder`."""
        from prometheus_client.exposition import generate_latest
        from prometheus_client.registry import CollectorRegistry

        total = {key: msgspec.structs.replace(counts) for key, counts in self._counts.items()}
        others = left_by_others(folder)
        for key, counts in (each for other in others for each in other.counts):
            if key in total:
                total[key].add(counts)
            else:
                total[key] = counts
        stages = {name: msgspec.structs.replace(stage) for name, stage in self._stages.items()}
        for other in others:
            for name, stage in other.stages.items():
                stages.setdefault(name, Stage()).add(stage)
        views, waiting = together(accounts, waiting, others, now)
        registry = CollectorRegistry(auto_describe=False)
        families = [*_families(total), *account_families(views, waiting, now), *stage_families(stages)]
        families += session_families([self.sessions, *(other.sessions for other in others)])
        registry.register(_Families(families))
        return generate_latest(registry)


def left_by_others(folder: Path | None) -> list[Left]:
    """What the other workers left in `folder`, those that are gone included."""
    found = []
    for file in folder.glob("*.json") if folder is not None else ():
        if file.stem != str(os.getpid()):
            with contextlib.suppress(OSError, msgspec.DecodeError):  # a worker that has just gone
                found.append(msgspec.json.decode(file.read_bytes(), type=Left))
    return found


def together(
    accounts: list[AccountView], waiting: int, others: list[Left], now: float
) -> tuple[list[AccountView], int]:
    """What all workers see: each account of ours, and how many calls wait."""
    alive = [other for other in others if now - other.at < STALE]
    seen: dict[str, list[AccountView]] = {view.name: [view] for view in accounts}
    for view in (view for other in alive for view in other.accounts):
        if view.name in seen:
            seen[view.name].append(view)
    return [merged(views) for views in seen.values()], waiting + sum(other.waiting for other in alive)


class _Families:
    """A collector of what is known already."""

    def __init__(self, families: "list[Metric]") -> None:
        self._families = families

    def collect(self) -> "list[Metric]":
        return self._families


def _families(total: dict[_Key, Counts]) -> "Iterator[Metric]":
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
    for key, counts in total.items():
        requests.add_metric(key, counts.requests)
        money.add_metric(key, counts.cost / 1e12)
        whole.add_metric(key, _cumulative(counts.buckets), counts.seconds)
        if counts.ttft_count:
            first.add_metric(key, _cumulative(counts.ttft_buckets), counts.ttft_seconds)
        for kind in ("input", "cached", "output", "reasoning"):
            tokens.add_metric([*key, kind], getattr(counts, kind))
    yield from (build, requests, tokens, money, whole, first)


def _cumulative(buckets: list[int]) -> list[tuple[str, int]]:
    bounds = [*(f"{bound:g}" for bound in BUCKETS), "+Inf"]
    return list(zip(bounds, accumulate(buckets), strict=True))
