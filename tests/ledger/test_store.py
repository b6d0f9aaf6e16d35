"""The ledger's database outlives the versions of the program."""

from pathlib import Path

from dragoman.config import State
from dragoman.ledger import fold, usage
from dragoman.ledger.journal import Journal
from dragoman.ledger.row import Row, Share
from dragoman.ledger.store import Store

LATER = ("resumed", "hedged", "shares")  # columns that came after the first version


def test_a_database_of_an_older_version_gets_the_newer_columns(tmp_path: Path) -> None:
    state = State(dir=str(tmp_path))
    book(tmp_path, Row(request_id="old", time=4e9))
    fold.fold(state)
    with Store(state) as store, store.write() as connection:
        for column in LATER:
            connection.exec_driver_sql(f"ALTER TABLE usage DROP COLUMN {column}")
    share = Share(target="openai/x", account="a", why="broke", output=3, cost=7)
    new = Row(request_id="new", time=4.1e9, resumed=1, hedged=True, shares=[share])
    book(tmp_path, new)
    fold.fold(state)
    with Store(state) as store:
        old, found = usage.rows(store)
    assert (old.request_id, old.resumed, old.hedged, old.shares) == ("old", 0, False, [])
    assert found == new


def book(folder: Path, row: Row) -> None:
    journal = Journal(folder)
    journal.add(row)
    journal.flush()
    journal.close()
