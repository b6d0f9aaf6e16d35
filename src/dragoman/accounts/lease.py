"""What is asked of the desk and what it gives: wants, leases, refusals, outcomes."""

from enum import Enum
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct, field

from dragoman.accounts.ratelimits import Rate

if TYPE_CHECKING:
    from dragoman.accounts.capacity import SeatCapacity
    from dragoman.accounts.cooldown import Cooldown
    from dragoman.accounts.limits import Window
    from dragoman.accounts.roster import Roster

Attempted: TypeAlias = tuple[str, str]  # account, model id

Why: TypeAlias = Literal[
    "no_seat",  # none of the accounts may take it: disabled, removed, tried already, or not one it is bound to
    "cooling",  # all rest for longer than the want may wait
    "hopeless",  # those that wait before it take longer than the want may wait
    "full",  # the queue is at its limit
    "late",  # its deadline came while it waited
    "away",  # nobody divides the shared limits, and nothing may be used until somebody does
    "busy",  # nothing is free at once, and the want is not one to wait
    "retry_budget",  # only ailing accounts are left, and retries there have had their share of the traffic
]


class Want(Struct, kw_only=True):
    """One attempt that looks for an account. Times are on the desk's clock.

    `deadline`: until when it may wait. `tenant`: whose it is, for fairness. `priority`: a lower number goes first.
    `affinity`: what keeps its conversation at one account. `only`: the accounts that alone can read what the
    conversation carries. `prefer`: the account an operator pinned it to. `avoid`: what was tried. `attempt`: 1 for the
    first. `patient`: whether it may wait (a hedge may not). `paid`: it may go to ailing accounts (the desk's own word).
    """

    roster: "Roster"
    deadline: float
    input_tokens: int = 0
    output_tokens: int = 0
    tenant: str = ""
    priority: int = 1
    affinity: str | None = None
    only: frozenset[str] | None = None
    prefer: str | None = None
    avoid: frozenset[Attempted] = frozenset()
    attempt: int = 1
    patient: bool = True
    paid: bool = False


class Phase(Enum):
    """A lease: held until it is settled, or until it expires because nobody did."""

    HELD = "held"
    SETTLED = "settled"
    EXPIRED = "expired"


class Lease(Struct, eq=False):
    """A slot held on an account for one attempt. Read `account` and `model`; only the desk changes it.

    `at`: when it was made. `beside`: others under way at its seat then. `entries`: the token windows it counts in.
    `probes`: the rests whose probe it is."""

    id: int
    seat: "SeatCapacity"
    want: Want
    at: float
    expires: float
    tokens: int
    cost: int = 0
    began: bool = False
    beside: int = 0
    phase: Phase = Phase.HELD
    entries: "list[tuple[Window, list[float]]]" = field(default_factory=list)
    probes: "tuple[Cooldown, ...]" = ()
    marks: tuple[float, ...] | None = None

    @property
    def account(self) -> str:
        return self.seat.account.name

    @property
    def model(self) -> str:
        return self.seat.model


class Rest(Struct, frozen=True):
    """Why a seat rests, and for how many more seconds."""

    account: str
    model: str
    kind: str
    seconds: float


class Refused(Struct, frozen=True):
    """No account, and no waiting. `retry_after`: seconds until the first may be back; None: time won't help."""

    why: Why
    retry_after: float | None = None
    rests: tuple[Rest, ...] = ()


class Outcome(Struct, kw_only=True):
    """How an attempt ended.

    `kind`: None for success; else the failure's kind, one of `cooldown.RULES`, or any other for what is no fault of the
    account. `dropped`: it ended without a verdict on the account (the client left, the hedge lost). `sent`: whether
    anything reached the provider. Tokens are what it really took (None: unknown, the estimate stands). `cost`:
    pico-dollars. `ttft`, `seconds`: as in `Health`. `limited`: which limit a 429 named, where it did.
    """

    kind: str | None = None
    dropped: bool = False
    sent: bool = True
    message: str = ""
    retry_after: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: int | None = None
    ttft: float | None = None
    seconds: float | None = None
    rates: tuple[Rate, ...] = ()
    limited: Literal["requests", "tokens", "concurrency"] | None = None
