"""One request's place in a trace, and the attempts made for it. Pure: chance and time are arguments.

Source: W3C Trace Context (the headers `traceparent` and `tracestate`); the OpenTelemetry SDK's environment variables
(`OTEL_TRACES_SAMPLER`).
"""

import re
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from msgspec import Struct, field

from dragoman.canon import Usage

TRACEPARENT, TRACESTATE = b"traceparent", b"tracestate"
_HEADER = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_SAMPLED = 1  # the flag's bit
_SPANS = 2**64
_TURNS = 2**32  # from here on, a session's children are turns, not attempts
_LONGEST = 512  # bytes of `tracestate` that are passed on, the least that everyone has to


class Parent(Struct, frozen=True):
    """The span that a client's request is part of. Ids are lower-case hex."""

    trace: str
    span: str
    sampled: bool
    state: bytes = b""


def parent_of(headers: Mapping[bytes, bytes]) -> Parent | None:
    """What the client says; None where it says nothing, or nothing valid."""
    found = _HEADER.fullmatch(headers.get(TRACEPARENT, b""))
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == b"ff" or (version == b"00" and more) or not trace.strip(b"0") or not span.strip(b"0"):
        return None
    state = headers.get(TRACESTATE, b"")
    sampled = bool(int(flags, 16) & _SAMPLED)
    return Parent(trace.decode(), span.decode(), sampled, state if len(state) <= _LONGEST else b"")


Sampler: TypeAlias = Callable[[Parent | None, str], bool]


def sampler(name: str, argument: str) -> Sampler:
    """Which traces are recorded, by the parent (if there is one) and the trace's id. `name` and `argument` are those of
    `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`. Raises `ValueError` for others."""
    how = name.removeprefix("parentbased_")
    if how not in {"always_on", "always_off", "traceidratio"}:
        raise ValueError(f"{name}: expected always_on, always_off or traceidratio, or one of them after parentbased_")
    share = float(argument or 1) if how == "traceidratio" else float(how == "always_on")
    if not 0 <= share <= 1:
        raise ValueError(f"{argument}: expected a number from 0 to 1")
    bound = round(share * _SPANS)  # of the id's lower half, as every SDK has it: all services take the same traces
    heeds = how != name

    def sampled(parent: Parent | None, trace: str) -> bool:
        if heeds and parent is not None:
            return parent.sampled
        return int(trace[16:], 16) < bound

    return sampled


class Attempt(Struct):
    """A call upstream. Times are milliseconds since the request came; `ended` None: with the request. `failure`: why it
    came to nothing, or broke. Tokens are told of an attempt that was not the last."""

    target: str
    account: str
    host: str
    port: int
    started: float
    ended: float | None = None
    failure: str | None = None
    input: int = 0
    output: int = 0


class Trace(Struct, kw_only=True):
    """One request's span, and those of its attempts. `op` as `Call.op`; `kind`: a client's request, one from inside, or
    a turn of a session, which stands for a call upstream itself; `parent`: the span it is part of; `passed`: whether
    those who are asked are told; `model`: what the provider calls the model that answered, where it said so."""

    id: str
    span: str
    sampled: bool
    op: str
    kind: Literal["server", "internal", "client"] = "server"
    parent: str | None = None
    state: str = ""
    passed: bool = True
    model: str | None = None
    attempts: list[Attempt] = field(default_factory=list)

    def child(self, number: int) -> str:
        """The id of the span of its attempt of that number, from 1 on."""
        return f"{(int(self.span, 16) + number) % _SPANS:016x}"

    def turn(self, number: int) -> "Trace":
        """A session's turn of that number."""
        span = self.child(_TURNS + number)
        return Trace(id=self.id, span=span, parent=self.span, sampled=self.sampled, op="realtime.turn", kind="client")

    def headers(self, span: str) -> list[tuple[bytes, bytes]]:
        """What tells a server that it is asked from within `span`."""
        value = f"00-{self.id}-{span}-{'01' if self.sampled else '00'}"
        found = [(TRACEPARENT, value.encode())]
        return [*found, (TRACESTATE, self.state.encode("latin-1"))] if self.state else found

    def begin(self, attempt: Attempt) -> list[tuple[bytes, bytes]]:
        """An attempt is made now. Returns the headers for it."""
        self.attempts.append(attempt)
        return self.headers(self.child(len(self.attempts))) if self.passed else []

    def end(self, target: str, account: str, failure: str | None, at: float) -> None:
        """The attempt under way there is over. The first word counts."""
        if (attempt := self._open(target, account)) is not None:
            attempt.ended, attempt.failure = at, failure

    def took(self, target: str, account: str, usage: Usage, failure: str | None, at: float) -> None:
        """The attempt under way there took so much, and is not the last; `failure`: it is over, for that reason."""
        attempt = self._open(target, account)
        if attempt is not None:
            attempt.input, attempt.output = usage.input, usage.output
            if failure is not None:
                attempt.ended, attempt.failure = at, failure

    def _open(self, target: str, account: str) -> Attempt | None:
        found = (a for a in reversed(self.attempts) if (a.target, a.account) == (target, account) and a.ended is None)
        return next(found, None)
