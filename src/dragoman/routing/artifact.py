"""The router's files (`.dgm`): named arrays of numbers and a description, safe to read from a disk one does not trust.

| bytes | what |
|---|---|
| 4 | `DGM` and the version, 1 |
| 4 | length of the head, little endian |
| 32 | SHA-256 of all that follows |
| head | JSON: kind, description, and name, type and shape of each array |
| rest | the arrays, one after the other, row by row, little endian |

Nothing in it is code. Sizes are checked before anything is read, and a file that was cut or altered is refused.
"""

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAGIC = b"DGM\x01"
LARGEST = 64 * 2**20  # bytes of a file
_MOST_HEAD = 4 * 2**20
_PROLOGUE = len(MAGIC) + 4 + 32
_BYTES = {"i1": 1, "u1": 1, "f2": 2, "f4": 4, "u4": 4}


class ArtifactError(RuntimeError):
    """A file that can't be used, with its name and what to do."""


class _Array(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    kind: str
    shape: list[int]

    def size(self) -> int:
        return math.prod(self.shape) * _BYTES[self.kind]


class _Head(Struct, frozen=True, forbid_unknown_fields=True):
    kind: str
    about: msgspec.Raw
    arrays: list[_Array]


class File(Struct, frozen=True):
    """A file as read: what it says of itself (JSON), its arrays, and its name, made from the hash of its content."""

    name: str
    about: bytes
    arrays: "dict[str, NDArray[Any]]"


def pack(kind: str, about: object, arrays: "Mapping[str, NDArray[Any]]") -> bytes:
    """The bytes of a file. The same content gives the same bytes, and so the same name."""
    import numpy as np

    listed = [
        _Array(name, f"{array.dtype.kind}{array.dtype.itemsize}", list(array.shape)) for name, array in arrays.items()
    ]
    head = msgspec.json.encode(_Head(kind, msgspec.Raw(msgspec.json.encode(about)), listed))
    parts = [np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes() for array in arrays.values()]
    content = b"".join([head, *parts])
    return b"".join([MAGIC, len(head).to_bytes(4, "little"), hashlib.sha256(content).digest(), content])


def unpack(data: bytes, kind: str, source: str) -> File:
    """The file in `data`. Raises `ArtifactError`, which names `source`."""
    import numpy as np

    if data[: len(MAGIC)] != MAGIC:
        raise ArtifactError(f"{source}: not a router artifact of this version: make one with `dragoman router train`")
    damaged = ArtifactError(f"{source}: damaged: copy it again, or train it anew")
    length = int.from_bytes(data[4:8], "little")
    if len(data) > LARGEST or length > min(_MOST_HEAD, len(data)):
        raise damaged
    content = memoryview(data)[_PROLOGUE:]
    digest = hashlib.sha256(content)
    if digest.digest() != data[8:_PROLOGUE]:
        raise damaged
    try:
        head = msgspec.json.decode(content[:length], type=_Head)
    except msgspec.MsgspecError as error:
        raise damaged from error
    if head.kind != kind:
        raise ArtifactError(f'{source}: holds "{head.kind}", not "{kind}"')
    arrays = {}
    place = length
    for array in head.arrays:
        if array.kind not in _BYTES or min(array.shape, default=0) < 0 or place + array.size() > len(content):
            raise damaged
        cut = content[place : place + array.size()]
        arrays[array.name] = np.frombuffer(cut, f"<{array.kind}").reshape(array.shape)
        place += array.size()
    if place != len(content):
        raise damaged
    return File(f"{kind}-{digest.hexdigest()[:12]}", bytes(head.about), arrays)


def read(path: Path, kind: str) -> File:
    """The file at `path`. Raises `ArtifactError`, and `OSError` where it can't be read."""
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    return unpack(data, kind, str(path))
