"""Blind votes: a person sees two answers side by side, not who gave them, and says which is better.

Which pair comes when, and which answer stands left, is drawn by a seed and the voter's name: places differ from voter
to voter, and a page that is loaded anew shows the same again. Nothing needs to be remembered but the votes.
"""

import itertools
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from dragoman.routing.panel import Judged

Better: TypeAlias = Literal["left", "right", "tie"]
_SCORES: dict[Better, float] = {"left": 1.0, "right": 0.0, "tie": 0.5}


class Pair(Struct, frozen=True):
    """Two models' answers to one prompt (its id), and where they stand."""

    prompt: str
    left: str
    right: str

    def voted(self, voter: str, better: Better) -> Judged:
        """The vote, as a judge's word."""
        return Judged(prompt=self.prompt, judge=voter, one=self.left, other=self.right, score=_SCORES[better])

    def same(self, vote: Judged) -> bool:
        """Whether `vote` is on these two."""
        return vote.prompt == self.prompt and {vote.one, vote.other} == {self.left, self.right}


def ballot(answers: Mapping[str, Sequence[str]], seed: int, voter: str) -> list[Pair]:
    """All pairs of models that answered a prompt (its id -> the models), in this voter's order and places."""
    chance = random.Random(f"{seed}/{voter}")  # noqa: S311 - a seed gives the same places again
    pairs = []
    for prompt, models in answers.items():
        for pair in itertools.combinations(models, 2):
            left, right = chance.sample(pair, 2)
            pairs.append(Pair(prompt, left, right))
    chance.shuffle(pairs)
    return pairs


def last_votes(votes: Iterable[Judged]) -> list[Judged]:
    """Of each voter's votes on a pair, the last: minds may change."""
    return list({(each.judge, each.prompt, frozenset((each.one, each.other))): each for each in votes}.values())
