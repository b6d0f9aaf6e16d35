"""Times as people write them on the command line."""

import re
from datetime import UTC, datetime

import typer

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def span(text: str) -> float:
    """Seconds of `90s`, `30m`, `24h`, `7d`, `2w`. Raises `ValueError`."""
    found = re.fullmatch(r"(\d+)([smhdw])", text.strip())
    if not found:
        raise ValueError(text)
    return int(found[1]) * _UNITS[found[2]]


def point(text: str, now: float, ahead: bool = False) -> float:
    """Unix seconds of `2026-11-01`, `2026-11-01T12:00` (UTC unless it says otherwise), or of a span before `now`
    (`ahead`: after). Raises typer's `BadParameter`."""
    try:
        return now + span(text) * (1 if ahead else -1)
    except ValueError:
        pass
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f'expected a time such as 2026-11-01, 2026-11-01T12:00 or 7d, got "{text}"') from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
