"""Whether there is telemetry, and where it goes: `[telemetry]` of the config, and the usual environment variables."""

import logging
import os
from collections.abc import Mapping
from importlib.util import find_spec
from urllib.parse import quote

from msgspec import Struct

from dragoman.config import Config, ConfigError
from dragoman.telemetry.trace import Sampler, sampler

log = logging.getLogger("dragoman")
_ENDPOINTS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)
_PROTOCOL = "http/protobuf"
_MEND = "install it with `pip install 'dragoman[otel]'`"


class Plan(Struct):
    """What is to be done. `environ`: the variables for the process that sends."""

    sampler: Sampler
    traces: bool
    metrics: bool
    propagate: bool
    environ: dict[str, str]

    @property
    def endpoint(self) -> str:
        """Where it goes, as it was said."""
        return next((found for name in _ENDPOINTS if (found := self.environ.get(name))), "http://localhost:4318")


def plan(settings: Config, environ: Mapping[str, str] = os.environ) -> Plan | None:
    """None: there is none. Raises `ConfigError` where it is asked for and can't be."""
    wished = settings.telemetry
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or wished.enabled is False:
        return None
    named = wished.endpoint is not None or any(environ.get(name) for name in _ENDPOINTS)
    if not (wished.enabled or named):
        return None
    if not _installed():
        if wished.enabled or wished.endpoint is not None:
            raise ConfigError(f"telemetry: the extra `otel` is not installed: {_MEND}")
        log.warning("OTEL_EXPORTER_OTLP_ENDPOINT is set, but the extra `otel` is not installed: %s", _MEND)
        return None
    protocol = environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", _PROTOCOL)
    if protocol != _PROTOCOL:
        raise ConfigError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL: expected {_PROTOCOL}, got {protocol}: change it, and let the endpoint be "
            "the collector's port for that, usually 4318"
        )
    made = Plan(
        sampler=_sampler(settings, environ),
        traces=_sends(environ, "OTEL_TRACES_EXPORTER", True),
        metrics=_sends(environ, "OTEL_METRICS_EXPORTER", wished.metrics),
        propagate=wished.propagate,
        environ=_variables(settings, environ),
    )
    return made if made.traces or made.metrics else None


def _installed() -> bool:
    try:
        return (
            find_spec("opentelemetry.exporter.otlp.proto.http") is not None
            and find_spec("opentelemetry.sdk") is not None
        )
    except ModuleNotFoundError:  # a package above it is missing
        return False


def _sampler(settings: Config, environ: Mapping[str, str]) -> Sampler:
    if settings.telemetry.sample is not None:
        return sampler("parentbased_traceidratio", str(settings.telemetry.sample))
    name = environ.get("OTEL_TRACES_SAMPLER") or "parentbased_always_on"
    try:
        return sampler(name, environ.get("OTEL_TRACES_SAMPLER_ARG", ""))
    except ValueError as error:
        raise ConfigError(f"OTEL_TRACES_SAMPLER: {error}") from None


def _sends(environ: Mapping[str, str], name: str, default: bool) -> bool:
    exporter = environ.get(name) or ("otlp" if default else "none")
    if exporter not in {"otlp", "none"}:
        raise ConfigError(f"{name}: expected otlp or none, got {exporter}")
    return exporter == "otlp"


def _variables(settings: Config, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment, with what the config says in place of its own words."""
    wished, found = settings.telemetry, dict(environ)
    if wished.endpoint is not None:
        found = {name: value for name, value in found.items() if name not in _ENDPOINTS}
        found["OTEL_EXPORTER_OTLP_ENDPOINT"] = wished.endpoint
    if wished.headers:
        pairs = (f"{quote(name)}={quote(value.reveal())}" for name, value in wished.headers.items())
        found["OTEL_EXPORTER_OTLP_HEADERS"] = ",".join(pairs)
    if "service.name=" not in found.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        found.setdefault("OTEL_SERVICE_NAME", "dragoman")
    return found
