"""The decision: which of a route's models fit, and which of those fits best.

How it works. A `Case` is all that a decision depends on: the options, what is required, what is expected of each
option, and the numbers drawn. `decide` is a function of it and nothing else, so a stored case replays bit for bit.

1. Hard limits and health rule options out (`narrate.obstacles` says in words what this does in numbers).
2. What is left is ordered by utility, and ties by quality, cost and name:

       quality - cost weight x (cost / reference) - time weight x (time / reference) + affinity

   Costs and times are in units of what the option with the best quality would cost and take. So with a cost weight of
   0.1 a free answer may be 10 points of quality worse than the best one. The mode sets the weights (`MODES`), the stage
   in a tool loop bends them (`STAGES`), and a budget that is spent too fast adds to the cost weight (`squeeze`).
3. Then what goes before utility: a certified pair follows its tested threshold; a query unlike all that the predictor
   was trained on goes to the best single model; a drawn number may explore.

The session's own model has its prompt in the provider's cache, so its input is cheaper: what a change of model costs is
in the sum. `AFFINITY` is added because a new model also has a new voice.

Hard limits go by expected cost, and by times in the slower quarter of what was measured (or declared); what was never
measured rules nothing out.
"""

from collections.abc import Sequence

from msgspec import Struct, field

from dragoman.catalog.prices import PICO, Price
from dragoman.routing.constraints import Constraints
from dragoman.routing.estimate import Estimate
from dragoman.routing.latency import PRIOR_OUTPUT, Pace
from dragoman.routing.needs import Stage

AFFINITY = 0.02  # of quality, that keeping a session's model is worth, where its prompt is surely cached
NOVEL = 0.95  # novelty from which a trained predictor's word is not taken
MODES: dict[str, tuple[float, float, float, float]] = {  # weights of quality, cost, first content, whole time
    "balanced": (1.0, 0.1, 0.01, 0.02),
    "cost": (1.0, 1.0, 0.0, 0.0),
    "quality": (1.0, 0.0, 0.0, 0.0),
    "latency": (0.1, 0.0, 0.5, 0.5),
}
STAGES: dict[Stage, tuple[float, float]] = {  # factors of the cost weight and of the affinity
    "asking": (1.0, 1.0),
    "planning": (0.7, 1.0),  # a bad plan is dear
    "executing": (1.2, 3.0),  # the next step of a plan: cheaper ones can, but changing horses midstream confuses
    "recovering": (0.5, 1.0),  # what was tried did not work
}


class Option(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model of a route, as config and catalogue say. `target` is what would be asked first. `ruled` says why it is
    out whatever the request (`models`, `providers` or `region`). `capabilities`: None where nobody knows; then it is
    taken to be capable of anything but what other models of the route are known to have (`unsure`)."""

    name: str
    target: str
    ruled: str | None = None
    capabilities: tuple[str, ...] | None = None
    unsure: tuple[str, ...] = ()
    window: int | None = None
    max_output: int | None = None
    price: Price | None = None


class Held(Struct, frozen=True):
    """The session's model; `tokens` of its prompt went there the last time, and are still cached with chance `warm`."""

    model: str
    tokens: int
    warm: float


class Pair(Struct, frozen=True):
    """A certified choice: `weak` answers where the strong model is less than `threshold` better."""

    strong: str
    weak: str
    threshold: float


class Case(Struct, kw_only=True, omit_defaults=True):
    """All that a decision depends on. `estimates` and `paces` stand in the options' order."""

    options: Sequence[Option]
    limits: Constraints
    capabilities: tuple[str, ...] = ()  # what the request needs and what `limits` demands
    input_tokens: int = 1
    max_output_tokens: int | None = None
    streams: bool = False
    stage: Stage = "asking"
    predictor: str = "priors"
    novelty: float = 0.0
    estimates: Sequence[Estimate]
    paces: Sequence[Pace]
    down: dict[str, str] = field(default_factory=dict)  # option -> why nobody can serve it now
    held: Held | None = None
    squeeze: float | None = None  # None: no budget
    pair: Pair | None = None
    explore: float = 0.0  # share of decisions that take any fitting option
    draw: float = 1.0  # 0..1


class Decision(Struct, kw_only=True, omit_defaults=True):
    """`order`: indexes of the fitting options, the chosen first, then as they are to be tried after it. `utilities` in
    the options' order; None: ruled out. `margin` is what the chosen has over the best other. `propensity` is how likely
    this choice was. `reason`: only | best | held | novel | certified | explored | none."""

    order: list[int]
    utilities: list[float | None]
    reason: str
    margin: float | None = None
    propensity: float = 1.0

    def chosen(self, case: Case) -> Option | None:
        """What was chosen; None where nothing fits."""
        return case.options[self.order[0]] if self.order else None


class Outlook(Struct, frozen=True, gc=False):
    """What one option is expected to take. `cost` in pico-dollars, None where no price is known; times in ms, `late`
    in the slower quarter of cases, None where nothing was measured."""

    output_tokens: int
    cost: int | None
    ttft: float
    total: float
    late_ttft: float | None
    late_total: float | None


def lacking(option: Option, needed: Sequence[str]) -> list[str]:
    """What of `needed` the option does not have, or is not known to have where others are."""
    if option.capabilities is None:
        return [need for need in needed if need in option.unsure]
    return [need for need in needed if need not in option.capabilities]


def outlook(case: Case, option: Option, estimate: Estimate, pace: Pace) -> Outlook:
    """What `option` is expected to take for this case."""
    tokens = estimate.output_tokens or pace.output_tokens or PRIOR_OUTPUT
    most = case.max_output_tokens
    if most is not None and tokens > most:
        tokens = most
    most = option.max_output
    if most is not None and tokens > most:
        tokens = most
    output = int(tokens + 0.5)
    price = option.price
    cost = None
    if price is not None:
        held, size = case.held, case.input_tokens
        if price.tiers:
            price = next((tier for above, tier in reversed(price.tiers) if size > above), price)
        cost = price.request + size * price.input + output * price.output
        if held is not None and held.model == option.name and price.cached is not None:
            cost -= int(min(held.tokens, size) * held.warm) * (price.input - price.cached)
    if case.streams:
        talk, ttft = output * 1000.0, pace.ttft_ms
        total = ttft + talk / pace.speed
        if not pace.measured:
            return Outlook(output, cost, ttft, total, None, None)
        late = pace.late_ms
        return Outlook(output, cost, ttft, total, late, late + talk / pace.slow)
    total = pace.whole_ms if pace.whole_ms is not None else pace.ttft_ms + output * 1000.0 / pace.speed
    return Outlook(output, cost, total, total, pace.late_whole_ms, pace.late_whole_ms)


def decide(case: Case) -> Decision:
    """The decision on `case`."""
    options, estimates = case.options, case.estimates
    views = _fitting(case)
    utilities: list[float | None] = [None] * len(options)
    if not views:
        return Decision(order=[], utilities=utilities, reason="none", propensity=0.0)

    scale = scale_of(case, views)
    for_quality, for_cost, for_ttft, for_total = scale.quality, scale.cost, scale.ttft, scale.total
    cost_unit, ttft_unit, total_unit, dearest = scale.cost_unit, scale.ttft_unit, scale.total_unit, scale.dearest
    held = case.held.model if case.held is not None else None
    plain_best: tuple[float, float, float, str] | None = None
    ranked = []
    for i, view in views.items():
        quality, name = estimates[i].quality, options[i].name
        cost = dearest if view.cost is None else view.cost
        utility = (
            for_quality * quality
            - for_cost * cost / cost_unit
            - for_ttft * view.ttft / ttft_unit
            - for_total * view.total / total_unit
        )
        if held is not None:
            plain = (-utility, -quality, cost, name)
            if plain_best is None or plain < plain_best:
                plain_best = plain
            if name == held:
                utility += scale.affinity
        utilities[i] = utility
        ranked.append((-utility, -quality, cost, name, i))
    ranked.sort()
    order = [entry[4] for entry in ranked]
    best = order[0]
    reason = "only" if len(order) == 1 else "best"
    if plain_best is not None and plain_best[3] != options[best].name:
        reason = "held"
    if len(order) > 1:
        reason = _before_utility(case, order, reason)
    others = [-entry[0] for entry in ranked if entry[4] != order[0]]
    utility = utilities[order[0]] or 0.0
    return Decision(
        order=order,
        utilities=utilities,
        reason=reason,
        margin=utility - others[0] if others else None,
        propensity=_propensity(case, len(order), reason),
    )


def _fitting(case: Case) -> dict[int, Outlook]:
    """The options that no hard limit and no illness rules out, and what each is expected to take."""
    limits, needed, down = case.limits, case.capabilities, case.down
    most = None if limits.max_cost_usd is None else round(limits.max_cost_usd * PICO)
    least, first, whole = limits.min_quality, limits.max_ttft_ms, limits.max_total_ms
    room = case.input_tokens + (case.max_output_tokens or 0)
    must_know_price = most is not None or case.squeeze is not None
    estimates, paces = case.estimates, case.paces
    views: dict[int, Outlook] = {}
    known: tuple[str, ...] | None = None  # neighbours often have the same capabilities
    lacks = False
    for i, option in enumerate(case.options):
        if option.ruled is not None or option.name in down or (option.window is not None and room > option.window):
            continue
        if needed:
            if option.capabilities is not known or option.capabilities is None:
                known, lacks = option.capabilities, bool(lacking(option, needed))
            if lacks:
                continue
        estimate = estimates[i]
        view = outlook(case, option, estimate, paces[i])
        if must_know_price and (view.cost is None or (most is not None and view.cost > most)):
            continue
        if least is not None and estimate.quality < least:
            continue
        if first is not None and view.late_ttft is not None and view.late_ttft > first:
            continue
        if whole is not None and view.late_total is not None and view.late_total > whole:
            continue
        views[i] = view
    return views


class Scale(Struct, frozen=True):
    """The weights of one case, and the units that costs and times are counted in."""

    quality: float
    cost: float
    ttft: float
    total: float
    affinity: float
    cost_unit: float
    ttft_unit: float
    total_unit: float
    dearest: int


def scale_of(case: Case, views: dict[int, Outlook]) -> Scale:
    """The weights and units among the options that fit. What has no known price counts as the dearest that has one."""
    quality, cost, ttft, total = MODES[case.limits.mode or "balanced"]
    thrift, loyalty = STAGES[case.stage]
    estimates, options, dearest = case.estimates, case.options, 0
    best, top = -1, -1.0
    for i, view in views.items():
        if view.cost is not None and view.cost > dearest:
            dearest = view.cost
        reached = estimates[i].quality
        if reached > top or (reached == top and options[i].name < options[best].name):
            best, top = i, reached
    unit = views[best].cost or dearest or 1
    return Scale(
        quality=quality,
        cost=cost * thrift + (case.squeeze or 0.0),
        ttft=ttft,
        total=total,
        affinity=0.0 if case.held is None else AFFINITY * loyalty * case.held.warm * quality,
        cost_unit=unit,
        ttft_unit=views[best].ttft or 1.0,
        total_unit=views[best].total or 1.0,
        dearest=dearest,
    )


def _before_utility(case: Case, order: list[int], reason: str) -> str:
    """Moves to the head of `order` what goes before utility; returns the reason for what stands there."""
    options, estimates = case.options, case.estimates
    if case.pair is not None:
        named = {options[i].name: i for i in order}
        strong, weak = named.get(case.pair.strong), named.get(case.pair.weak)
        if strong is not None and weak is not None:
            gap = estimates[strong].quality - estimates[weak].quality
            _first(order, weak if gap < case.pair.threshold else strong)
            reason = "certified"
    elif case.novelty >= NOVEL and case.predictor != "priors" and case.limits.mode in (None, "balanced"):
        best = min(order, key=lambda i: (-estimates[i].quality, options[i].name))
        if best != order[0]:
            _first(order, best)
            reason = "novel"
    if case.draw < case.explore:
        by_name = sorted(order, key=lambda i: options[i].name)
        drawn = by_name[min(int(case.draw / case.explore * len(order)), len(order) - 1)]
        if drawn != order[0]:
            _first(order, drawn)
            reason = "explored"
    return reason


def _first(order: list[int], index: int) -> None:
    order.remove(index)
    order.insert(0, index)


def _propensity(case: Case, fitting: int, reason: str) -> float:
    """How likely this choice was, over the numbers that could have been drawn."""
    if case.explore <= 0 or fitting < 2:
        return 1.0
    share = case.explore / fitting
    return share if reason == "explored" else 1.0 - case.explore + share
