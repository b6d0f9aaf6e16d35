"""A route, compiled: what of its candidates does not depend on the request, worked out once for each config."""

from collections.abc import Collection, Sequence

from msgspec import Struct, structs

from dragoman.catalog.prices import Price
from dragoman.routing.constraints import Constraints
from dragoman.routing.decide import Option, Pair
from dragoman.routing.regions import within

_SELECTIONS = 256  # remembered


class Offer(Struct, frozen=True, kw_only=True):
    """One target of a candidate. `regions`: of the accounts that serve it."""

    target: str  # provider/model-id
    provider: str
    regions: tuple[str | None, ...] = (None,)
    price: Price | None = None
    window: int | None = None


class Candidate(Struct, frozen=True, kw_only=True):
    """A model of the route. `capabilities`: None where nobody knows. `offers` in order of preference; none: no account
    serves it, or `silent` says why none of its targets answers text."""

    name: str
    offers: tuple[Offer, ...]
    silent: str | None = None
    capabilities: tuple[str, ...] | None = None
    window: int | None = None
    max_output: int | None = None


class Selection(Struct, frozen=True):
    """The options under one choice of models, providers and region. `targets`: of each, those that may be asked."""

    options: tuple[Option, ...]
    targets: tuple[tuple[str, ...], ...]


class Board:
    """The candidates of one route. Immutable but for its memory of selections."""

    def __init__(
        self,
        name: str,
        defaults: Constraints,
        candidates: Sequence[Candidate],
        *,
        pair: Pair | None = None,
        learned: Collection[str] = (),
    ) -> None:
        """`learned`: the models that the route's predictor was trained on. `pair` has their names. Raises `LookupError`
        where it is not among the candidates."""
        self.name = name
        self.defaults = defaults
        same: dict[tuple[str, ...] | None, tuple[str, ...] | None] = {}  # one tuple for equals: they are compared once
        self.candidates = tuple(
            structs.replace(each, capabilities=same.setdefault(each.capabilities, each.capabilities))
            for each in candidates
        )
        self.names = tuple(candidate.name for candidate in candidates)
        self.known_as = tuple(_known_as(candidate, learned) for candidate in candidates)
        self.pair = None if pair is None else self._own(pair)
        self._known = frozenset(word for each in candidates for word in each.capabilities or ())
        self._merged: dict[Constraints, Constraints] = {}
        self._selections: dict[tuple[tuple[str, ...], tuple[str, ...], str | None], Selection] = {}

    def _own(self, pair: Pair) -> Pair:
        """`pair` with the candidates' own names."""
        names = dict(zip(self.known_as, self.names, strict=True))
        missing = [name for name in (pair.strong, pair.weak) if name not in names]
        if missing:
            raise LookupError(
                f"it is for {pair.strong} and {pair.weak}, and no model of the route is {' or '.join(missing)}"
            )
        return Pair(names[pair.strong], names[pair.weak], pair.threshold)

    def limits(self, said: Constraints) -> Constraints:
        """What holds for a request that says so: the defaults where it says nothing."""
        found = self._merged.get(said)
        if found is None:
            if len(self._merged) >= _SELECTIONS:
                self._merged.clear()
            found = self._merged[said] = said.over(self.defaults)
        return found

    def select(self, limits: Constraints) -> Selection:
        """The options that `limits` leaves, ruled ones among them with why."""
        key = (limits.models, limits.providers, limits.region)
        found = self._selections.get(key)
        if found is None:
            if len(self._selections) >= _SELECTIONS:
                self._selections.clear()
            made = [self._option(candidate, limits) for candidate in self.candidates]
            found = Selection(tuple(option for option, _ in made), tuple(targets for _, targets in made))
            self._selections[key] = found
        return found

    def _option(self, candidate: Candidate, limits: Constraints) -> tuple[Option, tuple[str, ...]]:
        offers = [
            offer
            for offer in candidate.offers
            if (not limits.providers or offer.provider in limits.providers)
            and (limits.region is None or any(within(region, limits.region) for region in offer.regions))
        ]
        if limits.models:
            allowed = candidate.name in limits.models
            offers = [offer for offer in offers if allowed or offer.target in limits.models]
        lead = next(iter(offers or candidate.offers), None)
        option = Option(
            name=candidate.name,
            target=lead.target if lead else "",
            ruled=None if offers else _why_ruled(candidate, limits),
            capabilities=candidate.capabilities,
            unsure=() if candidate.capabilities is not None else tuple(sorted(self._known)),
            window=candidate.window or (lead.window if lead else None),
            max_output=candidate.max_output,
            price=lead.price if lead else None,
        )
        return option, tuple(offer.target for offer in offers)


def _known_as(candidate: Candidate, learned: Collection[str]) -> str:
    """By which name the predictor knows a candidate: its own, else a target's model id."""
    ids = (offer.target.partition("/")[2] for offer in candidate.offers)
    return next((name for name in (candidate.name, *ids) if name in learned), candidate.name)


def _why_ruled(candidate: Candidate, limits: Constraints) -> str:
    if not candidate.offers:
        return candidate.silent or "no account serves any of its targets"
    said = []
    if limits.models and candidate.name not in limits.models:
        said.append("it is not among models=" + ",".join(limits.models))
    if limits.providers and not any(offer.provider in limits.providers for offer in candidate.offers):
        said.append("no target of it is at providers=" + ",".join(limits.providers))
    if limits.region is not None:
        regions = sorted({region for offer in candidate.offers for region in offer.regions if region})
        where = "are in " + ", ".join(regions) if regions else "declare no region"
        said.append(f"region={limits.region}, and its accounts {where}")
    return "; ".join(said) or "no target of it keeps models, providers and region at once"
