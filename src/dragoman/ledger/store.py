"""The ledger's database: SQLite in the state directory, or PostgreSQL by URL.

The engine is synchronous: use it from the command line or a worker thread, never from the event loop. SQLAlchemy takes
0.3 s and 30 MB to import, so import this module where it is used, not at the head of what the gateway imports.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, inspect, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateColumn

from dragoman.config import State
from dragoman.ledger import driver, schema
from dragoman.ledger.driver import StoreError
from dragoman.ledger.version import NEXT, VERSION

_ONE_MAKES_IT = 0x647261676F6D616E  # "dragoman": the advisory lock under which PostgreSQL's tables are made


class Store:
    """An open database with the ledger's tables in it. Raises `ConfigError` or `StoreError` when it can't be opened."""

    def __init__(self, state: State) -> None:
        self._engine = _engine(state)
        with self.write() as connection:
            if connection.dialect.name == "postgresql":  # workers, folds and nodes may all come first
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ONE_MAKES_IT})
            schema.metadata.create_all(connection)
            _add_columns(connection)
            remember(connection, "schema", VERSION, replace=False)
            version = _upgrade(connection, recall(connection, "schema"))
        if version != VERSION:
            raise StoreError(f"state.database has schema {version}, this program knows {VERSION}: upgrade it")

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection in a transaction that commits at the end. Raises `StoreError`."""
        with _our_errors(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection in a transaction that only reads; it holds up nobody. Raises `StoreError`."""
        with _our_errors(), self._engine.connect() as connection:
            yield connection.execution_options(reading=True)

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _upgrade(connection: Connection, version: str | None) -> str | None:
    """Brings the database to the version of this program, if it can be; returns the version it has then."""
    while version in NEXT:
        version = NEXT[version]
        remember(connection, "schema", version)
    return version


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise StoreError(f"state.database: {str(error.orig).strip()}") from error


Change: TypeAlias = Callable[[Any], Any]  # what was to be inserted (its columns) -> the column's new value


def upsert(
    connection: Connection,
    table: Table,
    columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    update: Mapping[str, Change] | None = None,
) -> int:
    """Inserts `rows` of `columns`; those whose primary key is there get `update` (None: stay as they are). Returns how
    many rows were inserted or updated. Through the driver's own loop: a fifth of the time of SQLAlchemy's."""
    if not rows:
        return 0
    insert: Any = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)
    key = list(table.primary_key.columns)
    if update is None:
        statement = insert.on_conflict_do_nothing(index_elements=key)
    else:
        changes = {name: change(insert.excluded) for name, change in update.items()}
        statement = insert.on_conflict_do_update(index_elements=key, set_=changes)
    compiled = statement.compile(dialect=connection.dialect, column_keys=list(columns))
    if compiled.positional:
        order = [columns.index(name) for name in compiled.positiontup]
        if order != list(range(len(columns))):
            rows = [tuple(row[i] for i in order) for row in rows]
        done = connection.exec_driver_sql(str(compiled), rows)
    else:
        done = connection.exec_driver_sql(str(compiled), [dict(zip(columns, row, strict=True)) for row in rows])
    return done.rowcount


def recall(connection: Connection, name: str) -> str | None:
    """The value of `name` in `meta`."""
    return connection.execute(select(schema.meta.c.value).where(schema.meta.c.name == name)).scalar()


def remember(connection: Connection, name: str, value: str, replace: bool = True) -> None:
    """Sets `name` in `meta`."""
    upsert(
        connection,
        schema.meta,
        ["name", "value"],
        [(name, value)],
        {"value": lambda new: new.value} if replace else None,
    )


def _add_columns(connection: Connection) -> None:
    """A database that an older version made gets the columns that `usage` has had since; they have defaults."""
    known = {column["name"] for column in inspect(connection).get_columns(schema.usage.name)}
    for column in schema.usage.columns:
        if column.name not in known:
            created = CreateColumn(column).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {schema.usage.name} ADD COLUMN {created}")


def _engine(state: State) -> Engine:
    if not driver.is_sqlite(state):
        return create_engine("postgresql+psycopg://", creator=lambda: driver.open_postgres(state), pool_pre_ping=True)
    state.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = str(driver.sqlite_file(state))
    engine = create_engine(URL.create("sqlite", database=file), connect_args={"timeout": 30})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    """Full synchronous: the journal's files go when the commit is on the disk, not sooner."""
    connection.isolation_level = None  # transactions begin where we say, see _begin_sqlite
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Writers queue at the beginning: one that first reads and then writes can't be upgraded behind another's back."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if not connection.get_execution_options().get("reading") else "BEGIN")
