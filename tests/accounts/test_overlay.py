"""What is changed of accounts at run time: a layer over the config, and its file."""

import stat
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from dragoman import config
from dragoman.accounts import overlay
from dragoman.accounts.overlay import Change, Layer, Overlay, lay

NOWHERE = Path("/nowhere")
names = st.sampled_from("abcde")
plain: dict[str, st.SearchStrategy[Any]] = {
    "weight": st.floats(0.1, 9) | st.integers(1, 9),
    "rpm": st.none() | st.integers(1, 10_000),
    "max_in_flight": st.none() | st.integers(1, 64),
    "key": st.none() | st.text("abc-0123", min_size=1, max_size=20),
    "state": st.sampled_from(["serving", "draining", "disabled"]),
    "limits": st.dictionaries(st.sampled_from(["x", "y"]), st.fixed_dictionaries({"rpm": st.integers(1, 99)})),
    "models": st.none() | st.lists(st.sampled_from(["x", "y"])),
}
keys = st.fixed_dictionaries({}, optional=plain)
tables = keys.map(lambda table: {"provider": "openai"} | table)
changes = st.one_of(
    st.builds(Change, keys=keys),
    st.builds(Change, keys=tables, added=st.just(True)),
    st.just(Change(removed=True)),
)
layers = st.builds(Layer, st.dictionaries(names, changes))


def account(name: str, table: dict[str, Any]) -> config.Account:
    given = {key: value for key, value in table.items() if value is not None}
    return config.account({"name": name, "provider": "openai"} | given, "test", NOWHERE, {})


def settings_of(found: dict[str, dict[str, Any]], **more: Any) -> config.Config:
    return config.Config(accounts=[account(name, table) for name, table in found.items()], **more)


settings = st.dictionaries(names, keys).map(settings_of)


def laid(found: config.Config, layer: Layer) -> dict[str, config.Account]:
    return {spec.name: spec for spec in lay(found, layer, NOWHERE, {}).accounts}


@given(settings, layers)
def test_a_layer_laid_twice_is_laid_once(found: config.Config, layer: Layer) -> None:
    once = lay(found, layer, NOWHERE, {})
    assert lay(once, layer, NOWHERE, {}) == once


@given(settings, layers)
def test_names_never_clash_and_what_is_not_named_stays(found: config.Config, layer: Layer) -> None:
    accounts = lay(found, layer, NOWHERE, {}).accounts
    assert len({spec.name for spec in accounts}) == len(accounts)
    for spec in found.accounts:
        if spec.name not in layer.accounts:
            assert spec in accounts


@given(settings, layers, st.lists(keys, min_size=1, max_size=4))
def test_changes_one_after_another_are_as_all_in_one(
    found: config.Config, layer: Layer, edits: list[dict[str, Any]]
) -> None:
    for name, before in laid(found, layer).items():
        after, whole = layer, {}
        for edit in edits:
            after, whole = overlay.patch(after, name, edit), whole | edit
        got = laid(found, after)[name]
        assert got == laid(found, overlay.patch(layer, name, whole))[name]
        fresh = config.Account(name=name, provider="openai")
        for key in config.Account.__struct_fields__:
            said = whole.get(key, before)
            if key not in whole:
                assert getattr(got, key) == getattr(before, key)
            elif said is None:
                assert getattr(got, key) == getattr(fresh, key)


@given(settings, layers, names, tables)
def test_what_is_added_is_there_as_given_and_what_is_removed_is_not(
    found: config.Config, layer: Layer, name: str, table: dict[str, Any]
) -> None:
    added = overlay.add(layer, name, table)
    assert laid(found, added)[name] == account(name, table)
    declared = any(spec.name == name for spec in found.accounts)
    removed = overlay.remove(added, name, declared)
    assert name not in laid(found, removed)
    assert (name in removed.accounts) == declared  # nothing is left of what never was


@given(layers, layers, st.floats(0, 100))
def test_every_change_is_later_than_the_one_it_follows_and_nothing_is_forgotten(
    before: Layer, after: Layer, now: float
) -> None:
    first = overlay.stamped(Layer(), before, 50.0)
    second = overlay.stamped(first, after, now)
    assert second.accounts.keys() == before.accounts.keys() | after.accounts.keys()
    for name, change in second.accounts.items():
        assert structs.replace(change, at=0.0) == after.accounts.get(name, Change())
        former = first.accounts.get(name, Change())
        same = structs.replace(change, at=former.at) == former
        assert change.at >= now or same or change.at > former.at
    known = {name: change.at for name, change in first.accounts.items()}
    for name, change in overlay.newer(second, known).accounts.items():
        assert name not in known or change != first.accounts[name]


@given(settings, layers)
def test_what_is_written_is_read_back(found: config.Config, layer: Layer) -> None:
    assert msgspec.json.decode(msgspec.json.encode(layer), type=Layer) == layer


def test_the_file_is_its_owners_alone_and_read_by_whoever_comes(tmp_path: Path) -> None:
    found = settings_of({"a": {"key": "sk-0123456789abcdef"}})
    Overlay(tmp_path).change(found, lambda layer, known: overlay.patch(layer, "a", {"weight": 3}))
    assert stat.S_IMODE((tmp_path / overlay.FILE).stat().st_mode) == 0o600
    assert Overlay(tmp_path).lay(found).accounts[0].weight == 3


def test_changes_made_at_once_are_all_kept(tmp_path: Path) -> None:
    found = settings_of({})

    def add(name: str) -> None:
        table = {"provider": "openai", "key": "sk-0123456789abcdef"}
        Overlay(tmp_path).change(found, lambda layer, known: overlay.add(layer, name, table))

    threads = [threading.Thread(target=add, args=(f"a{i}",)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(Overlay(tmp_path).read().accounts) == {f"a{i}" for i in range(12)}


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"provider": "nobody"}, "no provider is named"),
        ({"provider": "openai"}, "key is required"),
        ({"provider": "openai", "key": "k", "base_url": "ftp://x"}, "expected an http"),
        ({"provider": "openai", "key": "k", "rpm": 0}, r"accounts\.new: rpm: expected a whole number above 0, got 0"),
        ({"provider": "openai", "kee": "k"}, "did you mean key"),
        ({"provider": "openai", "key": "env:NOT_THERE"}, "no variable NOT_THERE"),
        ({}, "provider: is required"),
    ],
)
def test_what_could_not_be_served_changes_nothing(tmp_path: Path, table: dict[str, Any], problem: str) -> None:
    with pytest.raises(config.ConfigError, match=problem):
        Overlay(tmp_path).change(settings_of({}), lambda layer, known: overlay.add(layer, "new", table))
    assert Overlay(tmp_path).read() == Layer()


def test_references_are_resolved_and_files_start_at_the_state_directory(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-from-a-file-0123456\n")
    layer = Layer({
        "f": Change(keys={"provider": "openai", "key": "file:key"}, added=True),
        "e": Change(keys={"provider": "openai", "key": "env:K"}, added=True),
    })  # fmt: skip
    accounts = lay(settings_of({}), layer, tmp_path, {"K": "sk-from-the-environment"}).accounts
    assert [spec.key and spec.key.reveal() for spec in accounts] == [
        "sk-from-a-file-0123456",
        "sk-from-the-environment",
    ]


def test_an_account_that_can_no_longer_be_read_can_be_removed(tmp_path: Path) -> None:
    broken = Layer({"gone": Change(keys={"provider": "openai", "key": "env:NOT_THERE"}, added=True)})
    (tmp_path / overlay.FILE).write_bytes(msgspec.json.encode(broken))
    with pytest.raises(config.ConfigError, match=r"accounts\.json: accounts\.gone"):
        Overlay(tmp_path).lay(settings_of({}))
    seen: list[str] = []

    def edit(layer: Layer, known: config.Config) -> Layer:
        seen.extend(spec.name for spec in known.accounts)
        return overlay.remove(layer, "gone", False)

    Overlay(tmp_path).change(settings_of({}), edit)
    assert seen == ["gone"]
    assert Overlay(tmp_path).lay(settings_of({})).accounts == []


def test_of_two_changes_the_later_one_counts_and_what_can_not_be_served_here_is_left_out(tmp_path: Path) -> None:
    found = settings_of({"a": {"key": "sk-0123456789abcdef"}, "b": {"key": "sk-0123456789abcdef"}})
    here = Overlay(tmp_path)
    here.change(found, lambda layer, known: overlay.patch(layer, "a", {"weight": 3}))
    at = here.read().accounts["a"].at
    foreign = Layer({
        "a": Change(keys={"weight": 5}, at=at - 1),
        "b": Change(keys={"weight": 7}, at=at - 1),
        "c": Change(keys={"provider": "openai", "key": "env:NOT_THERE"}, added=True, at=at),
    })  # fmt: skip
    refused = here.take(found, foreign)
    assert list(refused) == ["c"] and "no variable NOT_THERE" in str(refused["c"])
    assert [spec.weight for spec in here.lay(found).accounts] == [3, 7]
    here.take(found, Layer({"a": Change(at=at + 1)}))
    assert [spec.weight for spec in here.lay(found).accounts] == [1, 7]


@pytest.mark.parametrize("text", [b"{", b"[]", b'{"accounts": {"a": {"kees": {}}}}', b'{"accounts": {"a": 1}}'])
def test_a_spoiled_file_is_refused_and_named(tmp_path: Path, text: bytes) -> None:
    (tmp_path / overlay.FILE).write_bytes(text)
    with pytest.raises(config.ConfigError, match=r"accounts\.json: .*: mend it, or delete it"):
        Overlay(tmp_path).read()
