"""An OpenTelemetry collector: takes OTLP over HTTP in protobuf, and keeps what it was sent as plain values."""

import gzip
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from .server import Reply, Request, Server

_KINDS = {2: "SERVER", 3: "CLIENT", 1: "INTERNAL"}


@dataclass
class Span:
    """Ids are hex, times nanoseconds; `resource` has the attributes of who sent it."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    start: int
    end: int
    error: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]


@dataclass
class Measure:
    """A data point: the sum of a counter, or count and sum of a histogram."""

    name: str
    unit: str
    attributes: dict[str, Any]
    value: float
    count: int = 0


@dataclass
class Collector:
    """On a loopback port. `refuse`: statuses of the answers to come, before all are 200."""

    spans: list[Span] = field(default_factory=list)
    measures: list[Measure] = field(default_factory=list)
    refuse: list[int] = field(default_factory=list)
    raw: bytes = b""

    def __post_init__(self) -> None:
        self._server = Server(self._take)

    def __enter__(self) -> "Collector":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def requests(self) -> list[Request]:
        return self._server.requests

    def wait(self, spans: int) -> list[Span]:
        """So many spans, as soon as they are there, in the order in which they began."""
        self._server.wait(lambda: len(self.spans) >= spans, 20)
        return sorted(self.spans, key=lambda span: (span.start, span.kind == "CLIENT"))

    def _take(self, request: Request) -> Reply:
        if self.refuse:
            return Reply(self.refuse.pop(0))
        gzipped = request.headers.get("content-encoding") == "gzip"
        body = gzip.decompress(request.body) if gzipped else request.body
        self.raw += body
        assert request.headers["content-type"] == "application/x-protobuf"
        if request.path == "/v1/traces":
            self._spans(ExportTraceServiceRequest.FromString(body))
        elif request.path == "/v1/metrics":
            self._measures(ExportMetricsServiceRequest.FromString(body))
        else:
            return Reply(404)
        return Reply(200, {"content-type": "application/x-protobuf"})

    def _spans(self, sent: ExportTraceServiceRequest) -> None:
        for resource in sent.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.append(
                        Span(
                            name=span.name,
                            kind=_KINDS[span.kind],
                            trace=span.trace_id.hex(),
                            id=span.span_id.hex(),
                            parent=span.parent_span_id.hex(),
                            start=span.start_time_unix_nano,
                            end=span.end_time_unix_nano,
                            error=span.status.code == 2,
                            attributes=_values(span.attributes),
                            resource=_values(resource.resource.attributes),
                        )
                    )

    def _measures(self, sent: ExportMetricsServiceRequest) -> None:
        for resource in sent.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.sum.data_points:
                        value = point.as_int or point.as_double
                        self.measures.append(Measure(metric.name, metric.unit, _values(point.attributes), value))
                    for point in metric.histogram.data_points:
                        found = _values(point.attributes)
                        self.measures.append(Measure(metric.name, metric.unit, found, point.sum, point.count))


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return MessageToDict(value) if kind == "kvlist_value" else getattr(value, kind)
