"""The journal: a row is whole or it is not there, and never lost silently."""

import errno
import os
import time
from pathlib import Path

import msgspec
import pytest

from dragoman.canon import Usage
from dragoman.ledger import journal
from dragoman.ledger.journal import Journal, JournalError
from dragoman.ledger.row import Row


def row(number: int) -> Row:
    return Row(request_id=f"req_{number}", time=1_700_000_000.0 + number, model="m", cost=number)


def lines(state: Path) -> list[Row]:
    data = b"".join(path.read_bytes() for path in journal.files(state))
    return [msgspec.json.decode(line, type=Row) for line in data.split(b"\n") if line]


def test_a_row_is_one_write_of_one_whole_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: written.append(data) or real(file, data))
    Journal(tmp_path).append(row(1))
    assert len(written) == 1 and written[0].endswith(b"}\n") and written[0].strip().count(b"\n") == 0
    assert lines(tmp_path) == [row(1)]


def test_a_full_file_is_followed_by_another_and_no_row_is_lost(tmp_path: Path) -> None:
    book = Journal(tmp_path, limit=200)
    for number in range(20):
        book.append(row(number))
    assert len(journal.files(tmp_path)) > 3
    assert lines(tmp_path) == [row(number) for number in range(20)]


def test_a_disk_that_fills_up_is_an_error_and_the_next_row_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, real, room = Journal(tmp_path), os.write, 30

    def write(file: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room, data = 0, data[:room]
        return real(file, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        with pytest.raises(JournalError, match="make room"):
            book.append(row(1))
        with pytest.raises(JournalError, match="No space left"):
            book.append(row(2))
    book.append(row(3))
    torn, whole = [line for line in journal.files(tmp_path)[0].read_bytes().split(b"\n") if line]
    assert len(torn) < 30 and msgspec.json.decode(whole, type=Row) == row(3)


def test_a_short_write_is_made_good_by_writing_the_row_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book, real, short = Journal(tmp_path), os.write, True

    def write(file: int, data: bytes) -> int:
        nonlocal short
        data, short = (data[:10] if short else data), False
        return real(file, data)

    monkeypatch.setattr(os, "write", write)
    book.append(row(1))
    assert journal.files(tmp_path)[0].read_bytes().split(b"\n")[-2] == msgspec.json.encode(row(1))


def test_processes_that_share_a_file_by_forking_keep_their_rows_apart(tmp_path: Path) -> None:
    book = Journal(tmp_path)
    book.append(row(0))
    children = []
    for child in range(3):
        process = os.fork()
        if process == 0:
            for number in range(200):
                book.append(row(1 + child * 200 + number))
            os._exit(0)
        children.append(process)
    assert [os.waitpid(process, 0)[1] for process in children] == [0, 0, 0]
    assert sorted(each.cost or 0 for each in lines(tmp_path)) == list(range(601))


def test_writers_have_files_of_their_own(tmp_path: Path) -> None:
    one, other = Journal(tmp_path), Journal(tmp_path)
    one.append(row(1))
    other.append(row(2))
    assert [journal.writer_of(path) for path in journal.files(tmp_path)] == [one.writer, other.writer]


def test_the_journal_is_for_its_owner_only(tmp_path: Path) -> None:
    Journal(tmp_path / "new").append(row(1))
    assert journal.files(tmp_path / "new")[0].stat().st_mode & 0o077 == 0
    assert (tmp_path / "new" / journal.FOLDER).stat().st_mode & 0o077 == 0


def test_a_row_takes_the_counts_of_a_usage() -> None:
    booked = row(1)
    booked.count(Usage(input=10, output=5, cached=4, cache_write=3, cache_write_1h=1, reasoning=2, estimated=True))
    assert (booked.input, booked.output, booked.cached, booked.cache_write) == (10, 5, 4, 3)
    assert (booked.cache_write_1h, booked.reasoning, booked.estimated) == (1, 2, True)


def test_a_row_costs_the_hot_path_microseconds(tmp_path: Path) -> None:
    book = Journal(tmp_path)
    best = min(_cpu(book) for _ in range(5))
    assert best < 50e-6  # ten times what it takes, for slow and busy machines


def _cpu(book: Journal) -> float:
    start = time.process_time()
    for number in range(500):
        book.append(row(number))
    return (time.process_time() - start) / 500
