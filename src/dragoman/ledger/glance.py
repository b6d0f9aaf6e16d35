"""What serving processes read of the database in passing: keys, and what was spent.

Plain SELECTs on the driver's own connection, in words that SQLite and PostgreSQL share: SQLAlchemy would take 0.3 s and
30 MB of every worker. Making, upgrading and writing are `store`'s alone; a database that nobody has made yet is empty.
"""

import sqlite3
from contextlib import suppress
from typing import Any

from dragoman.config import State
from dragoman.ledger import driver
from dragoman.ledger.driver import StoreError
from dragoman.ledger.version import NEXT, VERSION

_NO_TABLE = "42P01"  # PostgreSQL's word for it


class Glance:
    """Reads one database, by one thread at a time. It connects when first asked, and anew after an error."""

    def __init__(self, state: State) -> None:
        """Raises `ConfigError`."""
        self._state = state
        self._sqlite = driver.is_sqlite(state)
        self._connection: driver.Connection | None = None

    def rows(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """What `statement` selects, by the columns' names; `?` stands for each of `values`. Raises `StoreError`, and
        `ConfigError` where the database can't be reached as it is configured."""
        try:
            if self._connection is None and not self._connect():
                return []
            return self._select(statement, *values)
        except Exception as error:
            self.close()
            if not type(error).__module__.startswith(("sqlite3", "psycopg")):
                raise
            raise StoreError(f"state.database: {str(error).strip()}") from error

    def _connect(self) -> bool:
        """Whether there is a database to read; one of an older program is upgraded first."""
        if self._sqlite and not driver.sqlite_file(self._state).exists():
            return False
        if self._sqlite:
            self._connection = driver.open_sqlite(driver.sqlite_file(self._state))
        else:
            self._connection = driver.open_postgres(self._state, autocommit=True)
        try:
            found = self._select("SELECT value FROM meta WHERE name = 'schema'")
        except Exception as error:
            if getattr(error, "sqlstate", None) == _NO_TABLE or str(error).startswith("no such table"):
                self.close()
                return False
            raise
        version = found[0]["value"] if found else None
        if version in NEXT:
            from dragoman.ledger.store import Store

            Store(self._state).close()
        elif version != VERSION:
            raise StoreError(f"state.database has schema {version}, this program knows {VERSION}: upgrade it")
        return True

    def _select(self, statement: str, *values: object) -> list[dict[str, Any]]:
        assert self._connection is not None
        cursor = self._connection.execute(statement if self._sqlite else statement.replace("?", "%s"), values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def __enter__(self) -> "Glance":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
