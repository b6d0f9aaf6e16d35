"""From an ask to an answer that is brought to its client: attempt after attempt, each on a lease, and what each failure
means for the next."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from msgspec import Struct

from dragoman import config
from dragoman.accounts import ratelimits
from dragoman.accounts.cooldown import RULES
from dragoman.accounts.lease import Lease, Outcome, Refused, Want
from dragoman.accounts.pool import LineUp, Pool, Seat, targets
from dragoman.accounts.queue import Ticket
from dragoman.canon import Failed, Failure, Usage
from dragoman.catalog.directory import Model
from dragoman.catalog.providers import Provider
from dragoman.gateway.ask import Asking, Outgoing, put
from dragoman.gateway.call import PIN, Call, Story
from dragoman.gateway.elsewhere import ANYWHERE, REFUSED, closed
from dragoman.gateway.failures import wire_failure
from dragoman.gateway.hedging import Late, race
from dragoman.gateway.priming import prime
from dragoman.telemetry.trace import Attempt, Trace
from dragoman.wire.client import Client
from dragoman.wire.errors import ConnectFailed, ProxyFailed, TlsFailed, WireError
from dragoman.wire.origin import Origin, Timeouts
from dragoman.wire.reply import Reply

log = logging.getLogger("dragoman")
ERROR_BODY_LIMIT = 1024 * 1024
MOST = 8  # attempts for one call that fail
MOST_REFUSED = 32  # those included that a busy provider refused: the rests after these, and patience, end them sooner
_NO_HEADERS: dict[bytes, bytes] = {}
_PASSED_ON = frozenset(
    (
        b"anthropic-beta",
        b"openai-beta",
        b"x-client-request-id",
        b"idempotency-key",
        b"session_id",
        b"originator",
    )
)
_OUR_TROUBLE = {
    "unauthorized": "has a key that its provider refuses",
    "forbidden": "is denied access by its provider",
    "budget_spent": "is out of credit at its provider",
}
_NO_ENDPOINT = frozenset({"not_found", "method_not_allowed"})
# what of several failures tells the client most, from most to least
_TELLING = ("rate_limited", "overloaded", "upstream_timeout", "upstream_error", "unknown_model")
_UNTRIED, _DROPPED = Outcome(dropped=True, sent=False), Outcome(dropped=True)


class Trial(Struct):
    """An attempt: what is asked, and where. `last`: there is no other place to try. `again`: it is not the first."""

    ask: Asking
    model: Model
    story: Story
    lease: Lease
    seat: Seat
    line_up: LineUp
    last: bool
    again: bool


class Answer(Struct):
    """An upstream's reply that has begun well, with everything needed to bring it to its end: `leave` it then.

    `sent`: milliseconds since the call came, when the attempt was made. `ttft`: seconds from there to the head of the
    reply, or its first content. `primed`: what has been read of a stream to see that it has content."""

    reply: Reply
    outgoing: Outgoing
    trial: Trial
    pool: Pool
    sent: float
    ttft: float
    primed: bytes = b""

    @property
    def seat(self) -> Seat:
        return self.trial.seat

    def began(self) -> None:
        """The first of the content is here."""
        self.ttft = (self.trial.story.elapsed() - self.sent) / 1000
        self.pool.leases.began(self.trial.lease, self.ttft)

    def whole(self) -> None:
        """It was a whole reply, and is with the client."""
        seat, total = self.trial.seat, self.trial.story.row.total
        seat.account.took(seat.target.model, ((total or 0.0) - self.sent) / 1000)

    def drop(self) -> None:
        """Nobody wants it: another was faster."""
        self.reply.close()
        self.pool.leases.settle(self.trial.lease, Outcome(dropped=True))

    def leave(self, error: BaseException | None) -> None:
        """The end of it, with what it ended in: the connection is given back and the lease settled, with whatever the
        story says of how it went."""
        self.reply.close()
        self.pool.leases.settle(self.trial.lease, self._outcome(error))

    def _outcome(self, error: BaseException | None) -> Outcome:
        trial = self.trial
        story = trial.story
        row, usage = story.row, story.usage
        rates = _told(self.reply, self.pool.leases.now()).rates if self.reply.mentions(b"ratelimit-") else ()
        tokens_in = tokens_out = cost = None
        if usage is not None:
            tokens_in, tokens_out = usage.input, usage.output
            cost = row.cost if error is None and not row.shares else self.pool.cost(self.seat.target.name, usage)
        if error is None:
            kind = row.error
            seconds = ((story.elapsed() if row.total is None else row.total) - self.sent) / 1000
            if kind is None and tokens_out is not None:
                trial.line_up.answered(tokens_out)
            return Outcome(
                kind=kind, tokens_in=tokens_in, tokens_out=tokens_out, cost=cost, ttft=self.ttft, seconds=seconds,
                rates=rates,
            )  # fmt: skip
        if isinstance(error, Failed):
            failure = error.failure
            return Outcome(
                kind=failure.kind, message=self.seat.account.hide(failure.message), rates=rates,
                tokens_in=tokens_in, tokens_out=tokens_out, cost=cost,
            )  # fmt: skip
        return Outcome(dropped=True, tokens_in=tokens_in, tokens_out=tokens_out, cost=cost, rates=rates)


Bring = Callable[[Answer], Awaitable[None]]


class Attempts:
    """Makes attempts for calls until one answers. One per config."""

    def __init__(self, client: Client, pool: Pool, settings: config.Server) -> None:
        self._client = client
        self._pool = pool
        self._defaults = settings.timeouts
        self._patience = settings.queue_seconds
        self._known_timeouts: dict[tuple[str, str, bool], tuple[Timeouts, bool]] = {}
        self.late: Late = asyncio.sleep  # how the time passes after which an attempt is late

    async def bring(
        self, ask: Asking, model: Model, story: Story, bring: Bring, *, primed: bool = False, hedged: bool = False
    ) -> None:
        """The first attempt that answers is brought to the client by `bring`. Where that raises `Failed`, the next is
        tried: it does so while nothing has gone out, or while another can go on. Raises `Failed` with the failure that
        tells the client most.

        `primed`: a stream counts as an answer from its first content on. `hedged`: where the first attempt is late, a
        second is made beside it."""
        pool = self._pool
        line_up = pool.line_up(model.tiers)
        want = self._want(ask, model, line_up, story)
        failures: list[Failure] = []
        failed = 0
        while True:
            lease = pool.leases.acquire(want)
            if type(lease) is not Lease:
                if isinstance(lease, Ticket):
                    lease = await pool.leases.wait(lease)
                if isinstance(lease, Refused):
                    raise Failed(self.refusal(lease, failures, model, line_up, want.only))
            seats = line_up.seats
            last = len(want.avoid) + 1 >= len(seats) or (want.only is not None and len(want.only) == 1)
            trial = Trial(ask, model, story, lease, seats[lease.seat], line_up, last, want.attempt > 1)
            late = pool.leases.desk.hedge_after(lease) if hedged and ask.stream and want.attempt == 1 else None
            results: Sequence[tuple[Seat, Answer | Failure]]
            if late is None:
                results = ((trial.seat, await (self._begun if primed else self._attempt)(trial)),)
            else:
                results = await self._hedged(trial, late)
            for seat, result in results:
                if isinstance(result, Answer):
                    try:
                        await bring(result)
                    except Failed as error:
                        result.leave(error)
                        if story.usage is not None:
                            cost = pool.cost(seat.target.name, story.usage)
                            story.shares(seat, "broke", story.usage, cost)
                        result = self.blamed(error.failure, seat, story)
                        if ask.resuming:
                            deadline = pool.leases.now() + self._patience
                            want = msgspec.structs.replace(want, deadline=deadline, affinity=None)
                    except BaseException as error:
                        result.leave(error)
                        raise
                    else:
                        result.leave(None)
                        return
                failures.append(result)
                failed += result.kind not in REFUSED
                avoid = closed(result, seat, line_up, model, ask.resuming)
                if avoid is None:
                    raise Failed(result)
                want = msgspec.structs.replace(want, avoid=want.avoid | avoid, attempt=want.attempt + 1)
            if failed >= MOST or want.attempt > MOST_REFUSED:
                raise Failed(self.most_telling(failures))

    async def _hedged(self, first: Trial, after: float) -> list[tuple[Seat, Answer | Failure]]:
        """What came of an attempt, or of two where the first token of the first was not there `after` seconds later. If
        any answered, it comes first: the other does not matter then."""
        story, leases = first.story, self._pool.leases

        def second() -> Trial | None:
            lease = leases.hedge(first.lease)
            if lease is None:
                return None
            story.row.hedged = True
            return msgspec.structs.replace(first, lease=lease, seat=first.line_up.seats[lease.seat])

        ended = await race(
            self._begun, first, after, second,
            late=self.late, won=lambda result: isinstance(result, Answer), drop=_drop,
        )  # fmt: skip
        for trial in ended.lost:
            usage = Usage(input=trial.lease.want.input_tokens, estimated=True)
            story.shares(trial.seat, "late", usage, self._pool.cost(trial.seat.target.name, usage))
        results = [(trial.seat, result) for trial, result in reversed(ended.results)]
        story.answers(results[0][0])
        return results

    async def _begun(self, trial: Trial) -> Answer | Failure:
        """An attempt, up to what counts as an answer."""
        result = await self._attempt(trial)
        if trial.ask.stream and isinstance(result, Answer):
            try:
                result.primed = await prime(result.reply, result.outgoing.dialect)
            except BaseException as error:
                result.leave(error)
                if isinstance(error, Failed):
                    return self.blamed(error.failure, trial.seat, trial.story)
                raise
        return result

    def _want(self, ask: Asking, model: Model, line_up: LineUp, story: Story) -> Want:
        several = len(line_up.seats) > 1
        pin = ask.pin if several else None
        principal = story.principal
        return Want(
            roster=line_up.roster,
            deadline=self._pool.leases.now() + self._patience,
            patient=ask.call.errand is None,
            input_tokens=len(ask.call.body) >> 2,
            output_tokens=int(line_up.output),
            tenant=story.row.key or "",
            priority=1 if principal is None else principal.priority,
            affinity=ask.affinity() if several else None,
            prefer=pin,
            only=only(ask.call, model, line_up) if PIN in ask.call.headers else model.only,
        )

    async def _attempt(self, trial: Trial) -> Answer | Failure:
        ask, story, seat = trial.ask, trial.story, trial.seat
        leases = self._pool.leases
        timeouts = self._timeouts(trial.model, seat, trial.last, ask.stream)
        if trial.again:
            timeouts = _left(timeouts, story.elapsed() / 1000)
        outcome: Outcome | None = _UNTRIED
        answer: Answer | None = None
        try:
            outgoing = put(ask, seat)
            account = seat.account
            story.tries(seat)
            endpoint, headers = account.prepared(outgoing.path, seat.target.model, outgoing.content_type) or (
                await account.reach(
                    self._client, outgoing.path, seat.target.model, outgoing.body, outgoing.content_type
                )
            )
            row = story.row
            sent = story.elapsed()
            row.queue = sent - (row.route or 0.0) - (row.admit or 0.0)
            outcome = _DROPPED
            extra = _passed_on(ask, outgoing, seat.target.provider)
            if story.trace is not None:
                extra += traced(story.trace, seat, endpoint.origin, sent)
            reply = await self._client.send(
                endpoint.origin, b"POST", endpoint.target, headers, outgoing.body, timeouts=timeouts, extra=extra
            )
            row.upstream = story.elapsed() - sent
            if reply.status < 300:
                answer = Answer(reply, outgoing, trial, self._pool, sent, row.upstream / 1000)
                return answer
            with reply:
                body = await reply.read(ERROR_BODY_LIMIT)
            failure = outgoing.dialect.read_error(reply.status, body)
            told = _told(reply, leases.now(), body if outgoing.dialect.NAME == "gemini" else b"")
            failure.retry_after = failure.retry_after if told.retry_after is None else told.retry_after
            spoken, first = outgoing.dialect.NAME, account.provider.dialects[0]
            if spoken != first and _lacks_endpoint(failure):
                account.does_not_speak(spoken)
                story.ended(seat, failure.kind)
                outcome = None
                return await self._attempt(trial)
            outcome = self._outcome(failure, failure.kind, seat, told)
        except Failed as error:  # what can't be put to this target, or its credential can't be had
            failure = error.failure
            if failure.kind in RULES:
                outcome = self._outcome(failure, failure.kind, seat)
        except WireError as error:
            failure = wire_failure(error)
            kind = "unreachable" if isinstance(error, ConnectFailed | TlsFailed | ProxyFailed) else failure.kind
            outcome = self._outcome(failure, kind, seat)
        finally:
            if answer is None and outcome is not None:
                leases.settle(trial.lease, outcome)
        return self.blamed(failure, seat, story)

    def _outcome(self, failure: Failure, kind: str, seat: Seat, told: ratelimits.Told = ratelimits.NOTHING) -> Outcome:
        if seat.account.engine is not None:
            return Outcome(dropped=True)  # embedded: the next call starts it anew, or is told at once why it can't be
        message = seat.account.hide(failure.message)
        return Outcome(kind=kind, message=message, retry_after=failure.retry_after, rates=told.rates)

    def blamed(self, failure: Failure, seat: Seat, story: Story) -> Failure:
        """The failure as the client may see it."""
        account = seat.account
        story.failed(seat, failure.kind)
        failure.message = account.hide(failure.message)
        failure.type, failure.code, failure.param = (
            account.hide(word) if word else word for word in (failure.type, failure.code, failure.param)
        )
        if failure.kind not in ANYWHERE:
            return failure
        log.warning(
            "%s at account %s: %s: %s", seat.target.name, account.name, failure.kind, failure.message,
            extra={"request": story.row.request_id},
        )  # fmt: skip
        if failure.kind in _OUR_TROUBLE:  # the gateway's trouble, not the client's
            message = f'{seat.target.name}: account "{account.name}" {_OUR_TROUBLE[failure.kind]}'
            return Failure(kind="upstream_error", status=502, message=message)
        return failure

    def _timeouts(self, model: Model, seat: Seat, last: bool, stream: bool) -> Timeouts:
        """Account over model over server; the last attempt may take all the time there is. A whole reply may take as
        long as such replies took lately, three times over, unless the config says how long."""
        key = (model.name, seat.account.name, last)
        known = self._known_timeouts.get(key)
        if known is None:
            if len(self._known_timeouts) > 10_000:
                self._known_timeouts.clear()
            known = self._known_timeouts[key] = _timeouts(
                (seat.account.spec.timeouts, model.timeouts, self._defaults), last
            )
        timeouts, flexible = known
        if flexible and not stream and timeouts.first_byte is not None:
            slowest = 3 * seat.account.slowest(seat.target.model)
            if slowest > timeouts.first_byte:
                return msgspec.structs.replace(timeouts, first_byte=slowest)
        return timeouts

    def most_telling(self, failures: list[Failure], wait: float | None = None) -> Failure:
        """Of several failures, the one that tells the client most. `wait`: seconds until an account is back."""
        kinds = [failure.kind for failure in failures]
        kind = next((kind for kind in _TELLING if kind in kinds), kinds[-1])
        failure = failures[kinds.index(kind)]
        if kind == "rate_limited" and wait is not None:
            failure.retry_after = wait
        return failure

    def refusal(
        self, refused: Refused, failures: list[Failure], model: Model, line_up: LineUp, only: frozenset[str] | None
    ) -> Failure:
        """Why nobody takes the call, as the client may hear it. `only`: who could have."""
        if failures:
            return self.most_telling(failures, refused.retry_after)
        if refused.why == "away":
            return away()
        if not line_up.seats:
            names = ", ".join(target.name for target in targets(model.tiers))
            return Failure(
                kind="unknown_model",
                status=404,
                message=f'model "{model.name}": no account serves any of its targets ({names}): add an account',
            )
        if refused.why == "no_seat":
            names = ", ".join(sorted(only or {seat.account.name for seat in line_up.seats.values()}))
            message = f'model "{model.name}": its accounts ({names}) are switched off: enable one'
            return Failure(kind="upstream_error", status=503, message=message)
        rests = {rest.account: rest.kind for rest in refused.rests}
        if len(rests) == len(only or {seat.account.name for seat in line_up.seats.values()}) and all(
            kind in _OUR_TROUBLE for kind in rests.values()
        ):
            reasons = "; ".join(f'account "{name}" {_OUR_TROUBLE[kind]}' for name, kind in rests.items())
            return Failure(kind="upstream_error", status=502, message=f'model "{model.name}": {reasons}')
        wait = 1.0 if refused.retry_after is None else refused.retry_after
        return Failure(
            kind="rate_limited",
            status=429,
            message=f'model "{model.name}": all accounts are busy or cooling down; the first is back in {wait:.1f} s',
            retry_after=wait,
        )


def only(call: Call, model: Model, line_up: LineUp) -> frozenset[str] | None:
    """The account that alone may answer: the one an operator pins the call to. Raises `Failed` where the pin fits
    none."""
    name = call.headers[PIN].decode("latin-1")
    names = {seat.account.name for seat in line_up.seats.values()}
    if name not in (names if model.only is None else names & model.only):
        message = f'{PIN.decode()}: no account "{name}" may answer for model "{model.name}"'
        raise Failed(Failure(kind="bad_request", status=400, message=message))
    return frozenset({name})


def _drop(result: Answer | Failure) -> None:
    if isinstance(result, Answer):
        result.drop()


def _left(timeouts: Timeouts, elapsed: float) -> Timeouts:
    """What of the time for the whole call is left for one more attempt, `elapsed` seconds after it came."""
    if timeouts.total is None:
        return timeouts
    total = max(0.001, timeouts.total - elapsed)
    first = None if timeouts.first_byte is None else min(timeouts.first_byte, total)
    return msgspec.structs.replace(timeouts, total=total, first_byte=first)


def _told(reply: Reply, now: float, gemini_body: bytes = b"") -> ratelimits.Told:
    """What a reply says of its provider's limits."""
    told = ratelimits.read(reply.headers, now)
    if gemini_body:
        said = ratelimits.read_gemini(gemini_body)
        retry_after = told.retry_after if said.retry_after is None else said.retry_after
        return ratelimits.Told(retry_after, told.rates + said.rates)
    return told


def _lacks_endpoint(failure: Failure) -> bool:
    """Whether the server has no such path: OpenAI says "Invalid URL" then, Azure has the code "404". Any other 404 that
    names a parameter or has a code speaks of something in the request, as an item that the client invented."""
    if failure.kind not in _NO_ENDPOINT or failure.param is not None:
        return False
    return failure.code in {None, "404"} or failure.message.startswith("Invalid URL")


def _passed_on(ask: Asking, outgoing: Outgoing, provider: Provider) -> list[tuple[bytes, bytes]]:
    """The client's headers that mean something to the provider (only where it speaks the client's dialect), and the
    version of the protocol."""
    headers = ask.call.headers if outgoing.dialect.NAME == ask.call.dialect.NAME else _NO_HEADERS
    passed = [] if _PASSED_ON.isdisjoint(headers) else [(name, headers[name]) for name in headers.keys() & _PASSED_ON]
    if provider.version is not None:
        name, ours = provider.version
        passed.append((name.encode(), headers.get(name.encode()) or ours.encode()))
    return passed


def traced(trace: Trace, seat: Seat, origin: Origin, at: float) -> list[tuple[bytes, bytes]]:
    """The headers of an attempt that goes out now, `at` milliseconds after the call came."""
    return trace.begin(Attempt(seat.target.name, seat.account.name, origin.host, origin.port, at))


def _timeouts(levels: Sequence[config.Timeouts], last: bool) -> tuple[Timeouts, bool]:
    """The limits that `levels` (the first wins) amount to, and whether the first byte's may be stretched."""
    connect, idle, total, first = (
        next((value for level in levels if (value := getattr(level, name)) is not None), None)
        for name in ("connect", "idle", "total", "first_byte")
    )
    explicit = any(level.first_byte is not None for level in levels[:-1])
    if last and not explicit:
        first = total
    return Timeouts(connect=connect, first_byte=first, idle=idle, total=total), not (last or explicit)


def away() -> Failure:
    """What a client hears where workers share limits that nobody divides now, and are to refuse then."""
    return Failure(
        kind="overloaded",
        status=503,
        message="the store of the shared limits can't be reached, and state.shared_fallback is refuse: try again",
        retry_after=1,
    )
