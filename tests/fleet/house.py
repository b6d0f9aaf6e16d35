"""Configs for accounts whose providers keep to a quota."""

from typing import Any

from fakes import Fake
from fleet.quota import Quota

_PROVIDERS = {"openai-chat": "openai", "anthropic": "anthropic"}
MODEL = {"name": "m", "targets": [["openai/gpt-mock", "anthropic/claude-mock"]]}
UNBOUNDED = float("inf")


def account(fake: Fake, number: int, **more: Any) -> dict[str, Any]:
    """The account of one of a fake's keys, by name `openai-0`, `anthropic-3`."""
    provider = _PROVIDERS[fake.dialect]
    key = f"key-{number}"
    return {"name": f"{provider}-{number}", "provider": provider, "base_url": fake.base_url, "key": key} | more


def enforced(fake: Fake, number: int, quota: Quota, *, declared: bool = True, **more: Any) -> dict[str, Any]:
    """The same, with a quota that its provider enforces, and that the config declares or not."""
    fake.always(quota, key=f"key-{number}")
    limits = {"max_in_flight": quota.slots, "rpm": quota.rpm, "tpm": quota.tpm}
    known = {name: limit for name, limit in limits.items() if declared and limit < UNBOUNDED}
    return account(fake, number, **known | more)
