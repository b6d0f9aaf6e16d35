"""What OpenAI's models take, by generation. Pure data, read off the model's id.

Needed only for requests that come from another dialect: agents set a temperature or an effort for the model they were
written for, and what the target model refuses must not fail the call.

| generation | effort | temperature, top_p, logprobs | penalties, logit_bias, stop | tools in Chat Completions |
|---|---|---|---|---|
| gpt-3, gpt-4, *-chat | none of it | yes | yes | yes |
| o1 to o4             | low to high | no | no | yes |
| gpt-5                | minimal to high | no | no | yes |
| gpt-5.1              | none, low to high | without thinking | no | yes |
| gpt-5.2, 5.3         | none, low to xhigh | without thinking | no | without thinking |
| gpt-5.4 and later    | none, low to xhigh; from 5.6 on max | without thinking | no | only with effort none |
| *-codex              | the same without none and minimal | no | no | the same |
| any other name       | all | yes | yes | yes |

Sources: the provider's guide to reasoning and its model pages; its Chat Completions' own errors since 5.2
(openai/openai-openapi#541, BerriAI/litellm#34569).
"""

import re
from functools import lru_cache

from msgspec import Struct

from dragoman.canon import JSON
from dragoman.dialects.losses import Losses
from dragoman.dialects.thinking import EFFORTS, nearest

_OURS = re.compile(
    r"^(?:ft:)?(?:chatgpt-|codex-|(?P<o>o[1-9])(?:-|$)|gpt-(?P<major>\d+)(?:\.(?P<minor>\d+))?(?P<rest>.*))"
)
_LOW_TO_HIGH = ("low", "medium", "high")
_SAMPLING = ("temperature", "top_p", "logprobs", "top_logprobs")
_STEERING = ("presence_penalty", "frequency_penalty", "logit_bias", "stop")
# what is no loss when it is left out
_DEFAULTS: dict[str, tuple[object, ...]] = {
    **dict.fromkeys(("temperature", "top_p"), (1,)),
    **dict.fromkeys(("logprobs", "top_logprobs", "presence_penalty", "frequency_penalty"), (0,)),
    **dict.fromkeys(("logit_bias", "stop"), ({}, [])),
}


class Traits(Struct, frozen=True, kw_only=True):
    """What one model takes. `efforts` are ordered from least to most; empty means that it does not think."""

    efforts: tuple[str, ...] = EFFORTS
    thinks: bool = False  # before it answers, and for certain: of unknown models nothing is assumed
    chat_tools: bool = True  # its Chat Completions take function tools while it thinks

    def effort(self, wanted: str) -> str | None:
        """What to say for the wanted effort; None where nothing can be said."""
        return nearest(wanted, self.efforts) if self.efforts else None

    def refused(self, effort: str | None) -> tuple[str, ...]:
        """The names of the settings it refuses (where they are not at their default) with this effort."""
        if not self.thinks:
            return ()
        return _STEERING if effort == "none" else (*_SAMPLING, *_STEERING)


_ANY = Traits()
_PLAIN = Traits(efforts=())


@lru_cache(maxsize=256)
def traits(model: str) -> Traits:
    """The traits of a model id, whatever stands before the last slash of it (`openai/gpt-5`)."""
    found = _OURS.match(model.rpartition("/")[2])
    if found is None:
        return _ANY
    if found["o"]:
        return Traits(efforts=_LOW_TO_HIGH, thinks=True)
    if found["major"] is None or int(found["major"]) < 5 or "-chat" in found["rest"]:
        return _PLAIN
    return _of((int(found["major"]), int(found["minor"] or 0)), codex="-codex" in found["rest"])


def _of(version: tuple[int, int], *, codex: bool) -> Traits:
    least: tuple[str, ...] = () if codex else ("none",) if version > (5, 0) else ("minimal",)
    most: tuple[str, ...] = ("xhigh",) if version > (5, 1) else ()
    if version >= (5, 6):
        most += ("max",)
    return Traits(efforts=(*least, *_LOW_TO_HIGH, *most), thinks=True, chat_tools=version < (5, 2))


def drop_refused(body: JSON, model: str, effort: str | None, losses: Losses) -> None:
    """Takes out of a request's body what its model refuses with this effort; notes what was not the default anyway."""
    for name in traits(model).refused(effort):
        value = body.pop(name, None)
        if value is not None and value not in _DEFAULTS[name]:
            losses.note(name)
