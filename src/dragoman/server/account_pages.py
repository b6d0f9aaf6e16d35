"""Dragoman's own pages about accounts: how they do, and what an operator changes of them at run time.

What may be changed over HTTP is less than what the command line may: nobody who can call these pages shall thereby read
files or variables of the gateway's (`file:`, `env:`), or have a credential sent to an address of their choice.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from dragoman import config
from dragoman.accounts import overlay
from dragoman.accounts.account import Account
from dragoman.accounts.periods import Period, period_began
from dragoman.accounts.view import AccountView
from dragoman.canon import Failed, Failure
from dragoman.gateway import Gateway
from dragoman.server.metrics import Metrics, left_by_others, together

log = logging.getLogger("dragoman")
STATES = {"enable": "serving", "disable": "disabled", "drain": "draining"}
PATCHABLE = config.CREDENTIALS | {
    "weight", "max_in_flight", "rpm", "tpm", "daily_usd", "monthly_usd", "limits", "models", "timeouts",
}  # fmt: skip
_NOT_BY_HTTP = frozenset({"name", "gguf"})  # the second is a path
_FRESH = 10.0  # seconds for which what the ledger said of money is good
_PICO = 10**12
Spent = dict[str, tuple[int, int]]  # by account: today and this month, pico-dollars


class _Wish(Struct, forbid_unknown_fields=True):
    """The body of a test."""

    model: str | None = None


class AccountPages:
    """The pages of one worker. They return JSON and raise `Failed`."""

    def __init__(self, gateway: Gateway, metrics: Metrics) -> None:
        self._gateway = gateway
        self._metrics = metrics
        self._spent: Spent | None = None
        self._spent_at = float("-inf")

    async def every(self) -> bytes:
        """`GET /dragoman/v1/accounts`"""
        spent = await self._spending()  # first: accounts may come and go meanwhile
        views, waiting, workers = self._views()
        return msgspec.json.encode(
            {"accounts": [self._shown(view, spent) for view in views], "waiting": waiting, "workers": workers}
        )

    async def one(self, name: str) -> bytes:
        """`GET /dragoman/v1/accounts/{name}`"""
        spent = await self._spending()  # first: the account may go meanwhile
        self._account(name)
        view = next(view for view in self._views()[0] if view.name == name)
        return msgspec.json.encode(self._shown(view, spent))

    async def add(self, body: bytes) -> bytes:
        """`POST /dragoman/v1/accounts`, with the account's table of the config file as JSON."""
        table = _table(body)
        name = table.pop("name", None)
        if not isinstance(name, str) or not overlay.NAME.fullmatch(name):
            raise _bad("name: expected up to 64 letters, digits and . _ : @ -", "name")
        _no_references(table, "")
        if forbidden := table.keys() & _NOT_BY_HTTP:
            raise _bad(f"{min(forbidden)}: can't be given over HTTP: use `dragoman accounts add`", min(forbidden))

        def edit(layer: overlay.Layer, known: config.Config) -> overlay.Layer:
            if any(spec.name == name for spec in known.accounts):
                message = f'there is an account "{name}" already'
                raise Failed(Failure(kind="bad_request", status=409, message=message, param="name"))
            return overlay.add(layer, name, table)

        await self._change(edit)
        log.info("account %s was added", name)
        return await self.one(name)

    async def patch(self, name: str, body: bytes) -> bytes:
        """`PATCH /dragoman/v1/accounts/{name}`: other credentials, weight or limits."""
        keys = _table(body)
        if foreign := keys.keys() - PATCHABLE:
            what = min(foreign)
            raise _bad(f"{what}: can't be changed: the keys that can are " + ", ".join(sorted(PATCHABLE)), what)
        _no_references(keys, "")
        await self._patch(name, keys)
        log.info("account %s was changed: %s", name, ", ".join(keys))
        return await self.one(name)

    async def remove(self, name: str) -> bytes:
        """`DELETE /dragoman/v1/accounts/{name}`"""
        self._account(name)
        left = self._left(name)
        declared = any(spec.name == name for spec in self._gateway.settings.accounts)
        await self._change(lambda layer, known: overlay.remove(layer, name, declared))
        log.info("account %s was removed", name)
        return msgspec.json.encode({"name": name, "removed": True, "in_flight": left})

    async def switch(self, name: str, verb: str) -> bytes:
        """`POST /dragoman/v1/accounts/{name}/disable`, `enable` or `drain`."""
        await self._patch(name, {"state": STATES[verb]})
        log.info("account %s: %s", name, STATES[verb])
        return msgspec.json.encode({"name": name, "state": STATES[verb], "in_flight": self._left(name)})

    async def test(self, name: str | None, body: bytes) -> bytes:
        """`POST /dragoman/v1/accounts/{name}/test`, or `/dragoman/v1/accounts/test` for all. What does well rests no
        more."""
        wish = _Wish()
        if body.strip():
            try:
                wish = msgspec.json.decode(body, type=_Wish)
            except msgspec.DecodeError as error:
                raise _bad(f"test: {error}", None) from None
        serving = self._gateway.serving
        names = list(serving.pool.accounts)
        if name is not None:
            names = [self._account(name).name]
        elif wish.model is not None:
            names = [each for each in names if serving.pool.accounts[each].serves(wish.model)]
        trials = await self._gateway.trials.all(serving, names, wish.model)
        if well := [trial.account for trial in trials if trial.ok]:
            now = time.time()
            await self._change(lambda layer, known: overlay.wake(layer, well, now))
        return msgspec.json.encode(trials[0] if name is not None else {"tests": trials})

    # -- what is seen -------------------------------------------------------------------------------------------------

    def _account(self, name: str) -> Account:
        account = self._gateway.serving.pool.accounts.get(name)
        if account is None:
            raise Failed(Failure(kind="not_found", status=404, message=f'there is no account "{name}"'))
        return account

    def _views(self) -> tuple[list[AccountView], int, int]:
        gateway = self._gateway
        settings = gateway.serving.settings
        others = left_by_others(settings.state.path / "metrics" if settings.server.workers > 1 else None)
        waiting = gateway.leases.desk.queue.waiting
        return *together(gateway.serving.pool.views(), waiting, others, time.time()), settings.server.workers

    def _left(self, name: str) -> int:
        return sum(view.in_flight for view in self._views()[0] if view.name == name)

    def _shown(self, view: AccountView, spent: Spent | None) -> dict[str, Any]:
        account = self._gateway.serving.pool.accounts[view.name]
        spec = account.spec
        seen: dict[str, Any] = msgspec.to_builtins(view)
        del seen["spent_today"], seen["spent_this_month"]
        error = {
            "message": seen.pop("last_error"),
            "kind": seen.pop("last_error_kind"),
            "at": seen.pop("last_error_at"),
        }
        day, month = (None, None) if spent is None else spent.get(view.name, (0, 0))
        return {
            "name": view.name,
            "state": spec.state,
            "provider": spec.provider,
            "region": spec.region,
            "weight": spec.weight,
            "models": account.models,
            **seen,
            "failed": view.failed,
            "last_error": error if error["kind"] else None,
            "spent_usd": {"day": _dollars(day), "month": _dollars(month)},
            "budget_usd": {"day": spec.daily_usd, "month": spec.monthly_usd},
        }

    async def _spending(self) -> Spent | None:
        """By the ledger: of all workers, and of the time before the last start."""
        now = time.monotonic()
        if now - self._spent_at >= _FRESH:
            self._spent_at = now
            try:
                self._spent = await asyncio.to_thread(_spent, self._gateway.serving.settings.state, time.time())
            except RuntimeError as error:  # the store's
                log.error("what accounts spent can't be told: %s", error)
                self._spent = None
        return self._spent

    # -- what is changed ----------------------------------------------------------------------------------------------

    async def _patch(self, name: str, keys: dict[str, Any]) -> None:
        def edit(layer: overlay.Layer, known: config.Config) -> overlay.Layer:
            if all(spec.name != name for spec in known.accounts):
                raise Failed(Failure(kind="not_found", status=404, message=f'there is no account "{name}"'))
            return overlay.patch(layer, name, keys)

        await self._change(edit)

    async def _change(self, edit: Callable[[overlay.Layer, config.Config], overlay.Layer]) -> None:
        """Keeps a change where all workers look, and takes it up here at once."""
        gateway = self._gateway
        try:
            await asyncio.to_thread(gateway.overlay.change, gateway.settings, edit)
            gateway.reload(gateway.settings)
        except config.ConfigError as error:
            raise _bad(str(error).removeprefix(f"{overlay.FILE}: "), None) from None
        except OSError as error:
            message = f"{gateway.overlay.path}: can't be written: {error.strerror}"
            raise Failed(Failure(kind="internal", status=500, message=message)) from None


def _dollars(pico: int | None) -> float | None:
    return None if pico is None else pico / _PICO


def _table(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise _bad(f"expected a JSON object: {error}", None) from None


def _no_references(value: Any, path: str) -> None:
    """Refuses what would make the gateway read its files or variables for whoever asks."""
    if isinstance(value, str) and value.startswith(("env:", "file:")):
        message = f"{path}: can't be env: or file: over HTTP, which would read them for whoever asks: give the value, "
        raise _bad(message + "or use `dragoman accounts` on the gateway's host", path)
    if isinstance(value, dict):
        for name, each in value.items():
            _no_references(each, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for i, each in enumerate(value):
            _no_references(each, f"{path}[{i}]")


def _bad(message: str, param: str | None) -> Failed:
    return Failed(Failure(kind="bad_request", status=400, message=message, param=param))


def _spent(state: config.State, now: float) -> Spent:
    """In a thread."""
    from dragoman.ledger import usage
    from dragoman.ledger.fold import fold
    from dragoman.ledger.store import Store

    fold(state)
    with Store(state) as store:

        def since(period: Period) -> dict[str, int]:
            began = period_began(period, now)
            return {each.name or "": each.cost for each in usage.totals_by(store, "account", since=began)}

        day, month = since("day"), since("month")
    return {name: (day.get(name, 0), cost) for name, cost in month.items()}
