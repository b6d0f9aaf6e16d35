"""How fast targets are: decaying quantiles of this gateway's own traffic, with priors where there is none yet.

Samples go into buckets of 12 % width, so a quantile is right to 6 %. Each counts half after `HALF_LIFE`: instead of
shrinking all old ones with time, new ones weigh more (forward decay: Cormode et al., ICDE 2009).

A target that answered well under `MEASURED` samples' worth lately is not measured: its prior stands in, which never
rules it out. So one that was slow, and got no traffic for it, is tried again after some half-lives.
"""

import math

from msgspec import Struct

HALF_LIFE = 600.0  # seconds
MEASURED = 2.5  # samples, as decayed, from which on a target counts as measured
PRIOR_TTFT = 900.0  # ms, where neither traffic nor the config says more
PRIOR_SPEED = 60.0  # tokens a second
PRIOR_OUTPUT = 350.0  # tokens
_RATIO = math.log(1.12)
_BUCKETS = 160  # the last begins at 1.12^159, 67 million
_RESCALE = 2.0**40  # weights are brought back to 1 beyond that
_MOST_TARGETS = 4096


class Pace(Struct, frozen=True, array_like=True, gc=False):
    """What is expected of a target: ms until the first content, tokens a second after that, tokens in an answer.

    `late` is the first content's time in the slower quarter of cases, `slow` the speed in it; hard limits go by them,
    and only where `measured`. `output_tokens` is None where there was no traffic. Of answers that are not streamed only
    the end is seen: `whole_ms`, and `late_whole_ms` in the slower quarter; None where there were none."""

    ttft_ms: float = PRIOR_TTFT
    speed: float = PRIOR_SPEED
    late_ms: float = PRIOR_TTFT
    slow: float = PRIOR_SPEED
    measured: bool = False
    output_tokens: float | None = None
    whole_ms: float | None = None
    late_whole_ms: float | None = None


class Histogram:
    """Decaying quantiles of positive numbers."""

    __slots__ = ("_counts", "_start", "_total")

    def __init__(self) -> None:
        self._counts: dict[int, float] = {}
        self._total = 0.0
        self._start = 0.0

    def add(self, value: float, now: float) -> None:
        if not self._counts:
            self._start = now
        weight = math.exp2(min(max(now - self._start, 0.0) / HALF_LIFE, 1000.0))
        if weight > _RESCALE:
            self._counts = {bucket: count / weight for bucket, count in self._counts.items() if count / weight > 1e-9}
            self._total = sum(self._counts.values())
            self._start, weight = now, 1.0
        bucket = min(max(int(math.log(max(value, 1.0)) / _RATIO), 0), _BUCKETS - 1)
        self._counts[bucket] = self._counts.get(bucket, 0.0) + weight
        self._total += weight

    def weight(self, now: float) -> float:
        """How many samples' worth there is now."""
        return self._total * math.exp2(-min(max(now - self._start, 0.0) / HALF_LIFE, 1000.0))

    def quantile(self, share: float) -> float:
        """The value that `share` of the samples do not exceed, as decayed. Needs a sample."""
        wanted, seen, bucket = share * self._total, 0.0, 0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            if seen >= wanted:
                break
        return math.exp((bucket + 0.5) * _RATIO)


class _Target:
    __slots__ = ("output", "pace", "speed", "ttft", "until", "whole")

    def __init__(self) -> None:
        self.ttft, self.speed, self.output, self.whole = Histogram(), Histogram(), Histogram(), Histogram()
        self.pace: Pace | None = None
        self.until = 0.0


class LatencyBook:
    """The paces of all targets, from what `observe` was told. `now` is seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._targets: dict[str, _Target] = {}
        self._priors: dict[str, Pace] = {}

    def declare(self, target: str, ttft_ms: float | None, speed: float | None) -> None:
        """What the config says of a target. Declared is known: limits go by it until there is traffic."""
        ttft, pace = ttft_ms or PRIOR_TTFT, speed or PRIOR_SPEED
        self._priors[target] = Pace(ttft, pace, ttft, pace, ttft_ms is not None)

    def observe(self, now: float, target: str, ttft_ms: float | None, total_ms: float, output_tokens: int) -> None:
        """One answer that came to its proper end. `ttft_ms` is until its first content; None: it was not streamed."""
        known = self._target(target)
        known.until = 0.0
        if output_tokens > 0:
            known.output.add(output_tokens, now)
        if ttft_ms is None:
            known.whole.add(total_ms, now)
            return
        known.ttft.add(ttft_ms, now)
        if total_ms - ttft_ms > 1 and output_tokens > 8:  # less says nothing of the speed
            known.speed.add(output_tokens * 1000 / (total_ms - ttft_ms), now)

    def forget(self, target: str) -> None:
        """It is another from now on: its prior stands in until it is measured anew."""
        self._targets.pop(target, None)

    def _target(self, name: str) -> _Target:
        known = self._targets.get(name)
        if known is None:
            if len(self._targets) >= _MOST_TARGETS:  # clients can ask for model ids without end
                self._targets.pop(next(iter(self._targets)))
            known = self._targets[name] = _Target()
        return known

    def pace(self, target: str, now: float) -> Pace:
        """What is expected of `target` now; good for a second."""
        known = self._targets.get(target)
        if known is None:
            return self._priors.get(target, _PRIOR)
        if known.pace is None or now >= known.until:
            known.pace, known.until = self._work_out(target, known, now), now + 1.0
        return known.pace

    def _work_out(self, target: str, known: _Target, now: float) -> Pace:
        prior = self._priors.get(target, _PRIOR)
        streams = known.ttft.weight(now) >= MEASURED
        fast = known.speed.weight(now) >= MEASURED
        whole = known.whole.weight(now) >= MEASURED
        return Pace(
            ttft_ms=known.ttft.quantile(0.5) if streams else prior.ttft_ms,
            speed=known.speed.quantile(0.5) if fast else prior.speed,
            late_ms=known.ttft.quantile(0.75) if streams else prior.late_ms,
            slow=known.speed.quantile(0.25) if fast else prior.slow,
            measured=streams or prior.measured,
            output_tokens=known.output.quantile(0.5) if known.output.weight(now) >= MEASURED else None,
            whole_ms=known.whole.quantile(0.5) if whole else None,
            late_whole_ms=known.whole.quantile(0.75) if whole else None,
        )


_PRIOR = Pace()


def loaded(pace: Pace, busy: float, wait_ms: float) -> Pace:
    """`pace` where the pool behind it is busy: `busy` 0..1 is the share of its places that are taken, `wait_ms` how
    long a new call waits for one. Service slows as 1 / (1 - busy / 2): half as fast at the brim."""
    if busy <= 0 and wait_ms <= 0:
        return pace
    slower = 1 / (1 - min(max(busy, 0.0), 1.0) / 2)
    return Pace(
        pace.ttft_ms * slower + wait_ms,
        pace.speed / slower,
        pace.late_ms * slower + wait_ms,
        pace.slow / slower,
        pace.measured or wait_ms > 0,
        pace.output_tokens,
        None if pace.whole_ms is None else pace.whole_ms * slower + wait_ms,
        None if pace.late_whole_ms is None else pace.late_whole_ms * slower + wait_ms,
    )
