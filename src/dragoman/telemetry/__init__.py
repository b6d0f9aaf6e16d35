"""What others may watch: a trace of every request, and OpenTelemetry metrics, sent to a collector.

How it works. While a request is served, only what nobody could tell later is noted: whose trace it is part of, and
which attempts were made when (`trace`). When it is over, that and its row go down a pipe as one line (`feed`), ahead of
the end of the reply, as the journal's row does. At the other end another process (`export`) makes spans and
measurements of it (`spans`), and sends them with OpenTelemetry's own SDK: its code, memory and CPU are none of the
gateway's, and what was written is sent also where the gateway is killed.
"""

from dragoman.telemetry.feed import Telemetry

__all__ = ["Telemetry"]
