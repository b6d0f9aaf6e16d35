"""What is wrong with a request, by the codes and words of its refusal: for failures that another target may not have.

A status of 400 says only that the request is at fault. Three such faults depend on the target, and the gateway goes on
to those that don't share them (see `gateway.elsewhere`):

| kind             | example                                                                                |
|------------------|----------------------------------------------------------------------------------------|
| `context_length` | OpenAI and vLLM: "This model's maximum context length is 8192 tokens"                  |
|                  | Anthropic: "prompt is too long: 210000 tokens > 200000 maximum"                        |
|                  | Gemini: "The input token count (1200000) exceeds the maximum number of tokens allowed" |
|                  | Bedrock: "Input is too long for requested model."                                      |
| `content_filter` | Azure: "… triggering Azure OpenAI's content management policy", code `content_filter`  |
|                  | Anthropic: "Output blocked by content filtering policy"                                |
| `unsupported`    | OpenAI: "Unsupported parameter: 'top_p' is not supported with this model."             |
|                  | Ollama: "gemma does not support tools"; vLLM: "… is not a multimodal model"            |

Sources: the providers' error references, and the messages that their users quote.
"""

from dragoman.canon import FailureKind

CODES: dict[str, FailureKind] = {
    "context_length_exceeded": "context_length",
    "string_above_max_length": "context_length",
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
    "ResponsibleAIPolicyViolation": "content_filter",
    "unsupported_parameter": "unsupported",
    "unsupported_value": "unsupported",
    "unsupported_model": "unsupported",
}
_WORDS: dict[FailureKind, tuple[str, ...]] = {  # in this order: a window that "only supports up to" is a window
    "context_length": (
        "maximum context length", "maximum prompt length", "context window", "context limit", "context length",
        "context size", "exceed context", "prompt is too long", "input is too long", "too many tokens",
        "too many input tokens", "maximum number of tokens", "input token count", "tokens` + `max_new_tokens`",
    ),
    "content_filter": (
        "content filter", "content management policy", "content policy", "responsible ai", "safety filter",
        "blocked by our content", "prohibited_content",
    ),
    "unsupported": (
        "does not support", "doesn't support", "do not support", "is not supported", "are not supported",
        "unsupported parameter", "unsupported value", "unsupported tool type", "only supported by certain models",
        "not a multimodal model", "is not enabled for", "requires --enable-auto-tool-choice",
    ),
}  # fmt: skip


def closer(kind: FailureKind, message: str, code: str | None = None) -> FailureKind:
    """`kind`, as the status tells it; or, where that says only that the request is at fault, what its code and words
    make of it."""
    if kind not in ("bad_request", "too_large"):
        return kind
    if code in CODES:
        return CODES[code]
    said = message.lower()
    return next((closer for closer, words in _WORDS.items() if any(word in said for word in words)), kind)
