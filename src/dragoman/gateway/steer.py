"""From the name that was asked for to the model that is tried: the decision, on its way of a request.

A plain model without constraints passes at the cost of two look-ups; a route, or constraints, cost the decision.
"""

import random
from functools import lru_cache

import msgspec

from dragoman.canon import Failed, Failure, FailureKind
from dragoman.catalog.directory import Model
from dragoman.dialects.fields import decode
from dragoman.gateway.ask import Ask
from dragoman.gateway.call import Story
from dragoman.gateway.naming import afford, allowed, look_up, untagged
from dragoman.gateway.serving import Serving
from dragoman.routing.constraints import AZURE, HEADER, Constraints, from_header, of_request
from dragoman.routing.narrate import only_unpriced, why_nothing_fits
from dragoman.routing.needs import read_needs

_HEADER = HEADER.encode()
_header = lru_cache(maxsize=1024)(from_header)  # programs say the same again and again


def plainly(serving: Serving, ask: Ask, story: Story) -> Model | None:
    """As `steer`, for a plain model that is asked for without constraints, where no budget must be held; None for all
    else."""
    name = ask.model
    model = serving.directory.find(name)
    if (
        model is None
        or not model.plain
        or story.reserve is not None
        or ask.constraints is not None
        or serving.pool.budgeted
        or serving.router.is_route(name)
        or _HEADER in story.call.headers
    ):
        return None
    story.row.model = name
    allowed(serving, model, name, story)
    story.routed()
    return model


async def steer(serving: Serving, ask: Ask, story: Story) -> Model:
    """The model to try, where a route chose it with the rest of its plan. Raises `Failed` or `Malformed`."""
    name = ask.model
    found = serving.directory.find(name)
    if found is None and (found := serving.directory.find(untagged(name))) is not None:
        name = ask.model = untagged(name)
    if found is None:
        model = await look_up(serving, name, story)
    else:
        story.row.model = name
        model = allowed(serving, found, name, story)
    routed = serving.router.is_route(name)
    if routed or _HEADER in story.call.headers or ask.constraints is not None:
        model = _chosen(serving, ask, story, _declared(ask, routed))
    if story.reserve is None and not serving.pool.budgeted:
        story.routed()
    else:
        await afford(serving, model, story)
    return model


def _declared(ask: Ask, routed: bool) -> Constraints:
    """What the request declares. Azure's words to a plain model are Azure's to understand."""
    header = ask.call.headers.get(_HEADER)
    azure = ask.fields.pop(AZURE, None) if routed else None
    body = of_request(None, _plain(ask.constraints), _plain(azure))
    return body if header is None else _header(header.decode("latin-1")).over(body)


def _plain(value: msgspec.Raw | None) -> object:
    return None if value is None else decode(value)


def _chosen(serving: Serving, ask: Ask, story: Story, said: Constraints) -> Model:
    router, principal, now = serving.router, story.principal, story.row.time
    left = router.budget_left(ask.model, now)
    if left is not None and left <= 0:
        until = 86400 - now % 86400
        message = f'the budget of "{ask.model}" for today is spent; the next begins in {until / 3600:.1f} h'
        raise Failed(Failure(kind="budget_spent", status=402, message=message, retry_after=until))
    choice = router.choose(
        ask.model,
        read_needs(ask.request()),
        said,
        now=now,
        draw=random.random() if router.explores(ask.model) else 1.0,  # noqa: S311 - an experiment, not a secret
        health=serving.wards.health,
        owner=principal.id if principal is not None else None,
        priced=(principal is not None and principal.budget is not None) or serving.pool.budgeted,
        session=ask.affinity(),
    )
    if choice is None:
        raise RuntimeError(f"{ask.model} was found, and has no board")
    story.choice = choice
    story.row.tags = dict(choice.case.limits.tags)
    if choice.plan is None:
        message = why_nothing_fits(ask.model, choice.case)
        kind: FailureKind = "unknown_price" if only_unpriced(choice.case) else "no_feasible_model"
        raise Failed(Failure(kind=kind, message=message, param="model"))
    serving.shadows.draw(ask, story, choice)
    return choice.plan
