"""Azure Voice Live, at `/voice-live/realtime`: the beta's names, and more.

| Voice Live | GA | lost |
|---|---|---|
| `voice`: a name, `{"type": "openai", "name"}` | `audio.output.voice` | Azure's voices |
| `turn_detection`: `server_vad` | `server_vad` | `end_of_utterance_detection`, `auto_truncate` |
| `azure_semantic_vad`, `…_en`, `…_multilingual` | `semantic_vad` | all but `create_`, `interrupt_response` |
| `input_audio_format`, `input_audio_sampling_rate` | `audio/pcm` at 24 kHz | resampled |
| `output_audio_format`: `pcm16_8000hz`, `pcm16_16000hz` | `audio/pcm` at 24 kHz | resampled |
| `input_audio_noise_reduction` | `audio.input.noise_reduction` | Azure's own is `near_field` |
| `input_audio_transcription` | `audio.input.transcription` | `custom_speech`; Azure's models |
| its `phrase_list` | its `keywords` |  |
| `reasoning_effort` | `reasoning.effort` | `none` |
| `temperature`, `input_audio_echo_cancellation`, `animation`, `avatar` |  | all of it |
| `output_audio_timestamp_types`, `interim_response`, `metadata`, `agent` |  | all of it |
| `response.create`: `input_items` | `input` |  |
| `append_input_items` | `conversation.item.create` before it |  |
| `commit` | `input_audio_buffer.commit` before it |  |
| `cancel_previous` | `response.cancel` before it, if one runs |  |
| `additional_instructions` | `instructions`, after the session's |  |
| `pre_generated_assistant_message`, `invoke_input` |  | all of it |
| `input_audio.turn.append`, `.end`, `.cancel` | `input_audio_buffer.append`, `.commit`, `.clear` |  |
| `input_text.delta`, `.done` | `conversation.item.create` of the whole text |  |
| `session.avatar.connect` |  | is answered with an error |
| `warning`, video, animation, timestamps, searches |  | told to nobody |

What GA says and Voice Live does not: `audio.output.speed`, `tracing`, `truncation`, `prompt`, the transcription's
`prompt`, `delay` and `languages`, `idle_timeout_ms`, `eagerness`, a response's `conversation`, tools of type `mcp`
without `server_url`; of the server's events `rate_limits.updated`, time-outs, DTMF.

What is lost of what a client said is told to it as a `warning`, which Voice Live has for this.

Source: the types of azure-ai-voicelive 1.3 (API version 2026-07-15).
"""

from dragoman.voice.codecs.flat_upstream import FlatUpstream
from dragoman.voice.codecs.voicelive.client import Client
from dragoman.voice.codecs.voicelive.tables import TABLES

__all__ = ["Client", "Upstream"]


class Upstream(FlatUpstream):
    """Towards Voice Live."""

    TABLES = TABLES
