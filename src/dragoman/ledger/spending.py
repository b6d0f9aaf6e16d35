"""What was spent, as limits need it. Sums are made in two parts: SQLite's end at 9 million dollars."""

from collections.abc import Sequence

from dragoman.ledger.glance import Glance

_SPLIT = 10**9
_BY_KEY = (
    "SELECT key, day, SUM(cost / 1000000000) AS whole, SUM(cost - cost / 1000000000 * 1000000000) AS rest"
    " FROM spending WHERE writer <> ? GROUP BY key, day"
)
_ON_MODEL = (
    "SELECT SUM(cost / 1000000000) AS whole, SUM(cost - cost / 1000000000 * 1000000000) AS rest"
    " FROM usage WHERE time >= ? AND model = ?"
)
_OF_DIALECT = _ON_MODEL.replace("model", "dialect")
_BY_ACCOUNT = (
    "SELECT account, SUM(cost / 1000000000) AS whole, SUM(cost - cost / 1000000000 * 1000000000) AS rest"
    " FROM usage WHERE time >= ? AND writer <> ? AND account IS NOT NULL GROUP BY account"
)


def by_key(glance: Glance, without: str = "") -> dict[str, dict[str, int]]:
    """Key id -> day (UTC, ISO) -> pico-dollars; `without`: what that journal writer booked is left out."""
    found: dict[str, dict[str, int]] = {}
    for row in glance.rows(_BY_KEY, without):
        found.setdefault(row["key"], {})[row["day"]] = _cost(row)
    return found


def on_models(glance: Glance, models: Sequence[str], since: float) -> dict[str, int]:
    """Name as asked for -> pico-dollars since then (Unix seconds, a day ago at most)."""
    return {name: _cost(row) for name in models for row in glance.rows(_ON_MODEL, since, name)}


def of_dialects(glance: Glance, dialects: Sequence[str], since: float) -> dict[str, int]:
    """Dialect -> pico-dollars since then (Unix seconds, a day ago at most)."""
    return {name: _cost(row) for name in dialects for row in glance.rows(_OF_DIALECT, since, name)}


def by_account(glance: Glance, since: float, without: str = "") -> dict[str, int]:
    """Account -> pico-dollars since then (Unix seconds); `without` as above. A call counts for who ended its answer."""
    return {row["account"]: _cost(row) for row in glance.rows(_BY_ACCOUNT, since, without)}


def _cost(row: dict[str, int | None]) -> int:
    return int(row["whole"] or 0) * _SPLIT + int(row["rest"] or 0)
