"""`gemini`: Google's generateContent API, of the Gemini API and of Vertex. Client surface and upstream.

| canon                          | gemini                                                            | module       |
|--------------------------------|-------------------------------------------------------------------|--------------|
| Request                        | `GenerateContentRequest`                                          | `request`    |
| messages                       | `contents`, `systemInstruction`                                   | `contents`   |
| parts                          | `parts`                                                           | `parts`      |
| ToolResult                     | `functionResponse`                                                | `results`    |
| tools, tool_choice             | `tools`, `toolConfig`                                             | `tools`      |
| JSON Schema                    | the OpenAPI subset, `parametersJsonSchema`, `responseJsonSchema`  | `schema`     |
| sampling, output, thinking     | `generationConfig`                                                | `generation` |
| Reply                          | `GenerateContentResponse`                                         | `reply`      |
| events read                    | chunks: SSE                                                       | `stream`     |
| events written                 | chunks: SSE, or one JSON array                                    | `writer`     |
| Usage                          | `usageMetadata`                                                   | `usage`      |
| citations                      | `groundingMetadata`, `citationMetadata`                           | `grounding`  |
| Failure                        | google.rpc.Status                                                 | `errors`     |
| relay lane                     |                                                                   | `relay`      |
| token counts                   | `countTokens`                                                     | `count`      |

Normal forms, in which writing what was read may differ from it: camelCase keys; a content's role is `user` or `model`;
schemas are JSON Schema; function declarations stand in the first tool; enums are in upper case; base64 is standard;
`args` and `response` are always there; adjacent texts of the model (a stream's chunks) are one; the signature
`skip_thought_signature_validator` is there where it is needed. A field that Gemini gets from a stricter dialect is
named as lost.

Source: https://ai.google.dev/api/generate-content and the types of google-genai 3.4.
"""

from dragoman.dialects.gemini.count import (
    read_count_reply,
    read_count_request,
    write_count_reply,
    write_count_request,
)
from dragoman.dialects.gemini.errors import read_error, write_error
from dragoman.dialects.gemini.names import NAME
from dragoman.dialects.gemini.path import count_path, path
from dragoman.dialects.gemini.relay import TAP_MARKS, retarget, tap, usage_of
from dragoman.dialects.gemini.reply import read_reply, write_reply
from dragoman.dialects.gemini.request import FIELD_NAMES, read_request, write_request
from dragoman.dialects.gemini.stream import StreamReader
from dragoman.dialects.gemini.writer import ArrayFrames, ArrayStreamWriter, StreamWriter

STREAM_TYPE = "text/event-stream"

__all__ = [
    "FIELD_NAMES", "NAME", "STREAM_TYPE", "TAP_MARKS", "ArrayFrames", "ArrayStreamWriter", "StreamReader",
    "StreamWriter", "count_path", "path", "read_count_reply", "read_count_request", "read_error", "read_reply",
    "read_request", "retarget", "tap", "usage_of", "write_count_reply", "write_count_request", "write_error",
    "write_reply", "write_request",
]  # fmt: skip
