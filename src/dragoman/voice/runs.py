"""A response on its way, and what it is made by."""

from collections.abc import Sequence

from msgspec import Struct

from dragoman.voice import session
from dragoman.voice.events import JSON
from dragoman.voice.record import Turn
from dragoman.voice.response import Response
from dragoman.voice.steps import Do, Params


class Plan(Struct, frozen=True, kw_only=True):
    """What a response is made by: the session's configuration, and what its creator said otherwise."""

    params: Params
    instructions: str
    tools: Sequence[session.Tool]
    choice: session.ToolChoice
    effort: str | None = None
    parallel: bool | None = None
    context: list[JSON | str] | None = None  # items, or the ids of some; None: the conversation


class Run(Struct, kw_only=True):
    """A response on its way. `held`: what it wants to do, while nobody may see it. `turn`: its record."""

    response: Response
    plan: Plan
    turn: Turn
    held: list[Do] | None = None
    speculative: bool = False
    asked: bool = False

    @property
    def id(self) -> str:
        return self.response.id

    @property
    def aside(self) -> bool:
        return self.plan.params.conversation is None
