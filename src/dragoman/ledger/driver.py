"""How the ledger's database is reached: SQLite in the state directory, or PostgreSQL by URL. Plain DB-API connections,
for SQLAlchemy to work on (`store`) and for reading in passing (`glance`).
"""

import sqlite3
from pathlib import Path
from typing import Any, Protocol

from dragoman.config import POSTGRES, ConfigError, State

FILE = "ledger.sqlite"
_MEND = 'state.database: expected "sqlite" or "postgresql://user:password@host/name"'


class Cursor(Protocol):
    @property
    def description(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...


class Connection(Protocol):
    """What both drivers' connections can do."""

    def execute(self, query: Any, params: Any = ..., /) -> Cursor: ...
    def close(self) -> None: ...


class StoreError(RuntimeError):
    """The database can't be used; the message says why."""


def is_sqlite(state: State) -> bool:
    """Which of the two it is. Raises `ConfigError` where it is neither."""
    if state.database != "sqlite" and not state.database.startswith(POSTGRES):
        raise ConfigError(_MEND)
    return state.database == "sqlite"


def sqlite_file(state: State) -> Path:
    return state.path / FILE


def open_sqlite(file: Path) -> Connection:
    """A connection to a file that is there; every statement is a transaction of its own. Raises `sqlite3.Error`.

    Not `mode=ro`: who reads in WAL mode must be able to write the index beside the file."""
    connection = sqlite3.connect(
        f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=30, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA query_only = 1")
    return connection


def open_postgres(state: State, autocommit: bool = False) -> Connection:
    """Raises `psycopg.OperationalError`, and `ConfigError` where the URL is not one or the driver is not there. The
    driver's own words on a bad URL are not passed on: they repeat parts of it, so perhaps the password."""
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ModuleNotFoundError:
        raise ConfigError("state.database: PostgreSQL needs a driver: pip install 'dragoman[postgres]'") from None
    options: dict[str, Any] = {"connect_timeout": 10, "application_name": "dragoman"}
    try:
        options |= conninfo_to_dict("postgresql://" + state.database.partition("://")[2])
    except psycopg.ProgrammingError:
        raise ConfigError(_MEND) from None
    connection: Connection = psycopg.connect(autocommit=autocommit, **options)
    return connection
