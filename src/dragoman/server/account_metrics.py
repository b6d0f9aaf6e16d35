"""What Prometheus sees of the accounts."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from dragoman.accounts.view import AccountView, LimitView, RestView

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.metrics_core import Metric

_PICO = 1e12


def account_families(accounts: Iterable[AccountView], waiting: int, now: float) -> "Iterator[Metric]":
    """Gauges and counters by account, and by model of it where `model` is not empty. `waiting`: calls that wait for
    any."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    one, of_model = ["account"], ["account", "model"]
    queue = GaugeMetricFamily("dragoman_waiting", "Calls that wait for an account.")
    queue.add_metric([], waiting)
    serving = GaugeMetricFamily("dragoman_account_serving", "1: it takes calls; 0: disabled or draining.", labels=one)
    busy = GaugeMetricFamily("dragoman_account_in_flight", "Upstream calls under way.", labels=one)
    queued = GaugeMetricFamily("dragoman_account_waiting", "Calls that wait for it, among others.", labels=one)
    served = CounterMetricFamily("dragoman_account_served", "Calls that ended well.", labels=one)
    failed = CounterMetricFamily("dragoman_account_failed", "Calls that failed.", labels=[*one, "kind"])
    rest = GaugeMetricFamily("dragoman_account_rest_seconds", "Until its rest ends.", labels=[*of_model, "kind"])
    limit = GaugeMetricFamily(
        "dragoman_account_limit", "In flight, or a minute's.", labels=[*of_model, "resource", "source"]
    )
    used = GaugeMetricFamily("dragoman_account_used", "Of a limit.", labels=[*of_model, "resource"])
    success = GaugeMetricFamily("dragoman_account_success", "Share of its last calls that did well.", labels=of_model)
    ttft = GaugeMetricFamily("dragoman_account_ttft_seconds", "To the first token, of late.", labels=of_model)
    speed = GaugeMetricFamily("dragoman_account_tokens_per_second", "After the first, of late.", labels=of_model)
    spent = GaugeMetricFamily("dragoman_account_spent_usd", "Of its budget.", labels=[*one, "period"])
    for account in accounts:
        name = account.name
        serving.add_metric([name], account.serving)
        busy.add_metric([name], account.in_flight)
        queued.add_metric([name], account.waiting)
        served.add_metric([name], account.served)
        for kind, count in account.failures.items():
            failed.add_metric([name, kind], count)
        _rest(rest, [name, ""], account.rest, now)
        _limits(limit, used, [name, ""], account.limits)
        for period, pico in (("day", account.spent_today), ("month", account.spent_this_month)):
            if pico is not None:
                spent.add_metric([name, period], pico / _PICO)
        for seat in account.seats:
            at = [name, seat.model]
            _rest(rest, at, seat.rest, now)
            _limits(limit, used, at, seat.limits)
            success.add_metric(at, seat.success)
            if seat.ttft is not None:
                ttft.add_metric(at, seat.ttft)
            if seat.speed is not None:
                speed.add_metric(at, seat.speed)
    yield from (
        queue, serving, busy, queued, served, failed, rest, limit, used, success, ttft, speed, spent,
    )  # fmt: skip


def _rest(family: "GaugeMetricFamily", labels: list[str], rest: RestView | None, now: float) -> None:
    if rest is not None:
        family.add_metric([*labels, rest.kind], max(0.0, rest.until - now))


def _limits(
    limit: "GaugeMetricFamily", used: "GaugeMetricFamily", labels: list[str], limits: dict[str, LimitView]
) -> None:
    for resource, each in limits.items():
        used.add_metric([*labels, resource], each.used)
        if each.limit is not None and each.source is not None:
            limit.add_metric([*labels, resource, each.source], each.limit)
