"""Memory grows for days (litellm#12685, #27954): whatever clients make up, what the pool remembers of it is bounded."""

from collections.abc import Iterator
from itertools import count

from dragoman.accounts.capacity import AccountSpec
from dragoman.accounts.desk import Candidate, Desk
from dragoman.accounts.lease import Lease, Outcome, Want
from dragoman.accounts.limits import Limits
from dragoman.accounts.queue import Ticket

T0 = 1_790_000_000.0
MANY = 100_000


def desk_of(limits: Limits) -> Desk:
    desk = Desk(lambda: 0.5)
    for name in ("a", "b"):
        desk.declare(AccountSpec(name=name, host="h", limits=limits), T0)
    return desk


def entries(value: object, seen: set[int]) -> int:
    """How many things the containers in `value` hold, all in all."""
    if id(value) in seen or isinstance(value, str | int | float | bytes | type | None):
        return 0
    seen.add(id(value))
    parts: Iterator[object] = iter(())
    if isinstance(value, dict):
        parts = iter([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple | set | frozenset) or type(value).__name__ == "deque":
        parts = iter(value)  # type: ignore[call-overload]
    elif type(value).__module__.startswith("dragoman"):
        names = {name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())}
        names |= set(getattr(value, "__dict__", ())) | set(getattr(value, "__struct_fields__", ()))
        parts = (getattr(value, name) for name in names if hasattr(value, name))
    return sum(1 + entries(part, seen) for part in parts)


def test_a_hundred_thousand_conversations_and_tenants_leave_little_behind() -> None:
    desk = desk_of(Limits(rpm=10**9, tpm=10**12))
    roster = desk.roster([[Candidate("a", "m"), Candidate("b", "m")]])
    for i in range(MANY):
        now = T0 + i * 0.01
        lease = desk.acquire(Want(roster=roster, deadline=now + 10, affinity=f"s{i}", tenant=f"t{i}"), now)
        assert isinstance(lease, Lease)
        desk.settle(lease, Outcome(tokens_in=10, tokens_out=10), now)
    assert entries((desk, roster), set()) < 3 * 20_000  # homes are remembered, so many of them


def test_a_hundred_thousand_tenants_that_wait_in_turn_leave_little_behind() -> None:
    """The queue is never empty, so it can't forget everything at once."""
    desk = desk_of(Limits(max_in_flight=1))
    roster = desk.roster([[Candidate("a", "m"), Candidate("b", "m")]])
    numbers = count()

    def ask(now: float) -> Lease | Ticket:
        answer = desk.acquire(Want(roster=roster, deadline=now + 10, tenant=f"t{next(numbers)}"), now)
        assert isinstance(answer, Lease | Ticket)
        return answer

    held = [ask(T0), ask(T0)]
    waiting = [ask(T0) for _ in range(10)]
    assert all(isinstance(one, Ticket) for one in waiting)
    after: list[int] = []
    for i in range(MANY // 10):
        now = T0 + i * 0.01
        lease = held.pop(0)
        assert isinstance(lease, Lease)
        desk.settle(lease, Outcome(tokens_in=10, tokens_out=10), now)
        for ticket in desk.answered():
            assert isinstance(ticket.answer, Lease)
            held.append(ticket.answer)
        ask(now)
        if (i + 1) % (MANY // 20) == 0:
            after.append(entries(desk, set()))
    assert desk.queue.waiting == 10
    assert after[1] < 1.2 * after[0] + 4000  # turns of a thousand tenants
