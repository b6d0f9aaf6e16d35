"""The dialect `ollama`: `POST /api/chat` of the Ollama server, spoken by its clients and by the server itself.

Source: github.com/ollama/ollama, `api/types.go`, `docs/api.md`. `/api/generate` is in `generate.py`, the model listings
in `models.py`.

| canon | here |
|---|---|
| `Request.stream` | `stream`, and true where it is not said |
| `Message` system, developer | a message of role `system`, where it stands |
| `Text` | `content`, texts of one message joined by newlines |
| `Media` image by value | `images` (bare base64) of the message; by address: `Unsayable` |
| `Reasoning` | `thinking` |
| `ToolCall` | `tool_calls[]`: `id`, `function.name`, `function.arguments` (an object), `function.index` |
| `ToolResult` | a message of role `tool`: `content`, `tool_name`, `tool_call_id` |
| `Tool` | `tools[]` of type `function` |
| `ToolChoice` | not said: `none` leaves the tools out, `names` leaves out the others, the rest is lossy |
| `OutputFormat` | `format`: `"json"` or the schema |
| `Thinking` | `think`: true, false, `"low"`, `"medium"`, `"high"`, `"max"` |
| `max_output_tokens` | `options.num_predict` (0 and less, which mean "no limit", ride in `extra`) |
| `temperature`, `top_p`, `top_k`, `min_p`, `seed`, `stop` | the same in `options` |
| `repetition_penalty`, `frequency_penalty`, `presence_penalty` | `options.repeat_penalty` and the same |
| `logprobs`, `top_logprobs` | the same |
| `extra` | `keep_alive`, `truncate`, `shift`, …; further options as `options.num_ctx` and so on |
| `Finish` | `done_reason`: `stop`, `length` |
| `Usage` | `prompt_eval_count`, `eval_count`; durations are 0 where nobody measured them |
| `Broken`, `Failure` | `{"error": "…"}` |

Normal forms that mean the same: `content` is always written, every call has an index, and calls and results have ids.
Seals (law 4) travel in the call's id and, for clients that drop ids, hidden in `thinking`: see `hidden.py`.
"""

from dragoman.dialects.ollama.errors import read_error, write_error
from dragoman.dialects.ollama.relay import retarget, tap, usage_of
from dragoman.dialects.ollama.reply import read_reply, write_reply
from dragoman.dialects.ollama.request import read_request, write_request
from dragoman.dialects.ollama.stream import StreamReader, StreamWriter

__all__ = [
    "FIELD_NAMES", "NAME", "STREAM_TYPE", "TAP_MARKS", "StreamReader", "StreamWriter", "path", "read_error",
    "read_reply", "read_request", "retarget", "tap", "usage_of", "write_error", "write_reply", "write_request",
]  # fmt: skip

NAME = "ollama"
STREAM_TYPE = "application/x-ndjson"
FIELD_NAMES = {
    "max_output_tokens": "options.num_predict",
    "temperature": "options.temperature",
    "top_p": "options.top_p",
    "top_k": "options.top_k",
    "min_p": "options.min_p",
    "seed": "options.seed",
    "stop": "options.stop",
    "repetition_penalty": "options.repeat_penalty",
    "frequency_penalty": "options.frequency_penalty",
    "presence_penalty": "options.presence_penalty",
    "output": "format",
    "thinking": "think",
}
# only a stream's last line has counts; "error" is the whole of an error line
TAP_MARKS = (b'"done":true', b'"done": true', b'{"error"')


def path(model: str, stream: bool) -> str:
    """`/api/chat`, whole or streamed."""
    return "/api/chat"
