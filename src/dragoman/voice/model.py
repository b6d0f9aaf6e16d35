"""What a pipeline needs of the gateway: a text model that answers, as a stream of canon events."""

from collections.abc import AsyncGenerator
from typing import Protocol

from dragoman.canon import Event, Request


class Answering(Protocol):
    """An answer under way. `target` and `decision` are known by the first event, as `route` is: the seconds from asking
    to the upstream call."""

    @property
    def target(self) -> str | None: ...

    @property
    def decision(self) -> str | None: ...

    @property
    def route(self) -> float | None: ...

    def events(self) -> AsyncGenerator[Event, None]:
        """What the model says. Ends in `End` or `Broken`, whatever happens; closing it stops the model."""
        ...

    def take(self) -> None:
        """Of a speculative question: its answer is wanted, and is the caller's to pay for."""
        ...

    def drop(self) -> None:
        """It is not."""
        ...


class Model(Protocol):
    """The model or route of a session."""

    metered: bool  # an answer costs money
    window: int | None  # tokens that it takes in, where known

    def ask(self, request: Request, *, speculative: bool = False) -> Answering:
        """Asks. `speculative`: whether the answer is wanted is not known yet; `take` or `drop` says it."""
        ...
