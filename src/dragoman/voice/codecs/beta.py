"""OpenAI Realtime, the beta's names: older clients of OpenAI, and Azure OpenAI at `/openai/realtime?api-version=`.

| beta | GA | lost |
|---|---|---|
| session: `modalities` | `output_modalities` |  |
| `voice`, `speed` | `audio.output.voice`, `.speed` |  |
| `input_audio_format`, `output_audio_format` | `audio.input.format`, `audio.output.format` |  |
| `input_audio_transcription` | `audio.input.transcription` | GA's other fields |
| `input_audio_noise_reduction` | `audio.input.noise_reduction` | GA's `strength` |
| `turn_detection` | `audio.input.turn_detection` | GA's `idle_timeout_ms` |
| `max_response_output_tokens` | `max_output_tokens` |  |
| `tools` | `tools` | GA's of type `mcp` |
| `temperature` |  | GA has none |
| `client_secret` |  | is given out over HTTP |
|  | `parallel_tool_calls`, `reasoning` | the beta has none |
| `response.create`: the same, or `max_output_tokens` | `max_output_tokens` |  |
| `conversation.item.created` | `conversation.item.added`, `.done` |  |
| items | items | GA's `mcp_*`, `input_image` |
|  | time-outs, DTMF, segments, MCP's progress | the beta has none |

Events, formats and content that both have by other names: the table of `flat`. All else has one name in both.

Source: the types of openai 3.57 (`types.beta.realtime`) and OpenAI's published API description (`RealtimeBeta…`).
"""

from dragoman.voice.codecs.flat import (
    Field,
    Table,
    Tables,
    each,
    only,
    read_format,
    read_item,
    read_modalities,
    same,
    within,
    write_format,
    write_item,
    write_modalities,
)
from dragoman.voice.codecs.flat_client import FlatClient
from dragoman.voice.codecs.flat_upstream import FlatUpstream

ITEMS = frozenset({"message", "function_call", "function_call_output", "item_reference"})
CONTENT = frozenset({"input_text", "input_audio", "item_reference", "text", "audio"})
_ITEM = write_item(ITEMS, CONTENT)

_TRANSCRIPTION = only("model", "language", "prompt")
_TURNS = only(
    "type", "threshold", "prefix_padding_ms", "silence_duration_ms", "create_response", "interrupt_response",
    "eagerness",
)  # fmt: skip
_TOOLS = each(within(frozenset({"function", None}), same))

SESSION = Table(
    fields=(
        Field("modalities", "output_modalities", read_modalities, write_modalities),
        Field("voice", "audio.output.voice"),
        Field("speed", "audio.output.speed"),
        Field("input_audio_format", "audio.input.format", read_format, write_format),
        Field("output_audio_format", "audio.output.format", read_format, write_format),
        Field("input_audio_transcription", "audio.input.transcription", write=_TRANSCRIPTION),
        Field("input_audio_noise_reduction", "audio.input.noise_reduction", write=only("type")),
        Field("turn_detection", "audio.input.turn_detection", write=_TURNS),
        Field("max_response_output_tokens", "max_output_tokens"),
        Field("tools", "tools", write=_TOOLS),
    ),
    unread=frozenset({"temperature", "client_secret"}),
    unsaid=frozenset({"parallel_tool_calls", "reasoning", "truncation", "prompt"}),
)
CREATE = Table(
    fields=(
        Field("modalities", "output_modalities", read_modalities, write_modalities),
        Field("voice", "audio.output.voice"),
        Field("output_audio_format", "audio.output.format", read_format, write_format),
        Field("max_response_output_tokens", "max_output_tokens"),
        Field("tools", "tools", write=_TOOLS),
        Field("input", "input", each(read_item), each(_ITEM)),
    ),
    unread=frozenset({"temperature"}),
    unsaid=frozenset({"parallel_tool_calls", "reasoning", "prompt"}),
)
RESPONSE = Table(
    fields=(
        Field("modalities", "output_modalities", read_modalities, write_modalities),
        Field("voice", "audio.output.voice"),
        Field("output_audio_format", "audio.output.format", read_format, write_format),
        Field("output", "output", each(read_item), each(_ITEM)),
    ),
    unread=frozenset({"temperature"}),
)
TABLES = Tables(
    session=SESSION,
    create=CREATE,
    response=RESPONSE,
    item=_ITEM,
    asked=_ITEM,
    unsaid=frozenset(
        {
            "input_audio_buffer.timeout_triggered",
            "input_audio_buffer.dtmf_event_received",
            "conversation.item.input_audio_transcription.segment",
            "mcp_list_tools.in_progress",
            "mcp_list_tools.completed",
            "mcp_list_tools.failed",
            "response.mcp_call_arguments.delta",
            "response.mcp_call_arguments.done",
            "response.mcp_call.in_progress",
            "response.mcp_call.completed",
            "response.mcp_call.failed",
        }
    ),
)


class Client(FlatClient):
    """Towards a client that speaks the beta."""

    TABLES = TABLES


class Upstream(FlatUpstream):
    """Towards a provider that speaks the beta."""

    TABLES = TABLES
