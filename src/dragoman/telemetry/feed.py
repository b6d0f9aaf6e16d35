"""The worker's side of telemetry: what is noted of a request, and the pipe to the process that sends it.

The pipe is written ahead of the end of the reply, and never waited for. While its other end is slow, or is started
anew, lines wait in memory, up to `MOST` bytes; what comes beyond is lost, and the log says how much that was.
"""

import asyncio
import contextlib
import logging
import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from dragoman.ledger.row import Row
from dragoman.telemetry.settings import Plan
from dragoman.telemetry.trace import Trace, parent_of

log = logging.getLogger("dragoman")
MOST = 32 * 2**20
PATIENCE = 8.0  # seconds that a worker which ends gives the last of it to be sent
_RESTS = 5.0  # seconds between two starts of the process
_encode = msgspec.json.Encoder().encode


class Order(Struct):
    """The pipe's first line: what is to be made of the others."""

    traces: bool
    metrics: bool


class Finished(Struct):
    """Every other line. `row.record`, the decision's, stays here."""

    row: Row
    trace: Trace


class Telemetry:
    """What a worker tells OpenTelemetry. `begin` and `end` are a request's; `look` is to be called now and then."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._waiting = bytearray()
        self._lost = 0
        self._started = 0.0
        self._child: subprocess.Popen[bytes] | None = None

    def begin(self, headers: Mapping[bytes, bytes], op: str, *, inside: bool = False) -> Trace:
        """A request is here. `headers`: the client's; `inside`: the gateway itself asks, for a session."""
        chance = random.getrandbits(192)  # ids, no secrets
        parent = parent_of(headers)
        trace = f"{chance % 2**128:032x}" if parent is None else parent.trace
        made = Trace(
            id=trace, span=f"{chance >> 128:016x}", sampled=self._plan.sampler(parent, trace), op=op,
            kind="internal" if inside else "server", passed=self._plan.propagate,
        )  # fmt: skip
        if parent is not None:
            made.parent, made.state = parent.span, parent.state.decode("latin-1")
        return made

    def end(self, trace: Trace, row: Row) -> None:
        """It is over, and `row` is what there is to say of it. Goes out with the next `flush`."""
        if trace.sampled or self._plan.metrics:
            if len(self._waiting) > MOST:
                self._lost += 1
                return
            self._waiting += b"\n%b\n" % _encode(Finished(row, trace))

    def flush(self) -> None:
        """Writes what waits, so far as the pipe takes it."""
        child = self._child
        if not self._waiting or child is None or child.stdin is None:
            return
        try:
            written = os.write(child.stdin.fileno(), self._waiting)
        except BlockingIOError:
            return
        except BrokenPipeError:
            return  # `look` starts another
        del self._waiting[:written]

    def look(self) -> None:
        """Sees to it that there is a process that sends."""
        if self._lost:
            log.error("telemetry: nobody took what was to be sent: %d requests are left out", self._lost)
            self._lost = 0
        self.flush()
        child = self._child
        if child is not None and child.poll() is not None:
            log.error("telemetry: the process that sends has ended with status %d: starting another", child.returncode)
            self._forget(child)
        if self._child is None and time.monotonic() >= self._started + _RESTS:
            self.start()

    def start(self) -> None:
        """Starts the process that sends."""
        self._started = time.monotonic()
        child = self._child = subprocess.Popen(  # our own program
            [sys.executable, "-m", "dragoman.telemetry.export"],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=self._plan.environ, bufsize=0,
        )  # fmt: skip
        assert child.stdin is not None and child.stderr is not None
        child.stdin.write(_encode(Order(self._plan.traces, self._plan.metrics)) + b"\n")
        os.set_blocking(child.stdin.fileno(), False)
        os.set_blocking(child.stderr.fileno(), False)
        asyncio.get_running_loop().add_reader(child.stderr.fileno(), self._hear, child)

    def _hear(self, child: "subprocess.Popen[bytes]") -> None:
        """Its log becomes ours."""
        assert child.stderr is not None
        said = child.stderr.read()
        if said == b"":
            asyncio.get_running_loop().remove_reader(child.stderr.fileno())
        for line in (said or b"").decode(errors="replace").splitlines():
            log.warning("telemetry: %s", line)

    def _forget(self, child: "subprocess.Popen[bytes]") -> None:
        assert child.stdin is not None and child.stderr is not None
        self._child = None
        asyncio.get_running_loop().remove_reader(child.stderr.fileno())
        child.stderr.close()
        child.stdin.close()

    async def close(self) -> None:
        """Gives the rest away, and waits a while until it is sent."""
        child = self._child
        if child is None:
            return
        ending = asyncio.create_task(asyncio.to_thread(self._finish, child))
        try:
            await asyncio.wait_for(asyncio.shield(ending), PATIENCE)
        except TimeoutError:
            log.error("telemetry: the collector takes too long: what was not sent within %g s is left out", PATIENCE)
            child.kill()
            await ending
        self._hear(child)
        self._forget(child)

    def _finish(self, child: "subprocess.Popen[bytes]") -> None:
        assert child.stdin is not None
        os.set_blocking(child.stdin.fileno(), True)
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(self._waiting)
        child.stdin.close()
        child.wait()
