"""How well an account does a model: decaying estimates of what its last calls were like."""

_OLD, _NEW = 0.8, 0.2  # what an estimate keeps of itself with each further call, and what it takes of that
_TRUSTED = 20  # calls before a percentile is believed
SUSPECT = 0.75  # below this share of success, a seat is itself in trouble


class Health:
    """Of one account and model. Times in seconds; None until first seen."""

    __slots__ = ("_seen", "p95", "seconds", "speed", "success", "tokens", "ttft")

    def __init__(self) -> None:
        self.success = 1.0  # share of calls
        self.ttft: float | None = None
        self.p95: float | None = None  # of the time to first token
        self.speed: float | None = None  # tokens a second after the first
        self.seconds: float | None = None  # of a whole call
        self.tokens: float | None = None  # of a call, input and output
        self._seen = 0

    def began(self, ttft: float) -> None:
        """The first token came. The percentile follows by steps up and down whose sizes balance where 1 in 20 is above:
        Ma, Muthukrishnan and Sandler, "Frugal streaming for estimating quantiles" (2013)."""
        self.ttft = ttft if self.ttft is None else self.ttft + _NEW * (ttft - self.ttft)
        if self.p95 is None:
            self.p95 = 2 * ttft
        else:
            step = 0.05 * self.ttft + 1e-4
            self.p95 += 0.95 * step if ttft > self.p95 else -0.05 * step
        self._seen += 1

    def succeeded(self, seconds: float, ttft: float | None, tokens_in: int, tokens_out: int) -> None:
        if self.success < 1:
            self.success += _NEW * (1 - self.success)
        known = self.seconds
        self.seconds = seconds if known is None else known + _NEW * (seconds - known)
        tokens = tokens_in + tokens_out
        if tokens:
            known = self.tokens
            self.tokens = tokens if known is None else known + _NEW * (tokens - known)
        if tokens_out > 1 and ttft is not None and seconds > ttft:
            speed, known = tokens_out / (seconds - ttft), self.speed
            self.speed = speed if known is None else known + _NEW * (speed - known)

    def failed(self) -> None:
        self.success *= _OLD

    def recovered(self) -> None:
        """It is back from a rest: it starts again as one that may be trusted, not as one to be shunned."""
        self.success = max(self.success, SUSPECT)

    def slowness(self, output_tokens: int) -> float:
        """Seconds a call with so much output is expected to take here; 0 where nothing is known."""
        ttft = self.ttft
        if ttft is None:
            return 0.0
        return ttft if self.speed is None else ttft + output_tokens / self.speed

    def hedge_after(self) -> float | None:
        """Seconds after which a call without its first token is late by this seat's own measure; None: not known."""
        return self.p95 if self._seen >= _TRUSTED else None
