"""The endpoints that ask no model: health, metrics, model lists, and Dragoman's own API."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import msgspec
from msgspec import Struct

from dragoman.access.client_secrets import ClientSecrets
from dragoman.access.principal import Principal
from dragoman.canon import Failed, Failure
from dragoman.config import State
from dragoman.dialects.fields import Malformed, decode
from dragoman.dialects.ollama import models as ollama
from dragoman.dialects.openai_responses import stored
from dragoman.gateway import Gateway
from dragoman.ledger.driver import StoreError
from dragoman.server import comparison_pages, console_pages, decision_pages, listings
from dragoman.server.account_pages import STATES, AccountPages
from dragoman.server.browsers import LOCAL
from dragoman.server.metrics import Metrics
from dragoman.server.secret_pages import MakeSecret, SecretPages
from dragoman.server.surfaces import gateway_key, guess_dialect

if TYPE_CHECKING:
    from dragoman.ledger.usage import By

log = logging.getLogger("dragoman")
JSON_TYPE = "application/json"
_BY = ("", "key", "model", "target", "account", "day")


class Ask(Struct):
    """A request to a page. `rest` is what of the path stands for an id."""

    method: str
    path: str
    rest: str
    headers: dict[bytes, bytes]
    query: dict[str, list[str]]
    body: bytes


class Page(Struct):
    """What a page answers."""

    body: bytes
    status: int = 200
    content_type: str = JSON_TYPE
    error: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


Handler: TypeAlias = Callable[[Ask], Awaitable[Page]]


class Pages:
    """The pages of one worker."""

    def __init__(
        self, gateway: Gateway, metrics: Metrics, draining: Callable[[], bool], client_secrets: ClientSecrets
    ) -> None:
        self._gateway = gateway
        self._metrics = metrics
        self._draining = draining
        self._of_accounts = AccountPages(gateway, metrics)
        secret = SecretPages(client_secrets)
        self._exact: dict[tuple[str, str], Handler] = {
            ("GET", "/"): self._greet,
            ("GET", "/healthz"): self._health,
            ("GET", "/readyz"): self._ready,
            ("GET", "/metrics"): self._metrics_text,
            ("GET", "/v1/models"): self._models,
            ("GET", "/models"): self._models,
            ("GET", "/openai/v1/models"): self._models,
            ("GET", "/openai/models"): self._models,
            ("GET", "/v1beta/openai/models"): self._models,
            ("GET", "/anthropic/v1/models"): self._anthropic_models,
            ("GET", "/v1beta/models"): self._gemini_models,
            ("GET", "/v1alpha/models"): self._gemini_models,
            ("GET", "/v1beta1/models"): self._gemini_models,
            ("GET", "/api/tags"): self._tags,
            ("GET", "/api/ps"): self._running,
            ("GET", "/api/version"): self._version,
            ("POST", "/api/show"): self._show,
            ("GET", "/dragoman/v1/usage"): self._usage,
            ("GET", "/dragoman/v1/accounts"): self._accounts,
            ("GET", "/dragoman/v1/comparisons"): self._comparisons,
            ("GET", "/dragoman/v1/decisions"): self._decisions,
            ("POST", "/dragoman/v1/explain"): self._explain,
            ("POST", "/dragoman/v1/feedback"): self._feedback,
            ("POST", "/dragoman/v1/accounts"): self._add_account,
            ("GET", "/dragoman/v1/keys"): self._keys,
            ("GET", console_pages.HOME): self._console,
            **{
                ("POST", home + "/realtime" + path): partial(self._secret, make)
                for home in ("/v1", "/openai/v1", "/openai", "")
                for path, make in (
                    ("/client_secrets", secret.client_secret),
                    ("/sessions", secret.beta_session),
                    ("/transcription_sessions", secret.beta_transcription),
                )
            },
        }
        self._by_prefix: tuple[tuple[str, str, Handler], ...] = (
            ("GET", "/v1/models/", self._model),
            ("GET", "/models/", self._model),
            ("GET", "/openai/v1/models/", self._model),
            ("GET", "/openai/models/", self._model),
            ("GET", "/v1beta/openai/models/", self._model),
            ("GET", "/anthropic/v1/models/", self._model),
            ("GET", "/v1beta/models/", self._gemini_model),
            ("GET", "/v1alpha/models/", self._gemini_model),
            ("GET", "/v1beta1/models/", self._gemini_model),
            ("GET", "/dragoman/v1/comparisons/", self._comparison),
            ("POST", "/dragoman/v1/comparisons/", self._vote),
            ("GET", "/dragoman/v1/decisions/", self._decision),
            ("GET", "/dragoman/v1/accounts/", self._account),
            ("POST", "/dragoman/v1/accounts/", self._operate),
            ("PATCH", "/dragoman/v1/accounts/", self._patch_account),
            ("DELETE", "/dragoman/v1/accounts/", self._remove_account),
            ("GET", console_pages.HOME + "/", self._console),
            *(
                (method, home + "/responses/", handler)
                for home in ("/v1", "/openai/v1", "/openai", "")
                for method, handler in (("GET", self._response), ("DELETE", self._forget_response))
            ),
        )

    def find(self, method: str, path: str) -> tuple[Handler, str] | None:
        """The page at `path`, and the id in the path where it has one. HEAD is answered like GET."""
        method = "GET" if method == "HEAD" else method
        if handler := self._exact.get((method, path)):
            return handler, ""
        for verb, prefix, handler in self._by_prefix:
            if verb == method and path.startswith(prefix):
                return handler, path.removeprefix(prefix)
        return None

    def methods(self, path: str) -> list[str]:
        """The methods that the page at `path` takes, if there is one. OpenAI's `/responses/compact` is none, though it
        looks like a response's: clients that find it missing do without."""
        if path.endswith("/responses/compact"):
            return []
        exact = {method for method, known in self._exact if known == path}
        return sorted(exact | {method for method, prefix, _ in self._by_prefix if path.startswith(prefix)})

    async def answer(self, handler: Handler, ask: Ask) -> Page:
        """The page, or why there is none, in the envelope of whoever's path it is."""
        try:
            return await handler(ask)
        except Failed as refused:
            failure = refused.failure
        except StoreError as error:
            log.error("%s %s: the ledger can't be read: %s", ask.method, ask.path, error)
            message = "the ledger can't be read now, as the gateway's log says: try again"
            failure = Failure(kind="internal", status=503, message=message)
        except Exception:
            log.exception("%s %s broke the gateway", ask.method, ask.path)
            failure = Failure(kind="internal", status=500, message="the gateway failed; its log has the details")
        return Page(guess_dialect(ask.path).write_error(failure), failure.status, error=failure.kind)

    # health

    async def _greet(self, ask: Ask) -> Page:
        return Page(b"Ollama is running", content_type="text/plain; charset=utf-8")  # what Ollama's clients look for

    async def _health(self, ask: Ask) -> Page:
        return Page(b'{"status":"ok"}')

    async def _ready(self, ask: Ask) -> Page:
        return Page(b'{"status":"draining"}', 503) if self._draining() else Page(b'{"status":"ready"}')

    async def _metrics_text(self, ask: Ask) -> Page:
        settings = self._gateway.serving.settings
        folder = settings.state.path / "metrics" if settings.server.workers > 1 else None
        gateway = self._gateway
        await asyncio.to_thread(import_module, "prometheus_client")  # takes a tenth of a second the first time
        text = self._metrics.text(gateway.serving.pool.views(), gateway.leases.desk.queue.waiting, folder, time.time())
        return Page(text, content_type="text/plain; version=0.0.4; charset=utf-8")

    # realtime

    async def _secret(self, make: MakeSecret, ask: Ask) -> Page:
        principal = await self._who(ask)
        try:
            return _json(await make(ask.body, principal))
        except Malformed as error:
            failure = Failure(kind="bad_request", message=str(error), param=error.path or None)
            raise Failed(failure) from None

    # model lists

    async def _entries(self, ask: Ask) -> list[listings.Entry]:
        principal = await self._who(ask)
        serving = self._gateway.serving
        found = listings.entries(serving.directory, serving.settings, await serving.offers.fetch())
        return [entry for entry in found if principal is None or principal.allows(entry.name)]

    async def _models(self, ask: Ask) -> Page:
        if b"anthropic-version" in ask.headers:
            return await self._anthropic_models(ask)
        if b"x-goog-api-key" in ask.headers:
            return await self._gemini_models(ask)
        return _json(listings.openai_list(await self._entries(ask)))

    async def _anthropic_models(self, ask: Ask) -> Page:
        return _json(listings.anthropic_list(await self._entries(ask)))

    async def _gemini_models(self, ask: Ask) -> Page:
        return _json(listings.gemini_list(await self._entries(ask)))

    async def _model(self, ask: Ask) -> Page:
        entry = await self._entry(ask, ask.rest)
        if b"anthropic-version" in ask.headers or ask.path.startswith("/anthropic"):
            return _json(listings.anthropic_model(entry))
        if b"x-goog-api-key" in ask.headers:
            return _json(listings.gemini_model(entry))
        return _json(listings.openai_model(entry))

    async def _gemini_model(self, ask: Ask) -> Page:
        return _json(listings.gemini_model(await self._entry(ask, ask.rest)))

    async def _entry(self, ask: Ask, name: str) -> listings.Entry:
        entry = next((entry for entry in await self._entries(ask) if entry.name == name), None)
        if entry is not None:
            return entry
        model = self._gateway.serving.directory.find(name)
        if model is None:
            raise Failed(
                Failure(kind="unknown_model", status=404, message=f'no model is named "{name}"', param="model")
            )
        return listings.Entry(name, model.tiers[0][0].provider.name, model.context_window)

    async def _tags(self, ask: Ask) -> Page:
        return Page(ollama.tags(listings.ollama_listed(await self._entries(ask))))

    async def _running(self, ask: Ask) -> Page:
        return Page(ollama.running(listings.ollama_listed(await self._entries(ask)), int(time.time())))

    async def _version(self, ask: Ask) -> Page:
        return Page(ollama.version())

    async def _show(self, ask: Ask) -> Page:
        await self._who(ask)
        try:
            wanted = decode(ask.body)
        except Malformed:
            wanted = None
        name = (wanted.get("model") or wanted.get("name")) if isinstance(wanted, dict) else None
        if not isinstance(name, str):
            raise Failed(Failure(kind="bad_request", message="model: expected the name of a model"))
        entry = await self._entry(ask, name.removesuffix(":latest"))
        return Page(ollama.show(listings.ollama_listed([entry])[0]))

    # stored responses

    async def _response(self, ask: Ask) -> Page:
        response_id, _, more = ask.rest.partition("/")
        kept = await self._gateway.responses.load(response_id, await self._owner(ask))
        if kept is None or more not in {"", "input_items"}:
            raise Failed(stored.not_found(response_id))
        if not more:
            return _json(kept.response)
        record = stored.Record(id=kept.id, items=kept.items, response=kept.response)
        try:
            return _json(stored.input_items(record, {name: values[0] for name, values in ask.query.items()}))
        except Malformed as error:
            raise Failed(Failure(kind="bad_request", message=str(error), param=error.path)) from None

    async def _forget_response(self, ask: Ask) -> Page:
        if not await self._gateway.responses.delete(ask.rest, await self._owner(ask)):
            raise Failed(stored.not_found(ask.rest))
        return _json(stored.deleted(ask.rest))

    async def _owner(self, ask: Ask) -> str | None:
        principal = await self._who(ask)
        return principal.id if principal else None

    # Dragoman's own

    async def _usage(self, ask: Ask) -> Page:
        await self._admin(ask)
        by = cast('Literal["", "key", "model", "target", "account", "day"]', ask.query.get("by", [""])[0])
        if by not in _BY:
            raise Failed(Failure(kind="bad_request", message="by: expected one of " + ", ".join(_BY[1:]), param="by"))
        return Page(await asyncio.to_thread(_read_usage, self._gateway.serving.settings.state, by or None))

    async def _keys(self, ask: Ask) -> Page:
        await self._admin(ask)
        return Page(await asyncio.to_thread(_read_keys, self._gateway.serving.settings.state))

    async def _accounts(self, ask: Ask) -> Page:
        await self._admin(ask)
        return Page(await self._of_accounts.every())

    async def _account(self, ask: Ask) -> Page:
        await self._admin(ask)
        return Page(await self._of_accounts.one(ask.rest))

    async def _add_account(self, ask: Ask) -> Page:
        await self._operator(ask)
        return Page(await self._of_accounts.add(ask.body), 201)

    async def _operate(self, ask: Ask) -> Page:
        await self._operator(ask)
        name, _, verb = ask.rest.rpartition("/")
        if verb == "test":
            return Page(await self._of_accounts.test(name or None, ask.body))
        if not name or verb not in STATES:
            raise Failed(Failure(kind="not_found", status=404, message=f"there is no POST {ask.path} here"))
        return Page(await self._of_accounts.switch(name, verb))

    async def _patch_account(self, ask: Ask) -> Page:
        await self._operator(ask)
        return Page(await self._of_accounts.patch(ask.rest, ask.body))

    async def _remove_account(self, ask: Ask) -> Page:
        await self._operator(ask)
        return Page(await self._of_accounts.remove(ask.rest))

    async def _explain(self, ask: Ask) -> Page:
        await self._who(ask)
        serving = self._gateway.serving
        return Page(decision_pages.explain(serving.router, serving.wards.health, ask.body, ask.headers, ask.query))

    async def _decision(self, ask: Ask) -> Page:
        principal = await self._who(ask)
        state = self._gateway.serving.settings.state
        return Page(await decision_pages.decision(state, ask.rest, principal, self._gateway.sees_all(principal)))

    async def _decisions(self, ask: Ask) -> Page:
        await self._admin(ask)
        return Page(await decision_pages.decisions(self._gateway.serving.settings.state, ask.query))

    async def _feedback(self, ask: Ask) -> Page:
        principal = await self._who(ask)
        serving = self._gateway.serving
        everything = self._gateway.sees_all(principal)
        return Page(
            await decision_pages.feedback(serving.router, serving.settings.state, ask.body, principal, everything)
        )

    async def _comparisons(self, ask: Ask) -> Page:
        await self._admin(ask)
        return Page(await comparison_pages.every(self._gateway.serving.settings.state.path))

    async def _comparison(self, ask: Ask) -> Page:
        await self._admin(ask)
        voter = ask.query.get("voter", [""])[0]
        return Page(await comparison_pages.pair(self._gateway.serving.settings.state.path, ask.rest, voter))

    async def _vote(self, ask: Ask) -> Page:
        await self._admin(ask)
        return Page(await comparison_pages.cast(self._gateway.serving.settings.state.path, ask.rest, ask.body))

    async def _console(self, ask: Ask) -> Page:
        found = console_pages.read(ask.rest)
        if found is None:
            raise Failed(Failure(kind="not_found", status=404, message=f"there is no {ask.path} here"))
        return Page(found[0], content_type=found[1], headers=console_pages.HEADERS)

    # who asks

    async def _who(self, ask: Ask) -> Principal | None:
        """The caller, if they sent a gateway key. Raises `Failed` for a stranger where access is by keys."""
        query = "&".join(f"key={value}" for value in ask.query.get("key", ())).encode()
        key = gateway_key(ask.headers, query)
        principal = await self._gateway.who(key)
        if principal is None and self._gateway.serving.settings.access.mode == "keys":
            raise Failed(Failure(kind="unauthorized", status=401, message="this needs a gateway key"))
        return principal

    async def _admin(self, ask: Ask) -> None:
        """Raises `Failed` unless the caller may see and change everything. Open access means everybody may."""
        if not self._gateway.sees_all(await self._who(ask)):
            raise Failed(Failure(kind="forbidden", status=403, message="this needs an admin key"))

    async def _operator(self, ask: Ask) -> None:
        """Raises `Failed` unless the caller may change accounts: with open access, that is this machine's matter."""
        await self._admin(ask)
        settings = self._gateway.serving.settings
        if settings.access.mode != "keys" and settings.server.host not in LOCAL:
            message = 'accounts are changed over HTTP with an admin key: set access.mode = "keys", or use '
            raise Failed(Failure(kind="forbidden", status=403, message=message + "`dragoman accounts` on this host"))


def _json(value: object) -> Page:
    return Page(msgspec.json.encode(value))


def _read_usage(state: State, by: "By | None") -> bytes:
    """The ledger's totals, the journal folded first. In a thread."""
    from dragoman.ledger import usage
    from dragoman.ledger.fold import fold
    from dragoman.ledger.report import summary
    from dragoman.ledger.store import Store

    fold(state)
    with Store(state) as store:
        answer = summary(usage.totals(store))
        if by is not None:
            answer |= {"by": by, "groups": [{by: each.name} | summary(each) for each in usage.totals_by(store, by)]}
    return msgspec.json.encode(answer)


def _read_keys(state: State) -> bytes:
    """The gateway keys, without anything secret. In a thread."""
    from dragoman.access.keys import stored
    from dragoman.ledger.glance import Glance

    with Glance(state) as glance:
        return msgspec.json.encode({"keys": stored(glance)})
