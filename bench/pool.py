"""The pool beside other ways to spread load, in one virtual fleet: `python -m bench.pool [--seeds N] [--cpu]`.

Every policy meets the same accounts (true limits it may or may not know, outages, refusals with and without a word on
when to come back) and the same clients. The others are stated as they are commonly used: three attempts in all, on
another account each time; no queue. Times are virtual, so the table is the same on every machine.

| policy          | picks                                                   | after a failure                   |
|-----------------|---------------------------------------------------------|-----------------------------------|
| round robin     | the next                                                | the next                          |
| random weighted | at random, by true capacity                             | another at random                 |
| least busy      | the fewest in flight                                    | the next fewest                   |
| cooldowns       | at random, of those below their declared limits' minute | rests 5 s after a 429, or after   |
|                 |                                                         | three failures in a minute        |
| pool            | Dragoman's                                              |                                   |

`served` and `tokens served` are shares of what was asked for; `wait` is until the attempt that served was sent.
"""

import argparse
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from dragoman.accounts.capacity import AccountSpec
from dragoman.accounts.desk import Candidate, Desk
from dragoman.accounts.lease import Lease, Outcome, Want
from dragoman.accounts.limits import Limits
from dragoman.accounts.roster import Roster
from simulation.fleet import START, Fleet, Job, Plan, Policy
from simulation.pool import PoolPolicy
from simulation.upstream import Said, Truth

ATTEMPTS = 3


class Simple:
    """A policy without a queue: three attempts, each on another account."""

    pause = 0.0

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.rng = Random(f"{fleet.plan.until} {len(fleet.plan.jobs)}")
        self.load = dict.fromkeys(fleet.upstreams, 0)
        self.turn = 0

    def pick(self, job: Job, names: list[str]) -> str | None:
        raise NotImplementedError

    def note(self, account: str, said: Said) -> None:
        """A failure."""

    def took(self, job: Job, account: str) -> None:
        """An attempt is made."""

    def arrive(self, job: Job) -> None:
        if job.result is not None:
            return
        names = [name for tier in self.fleet.plan.models[job.model] for name in tier]
        tried = {account for account, _ in job.avoid}
        account = self.pick(job, [name for name in names if name not in tried] or names)
        if account is None:
            if self.pause and job.attempts + 1 < ATTEMPTS:
                job.attempts += 1
                self.fleet.at(self.fleet.now + self.pause, self.arrive, job)
            else:
                self.fleet.end(job, "nobody")
            return
        job.state = account
        self.load[account] += 1
        self.took(job, account)
        self.fleet.send(job, account, None)

    def leave(self, job: Job) -> None:
        self.fleet.end(job, "left")
        if job.state:
            self.load[job.state] -= 1

    def began(self, job: Job, account: str, said: Said, ticket: Any) -> None:
        """The first token."""

    def failed(self, job: Job, account: str, said: Said, ticket: Any) -> None:
        self.note(account, said)
        if job.result is not None:
            return
        self.load[account] -= 1
        job.state = None
        job.avoid |= {(account, "m")}
        if job.attempts >= ATTEMPTS or said.kind == "stream_broken":
            self.fleet.end(job, said.kind or "")
        else:
            self.fleet.at(self.fleet.now + self.pause, self.arrive, job)

    def served(self, job: Job, account: str, said: Said, ticket: Any) -> None:
        self.load[account] -= 1
        self.fleet.end(job, "served")


class RoundRobin(Simple):
    def pick(self, job: Job, names: list[str]) -> str | None:
        self.turn += 1
        return names[self.turn % len(names)]


class Weighted(Simple):
    def pick(self, job: Job, names: list[str]) -> str | None:
        truths = [self.fleet.upstreams[name].truth for name in names]
        return self.rng.choices(names, [min(t.rpm, t.tpm / 1000, t.slots * 12) for t in truths])[0]


class LeastBusy(Simple):
    def pick(self, job: Job, names: list[str]) -> str | None:
        return min(names, key=lambda name: (self.load[name], self.rng.random()))


class Cooldowns(Simple):
    pause = 1.0

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self.rests: dict[str, float] = {}
        self.failures: dict[tuple[str, int], int] = {}
        self.used: dict[tuple[str, int], tuple[int, int]] = {}

    def pick(self, job: Job, names: list[str]) -> str | None:
        now, minute = self.fleet.now, int(self.fleet.now // 60)
        free = []
        for name in names:
            truth, (requests, tokens) = self.fleet.upstreams[name].truth, self.used.get((name, minute), (0, 0))
            known = name in self.fleet.plan.declared
            fits = requests < truth.rpm and tokens + job.tokens_in <= truth.tpm and self.load[name] < truth.slots
            if self.rests.get(name, 0) <= now and (fits or not known):
                free.append(name)
        return self.rng.choice(free) if free else None

    def took(self, job: Job, account: str) -> None:
        key = (account, int(self.fleet.now // 60))
        requests, tokens = self.used.get(key, (0, 0))
        self.used[key] = (requests + 1, tokens + job.tokens_in)

    def served(self, job: Job, account: str, said: Said, ticket: Any) -> None:
        super().served(job, account, said, ticket)
        key = (account, int(self.fleet.now // 60))
        requests, tokens = self.used.get(key, (0, 0))
        self.used[key] = (requests, tokens + job.tokens_out)

    def note(self, account: str, said: Said) -> None:
        key = (account, int(self.fleet.now // 60))
        self.failures[key] = self.failures.get(key, 0) + 1
        if said.kind in ("rate_limited", "unauthorized") or self.failures[key] >= 3:
            self.rests[account] = self.fleet.now + 5


POLICIES: dict[str, Callable[[Fleet], Policy]] = {
    "round robin": RoundRobin,
    "random weighted": Weighted,
    "least busy": LeastBusy,
    "cooldowns": Cooldowns,
    "**pool**": lambda fleet: PoolPolicy(fleet, checked=False),
}


def plan(seed: int, load: float) -> Plan:
    """Eight accounts of three hosts; a third of the limits unknown, two outages; demand is `load` × what the limits
    allow, in bursts; clients wait 30 s at most."""
    rng = Random(f"bench {seed}")
    truths = []
    until = 600.0
    for i in range(8):
        truth = Truth(f"a{i}", f"h{i % 3}", ttft=rng.uniform(0.2, 1.0), speed=rng.uniform(40, 150))
        truth.rpm, truth.tpm = rng.randint(20, 120), rng.randint(30_000, 150_000)
        truth.slots = rng.choice([4, 8, 16, 10**9])
        truth.manners = rng.choice(["true", "true", "none", "lies"])
        truth.tells = rng.random() < 0.5
        truths.append(truth)
    for truth in rng.sample(truths, 2):
        start = START + rng.uniform(60, 400)
        truth.outages = [(start, start + 90, rng.choice(["upstream_error", "unreachable", "overloaded"]))]
    pace = load * sum(min(t.rpm, t.tpm / 1000, t.slots * 15) for t in truths) / 60
    jobs: list[Job] = []
    at = 0.0
    while at < until:
        for _ in range(rng.randint(5, 30) if rng.random() < 0.02 else 1):
            out = int(min(2000, rng.lognormvariate(5.3, 0.7))) + 1
            tokens = int(min(6000, rng.lognormvariate(6.2, 0.8))) + 1
            jobs.append(Job(len(jobs), at, f"t{rng.randint(0, 4)}", "x", tokens, out, int(out * 1.2), patience=30.0))
        at += rng.expovariate(pace / 1.33)
    names = [t.name for t in truths]
    return Plan(truths, jobs, {"x": [names]}, until, {name for name in names if rng.random() < 0.67})


def measure(policy: Callable[[Fleet], Policy], seeds: int, load: float) -> str:
    """The cells of one row."""
    served = refused = attempts = count = asked = given = 0
    waits: list[float] = []
    for seed in range(seeds):
        fleet = Fleet(plan(seed, load), seed, policy)
        fleet.run()
        jobs = fleet.plan.jobs
        done = [job for job in jobs if job.result == "served"]
        served, count = served + len(done), count + len(jobs)
        asked += sum(job.tokens_in + job.tokens_out for job in jobs)
        given += sum(job.tokens_in + job.tokens_out for job in done)
        waits += [(job.started or job.at) - job.at for job in done]
        refused += sum(upstream.refused for upstream in fleet.upstreams.values())
        attempts += sum(upstream.calls for upstream in fleet.upstreams.values())
    waits.sort()
    p50, p99 = waits[len(waits) // 2], waits[int(0.99 * len(waits))]
    return (
        f"{served / count:.1%} | {given / asked:.1%} | {p50:.1f} s | {p99:.1f} s | {1000 * refused / count:.0f} | "
        f"{attempts / count:.2f}"
    )


def desk_of(accounts: int, resting: float) -> tuple[Desk, Roster]:
    """A desk with so many accounts that offer one model, a share of which rests; and who can serve it."""
    desk = Desk(Random(1).random)
    limits = Limits(max_in_flight=64, rpm=500_000, tpm=10**12)
    for i in range(accounts):
        desk.declare(AccountSpec(name=f"a{i}", host=f"h{i % 10}", limits=limits), START)
    roster = desk.roster([[Candidate(f"a{i}", "m") for i in range(accounts)]])
    for i in range(int(resting * accounts)):
        lease = desk.acquire(Want(roster=roster, deadline=START, prefer=f"a{i}"), START)
        assert isinstance(lease, Lease)
        desk.settle(lease, Outcome(kind="rate_limited", retry_after=80_000.0), START)
    return desk, roster


def leasing(accounts: int, resting: float, sessions: int, calls: int = 20_000) -> float:
    """Microseconds of CPU for one acquire, first token and settle, as the least of several runs. `sessions`: how many
    conversations have a home each; 0: none has."""
    desk, roster = desk_of(accounts, resting)
    outcome = Outcome(tokens_in=1000, tokens_out=250, ttft=0.3, seconds=1.0)
    wants = [
        Want(roster=roster, deadline=START + 1e6, input_tokens=1000, output_tokens=300, affinity=key)
        for key in ([f"session {i}" for i in range(sessions)] or [None])
    ]
    least = 1e9
    for run in range(7):
        began = time.process_time()
        for i in range(calls):
            now = START + run * 100 + i * 0.001
            lease = desk.acquire(wants[i % len(wants)], now)
            assert isinstance(lease, Lease)
            desk.began(lease, 0.3, now)
            desk.settle(lease, outcome, now)
        least = min(least, (time.process_time() - began) / calls * 1e6)
    return least


def cost() -> str:
    """What a lease costs, beside a loop any machine knows."""
    began = time.process_time()
    for i in range(50_000):
        began += i - i
    loop = (time.process_time() - began) / 1000 * 1e6
    lines = [
        f"50 additions in a loop: {loop:.1f} µs of CPU",
        "",
        "| accounts | best of two | by affinity, 1 session | by affinity, 1,000 sessions |",
        "|---|---|---|---|",
    ]
    for name, accounts, resting in (("1", 1, 0.0), ("10", 10, 0.0), ("100", 100, 0.0), ("100, 33 at rest", 100, 0.33)):
        cells = [f"{leasing(accounts, resting, sessions):.1f} µs" for sessions in (0, 1, 1000)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, help="a page whose table is replaced, as docs/POOL.md")
    parser.add_argument(
        "--cpu", action="store_true", help="only what a lease costs, of 100 accounts, when nobody waits"
    )
    options = parser.parse_args()
    if options.cpu:
        sys.stdout.write(cost())
        return
    lines = [
        "| demand / capacity | policy | served | tokens served | p50 wait | p99 wait | 429s suffered per 1,000 "
        "| upstream calls per request |",
        "|---|---|---|---|---|---|---|---|",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    for load in (0.5, 0.8, 1.0, 1.5):
        for name, policy in POLICIES.items():
            lines.append(f"| {load:.0%} | {name} | {measure(policy, options.seeds, load)} |")
            sys.stdout.write(lines[-1] + "\n")
    if options.out:
        page = options.out.read_text()
        table = "\n".join(lines) + "\n"
        options.out.write_text(re.sub(r"^\| demand .*\n(\|.*\n)*", lambda _: table, page, flags=re.M))


if __name__ == "__main__":
    main()
