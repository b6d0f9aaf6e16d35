"""Spans of a finished request, by the semantic conventions for generative AI (v0.1.0, of their own repository, where
they moved from the general ones in 2026) and, for what those leave open, by `dragoman.…`.

A request is a span of kind SERVER (INTERNAL where a session asks); each attempt below it is one of kind CLIENT, and so
is a session's turn. Tokens stand on exactly one span: that of the attempt that took them; on the request's own where
none was made (an engine of ours answered, or it is a turn). So whoever adds them up counts nothing twice.

| a row or attempt has | it becomes |
|---|---|
| op | `gen_ai.operation.name` |
| model asked for | `gen_ai.request.model` of the request; of an attempt it is the provider's id |
| provider, host, port | `gen_ai.provider.name`, `server.address`, `server.port` |
| model that answered | `gen_ai.response.model`, where the provider said it |
| time to the first content | `gen_ai.response.time_to_first_chunk`, seconds, of a stream |
| tokens | `gen_ai.usage.…`, cached and reasoning tokens inside the totals |
| status, kind of error | `http.response.status_code`, `error.type` |
| ids, key, account, cost, … | `dragoman.…` |
"""

from collections.abc import Iterator
from typing import TypeAlias

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from dragoman.ledger.row import Row
from dragoman.telemetry.feed import Finished
from dragoman.telemetry.trace import Attempt, Trace

Value: TypeAlias = str | int | float | bool | list[str]
Attributes: TypeAlias = dict[str, Value]
PICO = 10**12
_OPERATIONS = {
    "generate": "chat",
    "respond": "chat",
    "embed": "embeddings",
    "images/generations": "generate_content",
    "images/edits": "generate_content",
    "realtime.turn": "realtime_inference",
}
_PROVIDERS = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex": "gcp.vertex_ai",
    "xai": "x_ai",
}
_USAGE = {
    "input": "gen_ai.usage.input_tokens",
    "output": "gen_ai.usage.output_tokens",
    "cached": "gen_ai.usage.cache_read.input_tokens",
    "cache_write": "gen_ai.usage.cache_write.input_tokens",
    "reasoning": "gen_ai.usage.reasoning.output_tokens",
    "audio_input": "gen_ai.usage.audio.input_tokens",
    "audio_output": "gen_ai.usage.audio.output_tokens",
}
_KINDS = {"server": SpanKind.SERVER, "internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT}
_NO_FAULT = frozenset({"client_left", "late"})


class Call:
    """One call of a model, as spans and measurements tell of it: an attempt, or a request that needed none. `started`
    and `ended` are milliseconds since the request came; `first`: seconds from its own start to a stream's first
    content."""

    def __init__(self, finished: Finished, attempt: Attempt | None, last: bool) -> None:
        row = self._row = finished.row
        self._trace = finished.trace
        self._last = last
        self.attempt = attempt
        target = (attempt.target if attempt is not None else row.target) or ""
        self._provider, _, self.model = target.partition("/")
        started = self.started = 0.0 if attempt is None else attempt.started
        self.ended = max(started, (row.total if attempt is None or attempt.ended is None else attempt.ended) or 0.0)
        self.first = (row.ttft - started) / 1000 if last and row.stream and row.ttft is not None else None
        self.error = row.error if attempt is None or (last and attempt.failure is None) else attempt.failure
        self.usage = _usage(row, finished.trace) if last else _share(attempt)

    @property
    def seconds(self) -> float:
        return (self.ended - self.started) / 1000

    def kind(self) -> Attributes:
        """What it has in common with others: the dimensions of measurements."""
        found: Attributes = {"gen_ai.operation.name": operation(self._trace.op)}
        if self._provider:
            found["gen_ai.provider.name"] = _PROVIDERS.get(self._provider, self._provider)
            found["gen_ai.request.model"] = self.model
        if self.attempt is not None:
            found["server.address"], found["server.port"] = self.attempt.host, self.attempt.port
        if self._last and self._trace.model is not None:
            found["gen_ai.response.model"] = self._trace.model
        if self.error is not None:
            found["error.type"] = self.error
        return found

    def attributes(self) -> Attributes:
        found = self.kind() | {_USAGE[name]: count for name, count in self.usage.items()}
        if self._row.stream:
            found["gen_ai.request.stream"] = True
        if self.first is not None:
            found["gen_ai.response.time_to_first_chunk"] = self.first
        if self.attempt is not None:
            found["dragoman.account"] = self.attempt.account
        return found


def calls(finished: Finished) -> list[Call]:
    """The calls of models that a request came to; none where it was refused before."""
    attempts = finished.trace.attempts
    if not attempts and finished.row.target is not None:
        return [Call(finished, None, True)]
    answered = next(
        (attempt for attempt in reversed(attempts) if attempt.ended is None), attempts[-1] if attempts else None
    )
    return [Call(finished, attempt, attempt is answered) for attempt in attempts]


class Maker:
    """Makes spans. `resource`: who sends them."""

    def __init__(self, resource: Resource, scope: InstrumentationScope) -> None:
        self._resource = resource
        self._scope = scope

    def spans(self, finished: Finished) -> Iterator[ReadableSpan]:
        """The request's span and those of its attempts."""
        row, trace = finished.row, finished.trace
        made = calls(finished)
        mine, model = _request(row, trace), row.model
        if len(made) == 1 and made[0].attempt is None:
            mine = made[0].attributes() | mine
            model = made[0].model or model
        yield self._span(
            trace, trace.span, trace.parent, mine, name=f"{operation(trace.op)} {model}".rstrip(),
            kind=_KINDS[trace.kind], remote=trace.kind == "server", error=row.error if _faulty(row) else None,
            start=_moment(row, 0.0), end=_moment(row, row.total or 0.0),
        )  # fmt: skip
        for number, call in enumerate(made, 1):
            if call.attempt is not None:
                yield self._span(
                    trace, trace.child(number), trace.span, call.attributes(),
                    name=f"{operation(trace.op)} {call.model}", kind=SpanKind.CLIENT, remote=False, error=call.error,
                    start=_moment(row, call.started), end=_moment(row, call.ended),
                )  # fmt: skip

    def _span(
        self, trace: Trace, span: str, parent: str | None, attributes: Attributes, *,
        name: str, kind: SpanKind, remote: bool, error: str | None, start: int, end: int,
    ) -> ReadableSpan:  # fmt: skip
        flags = TraceFlags(TraceFlags.SAMPLED)
        return ReadableSpan(
            name=name,
            context=SpanContext(int(trace.id, 16), int(span, 16), False, flags),
            parent=None if parent is None else SpanContext(int(trace.id, 16), int(parent, 16), remote, flags),
            resource=self._resource,
            attributes=attributes,
            kind=kind,
            status=Status(StatusCode.ERROR if error and error not in _NO_FAULT else StatusCode.UNSET),
            start_time=start,
            end_time=end,
            instrumentation_scope=self._scope,
        )


def operation(op: str) -> str:
    return _OPERATIONS.get(op, op)


def _moment(row: Row, milliseconds: float) -> int:
    """So long after the request came, in nanoseconds of Unix time."""
    return int(row.time * 1e9) + int(milliseconds * 1e6)


def _faulty(row: Row) -> bool:
    """Whether it is an error for a server: a refusal that is the client's own doing is none (semantic conventions for
    HTTP spans); a stream that broke is, whatever its status said."""
    return row.error is not None and (row.status >= 500 or row.status < 400)


def _request(row: Row, trace: Trace) -> Attributes:
    """What is said of the request itself."""
    found: dict[str, Value | None] = {
        "gen_ai.operation.name": operation(trace.op),
        "gen_ai.request.model": row.model or None,
        "http.response.status_code": row.status,
        "error.type": row.error,
        "dragoman.request.id": row.request_id,
        "dragoman.decision": row.decision,
        "dragoman.dialect": row.dialect,
        "dragoman.target": row.target,
        "dragoman.account": row.account,
        "dragoman.key.id": row.key,
        "dragoman.key.name": row.key_name,
        "dragoman.attempts": row.attempts,
        "dragoman.cost_usd": None if row.cost is None else row.cost / PICO,
        "dragoman.resumed": row.resumed or None,
        "dragoman.hedged": row.hedged or None,
        "dragoman.usage.estimated": row.estimated or None,
        "dragoman.lossy": row.lossy or None,
        "dragoman.admit_ms": row.admit,
        "dragoman.route_ms": row.route,
        "dragoman.queue_ms": row.queue,
    }
    found |= {f"dragoman.tag.{name}": value for name, value in row.tags.items()}
    return {name: value for name, value in found.items() if value is not None}


def _usage(row: Row, trace: Trace) -> dict[str, int]:
    """The tokens of the last attempt: the row's, less what those before it took."""
    found = {name: count for name in _USAGE if (count := getattr(row, name))}
    for name in ("input", "output"):
        left = found.get(name, 0) - sum(getattr(attempt, name) for attempt in trace.attempts)
        found[name] = max(0, left)
    return found if found["input"] or found["output"] else {}


def _share(attempt: Attempt | None) -> dict[str, int]:
    found = {} if attempt is None else {"input": attempt.input, "output": attempt.output}
    return {name: count for name, count in found.items() if count}
