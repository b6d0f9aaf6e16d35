"""Effort and budget: two ways to say how much a model should think, and the one table that turns each into the other.

| effort  | budget (tokens) |
|---------|-----------------|
| none    | 0               |
| minimal | 1,024           |
| low     | 2,048           |
| medium  | 8,192           |
| high    | 16,384          |
| xhigh   | 24,576          |
| max     | 32,000          |

The numbers fit every provider that takes a budget: Anthropic's least is 1,024, the smallest greatest (Gemini Flash) is
24,576, and 32,000 leaves half of the usual 64,000 output tokens for the answer. Every dialect that must say one where
the caller said the other uses this table, so that effort -> budget -> effort gives the effort back.
"""

BUDGETS = {
    "none": 0,
    "minimal": 1_024,
    "low": 2_048,
    "medium": 8_192,
    "high": 16_384,
    "xhigh": 24_576,
    "max": 32_000,
}
EFFORTS = tuple(BUDGETS)  # from least to most


def effort_for(budget: int | None) -> str | None:
    """The least effort whose budget covers `budget` tokens; None where the model is to decide (-1 or None)."""
    if budget is None or budget < 0:
        return None
    for effort, tokens in BUDGETS.items():
        if budget <= tokens:
            return effort
    return "max"


def budget_for(effort: str | None, max_output_tokens: int | None = None) -> int | None:
    """Tokens of thinking for `effort`: at most half of `max_output_tokens`, so that an answer has room.

    None where no effort is given. An effort not in the table counts as `medium`.
    """
    if effort is None:
        return None
    tokens = BUDGETS.get(effort, BUDGETS["medium"])
    return tokens if max_output_tokens is None else min(tokens, max_output_tokens // 2)


def nearest(effort: str, allowed: tuple[str, ...]) -> str:
    """`effort` itself where it is in `allowed` (ordered from least to most), else the nearest one below it, else the
    least that is allowed."""
    if effort in allowed:
        return effort
    rank = EFFORTS.index(effort) if effort in EFFORTS else EFFORTS.index("medium")
    below = [name for name in allowed if EFFORTS.index(name) < rank]
    return below[-1] if below else allowed[0]
