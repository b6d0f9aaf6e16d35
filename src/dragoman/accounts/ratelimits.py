"""What a provider's answer says about its limits: headers (and Gemini's error body) -> limits, what is left, when it is
back. Pure; a header that makes no sense is as good as absent.

| who                       | headers                                                           | resets as      |
|---------------------------|-------------------------------------------------------------------|----------------|
| OpenAI, Azure, Groq, xAI  | `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`           | `6m0s`, `20ms` |
| Cerebras, Mistral, Cohere | the same with `-minute`, `-hour`, `-day` after it; `req`          | seconds        |
| Anthropic                 | `anthropic-ratelimit-{requests,[input-,output-]tokens}-{limit,…}` | RFC 3339       |
| OpenRouter, Together      | `x-ratelimit-{limit,remaining,reset}`                             | epoch          |
| IETF drafts               | `ratelimit-{limit,remaining,reset}`                               | seconds        |
| anyone, with a refusal    | `retry-after-ms`, `x-ms-retry-after-ms`, `retry-after`            | ms; s or date  |
| Gemini                    | body: details `RetryInfo`, `QuotaFailure`                         | `38s`          |

Groq's `requests` are a day's and OpenAI's may be: where no window is named it is worked out from how fast the quota
comes back.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

Resource: TypeAlias = Literal["requests", "tokens", "input_tokens", "output_tokens"]

_KINDS = frozenset({b"limit", b"remaining", b"reset"})
_WINDOWS = {b"second": 1.0, b"minute": 60.0, b"hour": 3600.0, b"day": 86400.0, b"month": 2592000.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|s|m|h|d)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 86400.0 * 31


class Rate(Struct, frozen=True, kw_only=True):
    """One limit as told. `reset`: seconds until all of it is back. `window`: seconds it is counted over; None: unknown.
    `refills`: it comes back evenly, rather than all at once at `reset`."""

    resource: Resource
    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None
    window: float | None = None
    refills: bool = False


class Told(Struct, frozen=True):
    """All that one answer says. `retry_after`: seconds."""

    retry_after: float | None = None
    rates: tuple[Rate, ...] = ()


NOTHING = Told()


def read(headers: Iterable[tuple[bytes, bytes]], now: float) -> Told:
    """What `headers` (lower-case names) say. `now`: Unix seconds, for resets that are told as dates."""
    retry_after: float | None = None
    in_ms = False
    found: dict[tuple[Resource, float | None], dict[bytes, str]] = {}
    bucket = True
    for name, value in headers:
        if b"ratelimit" in name:
            spoken = _words(name)
            if spoken is not None:
                kind, resource, window, plain = spoken
                bucket = bucket and not plain
                found.setdefault((resource, window), {})[kind] = value.decode("latin-1")
        elif name.endswith(b"retry-after-ms"):
            seconds = _number(value.decode("latin-1"), 0.001)
            if seconds is not None and seconds <= _LONGEST:
                retry_after, in_ms = seconds, True
        elif name == b"retry-after" and not in_ms:
            retry_after = _retry_after(value.decode("latin-1"), now)
    if retry_after is None and not found:
        return NOTHING
    rates = tuple(_rate(resource, window, values, bucket, now) for (resource, window), values in found.items())
    return Told(retry_after, rates)


def _words(name: bytes) -> tuple[bytes, Resource, float | None, bool] | None:
    """A header's name as: limit, remaining or reset; of what; in which window; and whether it names no resource."""
    words = name.split(b"-")
    kinds = _KINDS.intersection(words)
    if len(kinds) != 1 or b"unified" in words:
        return None
    window = next((seconds for word, seconds in _WINDOWS.items() if word in words), None)
    plain = False
    resource: Resource = "requests"
    if b"tokens" in words:
        resource = "input_tokens" if b"input" in words else "output_tokens" if b"output" in words else "tokens"
    elif b"requests" not in words and b"req" not in words:
        plain = True
    return next(iter(kinds)), resource, window, plain


def _rate(resource: Resource, window: float | None, values: dict[bytes, str], bucket: bool, now: float) -> Rate:
    limit, remaining = _whole(values.get(b"limit")), _whole(values.get(b"remaining"))
    reset = _moment(values[b"reset"], now) if b"reset" in values else None
    if window is None and bucket and limit and remaining is not None and reset and remaining < limit:
        window = _near(limit * reset / (limit - remaining))
    return Rate(resource=resource, limit=limit, remaining=remaining, reset=reset, window=window, refills=bucket)


def _near(seconds: float) -> float | None:
    """The usual window that is meant by so many seconds, worked out from rounded numbers."""
    for window in (60.0, 3600.0, 86400.0):
        if 0.4 * window <= seconds <= 2 * window:
            return window
    return None


def _whole(text: str | None) -> int | None:
    number = _number(text.partition(",")[0].partition(";")[0]) if text else None
    return None if number is None else int(number)


def _number(text: str, scale: float = 1.0) -> float | None:
    try:
        number = float(text) * scale
    except ValueError:
        return None
    return number if 0 <= number < 1e15 else None


def _retry_after(text: str, now: float) -> float | None:
    """Seconds, or a date (RFC 9110, section 10.2.3)."""
    seconds = duration(text)
    if seconds is None:
        try:
            seconds = max(0.0, parsedate_to_datetime(text).timestamp() - now)
        except (ValueError, TypeError, OverflowError):
            return None
    return seconds if seconds <= _LONGEST else None


def _moment(text: str, now: float) -> float | None:
    """Seconds from `now`: a duration, an epoch in seconds or milliseconds, or an RFC 3339 time."""
    seconds = duration(text)
    if seconds is None:
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            return None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    elif seconds > 1e12:
        seconds = seconds / 1000 - now
    elif seconds > 1e9:
        seconds -= now
    return min(max(0.0, seconds), _LONGEST)


def duration(text: str) -> float | None:
    """Seconds: `12`, `0.5`, `20ms`, `6m0s`, `2m59.56s`. None where it is no duration."""
    text = text.strip()
    number = _number(text)
    if number is not None:
        return number
    parts = _DURATION.findall(text)
    if not parts or "".join(amount + unit for amount, unit in parts) != text:
        return None
    return sum(float(amount) * _UNITS[unit] for amount, unit in parts)


class _Violation(Struct, rename="camel"):
    quota_id: str = ""
    quota_value: str = ""


class _Detail(Struct, rename="camel"):
    type: str = msgspec.field(default="", name="@type")
    retry_delay: str = ""
    violations: list[_Violation] = []


class _Error(Struct):
    details: list[_Detail] = []


class _Body(Struct):
    error: _Error


def read_gemini(body: bytes) -> Told:
    """What the body of Gemini's 429 says: `google.rpc.RetryInfo` and `google.rpc.QuotaFailure`."""
    try:
        details = msgspec.json.decode(body, type=_Body).error.details
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NOTHING
    retry_after = next((s for d in details if d.retry_delay and (s := duration(d.retry_delay)) is not None), None)
    violations = [violation for detail in details for violation in detail.violations]
    return Told(retry_after, tuple(rate for violation in violations if (rate := _quota(violation)) is not None))


def _quota(violation: _Violation) -> Rate | None:
    name = violation.quota_id.lower()
    limit = _whole(violation.quota_value)
    window = next((seconds for word, seconds in _WINDOWS.items() if f"per{word.decode()}" in name), None)
    if limit is None or window is None:
        return None
    resource: Resource = "input_tokens" if "inputtoken" in name else "tokens" if "token" in name else "requests"
    return Rate(resource=resource, limit=limit, window=window)
