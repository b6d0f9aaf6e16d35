"""Virtual providers: accounts with true limits that they enforce, outages, slowness, and their own manners when they
refuse. All from one seed; no clock but the one that is told."""

from collections import deque
from dataclasses import dataclass, field
from math import ceil
from random import Random


@dataclass
class Truth:
    """What an account really takes. `manners`: what it says with a refusal: the true time, nothing, or lies. `slack`,
    `slots_slack`: by which share it takes more than its limits say. `daily`: what its owner will spend, a token
    costing 1."""

    name: str
    host: str
    rpm: int = 10**9
    tpm: int = 10**12
    slots: int = 10**9
    slack: float = 0.0
    slots_slack: float = 0.0
    daily: int | None = None
    ttft: float = 0.4
    speed: float = 80.0
    manners: str = "true"
    tells: bool = False  # x-ratelimit headers with each answer
    outages: list[tuple[float, float, str]] = field(default_factory=list)


@dataclass
class Said:
    """An upstream's first word: refused at once, or how the call will go."""

    kind: str | None
    retry_after: float | None = None
    ttft: float = 0.0
    seconds: float = 0.0
    cut: bool = False


class Upstream:
    """One account at its provider. Counts requests and tokens in a sliding minute, at the moment they come."""

    def __init__(self, truth: Truth, rng: Random) -> None:
        self.truth = truth
        self.rng = rng
        self.in_flight = 0
        self.calls = 0
        self.refused = 0
        self.spent = 0
        self._window: deque[tuple[float, int]] = deque()
        self._tokens = 0

    def outage(self, now: float) -> str | None:
        return next((kind for start, end, kind in self.truth.outages if start <= now < end), None)

    def used(self, now: float) -> tuple[int, int]:
        """Requests and tokens of the last minute."""
        while self._window and self._window[0][0] <= now - 60.0:
            self._tokens -= self._window.popleft()[1]
        return len(self._window), self._tokens

    def call(self, now: float, tokens: int, output: int) -> Said:
        self.calls += 1
        truth = self.truth
        outage = self.outage(now)
        if outage is not None:
            hang = 15.0 if outage == "upstream_timeout" else 0.02
            return Said(outage, None, seconds=hang)
        requests, used = self.used(now)
        rpm, tpm = (limit + ceil(limit * truth.slack) for limit in (truth.rpm, truth.tpm))
        slots = truth.slots + ceil(truth.slots * truth.slots_slack)
        if requests + 1 > rpm or used + tokens > max(tpm, tokens) or self.in_flight + 1 > slots:
            self.refused += 1
            return Said("rate_limited", self._retry_after(now, tokens), seconds=0.02)
        self._window.append((now, tokens))
        self._tokens += tokens
        self.spent += tokens
        self.in_flight += 1
        ttft = truth.ttft * self.rng.lognormvariate(0, 0.3)
        seconds = ttft + output / truth.speed
        cut = self.outage(now + seconds) is not None
        return Said(None, ttft=ttft, seconds=seconds, cut=cut)

    def ended(self) -> None:
        self.in_flight -= 1

    def remaining(self, now: float) -> tuple[int, int, float]:
        """Requests and tokens left, and seconds until all is back."""
        requests, tokens = self.used(now)
        reset = self._window[-1][0] + 60.0 - now if self._window else 0.0
        return max(0, self.truth.rpm - requests), max(0, self.truth.tpm - tokens), reset

    def _retry_after(self, now: float, tokens: int) -> float | None:
        if self.truth.manners == "none":
            return None
        if self.truth.manners == "lies":
            return self.rng.choice([0.0, 0.001, 30.0])
        if self.in_flight + 1 > self.truth.slots:
            return 0.5
        left, requests = self._tokens, len(self._window)
        for at, amount in self._window:
            if left + tokens <= self.truth.tpm and requests < self.truth.rpm:
                break
            left, requests = left - amount, requests - 1
            if left + tokens <= max(self.truth.tpm, tokens) and requests < self.truth.rpm:
                return at + 60.0 - now
        return 0.5
