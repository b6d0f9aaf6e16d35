"""The gateway's side of the embedded model: finds the child that serves it, or starts one; notices when it has died."""

import asyncio
import fcntl
import hashlib
import os
import select
import subprocess
import sys
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from dragoman.local.child import Announcement, Orders
from dragoman.local.model import LocalModel
from dragoman.wire.errors import ConnectFailed
from dragoman.wire.head import Block, block

FOLDER = "local"
START_LIMIT = 300.0  # seconds; a large file on a slow disk takes its time
ANNOUNCED = 4096  # bytes; more than any announcement has
FORBEAR = 10.0  # seconds after a failed start in which no other is tried


class Running(Struct, frozen=True):
    """A child that answers: the base URL that takes the place of the provider's, and the header lines it wants."""

    url: str
    headers: Block


class Engine:
    """One model's child process, shared with the other gateway processes of the state directory.

    Nothing runs before the first `ready`. The child ends by itself once the last process that used it is gone, or has
    dropped its `Engine`.
    """

    def __init__(self, model: LocalModel, state: Path) -> None:
        self.model = model
        self._folder = state.absolute() / FOLDER
        told = repr((model.path, model.name, model.context_window, model.template))
        self._id = hashlib.sha256(told.encode()).hexdigest()[:12]
        self._starting = asyncio.Lock()
        self._running: Running | None = None
        self._told = b""  # the announcement that `_running` was made of
        self._users: int | None = None
        self._announcement: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._trouble = ""
        self._forbear_until = 0.0

    def __del__(self) -> None:
        for file in (self._users, self._announcement):
            if file is not None:
                os.close(file)

    async def ready(self) -> Running:
        """The child that answers, started if there is none. Raises `ConnectFailed` where it can't be started."""
        running = self._still_running()
        if running is not None:
            return running
        async with self._starting:
            running = self._still_running()
            if running is not None:
                return running
            if time.monotonic() < self._forbear_until:
                raise ConnectFailed(self._trouble)
            try:
                running = self._running = await asyncio.to_thread(self._obtain)
            except (ConnectFailed, OSError) as error:
                self._trouble = str(error)
                self._forbear_until = time.monotonic() + FORBEAR
                raise ConnectFailed(self._trouble) from None
            return running

    def _still_running(self) -> Running | None:
        """The child as known, if it lives and no other took its place. Two system calls."""
        file = self._announcement
        if file is None or not _held(file) or os.pread(file, ANNOUNCED, 0) != self._told:
            return None
        return self._running

    def _obtain(self) -> Running:
        """Blocks; for a thread of its own."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._users is None:
            users = self._open("users")
            fcntl.flock(users, fcntl.LOCK_SH)
            self._users = users
        starting = self._open("start")
        try:
            fcntl.flock(starting, fcntl.LOCK_EX)
            if self._announcement is None:
                self._announcement = self._open("json")
            if not _held(self._announcement):
                self._start()
            self._told = os.pread(self._announcement, ANNOUNCED, 0)
            found = msgspec.json.decode(self._told, type=Announcement)
        finally:
            os.close(starting)
        headers = block([(b"accept", b"*/*"), (b"authorization", b"Bearer " + found.key.encode())])
        return Running(found.url, headers)

    def _start(self) -> None:
        model = self.model
        orders = Orders(
            gguf=str(model.path),
            name=model.name,
            context_window=model.context_window,
            threads=max(1, (os.cpu_count() or 1) - 1),  # a core stays with the gateway
            announcement=str(self._path("json")),
            users=str(self._path("users")),
            template=str(model.template) if model.template else None,
        )
        command = [sys.executable, "-P", "-m", "dragoman.local.child", msgspec.json.encode(orders).decode()]
        if self._process is not None:
            self._process.wait()  # it has died, or it would not be replaced
        with open(self._open("log"), "r+b") as log:  # noqa: PTH123 - a descriptor, not a path
            log.truncate()
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
        out = self._process.stdout
        if out is None:
            raise ConnectFailed("the embedded model can't be heard")
        with out:
            heard = bool(select.select([out], [], [], START_LIMIT)[0]) and out.readline() == b"ready\n"
        if not heard:
            self._process.kill()
            self._process.wait()
            raise ConnectFailed(f"the embedded model {model.path.name} did not start: {self._last_words()}")

    def _last_words(self) -> str:
        lines = self._path("log").read_text(errors="replace").strip().splitlines()
        return f"{lines[-1]} (more in {self._path('log')})" if lines else "it said nothing"

    def _path(self, what: str) -> Path:
        return self._folder / f"{self._id}.{what}"

    def _open(self, what: str) -> int:
        return os.open(self._path(what), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _held(file: int) -> bool:
    """Whether somebody else holds the exclusive lock: of an announcement only its child does, as long as it lives."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False
