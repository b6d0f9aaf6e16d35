"""The append-only files that every finished request goes to before its client sees the end of the reply (law 9).

How it works. Each writing process has files of its own, `<state>/journal/<writer>-<n>.jsonl`, so rotation never has to
ask another process: it closes file n and goes on in n + 1. A row is a newline, one JSON object and a newline; the rows
of one turn of the event loop go out in one `write`, before the ends of the replies that they stand for. Both newlines
matter: the second says that the row is whole; the first keeps a row apart from the torn end that a full disk or a
killed process may have left before it. The page cache outlives the process, so `kill -9` loses nothing and no `fsync`
is needed.

A writer holds a shared `flock` on its file for as long as it has it open. Whoever folds files into the database deletes
one only under the exclusive lock, so never one that somebody may still write to. As the lock comes after the creation,
a new file may be deleted in between: the writer sees that by its link count, and makes another.
"""

import fcntl
import os
import secrets
import time
from pathlib import Path

import msgspec

from dragoman.ledger.row import Row

FOLDER = "journal"
_encode = msgspec.json.Encoder().encode


class JournalError(RuntimeError):
    """Rows could not be written; the message says why and names the mend. They are not in the journal.

    `rows`: their JSON lines."""

    rows = b""


class Journal:
    """The journal of one process. `state` is the state directory, `limit` the bytes after which a file is full.

    `writer` names the process that books (unique for ever): the ledger keeps it beside the row, so that a process can
    tell what it booked itself from what others did. Not for several threads at once."""

    def __init__(self, state: Path, limit: int = 16 * 2**20) -> None:
        self._folder = state / FOLDER
        self._limit = limit
        self._file: int | None = None
        self._size = 0
        self._number = 0
        self._waiting = b""
        self.writer = f"{time.time_ns():020}-{os.getpid()}-{secrets.token_hex(4)}"

    def add(self, row: Row) -> None:
        """`row` is to be written by the next `flush`."""
        self._waiting += b"\n%b\n" % _encode(row)

    def append(self, row: Row) -> None:
        """Writes `row` at once. Raises `JournalError` if it can't be written whole."""
        self.add(row)
        self.flush()

    def flush(self) -> None:
        """Writes the rows that wait. Raises `JournalError` if they can't be written whole."""
        if self._waiting:
            data, self._waiting = self._waiting, b""
            try:
                self._write(data)
            except JournalError as error:
                error.rows = data
                raise

    def _write(self, data: bytes) -> None:
        try:
            file = self._file
            if file is None:
                file = self._open()
            written = os.write(file, data)
        except OSError as error:
            raise JournalError(f"{self._folder}: can't write: {error.strerror}: make room, or free the path") from error
        self._size += written
        if written != len(data):  # the disk is full, or nearly: the end is torn, so all goes again; it is folded once
            self._again(file, data)
        if self._size >= self._limit:
            self._close()

    def close(self) -> None:
        """Writes what waits, and closes the file; the next row opens another. Raises as `flush`."""
        self.flush()
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _again(self, file: int, data: bytes) -> None:
        try:
            written = os.write(file, data)
        except OSError as error:
            raise JournalError(f"{self._folder}: row cut short: {error.strerror}: make room on the disk") from error
        self._size += written
        if written != len(data):
            raise JournalError(f"{self._folder}: row cut short: make room on the disk")

    def _open(self) -> int:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            self._number += 1
            path = self._folder / f"{self.writer}-{self._number:06}.jsonl"
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(file, fcntl.LOCK_SH)
            if os.fstat(file).st_nlink:
                self._file, self._size = file, 0
                return file
            os.close(file)


def files(state: Path) -> list[Path]:
    """The journal's files, oldest first."""
    return sorted((state / FOLDER).glob("*.jsonl"))


def writer_of(path: Path) -> str:
    """The writer whose file `path` is."""
    return path.stem.rpartition("-")[0]
