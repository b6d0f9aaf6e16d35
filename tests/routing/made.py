"""Small made outcomes: sums that only the large model gets right, and talk that both manage."""

import random

from dragoman.routing.outcomes import Answered, Outcome

LARGE, SMALL = "large-1", "small-1"
_TALK = ("weather", "garden", "holiday", "music", "dinner", "neighbour", "river", "picture")
_SUMS = ("integral", "matrix", "polynomial", "eigenvalue", "derivative", "prime", "tangent", "vector")


def outcomes(count: int = 240, seed: int = 7, *, categories: bool = True, task: str = "made") -> list[Answered]:
    """Half talk, half sums; by chance, one in ten answers is other than the kind says."""
    chance = random.Random(seed)
    rows = []
    for number in range(count):
        sums = number % 2 == 1
        three = chance.sample(_SUMS if sums else _TALK, 3)
        prompt = (
            f"Compute the {three[0]} of the {three[1]} for {chance.randint(2, 99)} = x^2 and the {three[2]}."
            if sums
            else f"Tell me about the {three[0]} and the {three[1]}, and what you think of the {three[2]}."
        )
        right = {LARGE: 0.9, SMALL: 0.1 if sums else 0.9}
        rows.append(
            Answered(
                id=f"q{number}",
                task=task,
                category=("sums" if sums else "talk") if categories else None,
                prompt=prompt,
                outcomes={
                    model: Outcome(float(chance.random() < p), output_tokens=400 if sums else 40, cost_usd=cost)
                    for (model, p), cost in zip(right.items(), (0.01, 0.001), strict=True)
                },
            )
        )
    return rows
