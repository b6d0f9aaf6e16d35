"""Gemini Live, at `/ws/google.ai.generativelanguage.{v}.GenerativeService.BidiGenerateContent`.

| Gemini Live | GA | module |
|---|---|---|
| `setup` | `session.update`, once and first | `setup` |
| `setupComplete` | the first `session.updated` | |
| `contextUpdate` | `session.update` of `instructions` and `tools` | |
| `realtimeInput.audio`, `.mediaChunks` | `input_audio_buffer.append`, at 24 kHz | `client`, `upstream` |
| `.video`, images in `.mediaChunks` | an item with an `input_image` | |
| `.text` | an item, and `response.create` | |
| `.activityStart` | `response.cancel` of what runs | |
| `.activityEnd` | `input_audio_buffer.commit`, `response.create` | |
| `.audioStreamEnd` | `.commit` and `response.create`, if somebody speaks | |
| `clientContent.turns`, `.turnComplete` | `conversation.item.create`, `response.create` | `contents` |
| `toolResponse` | items `function_call_output`, then `response.create` | `contents` |
| `modelTurn` with `inlineData`, `text` | `response.output_audio.delta`, `.output_text.delta` | `client`, `making` |
| `inputTranscription` | `conversation.item.input_audio_transcription.*` | |
| `outputTranscription` | `response.output_audio_transcript.*` | |
| `toolCall` | items `function_call` | |
| `interrupted` | `speech_started`; `response.done` `cancelled`, `turn_detected` | |
| `turnComplete` | `response.done` | |
| `usageMetadata` | `usage` of the response | `usage` |
| `voiceActivity` | `speech_started`, `speech_stopped` | |
| `goAway` | `dragoman.go_away`, which is not for clients | |
| a closed socket, 1007 or 1011 and the reason | `error` | |

What is emulated. For clients of Gemini: how much was heard of an interrupted reply, by the time that their own sound
takes, which becomes `conversation.item.truncate`. For clients of OpenAI: the beginning and end of speech, the user's
items, cancelling (Gemini stops for any `clientContent`), waiting for `response.create` with a tool's output.

What is lost is named: of Gemini's setup all sampling but the limit of tokens, built-in tools, sensitivities, resuming,
compression's sizes, safety, avatars; of its contents thoughts, files, sound that is not PCM. Of GA's session
`threshold`, `create_response`, the transcription's model, OpenAI's voices, `speed`, `tool_choice`, `noise_reduction`,
`tracing`; afterwards every change but `instructions` and `tools`; a response's own settings; the deletion of items;
responses outside the conversation.

Source: https://ai.google.dev/api/live and the types of google-genai 3.6.
"""

from dragoman.voice.codecs.gemini.client import Client
from dragoman.voice.codecs.gemini.upstream import Upstream

__all__ = ["Client", "Upstream"]
