"""The desk in an event loop: its clock, its one timer, and the tasks that wait for a lease."""

import asyncio
import random
import time

from dragoman.accounts.desk import Desk
from dragoman.accounts.lease import Lease, Outcome, Refused, Want
from dragoman.accounts.queue import Ticket
from dragoman.accounts.shared import Shared

_HELD = 86400.0  # seconds: here a lease is always settled by the task that holds it; the desk need not watch over it


class Leases:
    """One per worker; it lives as long as the process, whatever configs come and go. For one event loop."""

    def __init__(self, shared: bool = False) -> None:
        """`shared`: the limits are shared with other workers; `line` is set then."""
        self.desk = Desk(random.random, lease_seconds=_HELD, shared=shared)
        self.line: Shared | None = None
        self._since = time.time() - time.monotonic()
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> float:
        """Unix seconds, of a clock that never goes back."""
        return self._since + time.monotonic()

    def acquire(self, want: Want) -> Lease | Ticket | Refused:
        """As `Desk.acquire`; a ticket is for `wait`."""
        answer = self.desk.acquire(want, self.now())
        if type(answer) is not Lease:
            self.after()
        return answer

    def hedge(self, first: Lease) -> Lease | None:
        """As `Desk.hedge`."""
        return self.desk.hedge(first, self.now())

    async def wait(self, ticket: Ticket) -> Lease | Refused:
        """The answer to a ticket. Who is cancelled while waiting gives back what came in the same moment."""
        if ticket.answer is None:
            waker: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            ticket.waker = waker
            try:
                await waker
            except asyncio.CancelledError:
                self.desk.cancel(ticket, self.now())
                self.after()
                raise
        answer = ticket.answer
        if answer is None:
            raise RuntimeError("a ticket's holder was woken without an answer")
        return answer

    def began(self, lease: Lease, ttft: float) -> None:
        """The first of an answer has come, `ttft` seconds after the call was made."""
        self.desk.began(lease, ttft, self.now())
        if self.desk.queue.waiting:
            self.after()

    def settle(self, lease: Lease, outcome: Outcome) -> None:
        """The attempt has ended."""
        waiting = self.desk.queue.waiting
        self.desk.settle(lease, outcome, self.now())
        if waiting or self.line is not None:
            self.after()

    def after(self) -> None:
        """Wakes whom the desk has answered, and sets the timer; to be called after anything is asked of the desk."""
        if self.line is not None:
            self.line.nudge()
        desk = self.desk
        for ticket in desk.answered():
            waker = ticket.waker
            if isinstance(waker, asyncio.Future) and not waker.done():
                waker.set_result(None)
        event = desk.next_event()
        if event is None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + event - self.now() + 0.001
        if self._timer is None or at < self._timer.when():
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.call_at(at, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.desk.tick(self.now())
        self.after()
