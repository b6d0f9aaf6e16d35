"""Valid JSON values with one or two places spoiled: what an odd provider, or a fault on the way, may send."""

import copy
from typing import Any

from hypothesis import strategies as st

ODD: list[Any] = [None, 0, -1, 1.5, 1e300, 2**63, True, "", "x", [], {}, [1], [None], [[]], {"a": 1}, {"type": "text"}]


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in inner for found in ((*path, key), *_places(item, (*path, key)))]


@st.composite
def spoiled(draw: st.DrawFn, value: Any) -> Any:
    """`value` with odd values in one or two places."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 2))):
        *way, last = draw(st.sampled_from(_places(value) or [()])) or (None,)
        if last is None:
            return value
        target = value
        for key in way:
            target = target[key]
        target[last] = copy.deepcopy(draw(st.sampled_from(ODD)))
    return value
