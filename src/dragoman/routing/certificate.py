"""A promised quality floor, as `dragoman router certify` writes it: what it promises, and whether it is in force."""

import msgspec
from msgspec import Struct

from dragoman.routing.decide import Pair


class Certificate(Struct, kw_only=True):
    """`threshold` None: none could be certified with so few `labels`. `epsilon`: the mean quality lost against always
    asking the strong model; `delta`: the chance that more is lost. What else is in the file is for people."""

    threshold: float | None
    epsilon: float
    delta: float
    labels: int
    strong: str | None = None
    weak: str | None = None
    labels_needed: int | None = None
    artifact: str | None = None

    def pair(self) -> Pair | None:
        """The choice that is certified, if one is."""
        if self.threshold is None or self.strong is None or self.weak is None:
            return None
        return Pair(self.strong, self.weak, self.threshold)

    def status(self) -> str:
        """For people: `certified: …` or `not certified yet: …`."""
        if self.threshold is None:
            of = f" of {self.labels_needed:,}" if self.labels_needed else ""
            return f"not certified yet: {self.labels:,}{of} labels"
        sure = f"{1 - self.delta:.0%} sure ({self.labels:,} labels)"
        return f"certified: at most {self.epsilon:.1%} below {self.strong}, {sure}"


def read_certificate(data: bytes) -> Certificate:
    """Raises `msgspec.DecodeError` or `ValidationError` where `data` is no certificate."""
    return msgspec.json.decode(data, type=Certificate)
