"""Artifacts come back as they were, or not at all."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dragoman.routing import artifact

KINDS = st.sampled_from(["i1", "u1", "f2", "f4", "u4"])
DATA = artifact.pack("router", {"a": 1}, {"x": np.arange(12, dtype="f4").reshape(3, 4), "y": np.ones(5, "i1")})


@settings(deadline=None)
@given(KINDS.flatmap(lambda kind: arrays.arrays(kind, arrays.array_shapes(max_dims=3, max_side=4))))
def test_an_array_comes_back_as_it_was(array: np.ndarray) -> None:
    file = artifact.unpack(artifact.pack("router", {"n": 1}, {"x": array}), "router", "x.dgm")
    assert file.about == b'{"n":1}'
    assert file.arrays["x"].shape == array.shape
    assert file.arrays["x"].tobytes() == array.tobytes()


def test_the_name_is_made_from_the_content() -> None:
    other = artifact.pack("router", {"a": 2}, {"x": np.arange(12, dtype="f4").reshape(3, 4)})
    names = [artifact.unpack(data, "router", "x.dgm").name for data in (DATA, DATA, other)]
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("router-")


@settings(deadline=None)
@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_one_changed_byte_is_noticed(place: int, change: int) -> None:
    changed = bytearray(DATA)
    changed[place] ^= change
    with pytest.raises(artifact.ArtifactError, match=r"x\.dgm: (damaged|not a router artifact)"):
        artifact.unpack(bytes(changed), "router", "x.dgm")


@settings(deadline=None)
@given(st.integers(0, len(DATA) - 1))
def test_a_cut_file_is_noticed(length: int) -> None:
    with pytest.raises(artifact.ArtifactError, match=r"x\.dgm: (damaged|not a router artifact)"):
        artifact.unpack(DATA[:length], "router", "x.dgm")


def test_another_kind_of_file_is_named() -> None:
    with pytest.raises(artifact.ArtifactError, match='holds "router", not "lexicon"'):
        artifact.unpack(DATA, "lexicon", "x.dgm")


def test_a_foreign_file_gets_the_mend(tmp_path: Path) -> None:
    path = tmp_path / "r.dgm"
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(artifact.ArtifactError, match="make one with `dragoman router train`"):
        artifact.read(path, "router")
