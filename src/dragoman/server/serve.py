"""The process that serves: one worker, its listening socket, its housekeeping, its end.

On SIGTERM or SIGINT a worker drains: /readyz turns 503, new requests are refused, running ones finish (for at most
`server.drain_seconds`), then it goes. A second signal ends it at once. SIGHUP, or a change of the config file, reloads.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from dragoman import config
from dragoman.access.keys import KeyBook
from dragoman.accounts import overlay
from dragoman.accounts.shared import link
from dragoman.accounts.spread import Spread
from dragoman.gateway import Gateway
from dragoman.ledger.fold import Folder, fold_apart
from dragoman.ledger.journal import Journal, files
from dragoman.server.app import App
from dragoman.server.http import Connection, Listener
from dragoman.server.metrics import Metrics
from dragoman.server.workers import Line
from dragoman.telemetry.feed import Telemetry
from dragoman.telemetry.settings import Plan
from dragoman.wire.burst import Burst
from dragoman.wire.client import Client
from dragoman.wire.proxies import Proxies

log = logging.getLogger("dragoman")
FOLD, FOLD_FOR_BUDGETS = 60.0, 5.0  # seconds between two folds of the journal
GARBAGE = 20_000  # objects between two looks for cycles; what a request leaves, counting references has freed already
TICK = 1.0  # seconds between two looks at the config file and the keys
Load = Callable[[], config.Config]
Chore = Callable[[], Awaitable[None] | None]


class Worker:
    """One worker. `load` gives the config anew; `watched` is the file it comes from; `number`: which of the workers it
    is (the first folds the journal); `steward`: the socket of the process that divides limits among them."""

    def __init__(
        self, settings: config.Config, load: Load, watched: Path | None, number: int = 0, steward: Path | None = None,
        *, telemetry: Plan | None = None,
    ) -> None:  # fmt: skip
        self._load = load
        self._watched = watched
        self._number = number
        self._steward = steward
        self._end = asyncio.Event()
        self._spread: Spread | None = None
        self._stamps = _stamp(watched), _stamp(settings.state.path / overlay.FILE)
        self.metrics = Metrics()
        self.keys = KeyBook(settings.state, settings.access.admin_key)
        self.journal = Journal(settings.state.path)
        burst = Burst()
        self._telemetry = None if telemetry is None else Telemetry(telemetry)
        self.gateway = Gateway(
            settings, client=make_client(settings, burst), journal=self.journal, keys=self.keys,
            observe=self.metrics.observe, burst=burst, telemetry=self._telemetry,
        )  # fmt: skip
        self.app = App(self.gateway, self.metrics)
        self._listener = Listener(self.app, self.app.body_limit, burst)

    async def run_on(self, listener: socket.socket, ready: Callable[[], None], line: Line | None = None) -> None:
        """Serves until told to stop, or until nobody holds the `line`. `ready` is called once requests are answered."""
        gc.freeze()  # what is here now stays
        gc.set_threshold(GARBAGE, 20, 100)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        if line is not None:
            loop.add_reader(line.end, self._orphaned, line)
        await self._keep_keys()
        if self.gateway.budgeted:
            self.gateway.counting = asyncio.create_task(self._count_spending())
        settings = self.gateway.serving.settings
        if self.gateway.counting is not None and self.gateway.serving.pool.budgeted:
            await self.gateway.counting  # the first word to the steward says it
        if self._steward is not None or settings.state.shared != "memory":
            await self.gateway.share(
                link(settings.state.shared, self._steward or Path()), settings.server.workers, self._number
            )
        if settings.state.shared != "memory":
            self._spread = Spread(settings.state.shared, self.gateway.overlay)
            await self._exchange(self._spread)
            self.look()
        if self._telemetry is not None:
            self._telemetry.start()
        tasks = [asyncio.create_task(self._keep_house())]
        if self._number == 0:
            tasks.append(asyncio.create_task(self._fold()))
            if self._spread is not None:
                tasks.append(asyncio.create_task(self._keep_accounts(self._spread)))
        server = await loop.create_server(
            lambda: Connection(self._listener), sock=listener, ssl=_tls(settings.server), backlog=2048
        )
        ready()
        if self.gateway.counting is not None:
            await self.gateway.counting
            self.gateway.counting = None
        await self._end.wait()
        server.close()
        self.journal.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._spread is not None:
            await self._spread.close()
        await self.gateway.close()

    async def _count_spending(self) -> None:
        """What budgets must know of earlier runs; requests wait for it. Raises `FoldError`, `StoreError`: without it,
        no budget would hold."""
        state = self.gateway.serving.settings.state
        if files(state.path):
            await asyncio.to_thread(fold_apart, state, True)
        await asyncio.to_thread(self.gateway.load_spending)

    async def _keep_accounts(self, spread: Spread) -> None:
        """What is changed of accounts here counts at the other nodes, and the other way round, within two ticks."""
        while True:
            await asyncio.sleep(TICK)
            await self._exchange(spread)

    async def _exchange(self, spread: Spread) -> None:
        try:
            await spread.exchange(self.gateway.settings)
        except (config.ConfigError, OSError) as error:
            log.error("accounts changed at run time are not shared with other nodes: %s", error)

    async def _fold(self) -> None:
        """Folds the journal now and then; sooner where budgets depend on what other workers booked."""
        seconds = FOLD_FOR_BUDGETS if self.gateway.callers_budgeted else FOLD
        await Folder(self.gateway.serving.settings.state, seconds, self.gateway.load_spending).run()

    def _stop(self) -> None:
        if self.app.draining:
            self._end.set()
            return
        self.app.draining = True
        self._draining = asyncio.create_task(self._drain())

    def _orphaned(self, line: Line) -> None:
        asyncio.get_running_loop().remove_reader(line.end)
        if not self.app.draining:
            log.error("the process that started this worker is gone: running requests finish, then it goes too")
            self._stop()

    async def _drain(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.gateway.serving.settings.server.drain_seconds):
                await self.app.idle()
        await self.gateway.serving.shadows.close()
        await self.app.sessions.close()
        await self.app.speech.close()
        self._listener.close_idle()
        self._end.set()

    def reload(self) -> None:
        """Takes the config file's present state; a bad one is refused, and the old one stays in force."""
        try:
            self.gateway.reload(self._load())
        except config.ConfigError as error:
            log.error("config not reloaded, the old one stays in force: %s", error)
        else:
            log.info("config reloaded")

    def look(self) -> None:
        """Takes up what has changed in the files that are watched."""
        stamps = _stamp(self._watched), _stamp(self.gateway.overlay.path)
        before, self._stamps = self._stamps, stamps
        if stamps[0] != before[0]:
            self.reload()
        elif stamps[1] != before[1]:
            try:
                self.gateway.reload(self.gateway.settings)
            except config.ConfigError as error:
                log.error("accounts not changed: %s", error)
            else:
                log.info("accounts changed at run time")

    def share(self) -> None:
        """Leaves what this worker knows for the others."""
        gateway = self.gateway
        settings = gateway.serving.settings
        if settings.server.workers > 1:
            waiting = gateway.leases.desk.queue.waiting
            self.metrics.share(settings.state.path / "metrics", gateway.serving.pool.views(), waiting, time.time())

    async def _keep_house(self) -> None:
        """The one task that looks after things while requests run. What fails is logged, and does not keep it from the
        rest, or from the next time: a full disk must not leave a revoked key in force."""
        chores: list[Chore] = [self.look, self._keep_keys, self.share]
        chores += [] if self._telemetry is None else [self._telemetry.look]
        while True:
            await asyncio.sleep(TICK)
            for chore in chores:
                try:
                    if (doing := chore()) is not None:
                        await doing
                except Exception:
                    log.exception("what a worker does every second failed (%s): it is tried again", chore.__name__)

    async def _keep_keys(self) -> None:
        """Where access is by keys, those made or revoked elsewhere count within a tick."""
        if self.gateway.serving.settings.access.mode == "keys":
            await self.keys.refresh()


def _tls(server: config.Server) -> ssl.SSLContext | None:
    if server.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(server.tls_cert, server.tls_key)
    return context


def make_client(settings: config.Config, burst: Burst | None = None) -> Client:
    """The client for upstream calls: the config's proxy and certificate authorities, else the environment's."""
    import os

    server = settings.server
    environ = dict(os.environ) | ({"HTTPS_PROXY": server.proxy, "HTTP_PROXY": server.proxy} if server.proxy else {})
    tls = ssl.create_default_context()
    if server.ca_file:
        tls.load_verify_locations(server.ca_file)
    return Client(tls=tls, proxies=Proxies.read(environ), burst=burst)


def _stamp(path: Path | None) -> tuple[int, int] | None:
    """What changes when the file does."""
    try:
        stat = path.stat() if path else None
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_ino) if stat else None


def listen(settings: config.Config) -> socket.socket:
    """The listening socket of the config's host and port. Raises `ConfigError` where it can't be had."""
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise config.ConfigError(
            f"can't listen on {host}:{port}: {error.strerror}: choose another with --port"
        ) from None
    listener.listen(2048)
    listener.set_inheritable(True)
    return listener
