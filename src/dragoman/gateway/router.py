"""Routes at run time: what the pure decision in `routing` needs to know, gathered; and what it decided, remembered.

One `Router` per config; over a reload the new one takes over what was learned. `now` is Unix seconds throughout.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import Struct

from dragoman import config
from dragoman.catalog import directory as catalog
from dragoman.catalog.prices import PICO, PriceBook
from dragoman.gateway.candidates import Candidates
from dragoman.gateway.route_files import certificate_of, check_judge, defaults_of, predictor_of
from dragoman.ledger.row import Row
from dragoman.routing.affinity import Sessions
from dragoman.routing.board import Board, Selection
from dragoman.routing.constraints import NOTHING, Constraints
from dragoman.routing.decide import Case, Decision, decide, outlook
from dragoman.routing.drift import DriftWatch, PaceWatch, by_priors, notes
from dragoman.routing.estimate import UNKNOWN, Estimate, Predictor, Query
from dragoman.routing.latency import LatencyBook, Pace, loaded
from dragoman.routing.needs import Needs
from dragoman.routing.pacing import Pacer
from dragoman.routing.priors import Priors
from dragoman.routing.record import Attempt, Beside, Record, written

_FRESH = 300.0  # seconds a compiled board is good: prices may depend on the hour
_PLANS = 4096  # remembered
_TRIED = 4  # candidates that are tried for one request, the chosen included


class Health(Struct, frozen=True):
    """How a target is served now. `down`: why by nobody; `busy` 0..1 and `wait_ms` as in `latency.loaded`."""

    down: str | None = None
    busy: float = 0.0
    wait_ms: float = 0.0


WELL = Health()


class Choice(Struct, kw_only=True):
    """A decision on its way through the gateway: what was decided, and how it is attempted (`plan`). `targets`: of each
    option, those that may be asked."""

    route: str
    case: Case
    decision: Decision
    plan: catalog.Model | None
    targets: tuple[tuple[str, ...], ...]
    needs: Needs
    query: Query
    session: str
    known_as: list[str]
    notes: list[str]
    shadow: Beside | None = None

    def model_of(self, target: str) -> str | None:
        """Which candidate `target` was asked for."""
        return next((self.case.options[i].name for i in self.decision.order if target in self.targets[i]), None)


class Router:
    """All routes of one config, and plain models that a request puts constraints on."""

    def __init__(
        self, settings: config.Config, names: catalog.Directory, prices: PriceBook, former: "Router | None" = None
    ) -> None:
        """Raises `ConfigError` for an artifact, certificate or judge that can't be used."""
        self._names = names
        self._candidates = Candidates(settings, prices)
        self._routes = {route.name: route for route in settings.routes}
        self._defaults = {route.name: defaults_of(route) for route in settings.routes}
        self._priors = Priors(
            {m.name: m.quality for m in settings.models if m.quality is not None},
            {m.name: tier[0] for m in settings.models if (tier := m.tiers()[0])},
        )
        self._predictors: dict[str, Predictor] = {
            route.name: predictor_of(route, self._priors) for route in settings.routes
        }
        self.certificates = {
            route.name: found
            for route in settings.routes
            if (found := certificate_of(route, self._predictors[route.name])) is not None
        }
        for route in settings.routes:
            check_judge(route, names, prices)
        # whether anybody wants to know how fast targets are
        self.active: bool = bool(settings.routes) or (former is not None and former.active)
        self._boards: dict[str, tuple[float, Board]] = {}
        self._plans: dict[tuple[str, tuple[tuple[str, ...], ...], tuple[int, ...], str | None], catalog.Model] = {}
        self.latency: LatencyBook = former.latency if former else LatencyBook()
        self._paces: PaceWatch = former._paces if former else PaceWatch()
        self.sessions: Sessions = former.sessions if former else Sessions()
        self._pacers = {
            route.name: _pacer(route, settings.server.workers, former)
            for route in settings.routes
            if route.budget_usd_per_day
        }
        self._workers = settings.server.workers
        self._loaded: bool = former is not None
        self._watches: dict[str, DriftWatch] = {
            name: former._watches[name]
            if former and name in former._watches and former._predictors[name].name == predictor.name
            else DriftWatch()
            for name, predictor in self._predictors.items()
        }
        for name in self.certificates:
            self.board(name, 0.0)  # raises where the certified pair is not among its candidates
        for model in settings.models:
            for target in (target for tier in model.tiers() for target in tier):
                if model.ttft_ms or model.tokens_per_s:
                    self.latency.declare(target, model.ttft_ms, model.tokens_per_s)

    def explores(self, name: str) -> bool:
        """Whether decisions for `name` need a number drawn."""
        return name in self._routes and self._routes[name].explore > 0

    def is_route(self, name: str) -> bool:
        """Whether `name` stands for a choice."""
        return name in self._routes

    def choose(
        self,
        name: str,
        needs: Needs,
        said: Constraints,
        *,
        now: float,
        draw: float = 1.0,
        health: Callable[[str], Health] = lambda target: WELL,
        owner: str | None = None,
        priced: bool = False,
        session: str | None = None,
    ) -> Choice | None:
        """The decision for a request for `name`; None where there is no such name. `owner` keeps the sessions of
        different callers apart; `session`: what the conversation goes by, where `said` does not say; `priced`: some
        budget needs prices known."""
        board = self.board(name, now)
        if board is None:
            return None
        self.active = True
        route = self._routes.get(name)
        limits = board.limits(said)
        selection = board.select(limits)
        query = Query(prompt=needs.prompt, task=limits.tag("task"), category=limits.tag("category"))
        predictor = self._predictors.get(name, self._priors)
        novelty, estimates, said_notes = self._estimates(name, predictor, query, board)
        down: dict[str, str] = {}
        paces: list[Pace] = []
        pace_of, drifted = self.latency.pace, self._paces.drifted if self._paces.alarmed else None
        for option in selection.options:
            target = option.target
            pace = pace_of(target, now)
            if drifted is not None and (how := drifted(target, pace.measured or pace.whole_ms is not None)):
                said_notes.append(f"{option.name}'s times go by their prior: {target} is {how}")
            if option.ruled is None and (state := health(target)) is not WELL:
                if state.down is not None:
                    down[option.name] = state.down
                pace = loaded(pace, state.busy, state.wait_ms)
            paces.append(pace)
        named = limits.session or session
        key = f"{owner or ''}/{name}/{named or needs.thread}"
        pacer = self._pacers.get(name)
        case = Case(
            options=selection.options,
            limits=limits,
            capabilities=tuple(sorted({*needs.capabilities, *limits.needs})) if limits.needs else needs.capabilities,
            input_tokens=needs.input_tokens,
            max_output_tokens=needs.max_output_tokens,
            streams=needs.streams,
            stage=needs.stage,
            predictor=predictor.name,
            novelty=novelty,
            estimates=estimates,
            paces=paces,
            down=down,
            held=self.sessions.held(key, now) if named or needs.goes_on else None,
            squeeze=pacer.squeeze(now) if pacer is not None else 0.0 if priced else None,
            pair=board.pair if limits.mode == board.defaults.mode else None,
            explore=route.explore if route is not None else 0.0,
            draw=draw,
        )
        decision = decide(case)
        if not decision.order and down:  # whoever rests is no reason to give up: the pool says how long it takes
            case.down = {}
            decision = decide(case)
        return Choice(
            route=name,
            case=case,
            decision=decision,
            plan=self._plan(name, selection, decision, limits.region),
            targets=selection.targets,
            needs=needs,
            query=query,
            session=key,
            known_as=[] if board.known_as == board.names else list(board.known_as),
            notes=said_notes,
        )

    def _estimates(
        self, name: str, predictor: Predictor, query: Query, board: Board
    ) -> tuple[float, list[Estimate], list[str]]:
        """Novelty, what is expected of each candidate, and what a reader of the record should know of that."""
        found = predictor.predict(query, board.known_as)
        known = found.candidates.get
        estimates = [known(each, UNKNOWN) for each in board.known_as]
        watch = self._watches.get(name)
        if watch is None or predictor is self._priors:
            return found.novelty, estimates, []
        drifted, priced = watch.drifted(), watch.priced()
        if not (drifted or priced):
            return found.novelty, estimates, []
        priors = self._priors.predict(query, board.names).candidates
        judged = by_priors(dict(zip(board.names, estimates, strict=True)), priors, drifted, priced)
        said = notes(drifted, board.names) + notes(priced, board.names, "prior's length of answers")
        return found.novelty, list(judged.values()), said

    def board(self, name: str, now: float) -> Board | None:
        """The route `name` compiled; of a plain model, a route of one."""
        known = self._boards.get(name)
        if known is not None and known[0] > now:
            return known[1]
        route = self._routes.get(name)
        models = route.models if route is not None else [name]
        found = [(each, model) for each in models if (model := self._names.find(each)) is not None]
        if not found:
            return None
        certificate = self.certificates.get(name)
        try:
            board = Board(
                name,
                self._defaults.get(name, NOTHING),
                [self._candidates.of(each, model) for each, model in found],
                pair=certificate.pair() if certificate else None,
                learned=getattr(self._predictors.get(name), "models", ()),
            )
        except LookupError as error:
            raise config.ConfigError(f'routes "{name}": certificate: {error}') from None
        if len(self._boards) > 1000:  # plain names are the clients' to make up
            self._boards.clear()
        self._boards[name] = (now + _FRESH, board)
        return board

    def _plan(self, name: str, selection: Selection, decision: Decision, region: str | None) -> catalog.Model | None:
        """The targets of the best few that fit, in the order in which they are to be tried."""
        if not decision.order:
            return None
        order = tuple(decision.order[:_TRIED])
        key = (name, selection.targets, order, region)
        plan = self._plans.get(key)
        if plan is None:
            tiers: list[tuple[catalog.Target, ...]] = []
            for i in order:
                model, allowed = self._names.find(selection.options[i].name), selection.targets[i]
                kept = [tuple(t for t in tier if t.name in allowed) for tier in (model.tiers if model else ())]
                tiers.extend(tier for tier in kept if tier)
            whole = self._names.find(name)
            plan = msgspec.structs.replace(
                whole or catalog.Model(name=name, tiers=()), tiers=tuple(tiers), only=self._candidates.within(region)
            )
            if len(self._plans) >= _PLANS:
                self._plans.clear()
            self._plans[key] = plan
        return plan

    # what came of it

    def observe(self, row: Row, choice: Choice | None, now: float, version: str | None = None) -> None:
        """A request ended: how fast its target was, what it cost, and whom its session is with. `version`: what the
        provider calls the model that answered."""
        if row.target is None or row.total is None:
            return
        if row.status == 200 and row.error is None:
            before = (row.admit or 0.0) + (row.route or 0.0) + (row.queue or 0.0)
            ttft = row.ttft - before if row.stream and row.ttft is not None else None
            if choice is not None:
                self._compare(choice, row, ttft, row.total - before)
            self.latency.observe(now, row.target, ttft, row.total - before, row.output)
        if choice is None:
            return
        if row.cost and (pacer := self._pacers.get(choice.route)) is not None:
            pacer.spend(now, row.cost / PICO)
        model = choice.model_of(row.target)
        if model is not None and row.status == 200 and row.error is None:
            self.sessions.keep(choice.session, model, row.input + row.output, now)
            if version is not None and (watch := self._watches.get(choice.route)) is not None:
                watch.answered_as(model, row.target, version)

    def _compare(self, choice: Choice, row: Row, ttft: float | None, total: float) -> None:
        """What `row` took and cost, with what was expected of it."""
        case = choice.case
        found = ((i, option) for i, option in enumerate(case.options) if option.target == row.target)
        at, option = next(found, (0, None))
        if option is None:
            return
        pace = case.paces[at]
        expected = outlook(case, option, case.estimates[at], pace)
        watch = self._watches.get(choice.route)
        if watch is not None and expected.cost is not None and row.cost is not None:
            watch.cost(option.name, expected.cost, row.cost)
        if ttft is not None and pace.measured:
            took, usual = ttft, pace.ttft_ms
        elif ttft is None and pace.whole_ms is not None:
            took, usual = total, pace.whole_ms
        else:
            return
        if self._paces.took(option.target, usual, took):
            self.latency.forget(option.target)

    def scored(self, route: str, model: str, predicted: float, observed: float) -> None:
        """Somebody judged an answer that `model` gave for `route`."""
        if (watch := self._watches.get(route)) is not None:
            watch.scored(model, predicted, observed)

    def budget_left(self, name: str, now: float) -> float | None:
        """USD that the route's budget of today still has; None: it has none."""
        pacer = self._pacers.get(name)
        return None if pacer is None else pacer.left(now)

    def budgeted(self) -> list[str]:
        """The routes whose spending of today is not known yet: what was spent before this process began."""
        return [] if self._loaded else list(self._pacers)

    def load_spending(self, spent: Mapping[str, int], now: float) -> None:
        """Pico-dollars that routes spent today before this process began; each worker counts its part of them."""
        self._loaded = True
        for name, pico in spent.items():
            if (pacer := self._pacers.get(name)) is not None:
                pacer.load(now, pico / PICO / self._workers)

    def record(self, choice: Choice, row: Row, attempts: Sequence[Attempt] = ()) -> msgspec.Raw:
        """The decision's record, as the ledger keeps it."""
        route = self._routes.get(choice.route)
        keep = route is not None and route.record_prompts
        return written(
            Record(
                id=row.decision or "",
                time=row.time,
                route=choice.route,
                case=choice.case,
                decision=choice.decision,
                digest=choice.needs.digest,
                turns=choice.needs.turns,
                task=choice.query.task,
                category=choice.query.category,
                prompt=choice.needs.prompt if keep else None,
                attempts=list(attempts),
                shadow=choice.shadow,
                known_as=choice.known_as,
                notes=choice.notes,
            )
        )


def _pacer(route: config.Route, workers: int, former: Router | None) -> Pacer:
    """Each worker keeps to its part of the budget."""
    assert route.budget_usd_per_day is not None
    share = route.budget_usd_per_day / workers
    before = former._pacers.get(route.name) if former else None
    return before if before is not None and before.usd_per_day == share else Pacer(share)
