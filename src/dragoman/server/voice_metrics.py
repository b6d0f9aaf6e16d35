"""What Prometheus sees of realtime sessions: how many there are, what became of those at providers, and how long each
stage of a pipeline's turns took."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING

from msgspec import Struct, field

from dragoman.voice.record import Turn
from dragoman.voice.relaying.relay import Counts

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

BUCKETS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 5.0)  # seconds


class Stage(Struct):
    """How often a stage came about, and how long it took."""

    count: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))

    def took(self, seconds: float) -> None:
        self.count += 1
        self.seconds += seconds
        self.buckets[bisect_left(BUCKETS, seconds)] += 1

    def add(self, other: "Stage") -> None:
        self.count += other.count
        self.seconds += other.seconds
        self.buckets = [a + b for a, b in zip(self.buckets, other.buckets, strict=True)]


def count(stages: dict[str, Stage], turn: Turn) -> None:
    """Adds a turn's stages."""
    for name, ms in turn.stages_ms().items():
        if ms is not None:
            stages.setdefault(name, Stage()).took(ms / 1000)


def stage_families(stages: Mapping[str, Stage]) -> "Iterator[Metric]":
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(
        "dragoman_voice_stage_seconds", "Stages of spoken turns, from the true end of speech on.", labels=["stage"]
    )
    for name, stage in sorted(stages.items()):
        bounds = [*(str(bound) for bound in BUCKETS), "+Inf"]
        family.add_metric([name], list(zip(bounds, accumulate(stage.buckets), strict=True)), stage.seconds)
    yield family


def session_families(workers: Iterable[Counts]) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    each = list(workers)
    yield GaugeMetricFamily(
        "dragoman_realtime_sessions", "Realtime sessions that are open.", value=sum(counts.open for counts in each)
    )
    yield CounterMetricFamily(
        "dragoman_realtime_faults",
        "Faults of the gateway's own that came up in realtime sessions: its log has each.",
        value=sum(counts.broken for counts in each),
    )
    for name, what, total in (
        ("turns", "Responses that ended in sessions at providers.", sum(counts.turns for counts in each)),
        ("lost", "Sessions at providers whose connection was lost.", sum(counts.lost for counts in each)),
        ("resumed", "Sessions that went on at another connection.", sum(counts.resumed for counts in each)),
    ):
        yield CounterMetricFamily(f"dragoman_relay_{name}", what, value=total)
