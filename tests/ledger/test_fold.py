"""The fold: every whole row is booked once, whatever dies when."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete, update

from dragoman.config import State
from dragoman.ledger import decisions, journal, schema, usage
from dragoman.ledger import fold as folding
from dragoman.ledger.fold import Folder, fold
from dragoman.ledger.glance import Glance
from dragoman.ledger.journal import Journal
from dragoman.ledger.row import Row
from dragoman.ledger.spending import by_key, on_models
from dragoman.ledger.store import Store, StoreError, remember

PURE = {"_rows", "_record", "_text", "_day", "<listcomp>", "<dictcomp>", "<genexpr>", "<lambda>", "<module>"}
DAY = 86400.0
NOW = 1_795_000_000.0


@pytest.fixture(autouse=True)
def fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding.time, "time", lambda: NOW)


@pytest.fixture
def state(tmp_path: Path, database: str) -> State:
    return State(dir=str(tmp_path), database=database)


def row(number: int, **fields: Any) -> Row:
    fields = {"time": NOW - 1000 + number, "model": "m", "key": "k", "cost": 10**9, "input": 7} | fields
    return Row(request_id=f"req_{number:04}", **fields)


def write(state: State, numbers: range, close: bool = True, **fields: Any) -> Journal:
    book = Journal(state.path)
    for number in numbers:
        book.append(row(number, **fields))
    if close:
        book.close()
    return book


def booked(state: State) -> list[str]:
    with Store(state) as store:
        return [each.request_id for each in usage.rows(store)]


def spent(state: State) -> int:
    with Glance(state) as glance:
        return sum(by_key(glance).get("k", {}).values())


def ids(numbers: range) -> list[str]:
    return [f"req_{number:04}" for number in numbers]


def test_a_row_comes_out_of_the_database_as_it_went_into_the_journal(state: State) -> None:
    full = Row(
        request_id="r", time=NOW, key="k", key_name="ci", dialect="anthropic", model="m", target="openai/x",
        account="a", decision="d", status=502, error="upstream_error", stream=True, attempts=2, input=1, cached=2,
        cache_write=3, cache_write_1h=4, output=5, reasoning=6, audio_input=7, audio_output=8, estimated=True,
        cost=9_000_000_000_000, admit=0.1, route=0.2, queue=0.3, upstream=1.5, ttft=2.5, total=9.5, lossy=["seed"],
        tags={"task": "x"},
    )  # fmt: skip
    bare = Row(request_id="s", time=NOW + 1)
    book = Journal(state.path)
    book.append(full)
    book.append(bare)
    assert fold(state) == 2
    with Store(state) as store:
        assert list(usage.rows(store)) == [full, bare]


def test_a_folded_file_that_nobody_writes_to_goes(state: State) -> None:
    write(state, range(3))
    assert (fold(state), fold(state)) == (3, 0)
    assert journal.files(state.path) == [] and booked(state) == ids(range(3))


def test_a_file_that_is_being_written_to_stays_and_is_read_on_from_where_it_was(state: State) -> None:
    book = write(state, range(3), close=False)
    assert fold(state) == 3 and len(journal.files(state.path)) == 1
    book.append(row(3))
    assert (fold(state), fold(state)) == (1, 0)
    book.close()
    assert fold(state) == 0 and journal.files(state.path) == []
    assert booked(state) == ids(range(4)) and spent(state) == 4 * 10**9


def test_a_row_that_is_booked_already_is_not_booked_again(state: State) -> None:
    write(state, range(5))
    fold(state)
    write(state, range(3, 8))
    write(state, range(7, 8))
    assert fold(state) == 3
    assert booked(state) == ids(range(8)) and spent(state) == 8 * 10**9


def test_one_file_may_say_the_same_thing_twice(state: State) -> None:
    book = write(state, range(2), close=False)
    book.append(row(1))
    assert fold(state) == 2 and spent(state) == 2 * 10**9


def test_a_torn_last_line_is_waited_for_while_somebody_writes_it(state: State) -> None:
    book = write(state, range(2), close=False)
    path = journal.files(state.path)[0]
    whole = path.read_bytes()
    torn = whole[:-20]
    path.write_bytes(torn)
    assert fold(state) == 1
    path.write_bytes(whole)
    assert fold(state) == 1 and booked(state) == ids(range(2))
    book.close()


def test_a_torn_line_of_a_dead_process_is_passed_over_and_told(state: State, caplog: pytest.LogCaptureFixture) -> None:
    write(state, range(3))
    path = journal.files(state.path)[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:10] + whole + whole[:30])  # torn at the head, and at the end
    with caplog.at_level(logging.WARNING):
        assert fold(state) == 3
    assert len(caplog.messages) == 2 and "cut short" in caplog.text and "req_" not in caplog.text
    assert journal.files(state.path) == []


def test_a_row_longer_than_a_batch_is_booked(state: State) -> None:
    book = Journal(state.path)
    book.append(row(0, tags={"long": "x" * 5000}))
    book.append(row(1))
    assert fold(state, batch=64) == 2


def test_no_crash_loses_a_row_or_books_it_twice(state: State, tmp_path: Path) -> None:
    """Kills a fold with SIGKILL before every line of it that does something, and lets the next one finish the work."""
    fold(state)  # the database is there
    step, number, killed = 0, 0, True
    while killed:
        step += 1 if state.database == "sqlite" else 3  # of the other, a third shows enough
        expected = ids(range(number, number + 3))
        write(state, range(number, number + 2))
        last = write(state, range(number + 2, number + 3), close=False)
        killed = _fold_and_die(state, step)
        last.close()
        fold(state)
        number += 3
        with Store(state) as store:
            assert [each.request_id for each in usage.rows(store)][-3:] == expected, f"killed at step {step}"
        assert spent(state) == number * 10**9, f"killed at step {step}"
        assert journal.files(state.path) == []
    assert step > 60
    assert booked(state) == ids(range(number))


def _fold_and_die(state: State, step: int) -> bool:
    """Folds in a child that is killed before the `step`th line of fold.py; whether it came to that."""
    process = os.fork()
    if process == 0:
        left = step

        def trace(frame: FrameType, event: str, _: object) -> Any:
            nonlocal left
            if frame.f_code.co_filename != folding.__file__ or frame.f_code.co_name in PURE:
                return None
            if event == "line":
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        fold(state, batch=200)
        os._exit(0)
    status = os.waitpid(process, 0)[1]
    assert status in {0, signal.SIGKILL}
    return status == signal.SIGKILL


def test_a_writer_whose_new_file_was_folded_away_makes_another(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    real, folds = journal.fcntl.flock, []

    def flock(file: int, how: int) -> None:
        if not folds:  # between the creation of the file and its lock
            monkeypatch.setattr(journal.fcntl, "flock", real)
            folds.append(fold(state))
        real(file, how)

    monkeypatch.setattr(journal.fcntl, "flock", flock)
    book = Journal(state.path)
    book.append(row(1))
    assert folds == [0] and fold(state) == 1
    book.close()


def test_only_one_fold_runs_at_a_time(state: State) -> None:
    write(state, range(2))
    with folding._alone(state.path, wait=False) as alone, folding._alone(state.path, wait=False) as other:
        assert alone and not other
        assert fold(state, wait=False) == 0
    assert fold(state, wait=False) == 2


def test_nothing_to_fold_makes_nothing(tmp_path: Path) -> None:
    assert fold(State(dir=str(tmp_path / "new"))) == 0
    assert not (tmp_path / "new").exists()


def test_old_rows_go_and_what_their_keys_spent_stays(state: State) -> None:
    state.keep_days = 10
    write(state, range(2), time=NOW - 11 * DAY)
    write(state, range(2, 4))
    assert fold(state) == 4
    assert booked(state) == ids(range(2, 4)) and spent(state) == 4 * 10**9


def test_what_others_spent_leaves_out_what_this_writer_booked(state: State) -> None:
    mine = write(state, range(2), time=NOW)
    write(state, range(2, 5), time=NOW - DAY)
    fold(state)
    with Glance(state) as glance:
        assert list(by_key(glance, without=mine.writer)["k"].values()) == [3 * 10**9]
    assert spent(state) == 5 * 10**9


async def test_the_folder_folds_and_tells_so_until_it_is_cancelled(state: State) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    write(state, range(3))
    task = asyncio.create_task(Folder(state, 0.01, lambda: loop.call_soon_threadsafe(told.set)).run())
    await asyncio.wait_for(told.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert booked(state) == ids(range(3))


def test_the_folder_does_nothing_while_nothing_is_written(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    book, folder = write(state, range(1), close=False), Folder(state)
    folds: list[State] = []
    real = folding.fold_apart
    monkeypatch.setattr(folding, "fold_apart", lambda state, wait: folds.append(state) or real(state, wait))
    folder.fold()
    folder.fold()
    assert len(folds) == 1
    book.append(row(1))
    folder.fold()
    assert len(folds) == 2
    book.close()


@pytest.mark.parametrize("database", ["sqlite"])
def test_a_fold_that_fails_is_logged_and_tried_again(state: State, caplog: pytest.LogCaptureFixture) -> None:
    write(state, range(2))
    folder = Folder(state)
    database = state.path / "ledger.sqlite"
    database.mkdir()
    folder.fold()
    assert "nothing is lost" in caplog.text
    database.rmdir()
    folder.fold()
    assert booked(state) == ids(range(2))


@pytest.mark.parametrize("database", ["sqlite"])
def test_what_follows_a_fold_is_tried_again_until_it_has_not_failed(
    state: State, caplog: pytest.LogCaptureFixture
) -> None:
    write(state, range(2))
    asked: list[bool] = []

    def read_again() -> None:
        asked.append(True)
        if len(asked) == 1:
            raise StoreError("the database is busy")

    folder = Folder(state, folded=read_again)
    for _ in range(3):
        folder.fold()
    assert len(asked) == 2
    assert "the database is busy" in caplog.text


@pytest.mark.parametrize("database", ["sqlite"])
def test_a_fold_that_is_killed_says_so(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = subprocess.CompletedProcess[bytes]([], -9, b"", b"")
    monkeypatch.setattr(folding.subprocess, "run", lambda *_, **__: killed)
    with pytest.raises(folding.FoldError, match="ended with status -9"):
        folding.fold_apart(state, wait=False)


SERVING = """
import sys
from pathlib import Path
import dragoman.server.serve
from dragoman.access.keys import KeyBook
from dragoman.config import State
from dragoman.ledger.glance import Glance
from dragoman.ledger.spending import by_key, on_models
state = State(dir=sys.argv[1], database=sys.argv[2])
book = KeyBook(state)
assert book.load()
with Glance(state) as glance:
    assert by_key(glance) and on_models(glance, ["m"], 0.0)
print("sqlalchemy" in sys.modules)
"""


def test_serving_with_keys_and_budgets_does_without_sqlalchemy(state: State) -> None:
    write(state, range(2))
    fold(state)
    assert (
        subprocess.check_output([sys.executable, "-c", SERVING, str(state.path), state.database], text=True)
        == "False\n"
    )


def test_a_record_goes_to_a_table_of_its_own_once_and_goes_with_its_row(state: State) -> None:
    write(state, range(2), decision="dec_x", record=msgspec.Raw(b'{"id":"dec_x"}'))
    write(state, range(2), decision="dec_x", record=msgspec.Raw(b'{"id":"dec_x"}'))
    fold(state)
    with Store(state) as store:
        assert [each.record for each in decisions.recent(store)] == ['{"id":"dec_x"}'] * 2
        assert [each.record for each in usage.rows(store)] == [msgspec.UNSET] * 2
    state.keep_days = 1
    with Store(state) as store, store.write() as connection:
        connection.execute(update(schema.decisions).values(time=NOW - 2 * DAY))
        connection.execute(delete(schema.meta).where(schema.meta.c.name == "pruned"))
    write(state, range(2, 3))
    fold(state)
    with Store(state) as store:
        assert list(decisions.recent(store)) == []


def test_a_database_of_the_first_schema_is_upgraded_and_of_a_later_one_refused(state: State) -> None:
    write(state, range(2))
    fold(state)
    with Store(state) as store, store.write() as connection:
        for table in (schema.decisions, schema.feedback):
            table.drop(connection)
        remember(connection, "schema", "1")
    assert booked(state) == ids(range(2))
    with Store(state) as store, store.write() as connection:
        assert list(decisions.recent(store)) == []
        remember(connection, "schema", "99")
    with pytest.raises(StoreError, match="schema 99"):
        Store(state)


def test_what_a_key_spent_ends_at_the_largest_number_there_is_and_the_fold_goes_on(state: State) -> None:
    for start in (0, 3):
        book = write(state, range(start, start + 3), close=False, cost=2**62)
        assert fold(state) == 3
        book.close()
    with Glance(state) as glance:
        assert on_models(glance, ["m"], 0.0) == {"m": 6 * 2**62}
        assert all(cost >= 2**62 for cost in by_key(glance)["k"].values())
