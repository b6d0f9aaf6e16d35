"""Folds the journal into the database: each row once, whatever crashes when (law 9).

How it works. One process folds at a time (a file lock). Per journal file, in bounded batches: the rows, what they add
to the keys' spending, and how far the file is read are one transaction. So after a crash the database says exactly
where to go on; and a row that is there already is passed over by its id. A file goes only when all of it is committed
and nobody has it open for writing (see `journal`); then its mark goes too. A mark without a file is a crash between the
two, and is swept by the next fold: file names are never used twice.
"""

import asyncio
import fcntl
import logging
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from dragoman.config import State
from dragoman.ledger import journal
from dragoman.ledger.row import COLUMNS, Row, Share

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from dragoman.ledger.store import Store

BATCH = 2**20  # bytes of journal in one transaction
_MOST = 2**63 - 1  # what a column of whole numbers holds
_PRUNE_EVERY = 3600.0  # seconds
_PRUNE_ROWS = 2000  # in one transaction
_log = logging.getLogger("dragoman.ledger")
_decode = msgspec.json.Decoder(Row).decode


def fold(state: State, wait: bool = True, batch: int = BATCH) -> int:
    """Books all whole rows of the journal, drops rows past `state.keep_days`; returns how many rows were new.

    `wait`: for another fold that is running; else returns 0. Raises `StoreError` or `ConfigError`; what was booked
    until then stays booked."""
    if not journal.files(state.path) and not state.path.exists():
        return 0
    with _alone(state.path, wait) as alone:
        if not alone:
            return 0
        from dragoman.ledger.store import Store

        with Store(state) as store:
            new = sum(_fold_file(store, path, batch) for path in journal.files(state.path))
            _sweep(store, state.path)
            _prune(store, time.time(), state.keep_days)
            return new


class Folder:
    """Folds every `interval` seconds while the gateway runs; what is left at its end waits in the journal for the next
    start or the next question. In a process of its own: the database's driver would take a third of the gateway's
    memory, and its work would stand in the way of requests."""

    def __init__(self, state: State, interval: float = 5.0, folded: Callable[[], None] | None = None) -> None:
        self._state = state
        self._interval = interval
        self._folded = folded  # called in the thread after a fold that had something to do; again, where it fails
        self._seen: list[tuple[str, int]] | None = []  # None: what was to be done failed

    async def run(self) -> None:
        """Until cancelled. A fold that fails is logged and tried again: the journal keeps what it did not book."""
        while True:
            await asyncio.sleep(self._interval)
            await asyncio.to_thread(self.fold)

    def fold(self) -> None:
        """One fold, in this thread, if the journal changed."""
        try:
            if self._sizes() == self._seen:
                return
            fold_apart(self._state, wait=False)
            self._seen = self._sizes()
            if self._folded:
                self._folded()
        except Exception:  # whatever it is: there must be a next time
            self._seen = None
            _log.exception("the journal could not be folded, or read again; nothing is lost, it is tried again")

    def _sizes(self) -> list[tuple[str, int]]:
        sizes = []
        for path in journal.files(self._state.path):
            try:
                sizes.append((path.name, path.stat().st_size))
            except FileNotFoundError:  # another process folded it
                continue
        return sizes


def fold_apart(state: State, wait: bool) -> None:
    """`fold` in another process. Raises `FoldError` with what it said."""
    order = msgspec.json.encode((state, wait))
    child = subprocess.run(  # our own program
        [sys.executable, "-m", "dragoman.ledger.fold"], input=order, capture_output=True, check=False
    )
    if child.returncode:
        said = child.stderr.decode(errors="replace").strip()
        raise FoldError(said or f"the process that folds ended with status {child.returncode}")  # killed, perhaps


class FoldError(RuntimeError):
    """A fold in another process failed."""


@contextmanager
def _alone(state: Path, wait: bool) -> Iterator[bool]:
    """Whether this is the only fold; for as long as the context lasts."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(state / "fold.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)


def _fold_file(store: "Store", path: Path, batch: int) -> int:
    from sqlalchemy import delete

    from dragoman.ledger import schema

    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        new = _book_rest(store, file, path, batch)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # it is being written to
            return new
        new += _book_rest(store, file, path, batch, last=True)  # what came between reading and locking
        path.unlink()
        with store.write() as connection:
            connection.execute(delete(schema.folded).where(schema.folded.c.file == path.name))
        return new
    finally:
        os.close(file)


def _book_rest(store: "Store", file: int, path: Path, batch: int, last: bool = False) -> int:
    """Books what is not booked yet of the file; returns how many rows were new. `last`: nobody writes to it."""
    new, wanted = 0, batch
    while True:
        with store.write() as connection:
            start = _position(connection, path.name)
            data = os.pread(file, wanted, start)
            whole = data.rfind(b"\n") + 1
            if not whole:
                if len(data) == wanted:  # one row longer than a batch
                    wanted *= 2
                    continue
                if data and last:
                    _log.warning("journal: %s ends in a row cut short: it was never completed", path.name)
                return new
            rows = _rows(data[:whole], path.name)
            new += _book(connection, rows, path, start + whole)
        wanted = batch


def _rows(data: bytes, name: str) -> list[Row]:
    rows, damaged = [], 0
    for line in data.split(b"\n"):
        if line:
            try:
                row = _decode(line)
            except msgspec.DecodeError:
                damaged += 1
            else:
                rows.append(_without_nul(row) if b"\\u0000" in line else row)
    if damaged:
        _log.warning("journal: %d rows of %s were cut short when they were written", damaged, name)
    return rows


def _without_nul(row: Row) -> Row:
    """PostgreSQL's text can't hold a NUL, and clients may ask for models with one in their name."""
    for name in COLUMNS:
        if isinstance(value := getattr(row, name), str):
            setattr(row, name, value.replace("\0", "\ufffd"))
    return row


def _book(connection: "Connection", rows: list[Row], path: Path, position: int) -> int:
    """Rows, spending and position in one transaction; returns how many rows were new."""
    from dragoman.ledger import schema
    from dragoman.ledger.store import upsert

    writer = journal.writer_of(path)
    by_id = {row.request_id: row for row in rows}
    fresh = [by_id[request_id] for request_id in sorted(by_id)]  # in one order everywhere: no two folds lock crosswise
    while True:
        attempt = connection.begin_nested()
        if _insert(connection, fresh, writer) == len(fresh):
            attempt.commit()
            break
        attempt.rollback()  # some are there already, or by now: only the others may count as spent
        fresh = _unknown(connection, fresh)
    spent: defaultdict[tuple[str, str], int] = defaultdict(int)
    for row in fresh:
        if row.key and row.cost:
            spent[row.key, _day(row.time // 86400)] += row.cost
    added = [(key, day, writer, min(cost, _MOST)) for (key, day), cost in sorted(spent.items())]
    columns = ["key", "day", "writer", "cost"]
    _insert_decisions(connection, fresh)
    upsert(connection, schema.spending, columns, added, {"cost": _more})
    upsert(
        connection, schema.folded, ["file", "position"], [(path.name, position)], {"position": lambda new: new.position}
    )
    return len(fresh)


def _more(new: Any) -> Any:
    """What was spent, and `new`; the most there can be, where that is more."""
    from sqlalchemy import case, literal_column

    from dragoman.ledger import schema

    before: Any = schema.spending.c.cost
    most: Any = literal_column(str(_MOST))
    return case((before > most - new.cost, most), else_=before + new.cost)


_COLUMNS = [*COLUMNS, "day", "writer"]


def _insert(connection: "Connection", rows: list[Row], writer: str) -> int:
    """Inserts the rows whose id is not there; returns how many."""
    from dragoman.ledger import schema
    from dragoman.ledger.store import upsert

    return upsert(connection, schema.usage, _COLUMNS, [_record(row, writer) for row in rows])


def _insert_decisions(connection: "Connection", rows: list[Row]) -> None:
    from dragoman.ledger import schema
    from dragoman.ledger.store import upsert

    found = [(row.decision, row.request_id, row.time, bytes(row.record).decode()) for row in rows if row.record]
    upsert(connection, schema.decisions, ["id", "request_id", "time", "record"], found)


def _record(row: Row, writer: str) -> tuple[Any, ...]:
    """The row as `_COLUMNS` has it. Its containers, the last of them, become JSON."""
    *plain, shares, lossy, tags, _ = msgspec.structs.astuple(row)
    texts = _text(shares) if shares else "[]", _text(lossy) if lossy else "[]", _text(tags) if tags else "{}"
    return (*plain, *texts, _day(row.time // 86400), writer)


def _text(value: list[Share] | list[str] | dict[str, str]) -> str:
    return msgspec.json.encode(value).decode()


@lru_cache
def _day(number: float) -> str:
    return datetime.fromtimestamp(number * 86400, UTC).date().isoformat()


def _unknown(connection: "Connection", rows: list[Row]) -> list[Row]:
    """The rows that are not in the database."""
    from sqlalchemy import select

    from dragoman.ledger import schema

    known: set[str] = set()
    for i in range(0, len(rows), 1000):
        some = schema.usage.c.request_id.in_([row.request_id for row in rows[i : i + 1000]])
        known.update(connection.execute(select(schema.usage.c.request_id).where(some)).scalars())
    return [row for row in rows if row.request_id not in known]


def _position(connection: "Connection", name: str) -> int:
    from sqlalchemy import select

    from dragoman.ledger import schema

    return connection.execute(select(schema.folded.c.position).where(schema.folded.c.file == name)).scalar() or 0


def _sweep(store: "Store", state: Path) -> None:
    """Forgets the marks of files of this state directory's journal that are gone."""
    from sqlalchemy import delete, select

    from dragoman.ledger import schema

    with store.write() as connection:
        names = connection.execute(select(schema.folded.c.file)).scalars().all()
        gone = [name for name in names if not (state / journal.FOLDER / name).exists()]
        if gone and connection.dialect.name == "sqlite":  # a shared database has marks of other nodes' files
            connection.execute(delete(schema.folded).where(schema.folded.c.file.in_(gone)))


def _prune(store: "Store", now: float, keep_days: int) -> None:
    """Drops rows older than `keep_days`, at most once an hour, a bounded number in a transaction."""
    from sqlalchemy import delete, select

    from dragoman.ledger import schema
    from dragoman.ledger.store import recall, remember

    with store.write() as connection:
        if now - float(recall(connection, "pruned") or 0) < _PRUNE_EVERY:
            return
        remember(connection, "pruned", repr(now))
    for table in (schema.usage, schema.decisions, schema.feedback):
        (key,) = table.primary_key.columns
        old = select(key).where(table.c.time < now - keep_days * 86400).limit(_PRUNE_ROWS)
        gone = _PRUNE_ROWS
        while gone == _PRUNE_ROWS:
            with store.write() as connection:
                gone = connection.execute(delete(table).where(key.in_(old))).rowcount


if __name__ == "__main__":
    os.nice(10)
    fold(*msgspec.json.decode(sys.stdin.buffer.read(), type=tuple[State, bool]))
