"""Keeps a worker and the steward in touch: when to report, what to do when no answer comes.

Nothing here is on the path of a request whose worker holds enough. One that waits for a larger share is worth a report
at once, so it costs one round trip; what runs low is asked for in the background.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from dragoman.accounts.links import Link, LinkError, RedisLink, SocketLink
from dragoman.accounts.shares import BEAT, BRIEF, Shares
from dragoman.accounts.steward import TTL

log = logging.getLogger("dragoman")
FENCE = 0.75 * TTL  # seconds without an answer after which a worker goes by its policy: before it is taken for dead
SPACING = 0.002  # seconds between two reports, at least
_COST = 9  # times as long as a look for something to say took, nothing is looked for
RETRY = 0.2  # seconds between two tries to connect


def _ended(task: asyncio.Task[None]) -> None:
    """The line is there as long as the worker is: whatever else ends it is a fault of ours."""
    if not task.cancelled():
        log.error("the line to the steward of the shared limits broke down", exc_info=task.exception())


def link(shared: str, steward: Path) -> Link:
    """By `state.shared`: Redis, by its URL, or the process at `steward`."""
    return SocketLink(steward) if shared == "memory" else RedisLink(shared)


class Shared:
    """One worker's line to the steward. `after` is called whenever the desk may have answered tickets."""

    def __init__(
        self, shares: Shares, link: Link, *, clock: Callable[[], float], after: Callable[[], None], degrade: bool = True
    ) -> None:
        """`clock`: the desk's. `degrade`: go on alone while the steward is away; else nothing may be used then."""
        self.shares = shares
        self.reached = False
        self._link = link
        self._clock = clock
        self._after = after
        self._degrade = degrade
        self._answered = clock()
        self._sent = -1.0
        self._next = 0.0  # when to look for something to say again
        self._looking = False
        self._wake = asyncio.Event()
        self._answers: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def refuses(self) -> bool:
        """Whether calls are to be refused (503) because the steward is away."""
        return not self._degrade and self._away

    @property
    def _away(self) -> bool:
        return self._clock() - self._answered > FENCE

    async def start(self, patience: float = 2.0) -> None:
        """Begins, and waits a while for the first shares."""
        self._answered = self._clock()
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(_ended)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self.answer()
                while not self.reached:
                    await self.answer()

    async def close(self) -> None:
        """Gives all shares back and ends."""
        if self._task is not None:
            while not self._task.done():  # before Python 3.12, `wait_for` (in redis-py) may swallow a cancellation
                self._task.cancel()
                await asyncio.wait([self._task], timeout=SPACING)
            self._task = None
        if self.reached:
            self.reached = False
            with contextlib.suppress(LinkError):
                await self._link.exchange(self.shares.bye(self._clock()))
        await self._link.close()

    def nudge(self) -> None:
        """Call it after each step of the desk: whatever is urgent is said at once."""
        if self.shares.hungry and not self._looking:
            self._wake.set()

    async def answer(self) -> None:
        """Waits for the steward's next answer, which is asked for at once; or for the news that there is none."""
        future = asyncio.get_running_loop().create_future()
        self._answers.append(future)
        self._wake.set()
        await future

    def _poked(self) -> None:
        self.shares.poked = True
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._connected()
            self._heard()
            await asyncio.sleep(RETRY)

    async def _connected(self) -> None:
        """Reports, until the connection breaks."""
        try:
            await self._link.connect(self.shares.worker, self._poked)
            while True:
                if await self._report():  # the answer may be worth another report
                    self._heard()
                else:
                    await self._pause()
                    self._look()
                await asyncio.sleep(max(0.0, self._next - self._clock()))
        except LinkError as error:
            if self.reached:
                log.error("the shared limits' steward is away: %s", error)
            self.reached = False
            self.shares.lost()

    async def _report(self) -> bool:
        """Whether there was anything to say."""
        began = self._clock()
        report = self.shares.report(began, self._link.run)
        self._sent = self._clock()
        self._next = self._sent + max(SPACING, _COST * (self._sent - began))
        if report is None:
            return False
        reply = await self._link.exchange(report)
        self._answered = self._sent
        if not self.reached and reply.workers and not reply.quiet:
            log.info("limits are shared among %d workers", reply.workers)
            self.reached = True
        self.shares.hear(reply, self._clock())
        return True

    def _heard(self) -> None:
        """An answer has come, or will not come."""
        answers, self._answers = self._answers, []
        for future in answers:
            if not future.done():
                future.set_result(None)
        self._look()

    def _look(self) -> None:
        """Serves whom the share, or time, lets go."""
        now, self._looking = self._clock(), True
        if self._away:
            self.shares.away(now, self._degrade)
        else:
            self.shares.look(now)
        self._after()
        self._looking = False

    async def _pause(self) -> None:
        """Until there may be something to say."""
        try:
            async with asyncio.timeout(BRIEF if self._answers or self.shares.busy else BEAT / 2):
                await self._wake.wait()
        except TimeoutError:
            self._heard()  # nothing new to say means that the last answer stands
        self._wake.clear()
