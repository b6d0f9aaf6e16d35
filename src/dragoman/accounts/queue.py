"""Those who wait: fair between tenants, in order of arrival within one, by priority above all.

Every one that waits gets its place when it comes: (priority, virtual time, arrival). Virtual time is start-time fair
queueing's (Goyal, Vin and Cheng, 1996): a tenant's next place lies as much later as its last one costs, so a tenant
with a thousand waiting and one with a single one are served in turn, and a place never moves back.

Those that can use the same seats and are of about the same size (in tokens, within a factor of two) stand in one lane.
If the first of a lane can't be placed, nobody behind it is: what is free for them is free for it, or is what it waits
for. A large one that waits for tokens to come free does not hold up the small ones of other lanes; it only holds the
one seat where it will fit first.
"""

from enum import Enum
from heapq import heappop, heappush
from itertools import count
from typing import TypeAlias

from dragoman.accounts.capacity import AccountCapacity, Order, SeatCapacity
from dragoman.accounts.lease import Attempted, Lease, Refused, Want
from dragoman.accounts.limits import NEVER

_TENANTS = 1000  # whose turns are remembered before those that wait no more are forgotten
_TOKENS = 1000.0  # that cost as much of a tenant's turn as one request more


class Phase(Enum):
    WAITING = "waiting"
    GRANTED = "granted"
    REFUSED = "refused"
    CANCELLED = "cancelled"


AFTER: dict[Phase, frozenset[Phase]] = {
    Phase.WAITING: frozenset({Phase.GRANTED, Phase.REFUSED, Phase.CANCELLED}),
    Phase.GRANTED: frozenset(),
    Phase.REFUSED: frozenset(),
    Phase.CANCELLED: frozenset(),
}


class Ticket:
    """A want that waits. `answer` comes when it is granted or refused. `waker` is the caller's own."""

    __slots__ = ("answer", "at", "lane", "order", "phase", "waker", "want")

    def __init__(self, want: Want, order: Order, lane: "Lane", now: float) -> None:
        self.want = want
        self.order = order
        self.lane = lane
        self.at = now
        self.phase = Phase.WAITING
        self.answer: Lease | Refused | None = None
        self.waker: object = None

    def become(self, phase: Phase, answer: Lease | Refused | None = None) -> None:
        if phase not in AFTER[self.phase]:
            raise ValueError(f"a ticket that is {self.phase.value} can't become {phase.value}")
        self.phase, self.answer = phase, answer


LineKey: TypeAlias = tuple[int, frozenset[str] | None, frozenset[Attempted]]
LaneKey: TypeAlias = tuple[LineKey, int]


class Lane:
    """Those that wait for the same seats. `opens`: when time alone may let the first go. `fresh`: its first was not
    tried yet. `claim`: what is held for the first; `unclaimed`: it needs a claim and could not have one."""

    __slots__ = ("_heap", "accounts", "claim", "fresh", "key", "opens", "unclaimed", "waiting")

    def __init__(self, key: LaneKey, accounts: frozenset[AccountCapacity]) -> None:
        self.key = key
        self.accounts = accounts
        self.opens = NEVER
        self.fresh = True
        self.unclaimed = False
        self.waiting = 0
        self.claim: SeatCapacity | AccountCapacity | None = None
        self._heap: list[tuple[Order, Ticket]] = []

    def add(self, ticket: Ticket) -> None:
        heappush(self._heap, (ticket.order, ticket))
        self.waiting += 1

    def first(self) -> Ticket | None:
        heap = self._heap
        while heap and heap[0][1].phase is not Phase.WAITING:
            heappop(heap)
        return heap[0][1] if heap else None

    def tickets(self) -> list[Ticket]:
        return [ticket for _, ticket in self._heap if ticket.phase is Phase.WAITING]


class Queue:
    """All lanes. Takes no decision on seats: that is the desk's."""

    def __init__(self) -> None:
        self.lanes: dict[LaneKey, Lane] = {}
        self.waiting = 0
        self._virtual = 0.0
        self._finish: dict[tuple[int, str], float] = {}  # by priority and tenant
        self._most = _TENANTS
        self._of_tenant: dict[str, int] = {}
        self._of_line: dict[LineKey, int] = {}
        self._deadlines: list[tuple[float, int, Ticket]] = []
        self._count = count()

    def enter(self, want: Want, now: float) -> Ticket:
        """A place for `want`."""
        line: LineKey = (id(want.roster), want.only, want.avoid)
        key: LaneKey = (line, (want.input_tokens + want.output_tokens).bit_length())
        self._of_line[line] = self._of_line.get(line, 0) + 1
        lane = self.lanes.get(key)
        if lane is None:
            lane = self.lanes[key] = Lane(key, want.roster.accounts)
        number = next(self._count)
        turn = (want.priority, want.tenant)
        start = max(self._virtual, self._finish.get(turn, 0.0))
        if len(self._finish) >= self._most:  # who waits no more may come as if new
            self._finish = {turn: finish for turn, finish in self._finish.items() if turn[1] in self._of_tenant}
            self._most = max(_TENANTS, 2 * len(self._finish))
        self._finish[turn] = start + 1 + (want.input_tokens + want.output_tokens) / _TOKENS
        ticket = Ticket(want, (want.priority, start, number), lane, now)
        if lane.waiting == 0 or (first := lane.first()) is None or ticket.order < first.order:
            lane.fresh = True
        lane.add(ticket)
        heappush(self._deadlines, (want.deadline, number, ticket))
        self.waiting += 1
        self._of_tenant[want.tenant] = self._of_tenant.get(want.tenant, 0) + 1
        return ticket

    def leave(self, ticket: Ticket, phase: Phase, answer: Lease | Refused | None = None) -> None:
        """Ends a ticket's waiting. Its lane is gone with its last."""
        lane, tenant = ticket.lane, ticket.want.tenant
        if lane.first() is ticket:
            lane.fresh, lane.unclaimed = True, False
        ticket.become(phase, answer)
        if phase is Phase.GRANTED:
            self._virtual = max(self._virtual, ticket.order[1])
        lane.waiting -= 1
        self.waiting -= 1
        self._of_tenant[tenant] -= 1
        if not self._of_tenant[tenant]:
            del self._of_tenant[tenant]
        line = lane.key[0]
        self._of_line[line] -= 1
        if not self._of_line[line]:
            del self._of_line[line]
        if not lane.waiting:
            del self.lanes[lane.key]
        if not self.waiting:  # nobody waits: nobody is owed a turn
            self._virtual = 0.0
            self._finish.clear()
            self._deadlines.clear()

    def late(self, now: float) -> list[Ticket]:
        """Those whose deadline has come."""
        late = []
        heap = self._deadlines
        while heap and (heap[0][0] <= now or heap[0][2].phase is not Phase.WAITING):
            ticket = heappop(heap)[2]
            if ticket.phase is Phase.WAITING:
                late.append(ticket)
        return late

    def deadline(self) -> float:
        """The next deadline of one that waits."""
        heap = self._deadlines
        while heap and heap[0][2].phase is not Phase.WAITING:
            heappop(heap)
        return heap[0][0] if heap else NEVER

    def ahead(self, ticket: Ticket) -> int:
        """About how many that want the same come before it: its own tenant's, and as many of every other's."""
        return min(self._of_line[ticket.lane.key[0]], self._of_tenant[ticket.want.tenant] * len(self._of_tenant)) - 1
