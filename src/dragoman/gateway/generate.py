"""A reply from a model: the call most calls are."""

from collections.abc import Awaitable, Callable

from dragoman.canon import Failed
from dragoman.catalog.directory import Model
from dragoman.gateway import lanes
from dragoman.gateway.ask import Ask
from dragoman.gateway.attempts import Answer
from dragoman.gateway.call import Story
from dragoman.gateway.serving import Serving
from dragoman.gateway.steer import plainly, steer
from dragoman.gateway.survive import Survivor, resumable


def generate(serving: Serving, story: Story) -> Awaitable[None]:
    """A reply from a model: relayed where client and target speak one dialect, converted else."""
    ask = Ask(story.call)
    model = plainly(serving, ask, story)
    if model is None:
        return _steered(serving, ask, story)
    story.row.stream = ask.stream
    return serving.attempts.bring(ask, model, story, bring)


async def _steered(serving: Serving, ask: Ask, story: Story) -> None:
    model = await steer(serving, ask, story)
    story.row.stream = ask.stream
    if model.plain:
        await serving.attempts.bring(ask, model, story, bring)
    else:
        await answered(serving, ask, model, story)


async def answered(
    serving: Serving, ask: Ask, model: Model, story: Story, *,
    prepare: Callable[[Answer], None] | None = None, survives: bool = True,
) -> None:  # fmt: skip
    """The model's answer, by the policies of the model. `prepare` is called before an answer is brought to its client.
    `survives`: its stream can be gone on with, if the model says so."""
    unfiltered = model.on_content_filter == "next"
    primed = model.hedge or unfiltered
    survivor = None
    if survives and ask.stream and model.on_break == "resume" and (request := resumable(ask)) is not None:
        survivor = Survivor(ask, request, story)

    def brought(answer: Answer) -> Awaitable[None]:
        if prepare is not None and (survivor is None or not survivor.started):
            prepare(answer)
        return survivor.bring(answer) if survivor else bring(answer, unfiltered)

    try:
        await serving.attempts.bring(survivor or ask, model, story, brought, primed=primed, hedged=model.hedge)
    except Failed as error:
        if survivor is None or not survivor.started:
            raise
        await survivor.give_up(error.failure)


def bring(answer: Answer, unfiltered: bool = False) -> Awaitable[None]:
    """Brings a begun answer to its client. Raises `Failed` while nothing has gone out."""
    story, outgoing = answer.trial.story, answer.outgoing
    story.row.lossy = outgoing.lossy
    if not story.row.stream:
        return (lanes.relay_whole if outgoing.request is None else lanes.convert_whole)(story, answer, unfiltered)
    if outgoing.request is None:
        return lanes.relay_stream(story, answer, outgoing.withholds_usage)
    return lanes.convert_stream(story, answer)
