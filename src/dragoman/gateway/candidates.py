"""What config and catalogue say of the models that routes choose among."""

from dragoman import config
from dragoman.catalog import directory as catalog
from dragoman.catalog.prices import PriceBook
from dragoman.routing.board import Candidate, Offer
from dragoman.routing.capabilities import of_family, other_work
from dragoman.routing.regions import within


class Candidates:
    """Of one config."""

    def __init__(self, settings: config.Config, prices: PriceBook) -> None:
        self._prices = prices
        self._models = {name: model for model in settings.models for name in (model.name, *model.aliases)}
        self._accounts: dict[str, list[config.Account]] = {}  # by provider
        for account in settings.accounts:
            self._accounts.setdefault(account.provider, []).append(account)

    def of(self, name: str, model: catalog.Model) -> Candidate:
        """The model of this name, with the prices of now."""
        declared = self._models.get(name)
        capabilities = declared.capabilities if declared is not None else None
        silent = {target.name: _silent(target, capabilities) for tier in model.tiers for target in tier}
        offers = tuple(
            Offer(
                target=target.name,
                provider=target.provider.name,
                regions=regions,
                price=self._prices.find(target.provider.name, target.model),
                window=self._prices.context_window(target.provider.name, target.model),
            )
            for tier in model.tiers
            for target in tier
            if silent[target.name] is None and (regions := self._served(target))
        )
        families = [found for tier in model.tiers for target in tier if (found := of_family(target.model))]
        if capabilities is not None:
            known: tuple[str, ...] | None = tuple(sorted(capabilities))
        elif model.capabilities:
            known = tuple(sorted(model.capabilities))
        else:
            known = families[0] if families else None
        return Candidate(
            name=name,
            offers=offers,
            silent=next(iter(silent.values()), None) if all(silent.values()) else None,
            capabilities=known,
            window=model.context_window,
            max_output=declared.max_output_tokens if declared is not None else None,
        )

    def within(self, region: str | None) -> frozenset[str] | None:
        """The accounts in `region`."""
        if region is None:
            return None
        accounts = [account for several in self._accounts.values() for account in several]
        return frozenset(account.name for account in accounts if within(account.region, region))

    def _served(self, target: catalog.Target) -> tuple[str | None, ...]:
        """The regions of the accounts that serve `target`."""
        accounts = self._accounts.get(target.provider.name, [])
        return tuple(a.region for a in accounts if a.models is None or target.model in a.models)


def _silent(target: catalog.Target, declared: list[str] | None) -> str | None:
    """Why `target` answers no text, if so: its provider has speech only, or it is for other work, as the config says or
    its name tells."""
    if not target.provider.dialects:
        return f"{target.provider.name} has speech only"
    if declared is not None and "realtime" in declared:
        return "it answers in realtime sessions only"
    works = declared is not None and any(word != "audio" for word in declared)
    return None if works else other_work(target.model)
