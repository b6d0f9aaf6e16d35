"""OpenTelemetry's metrics of model calls, by the semantic conventions for generative AI (v0.1.0)."""

from opentelemetry.metrics import Meter

from dragoman.telemetry.feed import Finished
from dragoman.telemetry.spans import calls

_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_NAME = "gen_ai.client.inference."


class Measures:
    """The instruments. `take` a request that is over."""

    def __init__(self, meter: Meter) -> None:
        self._seconds = meter.create_histogram(
            _NAME + "duration", "s", "How long a call of a model took.", explicit_bucket_boundaries_advisory=_SECONDS
        )
        self._first = meter.create_histogram(
            _NAME + "time_to_first_chunk", "s", "Until a stream's first content.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )  # fmt: skip
        self._tokens = {
            "input": meter.create_counter(
                _NAME + "usage.input_tokens", "{token}", "Input tokens, cached ones included."
            ),
            "output": meter.create_counter(
                _NAME + "usage.output_tokens", "{token}", "Output tokens, reasoning included."
            ),
        }

    def take(self, finished: Finished) -> None:
        for call in calls(finished):
            kind = call.kind()
            self._seconds.record(call.seconds, kind)
            if call.first is not None:
                self._first.record(call.first, kind)
            for name, counter in self._tokens.items():
                if count := call.usage.get(name):
                    counter.add(count, kind)
