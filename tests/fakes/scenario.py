"""What a test makes a fake do to one request, instead of or on top of answering it well."""

import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from .brain import Answer, Usage

Fault = Literal["hang", "reset", "drop", "cut", "error", "hold"]


@dataclass
class Scenario:
    """One request's fate. Without any field set: answered as usual.

    Answers: `status` ≥ 400 gives the dialect's error for it (`message`, `code` override its words, `body` the whole
    body, `headers` are added); `answer` or `say` replaces the brain; `usage` replaces the count of tokens.

    Faults, which strike after `after` frames of a stream were sent (0: before the head of the reply):
      `hang`   nothing more comes, until the client leaves
      `hold`   nothing more comes until `release()`
      `reset`  the connection is reset (RST)
      `drop`   the connection is closed in the middle of the body
      `cut`    the HTTP body ends properly, but without the dialect's end mark
      `error`  the dialect's own error event in mid-stream (`status`, `message` say which)

    `split`: the body is written in pieces of so many bytes, each sent alone. `interleave`: parallel tool calls' deltas
    take turns (openai-chat). `delay`: seconds before each frame, or before a body that is no stream.
    """

    status: int = 200
    message: str | None = None
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    answer: Answer | None = None
    say: str | None = None
    usage: Usage | None = None
    fault: Fault | None = None
    after: int = 0
    split: int | None = None
    interleave: bool = False
    delay: float = 0.0
    _released: threading.Event = field(default_factory=threading.Event, repr=False)

    def release(self) -> None:
        """Let a held reply go on."""
        self._released.set()

    @property
    def released(self) -> bool:
        return self._released.is_set()


def status(code: int, message: str | None = None, **headers: str) -> Scenario:
    """An error reply; `retry_after="2"` is the header `retry-after: 2`."""
    return Scenario(status=code, message=message, headers={k.replace("_", "-"): v for k, v in headers.items()})


class Script:
    """The queue of scenarios: the next of the request's key, else the next for anyone, else the standing one."""

    def __init__(self) -> None:
        self._queues: defaultdict[str | None, deque[Scenario]] = defaultdict(deque)
        self._standing: dict[str | None, Scenario | Callable[[Any], Scenario]] = {}

    def add(self, *scenarios: Scenario, key: str | None = None) -> None:
        self._queues[key].extend(scenarios)

    def stand(self, scenario: Scenario | Callable[[Any], Scenario] | None, key: str | None = None) -> None:
        if scenario is None:
            self._standing.pop(key, None)
        else:
            self._standing[key] = scenario

    def next(self, request: Any, key: str | None) -> Scenario:
        for owner in (key, None):
            if queue := self._queues[owner]:
                return queue.popleft()
        for owner in (key, None):
            if found := self._standing.get(owner):
                return found(request) if callable(found) else found
        return Scenario()
