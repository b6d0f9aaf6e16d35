"""The log: one line an event on standard error, as text for people or JSON for machines.

What happened to each request is in the journal, not here: the log tells of troubles and changes. A record about a
request carries its id (`extra={"request": …}`). No secret is ever given to a logger (law 11).
"""

import logging
import sys
import time
from typing import Literal

import msgspec


class JsonLines(logging.Formatter):
    """`{"time": …, "level": …, "logger": …, "message": …, "request_id": …, "error": …}`, a line each."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        request = getattr(record, "request", None)
        if request is not None:
            line["request_id"] = request
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


class TextLines(logging.Formatter):
    """`2026-01-31 12:00:00 WARNING message [req_…]`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        request = getattr(record, "request", None)
        return super().formatMessage(record) + (f" [{request}]" if request else "")


def set_up(form: Literal["text", "json"], level: str) -> None:
    """All of this process's log goes out in this form. `level`: debug, info, warning or error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
