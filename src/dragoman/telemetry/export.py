"""The process that sends: reads finished requests from its standard input, and sends what they come to with
OpenTelemetry's SDK. It ends when the worker that started it does, however that ends; signals are the worker's.

A batch that the collector refuses, or does not take within `OTEL_EXPORTER_OTLP_TIMEOUT` (which the SDK's exporter uses
to try again), is dropped; while it tries, the pipe fills, and then the worker keeps what comes.
"""

import logging
import os
import select
import signal
import sys
import time
from importlib.metadata import version
from socket import gethostname

import msgspec
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from dragoman.telemetry.feed import Finished, Order
from dragoman.telemetry.measures import Measures
from dragoman.telemetry.spans import Maker

NAME = "dragoman"
PIECE = 2**20  # bytes read at a time
log = logging.getLogger(NAME)
_decode = msgspec.json.Decoder(Finished).decode


class Exporter:
    """Makes spans and measurements of requests, and sends them in batches."""

    def __init__(self, order: Order) -> None:
        resource = Resource.create(
            {"service.version": version(NAME), "service.instance.id": f"{gethostname()}-{os.getppid()}"}
        )
        self._maker = Maker(resource, InstrumentationScope(NAME, version(NAME)))
        self._delay = float(os.environ.get("OTEL_BSP_SCHEDULE_DELAY", "1000")) / 1000
        self._most = int(os.environ.get("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "512"))
        self._batch: list[ReadableSpan] = []
        self._due = 0.0
        self._spans = OTLPSpanExporter() if order.traces else None
        self._meters: MeterProvider | None = None
        self._measures: Measures | None = None
        if order.metrics:
            reader = PeriodicExportingMetricReader(OTLPMetricExporter())
            self._meters = MeterProvider([reader], resource)
            self._measures = Measures(self._meters.get_meter(NAME, version(NAME)))

    def take(self, finished: Finished, now: float) -> None:
        """A request is over. `now`: seconds, on any clock."""
        if self._measures is not None:
            self._measures.take(finished)
        if self._spans is not None and finished.trace.sampled:
            if not self._batch:
                self._due = now + self._delay
            self._batch += self._maker.spans(finished)
            if len(self._batch) >= self._most:
                self.send()

    def wait(self, now: float) -> float | None:
        """Seconds until a batch is due; None: there is none."""
        return max(0.0, self._due - now) if self._batch else None

    def send(self) -> None:
        """Sends what there is."""
        batch, self._batch = self._batch, []
        if batch and self._spans is not None and self._spans.export(batch) is not SpanExportResult.SUCCESS:
            log.error("%d spans could not be sent, and are left out", len(batch))

    def close(self) -> None:
        self.send()
        if self._spans is not None:
            self._spans.shutdown()  # type: ignore[no-untyped-call]  # the SDK has no type for it
        if self._meters is not None:
            self._meters.shutdown()


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.WARNING)
    pipe = sys.stdin.fileno()
    rest, exporter = b"", None
    while True:
        wait = None if exporter is None else exporter.wait(time.monotonic())
        if exporter is not None and not select.select([pipe], [], [], wait)[0]:
            exporter.send()
            continue
        data = os.read(pipe, PIECE)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in filter(None, lines):
            if exporter is None:
                exporter = Exporter(msgspec.json.decode(line, type=Order))
            else:
                _take(exporter, line)
    if exporter is not None:
        exporter.close()


def _take(exporter: Exporter, line: bytes) -> None:
    try:
        finished = _decode(line)
    except msgspec.DecodeError:
        log.error("a request is left out: its line is torn, for another process read its beginning")
    else:
        exporter.take(finished, time.monotonic())


if __name__ == "__main__":
    main()
