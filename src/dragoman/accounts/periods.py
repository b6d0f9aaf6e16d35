"""Days and months of UTC, by which budgets are counted."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, TypeAlias

Period: TypeAlias = Literal["day", "month"]


def period_start(period: Period | None, now: float) -> str:
    """The first day (UTC, ISO) of the period that `now` is in; for none, a day before all others."""
    if period is None:
        return "0001-01-01"
    day = iso_day(now // 86400)
    return day if period == "day" else day[:8] + "01"


def period_began(period: Period, now: float) -> float:
    """When the period that `now` is in began, in Unix seconds."""
    return datetime.fromisoformat(period_start(period, now)).replace(tzinfo=UTC).timestamp()


def period_end(period: Period, now: float) -> float:
    """When the period that `now` is in ends, in Unix seconds."""
    start = datetime.fromisoformat(period_start(period, now)).replace(tzinfo=UTC)
    if period == "day":
        return (start + timedelta(days=1)).timestamp()
    return (start + timedelta(days=32)).replace(day=1).timestamp()


@lru_cache
def iso_day(number: float) -> str:
    """A day by its number since 1970, as ISO 8601 writes it."""
    return datetime.fromtimestamp(number * 86400, UTC).date().isoformat()
