"""A reply from a model: the call most calls are."""

from dragoman.gateway import lanes
from dragoman.gateway.ask import Ask
from dragoman.gateway.attempts import Answer
from dragoman.gateway.call import Story
from dragoman.gateway.serving import Serving
from dragoman.gateway.steer import steer


async def generate(serving: Serving, story: Story) -> None:
    """A reply from a model: relayed where client and target speak one dialect, converted else."""
    ask = Ask(story.call)
    model = await steer(serving, ask, story)
    story.row.stream = ask.stream
    await serving.attempts.bring(ask, model, story, lambda answer: bring(ask, answer, story))


async def bring(ask: Ask, answer: Answer, story: Story) -> None:
    """Brings a begun answer to its client. Raises `Failed` while nothing has gone out."""
    story.row.lossy = answer.outgoing.lossy
    if not ask.stream:
        await (lanes.relay_whole if answer.outgoing.relayed else lanes.convert_whole)(story, answer)
        answer.seat.account.took(answer.seat.target.model, (story.elapsed() - answer.sent) / 1000)
    elif answer.outgoing.relayed:
        await lanes.relay_stream(story, answer, ask.withholds_usage)
    else:
        await lanes.convert_stream(story, answer)
