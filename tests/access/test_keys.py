"""Gateway keys: only the digest is kept, and a change made elsewhere counts within one look."""

import asyncio
import hashlib
import threading
from pathlib import Path
from typing import Any

import pytest

from dragoman.access import keys
from dragoman.access.keys import Key, KeyBook
from dragoman.config import Secret, State
from dragoman.ledger.glance import Glance
from dragoman.ledger.store import Store


@pytest.fixture
def state(tmp_path: Path, database: str) -> State:
    return State(dir=str(tmp_path), database=database)


def make(state: State, **fields: Any) -> tuple[Key, str]:
    key = Key(id=keys.new_id(), name="ci", created=1.0, **fields)
    with Store(state) as store:
        return key, keys.create(store, key)


def stored(state: State) -> list[Key]:
    with Glance(state) as glance:
        return keys.stored(glance)


def test_a_key_is_256_random_bits_and_known_by_its_prefix(state: State) -> None:
    (_, one), (_, other) = make(state), make(state)
    assert one != other and one.startswith("dgm-") and len(one) >= 4 + 43


@pytest.mark.parametrize("database", ["sqlite"])  # whose files can be looked into
def test_the_secret_is_nowhere_in_the_state(state: State) -> None:
    _, secret = make(state)
    written = b"".join(path.read_bytes() for path in state.path.rglob("*") if path.is_file())
    assert secret.encode() not in written and secret[4:].encode() not in written
    assert hashlib.sha256(secret.encode()).hexdigest().encode() in written


def test_a_record_comes_back_as_it_was(state: State) -> None:
    key, _ = make(state, expires=9.0, budget=5, period="day", rpm=1, tpm=2, models=["a", "b"], admin=True)
    bare, _ = make(state)
    assert stored(state) in ([key, bare], [bare, key])


def test_the_book_finds_who_a_secret_stands_for(state: State) -> None:
    key, secret = make(state, rpm=7, models=["small"], budget=3, period="month")
    book = KeyBook(state)
    assert book.find(secret) is None and not book.budgeted()
    assert book.load()
    principal = book.find(secret)
    assert principal and (principal.id, principal.name, principal.rpm) == (key.id, "ci", 7)
    assert principal.allows("small") and not principal.allows("large") and book.budgeted()
    book.close()


@pytest.mark.parametrize("wrong", ["", "dgm-", "dgm-x", "\ud800", "' OR 1=1 --", "\x00"])
def test_no_other_secret_is_known(state: State, wrong: str) -> None:
    key, secret = make(state)
    book = KeyBook(state)
    book.load()
    assert book.find(wrong) is None
    assert book.find(secret.upper()) is None and book.find(secret[:-1]) is None and book.find(secret + "x") is None
    assert book.find(key.id) is None and book.find(hashlib.sha256(secret.encode()).hexdigest()) is None
    book.close()


def test_a_key_made_later_is_known_after_the_next_load_and_nothing_is_read_in_between(state: State) -> None:
    make(state)
    book = KeyBook(state)
    assert (book.load(), book.load()) == (True, False)
    _, secret = make(state)
    assert book.load() and book.find(secret)
    book.close()


def test_a_revoked_key_is_unknown_after_the_next_load(state: State) -> None:
    key, secret = make(state)
    book = KeyBook(state)
    book.load()
    with Store(state) as store:
        assert keys.revoke(store, key.id, 5.0) and keys.revoke(store, key.id, 6.0)
        assert not keys.revoke(store, "key_nobody", 5.0)
    assert stored(state)[0].revoked == 5.0
    assert book.load() and book.find(secret) is None
    book.close()


def test_the_admin_key_of_the_config_is_known_without_a_database(tmp_path: Path) -> None:
    book = KeyBook(State(dir=str(tmp_path / "none")), Secret("an-admin-key"))
    principal = book.find("an-admin-key")
    assert principal and principal.admin and not (tmp_path / "none").exists()


def test_an_empty_admin_key_opens_nothing(state: State) -> None:
    assert KeyBook(state, Secret("")).find("") is None


class Looks:
    """A book whose loads are counted, on a clock that only its own waiting moves."""

    def __init__(self, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
        self.book = KeyBook(state)
        self.at: list[float] = []
        self._now = 100.0
        load = self.book.load
        monkeypatch.setattr(keys.time, "monotonic", lambda: self._now)
        monkeypatch.setattr(keys.asyncio, "sleep", self._sleep)
        monkeypatch.setattr(self.book, "load", lambda: self.at.append(self._now) or load())

    async def _sleep(self, seconds: float) -> None:
        self._now += seconds


async def test_a_key_made_right_after_an_unknown_one_was_tried_counts_at_once(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Looks(state, monkeypatch).book
    assert await book.look_again("dgm-nobody") is None
    _, secret = make(state)
    assert await book.look_again(secret)
    book.close()


async def test_a_key_made_while_the_database_is_read_for_others_counts_at_once(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = KeyBook(state)
    load, began, end = book.load, threading.Event(), threading.Event()

    def slow() -> bool:
        read = load()
        began.set()
        assert end.wait(10)
        return read

    monkeypatch.setattr(book, "load", slow)
    refreshing = asyncio.create_task(book.refresh())
    assert await asyncio.to_thread(began.wait, 10)
    _, secret = make(state)
    looking = asyncio.create_task(book.look_again(secret))
    await asyncio.sleep(0)
    end.set()
    assert await looking
    await refreshing
    book.close()


async def test_however_many_unknown_secrets_are_tried_the_looks_are_twenty_a_second(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = Looks(state, monkeypatch)
    for _ in range(50):
        assert await asyncio.gather(*(looks.book.look_again(f"dgm-{n}") for n in range(20))) == [None] * 20
    assert len(looks.at) == 50
    assert all(later - sooner >= 0.05 - 1e-9 for sooner, later in zip(looks.at, looks.at[1:], strict=False))
    looks.book.close()


async def test_keys_stay_in_force_when_the_database_cannot_be_read(
    state: State, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _, secret = make(state)
    book = KeyBook(state)
    assert await book.refresh()

    def broken() -> bool:
        raise OSError("gone")

    monkeypatch.setattr(book, "load", broken)
    assert await book.refresh() is False
    assert book.find(secret) and "stay in force" in caplog.text and secret not in caplog.text
    book.close()


def test_the_store_and_the_book_read_the_same_of_a_key(state: State) -> None:
    _, secret = make(state, expires=9.0, budget=5, period="day", rpm=1, tpm=2, models=["a", "b"], admin=True)
    book = KeyBook(state)
    book.load()
    assert book.find(secret) == stored(state)[0].principal()
    book.close()


def test_the_configs_key_is_the_one_it_has_now(state: State) -> None:
    _, secret = make(state)
    book = KeyBook(state, Secret("first-admin-key"))
    book.load()
    found = book.find("first-admin-key")
    assert found is not None and found.admin and book.knows("admin")
    book.fix(Secret("second-admin-key"))
    assert book.find("first-admin-key") is None and book.find("second-admin-key") == found
    book.fix(None)
    assert book.find("second-admin-key") is None and not book.knows("admin")
    assert book.find(secret) is not None
