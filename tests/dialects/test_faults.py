"""Which fault of a request a refusal tells of, in each dialect's own words."""

import json

import pytest

from dragoman import dialects

SAID = {
    "context_length": {
        "openai-chat": [
            {
                "error": {
                    "message": "This model's maximum context length is 8192 tokens.",
                    "type": "invalid_request_error",
                }
            },
            {"error": {"message": "…", "code": "context_length_exceeded"}},
            {
                "object": "error",
                "message": "This model's maximum context length is 4096 tokens. However, …",
                "code": 400,
            },
            {"error": "This model's maximum prompt length is 131072 but the request contains 200000 tokens."},
        ],
        "openai-responses": [
            {"error": {"message": "Your input exceeds the context window of this model.", "code": None}},
            {"error": {"message": "…", "code": "context_length_exceeded"}},
        ],
        "anthropic": [
            {
                "type": "error",
                "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8"},
            },
            {
                "type": "error",
                "error": {
                    "type": "invalid_request_error",
                    "message": "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
                },
            },
        ],
        "gemini": [
            {
                "error": {
                    "code": 400,
                    "status": "INVALID_ARGUMENT",
                    "message": "The input token count (120000) exceeds the maximum number of tokens allowed (104857).",
                }
            },
            {
                "error": {
                    "code": 400,
                    "status": "INVALID_ARGUMENT",
                    "message": "The input token count is 40000 but the model only supports up to 32768.",
                }
            },
        ],
        "bedrock": [
            {"message": "Input is too long for requested model."},
            {"message": "The model returned the following errors: prompt is too long: 9 tokens > 8 maximum"},
            {"message": "Too many input tokens. Max input tokens: 8192, request input token count: 9000 "},
        ],
        "cohere": [{"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081"}],
        "ollama": [{"error": "the input length exceeds the context length"}],
    },
    "content_filter": {
        "openai-chat": [
            {
                "error": {
                    "message": "The response was filtered due to the prompt triggering Azure OpenAI's content "
                    "management policy.",
                    "code": "content_filter",
                    "status": 400,
                }
            },
            {"error": {"message": "Your request was rejected.", "code": "content_policy_violation"}},
        ],
        "openai-responses": [{"error": {"message": "…", "code": "content_filter"}}],
        "anthropic": [
            {"error": {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"}}
        ],
        "gemini": [
            {
                "error": {
                    "code": 400,
                    "message": "The prompt could not be submitted. It contains words that violate "
                    "Google's Responsible AI practices.",
                }
            }
        ],
        "bedrock": [{"message": "The request was blocked by our content filters."}],
        "cohere": [{"message": "blocked by our content filter"}],
        "ollama": [{"error": "blocked by a content filter"}],
    },
    "unsupported": {
        "openai-chat": [
            {
                "error": {
                    "message": "Unsupported parameter: 'top_p' is not supported with this model.",
                    "code": "unsupported_parameter",
                    "param": "top_p",
                }
            },
            {
                "error": {
                    "message": "Invalid content type. image_url is only supported by certain models.",
                    "code": None,
                }
            },
            {"object": "error", "message": "qwen is not a multimodal model", "code": 400},
        ],
        "openai-responses": [{"error": {"message": "Unsupported value: 'x'", "code": "unsupported_value"}}],
        "anthropic": [
            {
                "error": {
                    "type": "invalid_request_error",
                    "message": "This model does not support assistant message prefill.",
                }
            }
        ],
        "gemini": [{"error": {"code": 400, "message": "Function calling is not enabled for models/gemma-3"}}],
        "bedrock": [{"message": "This model doesn't support tool use."}],
        "cohere": [{"message": "model 'command-x' does not support tools"}],
        "ollama": [{"error": "registry.ollama.ai/library/gemma:latest does not support tools"}],
    },
    "bad_request": {
        "openai-chat": [
            {"error": {"message": "Invalid type for 'messages': expected an array", "code": "invalid_type"}}
        ],
        "openai-responses": [{"error": {"message": "Missing required parameter: 'input'"}}],
        "anthropic": [{"error": {"type": "invalid_request_error", "message": "max_tokens: Field required"}}],
        "gemini": [{"error": {"code": 400, "message": "Invalid value at 'contents'"}}],
        "bedrock": [{"message": "The toolConfig field must be defined"}],
        "cohere": [{"message": "invalid request: message must be at least 1 token long"}],
        "ollama": [{"error": "messages is required"}],
    },
}
CASES = [(kind, name, body) for kind, told in SAID.items() for name, bodies in told.items() for body in bodies]


@pytest.mark.parametrize(("kind", "dialect", "body"), CASES)
def test_a_refusal_tells_which_fault_it_is(kind: str, dialect: str, body: dict) -> None:
    failure = dialects.upstream(dialect).read_error(400, json.dumps(body).encode())
    assert (failure.kind, failure.status) == (kind, 400)


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
@pytest.mark.parametrize("dialect", list(SAID["bad_request"]))
def test_words_change_nothing_where_the_status_is_clear(dialect: str, status: int) -> None:
    body = json.dumps({"message": "x does not support y", "error": {"message": "x does not support y"}}).encode()
    assert dialects.upstream(dialect).read_error(status, body).kind not in ("unsupported", "bad_request")
