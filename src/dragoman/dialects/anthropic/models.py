"""What the Claude models take, by generation. Pure data, read off the model's id.

Needed only for requests that come from another dialect: what the caller means must be said in the way the target model
accepts. A request of this same dialect says what its caller wrote.

| generation | thinking | effort | sampling | most output tokens we ask for unasked |
|---|---|---|---|---|
| before 3.5     | no                  | no                    | all | 4,096 |
| 3.5            | no                  | no                    | all | 8,192 |
| 3.7 to 4.5     | `enabled` + budget  | Opus 4.5: up to high  | from 4.1 on temperature or top_p, not both | 32,000 |
| 4.6            | `adaptive`          | up to high, and max   | temperature or top_p | 32,000 |
| 4.7 and later  | `adaptive` only     | up to max, with xhigh | none (400 for any) | 32,000 |
| 5 and later    | on unless `disabled` (Fable and Mythos: always on) | the same | none | 32,000 |
| any other name | `enabled` + budget  | no                    | all | 8,192 |

From 4.6 on, a conversation must not end with the assistant (no prefill).

Sources: the provider's model pages and migration guides (4.6, 4.7, 4.8, 5).
"""

import re
from functools import lru_cache

from msgspec import Struct

_NEW = re.compile(r"claude-([a-z]+)-(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_OLD = re.compile(r"claude-(\d)(?:[-.](\d))?(?:-([a-z]+))?(?!\d)")
_LOW_TO_HIGH = ("low", "medium", "high")


class Traits(Struct, frozen=True, kw_only=True):
    """What one model takes. `default_max_tokens` is accepted by every model of its generation."""

    budgets: bool = True  # thinking: {"type": "enabled", "budget_tokens": …}
    adaptive: bool = False  # thinking: {"type": "adaptive"}
    thinks_unasked: bool = False  # thinking is on unless it is disabled
    always_thinks: bool = False  # … and cannot be disabled
    says_disabled: bool = True  # takes {"type": "disabled"}
    efforts: tuple[str, ...] = ()
    sampling: bool = True  # temperature, top_p, top_k
    one_of_temperature_top_p: bool = False
    prefill: bool = True  # goes on with a trailing assistant message
    default_max_tokens: int = 8_192


@lru_cache(maxsize=256)
def traits(model: str) -> Traits:
    """The traits of a model id, whatever stands before the name in it (`us.anthropic.claude-…`)."""
    if found := _NEW.search(model):
        family, major, minor = found.group(1), int(found.group(2)), int(found.group(3) or 0)
        return _of(family, (major, minor))
    if found := _OLD.search(model):
        return _of(found.group(3) or "", (int(found.group(1)), int(found.group(2) or 0)))
    return Traits()


def _of(family: str, version: tuple[int, int]) -> Traits:
    if version < (3, 5):
        return Traits(budgets=False, says_disabled=False, default_max_tokens=4_096)
    if version < (3, 7):
        return Traits(budgets=False, says_disabled=False)
    if version < (4, 6):
        efforts = _LOW_TO_HIGH if family == "opus" and version == (4, 5) else ()
        return Traits(efforts=efforts, one_of_temperature_top_p=version > (4, 0), default_max_tokens=32_000)
    if version < (4, 7):
        return Traits(
            adaptive=True,
            efforts=(*_LOW_TO_HIGH, "max"),
            one_of_temperature_top_p=True,
            prefill=False,
            default_max_tokens=32_000,
        )
    always = family in ("fable", "mythos")
    return Traits(
        budgets=False,
        adaptive=True,
        thinks_unasked=always or version >= (5, 0),
        always_thinks=always,
        says_disabled=not always and version >= (5, 0),
        efforts=(*_LOW_TO_HIGH, "xhigh", "max"),
        sampling=False,
        prefill=False,
        default_max_tokens=32_000,
    )
