"""The dialect `cohere`: Cohere's `POST /v2/chat`, as upstream.

Source: the official SDK's v2 types. Streams are server-sent events.

| canon | here |
|---|---|
| system, developer | a message of role `system`, where it stands |
| `Text` | `content[]` of type `text` |
| `Media` image, by value or address | `content[]` of type `image_url`; those of tool results in a user message after |
| `Media` document as text | in the text; where citations are asked of it, in `documents` |
| `Reasoning` of this dialect | `content[]` of type `thinking`; the plan before tool calls is `tool_plan` |
| `ToolCall` | `tool_calls[]`: `id`, `function.name`, `function.arguments` (JSON text) |
| `ToolResult` | a message of role `tool`: `tool_call_id`, `content` |
| `Citation` | `citations[]` of the message, by `content_index` |
| `Tool` | `tools[]` of type `function`; `strict_tools` where all are strict |
| `ToolChoice` | `tool_choice`: `REQUIRED`, `NONE`; a forced tool is `REQUIRED` with no other tool offered |
| `OutputFormat` | `response_format` of type `json_object`, with `json_schema`; not together with tools |
| `Thinking` | `thinking`: `type`, `token_budget` (an effort through the common table) |
| `max_output_tokens`, `stop` | `max_tokens`, `stop_sequences` (five) |
| `top_p`, `top_k` | `p` (0.01 to 0.99), `k` |
| `temperature`, `seed`, `frequency_penalty`, `presence_penalty`, `logprobs` | the same (penalties 0 to 1) |
| `extra` | Cohere's own fields, as they are: `safety_mode`, `documents`, … (`request.OWN_FIELDS`) |
| `Finish` | `finish_reason` |
| `Usage` | `usage.tokens`, `usage.cached_tokens`; `usage.billed_units` rides in `extra` |
| `Broken` | `error` of the `message-end` event |

Replies name no model: it is "" (the gateway knows the target).
"""

from dragoman.dialects.cohere.errors import read_error
from dragoman.dialects.cohere.reply import read_reply
from dragoman.dialects.cohere.request import write_request
from dragoman.dialects.cohere.stream import StreamReader

__all__ = ["NAME", "StreamReader", "path", "read_error", "read_reply", "write_request"]

NAME = "cohere"


def path(model: str, stream: bool) -> str:
    """`/v2/chat`, whole or streamed."""
    return "/v2/chat"
