"""A reply from a model: the call most calls are."""

from dragoman.canon import Failed, Failure
from dragoman.catalog.directory import Model
from dragoman.gateway import lanes
from dragoman.gateway.ask import Ask
from dragoman.gateway.attempts import Answer
from dragoman.gateway.call import Story
from dragoman.gateway.serving import Serving


async def generate(serving: Serving, story: Story) -> None:
    """A reply from a model: relayed where client and target speak one dialect, converted else."""
    ask = Ask(story.call)
    model = await find_model(serving, ask.model, story)
    with await serving.attempts.answer(ask, model, story) as answer:
        await bring(ask, answer, story)


async def bring(ask: Ask, answer: Answer, story: Story) -> None:
    """Brings a begun answer to its client. Raises `Failed` while nothing has gone out."""
    story.row.status = 200
    story.row.stream = ask.stream
    story.row.lossy = answer.outgoing.lossy
    if not ask.stream:
        await (lanes.relay_whole if answer.outgoing.relayed else lanes.convert_whole)(story, answer)
        answer.seat.account.took(answer.seat.target.model, story.elapsed() / 1000)
    elif answer.outgoing.relayed:
        await lanes.relay_stream(story, answer, ask.withholds_usage)
    else:
        await lanes.convert_stream(story, answer)
    if not story.row.error:
        answer.seat.account.succeeded(answer.seat.target.model)


async def find_model(serving: Serving, name: str, story: Story) -> Model:
    """The model of this name that the caller may use. Raises `Failed`."""
    story.row.model = name
    model = serving.directory.find(name)
    if model is None and name.isprintable():
        model = serving.directory.find(name, await serving.offers.fetch())
    if model is None or (story.principal is not None and not story.principal.allows(name)):
        known = ", ".join(m.name for m in serving.directory.declared()[:20])
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
    principal = story.principal
    if principal is not None and principal.budget is not None:
        unpriced = [t.name for tier in model.tiers for t in tier if serving.price(t.name) is None]
        if unpriced:
            message = f"{unpriced[0]} has no known price, and this key has a budget: set price in [[models]]"
            raise Failed(Failure(kind="unknown_price", status=400, message=message, param="model"))
    story.row.route = story.elapsed() - (story.row.admit or 0.0)
    return model
