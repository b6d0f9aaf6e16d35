"""When there is telemetry, and where it goes."""

import logging
from typing import Any

import msgspec
import pytest

from dragoman import config
from dragoman.config import ConfigError
from dragoman.telemetry import settings as module
from dragoman.telemetry.settings import Plan, plan

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


def planned(table: dict[str, Any] | None = None, **environ: str) -> Plan | None:
    telemetry = msgspec.convert(table or {}, config.Telemetry, dec_hook=lambda kind, value: config.Secret(value))
    return plan(config.Config(telemetry=telemetry), environ)


def test_without_a_word_there_is_none() -> None:
    assert planned() is None


def test_an_endpoint_in_the_environment_is_enough() -> None:
    found = planned(**ENDPOINT)
    assert found is not None
    assert (found.traces, found.metrics, found.propagate) == (True, False, True)
    assert found.environ == ENDPOINT | {"OTEL_SERVICE_NAME": "dragoman"}


@pytest.mark.parametrize(
    "off", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}], ids=lambda off: next(iter(off))
)
def test_the_environment_can_switch_it_off(off: dict[str, str]) -> None:
    assert planned(**ENDPOINT, **off) is None


def test_the_config_can_switch_it_off() -> None:
    assert planned({"enabled": False}, **ENDPOINT) is None


def test_the_config_can_switch_it_on_and_say_where_to() -> None:
    found = planned({"endpoint": "https://there", "headers": {"api-key": "a,b=c"}, "metrics": True}, **ENDPOINT)
    assert found is not None
    assert found.metrics
    assert found.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] == "https://there"
    assert found.environ["OTEL_EXPORTER_OTLP_HEADERS"] == "api-key=a%2Cb%3Dc"


def test_the_configs_endpoint_goes_before_one_for_traces_alone() -> None:
    found = planned({"endpoint": "https://there"}, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://elsewhere/v1/traces")
    assert found is not None
    assert "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" not in found.environ


def test_the_environment_names_the_service() -> None:
    named = planned(**ENDPOINT, OTEL_SERVICE_NAME="ours")
    attributed = planned(**ENDPOINT, OTEL_RESOURCE_ATTRIBUTES="service.name=ours")
    assert named is not None
    assert attributed is not None
    assert named.environ["OTEL_SERVICE_NAME"] == "ours"
    assert "OTEL_SERVICE_NAME" not in attributed.environ


def test_a_share_in_the_config_is_of_the_traces_that_begin_here() -> None:
    found = planned({"enabled": True, "sample": 0.0}, OTEL_TRACES_SAMPLER="always_on")
    assert found is not None
    assert not found.sampler(None, "f" * 32)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL: expected http/protobuf, got grpc"),
        ({"OTEL_TRACES_SAMPLER": "xray"}, "OTEL_TRACES_SAMPLER: xray: expected always_on"),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER: expected otlp or none, got zipkin"),
    ],
)
def test_what_cannot_be_done_is_said(environ: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        planned(**ENDPOINT, **environ)


def test_an_extra_that_is_missing_is_named_where_the_config_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=r"telemetry: the extra `otel` is not installed: .*pip install 'dragoman\[otel"
    ):
        planned({"enabled": True})


def test_it_is_a_warning_where_only_the_environment_does(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(module, "find_spec", missing)
    with caplog.at_level(logging.WARNING):
        assert planned(**ENDPOINT) is None
    assert "pip install" in caplog.text


def test_it_is_known_where_it_goes() -> None:
    default, named = planned({"enabled": True}), planned(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://there/v1/traces")
    assert default is not None
    assert named is not None
    assert (default.endpoint, named.endpoint) == ("http://localhost:4318", "http://there/v1/traces")
