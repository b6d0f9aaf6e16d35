"""What a serving process reads in passing: the same as the store would tell it."""

import sqlite3
from pathlib import Path

import pytest

from dragoman.config import ConfigError, State
from dragoman.ledger import driver, schema
from dragoman.ledger.driver import StoreError
from dragoman.ledger.glance import Glance
from dragoman.ledger.store import Store, recall, remember
from dragoman.ledger.version import VERSION

NAMED = "SELECT value FROM meta WHERE name = ?"


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(dir=str(tmp_path))


def test_a_database_that_nobody_has_made_is_empty_and_is_not_made_by_looking(tmp_path: Path) -> None:
    with Glance(State(dir=str(tmp_path / "none"))) as glance:
        assert glance.rows(NAMED, "keys") == []
    assert not (tmp_path / "none").exists()


def test_a_database_without_tables_is_empty_until_they_are_made(state: State) -> None:
    sqlite3.connect(driver.sqlite_file(state)).close()
    with Glance(state) as glance:
        assert glance.rows(NAMED, "a") == []
        with Store(state) as store, store.write() as connection:
            remember(connection, "a", "1")
        assert glance.rows(NAMED, "a") == [{"value": "1"}]


def test_a_change_that_is_committed_is_seen_and_nothing_can_be_changed(state: State) -> None:
    with Store(state) as store, Glance(state) as glance:
        for value in ("1", "2"):
            with store.write() as connection:
                remember(connection, "a", value)
            assert glance.rows(NAMED, "a") == [{"value": value}]
        with pytest.raises(StoreError, match="readonly"):
            glance.rows("DELETE FROM meta")
        assert glance.rows(NAMED, "a") == [{"value": "2"}]


def test_a_writer_in_the_middle_of_its_work_is_not_waited_for(state: State) -> None:
    with Store(state) as store, Glance(state) as glance, store.write() as connection:
        remember(connection, "a", "1")
        assert glance.rows(NAMED, "a") == []


def test_a_database_of_an_older_program_is_upgraded_before_it_is_read(state: State) -> None:
    with Store(state) as store, store.write() as connection:
        schema.decisions.drop(connection)
        remember(connection, "schema", "1")
    with Glance(state) as glance:
        assert glance.rows("SELECT * FROM decisions") == []
    with Store(state) as store, store.read() as connection:
        assert recall(connection, "schema") == VERSION


def test_a_database_of_a_newer_program_is_refused(state: State) -> None:
    with Store(state) as store, store.write() as connection:
        remember(connection, "schema", "99")
    with Glance(state) as glance, pytest.raises(StoreError, match="schema 99"):
        glance.rows("SELECT * FROM keys")


def test_what_is_no_database_is_told_and_looked_at_again(state: State) -> None:
    driver.sqlite_file(state).write_text("not a database, but long enough to be taken for one" * 100)
    with Glance(state) as glance:
        with pytest.raises(StoreError, match="not a database"):
            glance.rows("SELECT * FROM keys")
        driver.sqlite_file(state).unlink()
        assert glance.rows("SELECT * FROM keys") == []


def test_a_database_that_is_neither_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected"):
        Glance(State(dir=str(tmp_path), database="mysql://u:secret@h/x"))
