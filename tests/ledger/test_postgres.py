"""What only a database that others write to, too, can do to the ledger."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import psycopg
import pytest

from dragoman.access import keys
from dragoman.access.keys import Key, KeyBook
from dragoman.config import ConfigError, State
from dragoman.ledger import driver, journal, usage
from dragoman.ledger.driver import StoreError
from dragoman.ledger.fold import fold
from dragoman.ledger.glance import Glance
from dragoman.ledger.journal import Journal
from dragoman.ledger.row import Row
from dragoman.ledger.spending import by_key
from dragoman.ledger.store import Store

NOW = 1_795_000_000.0
COST = 10**9


def nodes(tmp_path: Path, url: str, count: int = 2) -> list[State]:
    """State directories of several nodes on one database."""
    return [State(dir=str(tmp_path / f"node{number}"), database=url, keep_days=10**5) for number in range(count)]


def write(state: State, numbers: range) -> None:
    book = Journal(state.path)
    for number in numbers:
        book.append(Row(request_id=f"req_{number:04}", time=NOW + number, model="m", key="k", cost=COST))
    book.close()


def booked(state: State) -> list[int]:
    with Store(state) as store:
        return [int(row.request_id[4:]) for row in usage.rows(store)]


def spent(state: State) -> int:
    with Glance(state) as glance:
        return sum(by_key(glance)["k"].values()) // COST


def folding(state: State) -> "subprocess.Popen[bytes]":
    """A fold as the gateway runs it, beginning now."""
    child = subprocess.Popen(
        [sys.executable, "-m", "dragoman.ledger.fold"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdin is not None
    child.stdin.write(msgspec.json.encode((state, True)))
    child.stdin.close()
    return child


def test_two_folders_folded_at_once_into_a_new_database_book_everything_once(postgres: str, tmp_path: Path) -> None:
    states = nodes(tmp_path, postgres)
    for number, state in enumerate(states):
        for part in range(4):
            start = number * 200 + part * 50
            write(state, range(start, start + 50))
    children = [folding(state) for state in states]
    assert [(child.wait(60), child.stderr.read()) for child in children if child.stderr] == [(0, b"")] * 2
    assert booked(states[0]) == list(range(400)) and spent(states[0]) == 400
    assert [journal.files(state.path) for state in states] == [[], []]


def test_the_same_rows_in_two_folders_folded_at_once_are_booked_once(postgres: str, tmp_path: Path) -> None:
    states = nodes(tmp_path, postgres, 3)
    for state in states:  # a journal that was copied, or restored from a backup
        write(state, range(300))
    begin = threading.Barrier(len(states))

    def fold_with_the_others(state: State) -> int:
        begin.wait(60)
        return fold(state, batch=4096)

    with ThreadPoolExecutor(len(states)) as pool:
        assert sum(pool.map(fold_with_the_others, states)) == 300
    assert booked(states[0]) == list(range(300)) and spent(states[0]) == 300


def test_a_row_that_another_books_in_between_is_not_counted_as_spent_here(postgres: str, tmp_path: Path) -> None:
    """The other node commits right after this one has looked what is there."""
    here, there = nodes(tmp_path, postgres)
    for state in (here, there):
        write(state, range(3))
    write(there, range(3, 5))
    write(here, range(3, 5))
    from dragoman.ledger import fold as module

    real, asked = module._unknown, list[int]()

    def unknown(connection: object, rows: list[Row]) -> list[Row]:
        found = real(connection, rows)  # type: ignore[arg-type]  # passed on
        if not asked:
            asked.append(1)
            other = threading.Thread(target=fold, args=(there,))
            other.start()
            other.join()
        return found

    with Store(here) as store, store.write() as connection:  # so that there is something to look for
        module._insert(connection, [Row(request_id="req_0000", time=NOW, model="m", key="k", cost=COST)], "w")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_unknown", unknown)
        fold(here)
    assert asked and booked(here) == list(range(5)) and spent(here) == 4  # the first was put there by hand


def test_keys_made_at_once_are_all_known_after_one_look(postgres: str, tmp_path: Path) -> None:
    (state,) = nodes(tmp_path, postgres, 1)
    book = KeyBook(state)

    def make(number: int) -> str:
        with Store(state) as store:
            return keys.create(store, Key(id=f"key_{number}", name="", created=1.0))

    with ThreadPoolExecutor(4) as pool:
        for secret in pool.map(make, range(12)):
            book.load()
            assert book.find(secret)
    with Glance(state) as glance:
        assert glance.rows("SELECT value FROM meta WHERE name = 'keys'") == [{"value": "12"}]
    book.close()


def test_a_connection_that_the_server_ends_is_replaced_at_the_next_look(postgres: str, tmp_path: Path) -> None:
    (state,) = nodes(tmp_path, postgres, 1)
    with Store(state) as store, Glance(state) as glance:
        assert glance.rows("SELECT 1 AS one") == [{"one": 1}]
        with psycopg.connect(postgres, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dragoman'")
        with pytest.raises(StoreError):
            glance.rows("SELECT 1 AS one")
        assert glance.rows("SELECT 1 AS one") == [{"one": 1}]
        assert list(usage.rows(store)) == []


def test_text_that_postgresql_cannot_hold_does_not_stop_the_fold(postgres: str, tmp_path: Path) -> None:
    (state,) = nodes(tmp_path, postgres, 1)
    book = Journal(state.path)
    odd = Row(request_id="a", time=NOW, model="m\0x", lossy=["f\0"], tags={"t\0": "\0"}, error="\0")
    for row in (odd, Row(request_id="b", time=NOW + 1, model="\\u0000")):
        book.append(row)
    book.close()
    assert fold(state) == 2
    with Store(state) as store:
        found = list(usage.rows(store))
    assert [row.model for row in found] == ["m\ufffdx", "\\u0000"]
    assert found[0].lossy == ["f\0"] and found[0].tags == {"t\0": "\0"}


def test_a_server_that_is_not_there_is_told_without_the_password(tmp_path: Path) -> None:
    state = State(dir=str(tmp_path), database=f"postgresql://u:pa55word@/x?host={tmp_path}")
    for ask in (lambda: Store(state), lambda: Glance(state).rows("SELECT 1")):
        with pytest.raises(StoreError, match=r"state\.database: .*connect") as told:
            ask()
        assert "pa55word" not in str(told.value)


@pytest.mark.parametrize("url", ["postgresql://u:pa55%word@h/x", "postgresql://u:pa55word@h/x?pa55word=1"])
def test_a_url_that_is_none_is_a_config_error_and_not_repeated(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected") as told:
        Store(State(dir=str(tmp_path), database=url))
    assert "pa55" not in str(told.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_usual_spelling_of_the_scheme_is_read(scheme: str, postgres: str, tmp_path: Path) -> None:
    url = scheme + "://" + postgres.partition("://")[2]
    driver.open_postgres(State(dir=str(tmp_path), database=url)).close()
