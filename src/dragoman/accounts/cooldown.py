"""How long something rests after a failure, and how it comes back.

Three things rest by the same rules: a model of an account, a whole account, and a provider's host (its circuit
breaker). The states, and what changes them:

| state   | failed  | due (time) | leased  | proved | dropped |
|---------|---------|------------|---------|--------|---------|
| open    | resting |            | open    | open   | open    |
| resting | resting | due        | resting | open   | resting |
| due     | resting |            | probing | open   | due     |
| probing | resting |            | probing | open   | due     |

`proved` is the first sign of success of a call that began after the rest did; `dropped` is a probe that ended without
a verdict (the client left, its holder died). `failed` counts only for calls that began after the last rest did: fifty
calls that break together are one failure, not fifty.
"""

from enum import IntEnum

from msgspec import Struct


class State(IntEnum):
    OPEN = 0
    RESTING = 1
    DUE = 2
    PROBING = 3


OPEN, RESTING, DUE, PROBING = State.OPEN, State.RESTING, State.DUE, State.PROBING
_FREE = (OPEN, DUE)
NEXT: dict[str, tuple[State, State, State, State]] = {  # event -> the state after it, by the state before
    "failed": (RESTING, RESTING, RESTING, RESTING),
    "due": (OPEN, DUE, DUE, PROBING),
    "leased": (OPEN, RESTING, PROBING, PROBING),
    "proved": (OPEN, OPEN, OPEN, OPEN),
    "dropped": (OPEN, RESTING, DUE, DUE),
}


class Rule(Struct, frozen=True):
    """What a kind of failure means.

    `scope`: what rests. `first`, `most`: seconds of the first rest and of the longest; each further failure doubles it.
    `told`: the provider's own word on when to come back goes before ours. `soft`: so many failures in a row only make
    it the last resort; after them nothing is sent. `host`: counts for the host's breaker. `health`: counts against its
    share of success.
    """

    scope: str
    first: float
    most: float
    told: bool = False
    soft: int = 0
    host: bool = False
    health: bool = True


RULES: dict[str, Rule] = {
    "rate_limited": Rule("model", 1.0, 60.0, told=True, health=False),
    "overloaded": Rule("model", 2.0, 30.0, told=True, health=False),
    "unauthorized": Rule("account", 60.0, 600.0),
    "forbidden": Rule("model", 60.0, 600.0),
    "budget_spent": Rule("account", 300.0, 3600.0, told=True),
    "upstream_error": Rule("model", 1.0, 30.0, told=True, soft=3, host=True),
    "unreachable": Rule("account", 1.0, 30.0, soft=2, host=True),
    "upstream_timeout": Rule("model", 1.0, 30.0, soft=3, host=True),
    "stream_broken": Rule("model", 1.0, 15.0, soft=5, host=True),
    "unknown_model": Rule("model", 10.0, 300.0, soft=1_000_000, health=False),
}
BREAKER = Rule("host", 1.0, 30.0)
TRIPS = 5  # failures in a row, of any account, that open a host's breaker
JITTER = 0.1  # a rest of our own choice is longer by up to this share; one that was told is as told: a probe goes first
PROBE = 0.5  # seconds that a worker leaves another one's rest to it to end, by a probe of its own
LONGEST = 86400.0  # seconds: nobody is believed who asks for more


class Cooldown:
    """The rest of one thing. Times are seconds of one clock, given as `now`."""

    __slots__ = ("began", "kind", "soft", "state", "strikes", "until")

    def __init__(self, began: float = float("-inf")) -> None:
        """Failures of calls made before `began` do not count."""
        self.state: State = OPEN
        self.kind = ""  # of the failure that it rests for
        self.until = 0.0
        self.began = began
        self.strikes = 0
        self.soft = False

    def failed(
        self, kind: str, rule: Rule, now: float, *, since: float, draw: float, retry_after: float | None = None
    ) -> None:
        """A call made at `since` failed. `draw` is random in 0..1."""
        told = min(retry_after, LONGEST) if rule.told and retry_after is not None else None
        if since < self.began:
            if told is not None and now + told > self.until:  # no new failure, but a better word on how long it lasts
                self.kind, self.until, self.state = kind, now + told, RESTING
            return
        self.strikes += 1
        own = min(rule.first * 2.0 ** min(self.strikes - 1, 20), rule.most)
        if told is None:
            seconds = own * (1 + JITTER * draw)
        else:  # whoever says "now" again and again, and refuses, is not believed
            seconds = max(told, own / 2) if self.strikes > 1 else told
        self.state = NEXT["failed"][self.state]
        self.kind, self.began = kind, now
        self.until = now + seconds
        self.soft = self.strikes <= rule.soft

    def allows(self, now: float) -> int:
        """2: a call may go, 1: only where nothing else takes it, 0: none."""
        state = self.state
        if state == RESTING and now >= self.until:
            state = self.state = NEXT["due"][state]
        if state in _FREE:
            return 2
        return 1 if self.soft else 0

    def opens(self, now: float) -> float:
        """The earliest that a call may go: when the rest ends; `now` where nothing but a probe's verdict is missing."""
        return max(now, self.until) if self.state == RESTING and not self.soft else now

    def leased(self) -> bool:
        """A call goes. Whether it is the probe."""
        before = self.state
        self.state = NEXT["leased"][before]
        return before == DUE

    def proved(self, since: float) -> bool:
        """A call made at `since` does well. Whether that ends a rest."""
        if self.state == OPEN:
            self.strikes = 0
            return False
        if since < self.began:
            return False
        self.state = NEXT["proved"][self.state]
        self.strikes, self.soft, self.kind, self.until = 0, False, "", 0.0
        return True

    def heard(self, kind: str, until: float, strikes: int, now: float) -> None:
        """Another worker says that it rests. Its word counts where it is longer than ours; who is told of a rest lets
        whoever found it probe first."""
        if self.state == OPEN or until > self.until:
            self.state = NEXT["failed"][self.state]
            self.kind, self.until, self.began = kind, until + PROBE, now
            self.strikes, self.soft = max(self.strikes, strikes), strikes <= RULES.get(kind, BREAKER).soft

    def dropped(self) -> None:
        """The probe ended without a verdict."""
        self.state = NEXT["dropped"][self.state]


class Host:
    """A provider's host, with its circuit breaker."""

    __slots__ = ("cooldown", "failures", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.cooldown = Cooldown()
        self.failures = 0

    def failed(self, now: float, since: float, draw: float) -> bool:
        """A call to it failed. Whether its breaker is open now."""
        self.failures += 1
        if self.failures < TRIPS and self.cooldown.state == OPEN:
            return False
        self.cooldown.failed("unreachable", BREAKER, now, since=since, draw=draw)
        return True

    def proved(self, since: float) -> bool:
        """A call to it does well. Whether that closes its breaker."""
        self.failures = 0
        return self.cooldown.proved(since)
