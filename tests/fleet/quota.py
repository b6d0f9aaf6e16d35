"""What a key of a fake provider may really do: enforced, and counted by the provider's own clock."""

from dataclasses import dataclass, field
from typing import Any, Literal

from fakes import Request, Scenario, Usage, status

OUTPUT = 20  # tokens of each answer
MINUTE = 60.0


@dataclass
class Quota:
    """Requests and tokens in any minute, and calls at once. `with fake.always(quota, key=…)` the fake keeps to it.

    `manners`: whether a refusal says truly when to come back, lies, or says nothing. `code`: of the refusal. `seconds`:
    what a whole reply takes, and each frame of a stream.
    """

    rpm: float = float("inf")
    tpm: float = float("inf")
    slots: float = float("inf")
    manners: Literal["true", "lies", "none"] = "true"
    code: int = 429
    seconds: float = 0.0
    refused: int = 0
    most: int = 0  # at once, ever
    taken: list[tuple[float, int]] = field(default_factory=list)
    tokens: int = 0
    _under_way: list[Request] = field(default_factory=list)

    def __call__(self, request: Request) -> Scenario:
        """The fate of a request."""
        now, tokens = request.at, len(request.body) // 8 + OUTPUT  # fewer than are estimated: the rest is slack
        recent = [(at, amount) for at, amount in self.taken if at > now - MINUTE]
        used = sum(amount for _, amount in recent)
        if self.under_way >= self.slots:
            return self._refusal("0.05")
        if len(recent) >= self.rpm or used + tokens > self.tpm:
            return self._refusal(f"{recent[0][0] + MINUTE - now:.3f}" if recent else "60")
        self.taken.append((now, tokens))
        self.tokens += tokens
        self._under_way.append(request)
        self.most = max(self.most, self.under_way)
        return Scenario(usage=Usage(tokens - OUTPUT, OUTPUT), delay=self.seconds)

    def _refusal(self, true: str) -> Scenario:
        self.refused += 1
        words: dict[str, Any] = {"true": {"retry_after": true}, "lies": {"retry_after": "0"}, "none": {}}
        return status(self.code, **words[self.manners])

    @property
    def under_way(self) -> int:
        """Calls at once, now."""
        self._under_way = [request for request in self._under_way if not request.over]
        return len(self._under_way)

    @property
    def calls(self) -> int:
        """How many it took."""
        return len(self.taken)
