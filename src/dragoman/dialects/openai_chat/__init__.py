"""OpenAI Chat Completions, and what its compatible providers add to it.

| canon `Request`                    | openai-chat                                                                 |
|------------------------------------|-----------------------------------------------------------------------------|
| `messages`                         | `messages` (see `parts`, `turns`)                                           |
| role `user` with `ToolResult`      | role `tool` (`tool_call_id`), or `function` for the older form              |
| `stream`, `include_usage`          | `stream`, `stream_options.include_usage`                                    |
| `tools`, `tool_choice`             | `tools`, `tool_choice`; the older `functions`, `function_call` are kept     |
| `parallel_tool_calls`              | `parallel_tool_calls`                                                       |
| `output`                           | `response_format`                                                           |
| `thinking.effort` (or its budget)  | `reasoning_effort`                                                          |
| `max_output_tokens`                | `max_completion_tokens`, `max_tokens`                                       |
| `top_k`, `min_p`, `repetition_penalty` | the same, of compatible providers only (quirk `sampling_extras`)        |
| `stop`                             | `stop`, a string or an array                                                |
| `user`                             | `safety_identifier`, `user`                                                 |
| `audio_output`                     | `audio`                                                                     |
| `cache_key`                        | `prompt_cache_key`                                                          |
| `temperature`, `top_p`, `frequency_penalty`, `presence_penalty`, `logit_bias`, `seed`, `n`, `logprobs`, \
`top_logprobs`, `verbosity`, `modalities`, `service_tier`, `metadata`, `store` | the same |
| `extra`                            | `prediction`, `web_search_options`, `prompt_cache_options`, … : the rest    |

Replies: see `reply`; streams: `chunks` reads them, `stream` writes them; `usage` and `errors` for theirs.
"""

from dragoman.dialects.openai_chat.chunks import StreamReader
from dragoman.dialects.openai_chat.errors import read_error, write_error
from dragoman.dialects.openai_chat.names import FIELD_NAMES, NAME
from dragoman.dialects.openai_chat.reading import read_request
from dragoman.dialects.openai_chat.relay import TAP_MARKS, retarget, tap, usage_of
from dragoman.dialects.openai_chat.reply import read_reply, write_reply
from dragoman.dialects.openai_chat.stream import StreamWriter
from dragoman.dialects.openai_chat.writing import write_request

STREAM_TYPE = "text/event-stream"


def path(model: str, stream: bool) -> str:
    """Where a request goes, below the provider's base URL."""
    return "/chat/completions"


__all__ = [
    "FIELD_NAMES", "NAME", "STREAM_TYPE", "TAP_MARKS", "StreamReader", "StreamWriter", "path", "read_error",
    "read_reply", "read_request", "retarget", "tap", "usage_of", "write_error", "write_reply", "write_request",
]  # fmt: skip
