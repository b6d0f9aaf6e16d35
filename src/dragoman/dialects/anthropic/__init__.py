"""Anthropic's Messages API: `POST /v1/messages`.

| canon                          | this dialect |
|--------------------------------|---|
| messages: system               | `system`; after the first turn a `system` message in `messages` (below) |
| messages: user, assistant      | `messages` |
| Text                           | `text` block, `citations`, `cache_control` |
| Media image                    | `image` block: `base64`, `url`, `file` source |
| Media document                 | `document` block: the same, `text` and `content` source; `search_result` |
| Reasoning                      | `thinking` with `signature`; `encrypted`: `redacted_thinking` |
| ToolCall, ToolResult           | `tool_use`; `tool_result` in a user message, `is_error` |
| Opaque                         | every other block: provider-side tools, MCP, containers, compaction, … |
| tools                          | `tools`: `name`, `description`, `input_schema`, `strict`; typed: kind `provider` |
| tool_choice                    | `auto`, `none`, required = `any`, `tool`; `names`: only these tools are sent |
| parallel_tool_calls            | `tool_choice.disable_parallel_tool_use`, turned round |
| output                         | `output_config.format`; JSON without a schema: a sentence in `system`, and noted |
| thinking                       | `thinking`, `output_config.effort` (see `reasoning`) |
| max_output_tokens              | `max_tokens`, required: where the canon has none, by model (see `models`) |
| temperature, top_p, top_k      | the same; temperature is clamped to 0..1 and noted (see `models`) |
| stop                           | `stop_sequences`; those of white space alone are left out |
| user                           | `metadata.user_id` |
| service_tier                   | `service_tier`: default = `standard_only`, priority = `auto` |
| cache                          | `cache_control` |
| finish                         | `stop_reason` (see `names`) |
| usage                          | `usage`; cached and cache-write tokens beside `input_tokens` |

A `system` message inside `messages` is taken by Opus 4.8 and models from 5 on, right after a user turn: it adds
instructions without touching the cached prompt. One that a client of this dialect wrote stays in its place; system and
developer messages of other dialects are lifted into `system`, which every model takes.

Writing what was read gives it back, up to forms that mean the same: one plain text block is written as a string,
`output_format` as `output_config.format`, and `"type": "custom"`, `"is_error": false`, `"stream": false`, nulls and
empty texts are left out.
Reading a client's request opens what `seal` hid in `signature` and `redacted_thinking`; writing a reply hides it there.
"""

from collections.abc import Mapping

from dragoman.dialects.anthropic.count import (
    COUNT_PATH,
    read_count,
    read_count_request,
    write_count,
    write_count_request,
)
from dragoman.dialects.anthropic.errors import read_error, write_error
from dragoman.dialects.anthropic.names import NAME
from dragoman.dialects.anthropic.relay import TAP_MARKS, retarget, tap, usage_of
from dragoman.dialects.anthropic.reply import read_reply, write_reply
from dragoman.dialects.anthropic.request_in import read_request
from dragoman.dialects.anthropic.request_out import write_request
from dragoman.dialects.anthropic.stream_in import StreamReader
from dragoman.dialects.anthropic.stream_out import StreamWriter

STREAM_TYPE = "text/event-stream; charset=utf-8"
FIELD_NAMES: Mapping[str, str] = {
    "max_output_tokens": "max_tokens",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "output": "output_config",
    "stop": "stop_sequences",
    "user": "metadata",
    "cache": "cache_control",
}


def path(model: str, stream: bool) -> str:
    """Below the base URL, which for this dialect ends before `/v1` (as the official SDK takes it)."""
    return "/v1/messages"


__all__ = [
    "COUNT_PATH", "FIELD_NAMES", "NAME", "STREAM_TYPE", "TAP_MARKS", "StreamReader", "StreamWriter", "path",
    "read_count", "read_count_request", "read_error", "read_reply", "read_request", "retarget", "tap", "usage_of",
    "write_count", "write_count_request", "write_error", "write_reply", "write_request",
]  # fmt: skip
