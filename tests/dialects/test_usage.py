"""Counts that no provider can mean: they are passed over wherever a dialect reads counts, whole and in passing."""

from typing import Any

import msgspec
import pytest

from dragoman import dialects
from dragoman.canon import Usage
from dragoman.canon.usage import MOST
from dragoman.dialects.bedrock.reply import usage_in as bedrock_usage
from dragoman.dialects.cohere.reply import usage_in as cohere_usage
from dragoman.dialects.dialect import Seen
from dragoman.voice.relaying.usage import of_response

Stating = dict[str, Any]


def _anthropic(count: Any) -> Stating:
    usage = dict.fromkeys(("input_tokens", "output_tokens", "cache_read_input_tokens"), count)
    return {
        "usage": usage | {"cache_creation_input_tokens": count, "output_tokens_details": {"thinking_tokens": count}}
    }


def _chat(count: Any) -> Stating:
    details = {"cached_tokens": count, "audio_tokens": count, "reasoning_tokens": count}
    usage = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens"), count)
    return {"usage": usage | {"prompt_tokens_details": details, "completion_tokens_details": details}}


def _responses(count: Any) -> Stating:
    details = {"cached_tokens": count, "audio_tokens": count, "reasoning_tokens": count}
    usage = {"input_tokens": count, "output_tokens": count}
    return {"usage": usage | {"input_tokens_details": details, "output_tokens_details": details}}


def _gemini(count: Any) -> Stating:
    names = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "cachedContentTokenCount")
    audio = [{"modality": "AUDIO", "tokenCount": count}]
    return {"usageMetadata": dict.fromkeys(names, count) | {"promptTokensDetails": audio}}


def _ollama(count: Any) -> Stating:
    return {"prompt_eval_count": count, "eval_count": count, "done": True}


def _bedrock(count: Any) -> Stating:
    names = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
    return {"usage": dict.fromkeys(names, count) | {"cacheDetails": [{"ttl": "1h", "inputTokens": count}]}}


def _cohere(count: Any) -> Stating:
    return {"usage": {"tokens": {"input_tokens": count, "output_tokens": count}, "cached_tokens": count}}


def _realtime(count: Any) -> Stating:
    inputs = {"cached_tokens": count, "audio_tokens": count, "cached_tokens_details": {"audio_tokens": count}}
    outputs = {"audio_tokens": count, "reasoning_tokens": count}
    usage = {"input_tokens": count, "output_tokens": count}
    return {"usage": usage | {"input_token_details": inputs, "output_token_details": outputs}}


STATED = {
    "anthropic": _anthropic, "openai-chat": _chat, "openai-responses": _responses, "gemini": _gemini,
    "ollama": _ollama, "bedrock": _bedrock, "cohere": _cohere, "realtime": _realtime,
}  # fmt: skip
ALONE = {"bedrock": bedrock_usage, "cohere": cohere_usage}  # are never relayed


def read(name: str, body: Stating) -> Usage:
    """The usage in a whole reply; nothing where there is none to be believed."""
    if name == "realtime":
        return of_response(body) or Usage()
    if name in ALONE:
        return ALONE[name](body["usage"]) or Usage()
    return dialects.upstream(name).usage_of(msgspec.json.encode(body)) or Usage()


def counts(usage: Usage) -> set[int]:
    fields = msgspec.structs.asdict(usage)
    return {count for field, count in fields.items() if field not in ("extra", "estimated")}


@pytest.mark.parametrize("count", [MOST + 1, 2**52, 2**63, 10**30, -1, -(2**70), 1e300, -1e300, 1e9, True, "7", [], {}])
@pytest.mark.parametrize("name", STATED)
def test_a_count_that_can_not_be_believed_counts_as_none(name: str, count: Any) -> None:
    assert counts(read(name, STATED[name](count))) == {0}


@pytest.mark.parametrize("name", STATED)
def test_the_largest_count_that_is_believed_fits_the_ledger_in_every_sum(name: str) -> None:
    assert MOST in counts(read(name, STATED[name](MOST)))
    assert max(counts(read(name, STATED[name](MOST)))) < 2**53


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("openai-chat", b'data: {"choices":[],"usage":{"prompt_tokens":%b,"completion_tokens":%b}}\n\n'),
        ("openai-responses", b'data: {"type":"response.completed","response":{"usage":{"input_tokens":%b,"output_'
         b'tokens":%b}}}\n\n'),
        ("anthropic", b'data: {"type":"message_delta","usage":{"input_tokens":%b,"output_tokens":%b}}\n\n'),
        ("gemini", b'data: {"usageMetadata":{"promptTokenCount":%b,"candidatesTokenCount":%b}}\n\n'),
        ("ollama", b'{"done":true,"prompt_eval_count":%b,"eval_count":%b}'),
    ],
)  # fmt: skip
def test_nor_is_it_in_a_stream_that_is_relayed(name: str, frame: bytes) -> None:
    seen = Seen()
    dialects.upstream(name).tap(frame % (b"%d" % 2**70, b"7"), seen)
    assert seen.usage is not None and (seen.usage.input, seen.usage.output) == (0, 7)
