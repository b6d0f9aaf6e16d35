"""The story of one request: admit, route, lease, call, relay, settle.

`Gateway` holds what lives as long as the process (connections, ledger, keys), `Serving` what one config gives. The work
itself is in one module for each kind of call: `generate` for almost all of them.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias
from uuid import uuid4

from dragoman import config
from dragoman.access.asking import granted
from dragoman.access.keys import PREFIX, KeyBook
from dragoman.access.limits import Limiter, Refused
from dragoman.access.oidc import SignIn
from dragoman.access.principal import Principal
from dragoman.access.tokens import looks_like_one
from dragoman.access.visits import Visits
from dragoman.accounts.leases import Leases
from dragoman.accounts.links import Link
from dragoman.accounts.overlay import Overlay, lay
from dragoman.accounts.periods import period_began
from dragoman.accounts.shared import Shared
from dragoman.accounts.shares import Shares
from dragoman.canon import Failed, Failure, Usage
from dragoman.dialects.fields import Malformed
from dragoman.gateway.attempts import away
from dragoman.gateway.call import PIN, Call, Out, Story
from dragoman.gateway.count import count
from dragoman.gateway.embed import embed
from dragoman.gateway.generate import generate
from dragoman.gateway.relay import Hosted, relay
from dragoman.gateway.responses import respond
from dragoman.gateway.serving import Serving
from dragoman.gateway.trial import Trials
from dragoman.ledger import spending
from dragoman.ledger.glance import Glance
from dragoman.ledger.journal import Journal, JournalError
from dragoman.ledger.responses import Responses
from dragoman.ledger.row import Row
from dragoman.telemetry import Telemetry
from dragoman.telemetry.trace import Trace
from dragoman.wire.burst import Burst
from dragoman.wire.client import Client

log = logging.getLogger("dragoman")


class Gateway:
    """Answers calls. One per process."""

    def __init__(
        self,
        settings: config.Config,
        *,
        client: Client,
        journal: Journal,
        keys: KeyBook,
        observe: Callable[[Row], None],
        burst: Burst | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        """`settings`: the config; what was changed of accounts at run time is laid over it. Raises `ConfigError`.
        `burst`: what makes the writes to the clients: the journal's rows are written ahead of them."""
        self.client = client
        shared = settings.server.workers > 1 or settings.state.shared != "memory"
        self.leases = Leases(shared)
        self.limiter = Limiter(shared)
        self.visits = Visits(shared)
        self.shared: Shared | None = None
        self.counting: asyncio.Task[None] | None = None  # while it is not known yet what budgets have left
        self._degrade = settings.state.shared_fallback == "degrade"
        self.overlay = Overlay(settings.state.path)
        self.settings = settings  # without what was changed at run time
        layer = self.overlay.read()
        self.serving = Serving(lay(settings, layer, settings.state.path), client, self.leases)
        self._woken = {name: change.woken for name, change in layer.accounts.items()}
        self.keys = keys
        self.sign_in = _sign_in(settings, client, None)
        self.trials = Trials(client, self.write_story)
        self.responses = Responses(settings.state)
        self.hosted: dict[str, Hosted] = {}  # what the process answers by itself, see `relay`
        self._journal = journal
        self._observe = observe
        self.telemetry = telemetry
        self._burst = burst or Burst()
        self._burst.before = self._write_journal

    async def share(self, link: Link, workers: int, number: int) -> None:
        """From now on the limits are those of all workers together; waits a while for this one's part of them."""
        name = f"{number:03}-{uuid4().hex}"
        shares = Shares(name, self.leases.desk, self.limiter, self.visits, workers=workers, rank=number)
        self.shared = self.leases.line = Shared(
            shares, link, clock=self.leases.now, after=self.leases.after, degrade=self._degrade
        )
        await self.shared.start()

    def reload(self, settings: config.Config) -> None:
        """From now on, serve by `settings`, with what was changed of accounts at run time laid over them. Raises
        `ConfigError`, and then nothing has changed."""
        layer = self.overlay.read()
        laid = lay(settings, layer, self.overlay.path.parent)
        self.serving = Serving(laid, self.client, self.leases, self.serving)
        self.settings = settings
        self.keys.fix(settings.access.admin_key)
        self.sign_in = _sign_in(settings, self.client, self.sign_in)
        for name, change in layer.accounts.items():
            if change.woken > self._woken.get(name, 0.0) and name in self.serving.pool.accounts:
                self.leases.desk.wake(name, self.leases.now())
        self.leases.after()
        self._woken = {name: change.woken for name, change in layer.accounts.items()}

    async def answer(self, call: Call, out: Out) -> None:
        """Answers `call` on `out`, whatever happens; one row in the ledger, whatever happened."""
        story = Story(call, out, self.write_story)
        if self.telemetry is not None:
            story.trace = self.telemetry.begin(call.headers, call.op, inside=call.request is not None)
        try:
            if (
                self.counting is None
                and self.shared is None
                and (principal := call.principal or self._known(call.key)) is not None
            ):
                self._count(principal, story)
                self._admitted(story)
            else:
                await self._admit(story)
            if call.op == "respond":
                await respond(self.serving, story, self.responses)
            else:
                await WORK.get(call.op, self._relay)(self.serving, story)
        except asyncio.CancelledError:
            story.row.status, story.row.error = 499, "client_left"
        except Failed as error:
            await story.refuse(error.failure)
        except Refused as refused:
            await story.refuse(_refused(refused))
        except Malformed as error:
            await story.refuse(Failure(kind="bad_request", message=str(error), param=error.path or None))
        except RecursionError:
            await story.refuse(Failure(kind="bad_request", message="body: expected JSON of fewer levels"))
        except Exception:
            log.exception("a request broke the gateway", extra={"request": call.id})
            failure = Failure(kind="internal", status=500, message="the gateway failed; its log has the details")
            await story.refuse(failure)
        finally:
            story.book()
        if story.shadow is not None:
            self.serving.shadows.begin(story.shadow, story, self)

    async def admit(self, story: Story, maker: str | None = None) -> None:
        """Admits what is no call of `answer`: a session. `maker`: id of the gateway key that vouches for it, where it
        has none of its own. Raises `Failed`."""
        try:
            await self._admit(story, maker)
        except Refused as refused:
            raise Failed(_refused(refused)) from None

    async def enter(self, key: str, most: int | None) -> None:
        """A realtime session of `key` (its id) begins, of which there may be `most` at a time; `leave` follows.
        Raises `Failed`."""
        try:
            await granted(lambda: self.visits.enter(key, most, self.leases.now()), self.shared)
        except Refused as refused:
            raise Failed(_refused(refused)) from None

    def leave(self, key: str) -> None:
        """One is over."""
        self.visits.leave(key)
        if self.shared is not None:
            self.shared.nudge()

    async def _relay(self, serving: Serving, story: Story) -> None:
        await relay(serving, story, self.hosted)

    async def _admit(self, story: Story, maker: str | None = None) -> None:
        """Who asks. Raises `Failed` or `Refused` where they may not: no key or a wrong one, over a limit, out of
        budget."""
        if self.counting is not None:
            await asyncio.shield(self.counting)
        key = story.call.key
        principal = story.call.principal
        if principal is None:
            principal = await (self.who(key) if maker is None else self.keys.of(maker))
        if principal is not None:
            if self.shared is None:
                self._count(principal, story)
            else:
                await granted(lambda: self._count(principal, story), self.shared)
        elif self.serving.settings.access.mode == "keys" and story.call.errand is None:
            raise Failed(_unauthorized(key))
        if self.shared is not None and self.shared.refuses:
            raise Failed(away())
        self._admitted(story)

    def _count(self, principal: Principal, story: Story) -> None:
        """The call counts in the limits of `principal`; one on the chance only once it is wanted. Raises `Refused`."""
        story.principal = principal
        row = story.row
        row.key, row.key_name = principal.id, principal.name
        if story.call.speculation is None:
            self.limiter.admit(principal, self.leases.now())
        else:
            self.limiter.check(principal, self.leases.now())
        if principal.budget is not None:
            story.reserve = self._reserve

    def _admitted(self, story: Story) -> None:
        """Raises `Failed` for what only operators may ask for."""
        principal = story.principal
        if PIN in story.call.headers and not self.sees_all(principal):
            message = f"{PIN.decode()} is for admin keys: leave it out, or send one"
            raise Failed(Failure(kind="forbidden", status=403, message=message))
        story.row.admit = story.elapsed()

    def sees_all(self, principal: Principal | None) -> bool:
        """Whether the caller is an operator. Open access means that everybody is."""
        return self.serving.settings.access.mode == "open" or (principal is not None and principal.admin)

    async def _reserve(self, story: Story, amount: int) -> None:
        """Holds `amount` pico-dollars of the caller's budget until the call is booked. Raises `Failed`."""
        principal = story.principal
        if principal is not None:
            try:
                story.reserved = await granted(
                    lambda: self.limiter.reserve(principal, amount, self.leases.now()), self.shared
                )
            except Refused as refused:
                raise Failed(_refused(refused)) from None

    async def close(self) -> None:
        """Gives everything back. Calls still under way are cut."""
        if self.shared is not None:
            await self.shared.close()
        await self.client.close()
        self._burst.flush()
        if self.telemetry is not None:
            await self.telemetry.close()
        self._journal.close()
        self.keys.close()
        self.responses.close()

    async def who(self, key: str | None) -> Principal | None:
        """Who `key` stands for; None for a key that is not ours, which open access does not mind. Raises `Failed` for a
        token that does not count."""
        principal = self._known(key)
        if principal is None and key:
            if key.startswith(PREFIX):
                principal = await self.keys.look_again(key)
            elif self.sign_in is not None and looks_like_one(key):
                principal = await self.sign_in.read(key)
        return principal

    def _known(self, key: str | None) -> Principal | None:
        """As `who`, of the keys and tokens in memory."""
        if not key:
            return None
        ours = self.serving.settings.access.mode == "keys" or key.startswith(PREFIX)
        found = self.keys.find(key) if ours else None
        return self.sign_in.find(key) if found is None and self.sign_in is not None else found

    @property
    def budgeted(self) -> bool:
        """Whether what was spent before counts for anything: budgets of keys, accounts or routes."""
        serving = self.serving
        routes = serving.router.budgeted() or serving.shadows.budgeted()
        return self.callers_budgeted or serving.pool.budgeted or bool(routes)

    @property
    def callers_budgeted(self) -> bool:
        """Whether any of those who may ask have a budget."""
        return self.keys.budgeted() or (self.sign_in is not None and self.sign_in.budgeted)

    def load_spending(self) -> None:
        """What other workers and earlier runs spent, from the ledger; called in the folding thread."""
        router, pool, now = self.serving.router, self.serving.pool, time.time()
        with Glance(self.serving.settings.state) as glance:
            if self.callers_budgeted:
                self.limiter.load(spending.by_key(glance, without=self._journal.writer))
            if pool.budgeted:
                day, month = (
                    spending.by_account(glance, period_began(period, now), self._journal.writer)
                    for period in ("day", "month")
                )
                pool.load_spending(day, month)
            if routes := router.budgeted():
                router.load_spending(spending.on_models(glance, routes, since=now - now % 86400), now)
            if shadows := self.serving.shadows.budgeted():
                self.serving.shadows.load_spending(spending.of_dialects(glance, shadows, since=now - now % 86400), now)

    def bars(self, principal: Principal | None, key: str | None) -> Failure | None:
        """Why a session that was admitted may not go on, if so: its key is revoked, expired or out of budget."""
        if principal is None:
            return None
        try:
            self.limiter.check(principal, self.leases.now())
        except Refused as refused:
            return _refused(refused)
        if not principal.signed_in and not self.keys.knows(principal.id):
            return _unauthorized(key)
        return None

    def write_row(
        self, row: Row, usage: Usage | None, principal: Principal | None, reserved: int = 0, trace: Trace | None = None
    ) -> None:
        """Books a turn of a session; the row is in the journal when this returns, for the client's socket waits for no
        burst."""
        if usage is not None and row.target is not None and row.cost is None:
            row.cost = self.serving.pool.cost(row.target, usage)
        if trace is not None and self.telemetry is not None:
            self.telemetry.end(trace, row)
        self._write(row, principal, reserved)
        self._burst.flush()

    def write_story(self, story: Story) -> None:
        row = story.row
        row.total = row.total or story.elapsed()
        if story.usage is not None and row.target is not None:
            row.cost = self._cost(story, row.target, story.usage)
        if row.shares:
            row.cost = _sum([share.cost for share in row.shares] + ([row.cost] if story.usage is not None else []))
        speculation = story.call.speculation
        if speculation is not None:
            if speculation.waits(lambda: self.write_story(story)):
                return
            if not speculation.wanted:
                self._is_ours(story)
            elif story.principal is not None:
                with contextlib.suppress(Refused):  # too late to refuse it: the next one is
                    self.limiter.admit(story.principal, self.leases.now())
        errand = story.call.errand
        if errand is not None:
            row.tags = {**row.tags, **errand.tags}
            errand.row = row
        if story.trace is not None and self.telemetry is not None:
            story.trace.model = story.version
            self.telemetry.end(story.trace, row)
        router = self.serving.router
        if story.choice is not None:
            row.record = router.record(story.choice, row, story.attempts)
        if router.active:
            router.observe(row, story.choice, row.time + row.total / 1000, story.version)
        self._write(row, story.principal, story.reserved)

    def _cost(self, story: Story, target: str, usage: Usage) -> int | None:
        spoken = story.spoken
        by_character = None if spoken is None else self.serving.speech_price(target).cost(0, spoken.characters)
        return self.serving.pool.cost(target, usage) if by_character is None else by_character

    def _write(self, row: Row, principal: Principal | None, reserved: int) -> None:
        self._journal.add(row)
        self._burst.soon()
        if principal is not None:
            tokens = row.input + row.output
            self.limiter.settle(principal, self.leases.now(), row.cost or 0, tokens, reserved=reserved)
        self._observe(row)

    def _is_ours(self, story: Story) -> None:
        """Nobody wanted the answer: what it took is not the caller's to pay for."""
        row, principal = story.row, story.principal
        if principal is not None:
            self.limiter.settle(principal, self.leases.now(), 0, 0, reserved=story.reserved)
        story.principal = row.key = row.key_name = None
        row.tags = {**row.tags, "speculation": "dropped"}

    def _write_journal(self) -> None:
        try:
            self._journal.flush()
        except JournalError as error:
            log.critical("requests could not be booked: %s; their rows: %s", error, error.rows.decode())
        if self.telemetry is not None:
            self.telemetry.flush()


Work: TypeAlias = Callable[[Serving, Story], Awaitable[None]]
WORK: dict[str, Work] = {"generate": generate, "embed": embed, "count": count}  # by `Call.op`; others: `relay`


def _sum(costs: list[int | None]) -> int | None:
    """All of them; unknown where one is (law 10)."""
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def _sign_in(settings: config.Config, client: Client, former: SignIn | None) -> SignIn | None:
    """Who signs callers in, by these settings; what is known of the same issuer stays known."""
    spec = settings.access.oidc
    if spec is None:
        return None
    return former if former is not None and former.spec == spec else SignIn(spec, client)


def _refused(refused: Refused) -> Failure:
    return Failure(kind=refused.kind, status=refused.status, message=refused.message, retry_after=refused.retry_after)


def _unauthorized(key: str | None) -> Failure:
    what = "this gateway key is not known" if key else "no gateway key was sent"
    return Failure(
        kind="unauthorized",
        status=401,
        message=f"{what}: send one as `authorization: Bearer dgm-…` (or x-api-key, api-key, x-goog-api-key); "
        "make one with `dragoman keys create`",
    )
