"""Which model a name stands for, and whether the caller may have it and can afford it."""

from dragoman.accounts.pool import targets
from dragoman.canon import Failed, Failure
from dragoman.catalog.directory import Model
from dragoman.catalog.prices import FREE
from dragoman.gateway.call import Spoken, Story
from dragoman.gateway.serving import Serving


async def find_model(serving: Serving, name: str, story: Story) -> Model:
    """The model of this name that the caller may use and can afford. Raises `Failed`."""
    model = await look_up(serving, name, story)
    await afford(serving, model, story)
    return model


async def look_up(serving: Serving, name: str, story: Story) -> Model:
    """The model of this name that the caller may use. Raises `Failed`."""
    story.row.model = name
    model = serving.directory.find(name) or serving.directory.find(untagged(name))
    if model is None and name.isprintable():
        model = serving.directory.find(name, await serving.offers.fetch())
    return allowed(serving, model, name, story)


def untagged(name: str) -> str:
    """Without the tag that Ollama's clients (Home Assistant, for one) add to a name that has none."""
    return name.removesuffix(":latest")


def allowed(serving: Serving, model: Model | None, name: str, story: Story) -> Model:
    """`model`, if there is one and the caller may use it. Raises `Failed`."""
    if model is None or (story.principal is not None and not story.principal.allows(name)):
        may = story.principal.allows if story.principal is not None else lambda _: True
        known = ", ".join([m.name for m in serving.directory.declared() if may(m.name)][:20])
        raise Failed(
            Failure(
                kind="unknown_model",
                status=404,
                message=f'no model is named "{name}": there '
                + (f"are {known}, and " if known else "is only ")
                + "provider/model-id of any account's provider",
                param="model",
            )
        )
    return model


async def afford(serving: Serving, model: Model, story: Story) -> None:
    """Holds what the answer may cost of the caller's budget. Raises `Failed` where that can't be."""
    if story.reserve is not None:
        await story.reserve(story, _estimate(serving, model, "this key", len(story.call.body) >> 2, story.spoken))
    elif serving.pool.budgeted:
        _estimate(serving, model, None, 0, story.spoken)
    story.routed()


def _estimate(
    serving: Serving, model: Model, whose: str | None, input_tokens: int, spoken: Spoken | None = None
) -> int:
    """Pico-dollars that an answer of the dearest target may cost. Raises `Failed` where a budget needs a price that
    nobody knows (law 10). `whose`: who has the budget; None: whichever account has one."""
    most, output = 0, int(serving.pool.line_up(model.tiers).output)
    for target in targets(model.tiers):
        by_character = None if spoken is None else serving.speech_price(target.name).cost(0, spoken.characters)
        if by_character is not None:
            most = max(most, by_character)
            continue
        price = serving.price(target.name)
        told = spoken is None or spoken.counted
        if price is not None and (told or price == FREE):
            most = max(most, price.request + price.input * input_tokens + price.output * output)
            continue
        budgeted = (f'account "{seat.account.name}"' for seat in serving.pool.seats(target) if seat.account.budgeted)
        if named := whose or next(budgeted, None):
            message = f"{target.name} has no known price, and {named} has a budget: set price in [[models]]"
            if price is not None:
                message = (
                    f"{target.name} is sold by tokens, which its reply does not tell, and {named} has a budget: ask "
                    'with stream_format "sse", or set price.million_characters in [[models]]'
                )
            raise Failed(Failure(kind="unknown_price", status=400, message=message, param="model"))
    return most
