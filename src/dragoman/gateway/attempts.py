"""From an ask to an upstream that answers: the plan of attempts, and what each failure means for the next."""

import logging
import random
import time
from collections.abc import Sequence
from types import TracebackType

import msgspec
from msgspec import Struct

from dragoman import config
from dragoman.accounts.choice import order, soonest
from dragoman.accounts.pool import Pool, Seat
from dragoman.canon import Failed, Failure
from dragoman.catalog.directory import Model, Target
from dragoman.catalog.providers import Provider
from dragoman.gateway.ask import UNSAYABLE, Asking, Outgoing, put
from dragoman.gateway.call import Story
from dragoman.wire.client import Client
from dragoman.wire.errors import ConnectFailed, ProxyFailed, TimedOut, TlsFailed, WireError
from dragoman.wire.origin import Timeouts
from dragoman.wire.reply import Reply

log = logging.getLogger("dragoman")
ERROR_BODY_LIMIT = 1024 * 1024
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
# failures that another account or target may not have; the rest are the client's own and come back at once
_ELSEWHERE = frozenset({
    "unauthorized", "forbidden", "budget_spent", "unknown_model", "not_found", "rate_limited", "overloaded",
    "upstream_error", "upstream_timeout", "timeout", "method_not_allowed",
})  # fmt: skip
_OUR_TROUBLE = {
    "unauthorized": "has a key that its provider refuses",
    "forbidden": "is denied access by its provider",
    "budget_spent": "is out of credit at its provider",
}
_NO_ENDPOINT = frozenset({"not_found", "method_not_allowed"})
# what of several failures tells the client most, from most to least
_TELLING = ("rate_limited", "overloaded", "upstream_timeout", "upstream_error", "unknown_model")


class Answer(Struct):
    """An upstream's reply that has begun well, with everything needed to bring it to its end. A context manager: on
    leaving, the connection and the place on the account are given back."""

    reply: Reply
    seat: Seat
    outgoing: Outgoing

    def __enter__(self) -> "Answer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reply.close()
        self.seat.account.give_back()


class Attempts:
    """Makes attempts until one answers."""

    def __init__(self, client: Client, pool: Pool, defaults: config.Timeouts) -> None:
        self._client = client
        self._pool = pool
        self._defaults = defaults
        self._known_timeouts: dict[tuple[str, str, bool], tuple[Timeouts, bool]] = {}

    async def answer(self, ask: Asking, model: Model, story: Story) -> Answer:
        """The first attempt that answers with success. Raises `Failed` with the failure that tells the client most."""
        failures: list[Failure] = []
        tried: list[Seat] = []
        for tier in model.tiers:
            while seats := self._free(tier, tried, ask.pin):
                seat = seats[0]
                last = len(seats) == 1 and tier is model.tiers[-1]
                result = await self._attempt(seat, ask, self._timeouts(model, seat, last, ask.stream), story)
                if isinstance(result, Answer):
                    return result
                failures.append(result)
                if result.kind not in _ELSEWHERE and result.code != UNSAYABLE:
                    raise Failed(result)
                tried.append(seat)
        raise Failed(self._most_telling(failures, model))

    def _free(self, tier: tuple[Target, ...], tried: list[Seat], pin: str | None) -> list[Seat]:
        """Whom of the tier to try now, in order; health is asked anew each time."""
        seats = self._pool.tier(tier)
        if tried:
            seats = [seat for seat in seats if seat not in tried]
        seats = order(seats, time.monotonic(), random.random)
        if pin is not None:
            seats.sort(key=lambda seat: seat.account.name != pin)
        return seats

    async def _attempt(self, seat: Seat, ask: Asking, timeouts: Timeouts, story: Story) -> Answer | Failure:
        try:
            outgoing = put(ask, seat)
        except Failed as error:
            return error.failure
        account = seat.account
        story.tries(seat)
        account.take()
        kept = False
        try:
            endpoint, headers = account.prepared(outgoing.path, seat.target.model, outgoing.content_type) or (
                await account.reach(
                    self._client, outgoing.path, seat.target.model, outgoing.body, outgoing.content_type
                )
            )
            sent = story.elapsed()
            story.row.queue = sent - (story.row.route or 0.0) - (story.row.admit or 0.0)
            reply = await self._client.send(
                endpoint.origin, b"POST", endpoint.target, headers, outgoing.body, timeouts=timeouts,
                extra=_passed_on(ask, outgoing, seat.target.provider),
            )  # fmt: skip
            story.row.upstream = story.elapsed() - sent
            if reply.status < 300:
                kept = True
                return Answer(reply, seat, outgoing)
            with reply:
                failure = outgoing.dialect.read_error(reply.status, await reply.read(ERROR_BODY_LIMIT))
            failure.retry_after = _retry_after(reply) or failure.retry_after
            spoken, first = outgoing.dialect.NAME, account.provider.dialects[0]
            if spoken != first and _lacks_endpoint(failure):
                account.does_not_speak(spoken)
                return await self._attempt(seat, ask, timeouts, story)
        except WireError as error:
            failure = wire_failure(error)
        finally:
            if not kept:
                account.give_back()
        return self._blamed(failure, seat, story)

    def _blamed(self, failure: Failure, seat: Seat, story: Story) -> Failure:
        """The failure as the client may see it, after the account was rested for its part in it."""
        account = seat.account
        failure.message = account.hide(failure.message)
        failure.type, failure.code, failure.param = (
            account.hide(word) if word else word for word in (failure.type, failure.code, failure.param)
        )
        if failure.kind not in _ELSEWHERE:
            return failure
        account.failed_with(failure.kind, failure.message, seat.target.model, time.monotonic(), failure.retry_after)
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

    def _most_telling(self, failures: list[Failure], model: Model) -> Failure:
        if not failures:
            return self._nobody_free(model)
        kinds = [failure.kind for failure in failures]
        kind = next((kind for kind in _TELLING if kind in kinds), kinds[-1])
        failure = failures[kinds.index(kind)]
        if kind == "rate_limited":
            failure.retry_after = self._soonest(model)
        return failure

    def _nobody_free(self, model: Model) -> Failure:
        targets = [target for tier in model.tiers for target in tier]
        if not any(self._pool.seats(target) for target in targets):
            names = ", ".join(target.name for target in targets)
            return Failure(
                kind="unknown_model",
                status=404,
                message=f'model "{model.name}": no account serves any of its targets ({names}): add an account',
            )
        now = time.monotonic()
        seats = [seat for target in targets for seat in self._pool.seats(target)]
        rests = [(seat, seat.account.rest(seat.target.model, now)) for seat in seats]
        if rests and all(rest is not None and rest.kind in _OUR_TROUBLE for _, rest in rests):
            reasons = "; ".join(f'account "{s.account.name}" {_OUR_TROUBLE[r.kind]}' for s, r in rests if r is not None)
            return Failure(kind="upstream_error", status=502, message=f'model "{model.name}": {reasons}')
        wait = self._soonest(model)
        return Failure(
            kind="rate_limited",
            status=429,
            message=f'model "{model.name}": all accounts are busy or cooling down; the first is back in {wait:.1f} s',
            retry_after=wait,
        )

    def _soonest(self, model: Model) -> float:
        return soonest([s for tier in model.tiers for t in tier for s in self._pool.seats(t)], time.monotonic())


def _lacks_endpoint(failure: Failure) -> bool:
    """Whether the server has no such path: OpenAI says "Invalid URL" then, Azure has the code "404". Any other 404 that
    names a parameter or has a code speaks of something in the request, as an item that the client invented."""
    if failure.kind not in _NO_ENDPOINT or failure.param is not None:
        return False
    return failure.code in {None, "404"} or failure.message.startswith("Invalid URL")


def _passed_on(ask: Asking, outgoing: Outgoing, provider: Provider) -> list[tuple[bytes, bytes]]:
    """The client's headers that mean something to the provider (only where it speaks the client's dialect), and the
    version of the protocol."""
    headers = ask.call.headers if outgoing.relayed else _NO_HEADERS
    passed = [(name, headers[name]) for name in headers.keys() & _PASSED_ON]
    if provider.version is not None:
        name, ours = provider.version
        passed.append((name.encode(), headers.get(name.encode()) or ours.encode()))
    return passed


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


def wire_failure(error: WireError) -> Failure:
    """An exchange that broke, as the client may hear of it."""
    if isinstance(error, TimedOut):
        return Failure(kind="upstream_timeout", status=504, message=f"the provider did not answer in time: {error}")
    if isinstance(error, ConnectFailed | TlsFailed | ProxyFailed):
        return Failure(kind="upstream_error", status=502, message=f"the provider can't be reached: {error}")
    return Failure(kind="upstream_error", status=502, message=f"the provider's answer broke: {error}")


def _retry_after(reply: Reply) -> float | None:
    """Seconds, from `retry-after-ms` or `retry-after` (RFC 9110, section 10.2.3; dates are for the pool to come)."""
    for name, scale in ((b"retry-after-ms", 0.001), (b"retry-after", 1.0)):
        value = reply.header(name)
        if value is not None:
            try:
                seconds = float(value) * scale
            except ValueError:
                continue
            if 0 <= seconds < 86400 * 30:
                return seconds
    return None
