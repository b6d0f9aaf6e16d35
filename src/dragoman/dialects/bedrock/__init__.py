"""The dialect `bedrock`: Amazon Bedrock's Converse and ConverseStream, as upstream.

Source: the service model `bedrock-runtime` 2023-09-30. A stream is framed as an AWS event stream
(`wire/eventstream.py`).

| canon | here |
|---|---|
| `Request.model` | in the path: `/model/{id}/converse`, `/converse-stream` |
| system, developer | `system[]`, lifted out in order |
| `Text` | `text`; with citations of its own `citationsContent` |
| `Media` by value, or at `s3://` | `image`, `document`, `audio`, `video`; at other addresses: `Unsayable` |
| `Reasoning` of this dialect | `reasoningContent`: `reasoningText` with `signature`, or `redactedContent` |
| `ToolCall` | `toolUse`: `toolUseId`, `name`, `input` (an object) |
| `ToolResult` | `toolResult` in a user message: `content`, `status` |
| `CacheMark` | a `cachePoint` after what it marks, where the model caches |
| `Tool` | `toolConfig.tools[].toolSpec` |
| `ToolChoice` | `toolConfig.toolChoice`: `auto`, `any`, `tool`; `names` leaves the other tools out |
| `OutputFormat` json_schema | `outputConfig.textFormat` |
| `Thinking.effort` | `outputConfig.effort` |
| `Thinking` otherwise | `additionalModelRequestFields.thinking`, for Claude |
| `max_output_tokens`, `stop` | `inferenceConfig`: `maxTokens`, `stopSequences` |
| `temperature`, `top_p` | `inferenceConfig`: `temperature`, `topP` |
| `top_k` | `additionalModelRequestFields`: `top_k` (Claude), `inferenceConfig.topK` (Nova) |
| `service_tier` | `serviceTier.type` |
| `metadata` | `requestMetadata` |
| `extra` | Bedrock's own fields, as they are: `guardrailConfig`, `performanceConfig`, … (`request.OWN_FIELDS`) |
| `Finish` | `stopReason`; the stop sequence from `additionalModelResponseFields` |
| `Usage` | `usage`: `inputTokens` beside `cacheReadInputTokens` and `cacheWriteInputTokens`, `outputTokens` |
| `Broken` | an exception message in the stream |

Replies have neither id nor model: those of a whole reply and of `Begin` are "" (the gateway knows the target).
"""

from urllib.parse import quote

from dragoman.dialects.bedrock.errors import read_error
from dragoman.dialects.bedrock.reply import read_reply
from dragoman.dialects.bedrock.request import write_request
from dragoman.dialects.bedrock.stream import StreamReader

__all__ = ["NAME", "StreamReader", "path", "read_error", "read_reply", "write_request"]

NAME = "bedrock"


def path(model: str, stream: bool) -> str:
    """The model id is quoted whole: ARNs have colons and slashes."""
    return f"/model/{quote(model, safe='')}/converse{'-stream' if stream else ''}"
