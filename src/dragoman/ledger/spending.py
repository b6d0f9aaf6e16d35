"""What was spent, as limits need it. Sums are of one day, so below 9 million dollars, where SQLite's end."""

from collections.abc import Sequence

from dragoman.ledger.glance import Glance


def by_key(glance: Glance, without: str = "") -> dict[str, dict[str, int]]:
    """Key id -> day (UTC, ISO) -> pico-dollars; `without`: what that journal writer booked is left out."""
    found: dict[str, dict[str, int]] = {}
    for row in glance.rows(
        "SELECT key, day, SUM(cost) AS cost FROM spending WHERE writer <> ? GROUP BY key, day", without
    ):
        found.setdefault(row["key"], {})[row["day"]] = int(row["cost"])
    return found


def on_models(glance: Glance, models: Sequence[str], since: float) -> dict[str, int]:
    """Name as asked for -> pico-dollars since then (Unix seconds, a day ago at most)."""
    statement = "SELECT SUM(cost) AS cost FROM usage WHERE time >= ? AND model = ?"
    return {name: int(row["cost"] or 0) for name in models for row in glance.rows(statement, since, name)}
