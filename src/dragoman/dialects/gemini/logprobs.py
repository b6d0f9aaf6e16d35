"""`logprobsResult` <-> the tokens' log probabilities: `chosenCandidates` with the alternatives of `topCandidates`."""

from typing import Any

from dragoman.canon import JSON, TokenLogprob
from dragoman.dialects.gemini.names import keyed, listed


def read_logprobs(result: Any) -> list[TokenLogprob] | None:
    if not isinstance(result, dict):
        return None
    result = keyed(result)
    tops = [_tokens(keyed(item).get("candidates")) for item in listed(result.get("topCandidates"))]
    chosen = _tokens(result.get("chosenCandidates"))
    for token, top in zip(chosen, tops, strict=False):
        token.top = top
    return chosen


def _tokens(items: Any) -> list[TokenLogprob]:
    tokens: list[TokenLogprob] = []
    for item in listed(items):
        data = keyed(item)
        value = data.get("logProbability")
        logprob = float(value) if isinstance(value, int | float) else 0.0
        tokens.append(TokenLogprob(token=str(data.get("token", "")), logprob=logprob))
    return tokens


def write_logprobs(tokens: list[TokenLogprob]) -> JSON:
    return {
        "chosenCandidates": [_written(token) for token in tokens],
        "topCandidates": [{"candidates": [_written(top) for top in token.top]} for token in tokens],
    }


def _written(token: TokenLogprob) -> JSON:
    return {"token": token.token, "logProbability": token.logprob}
