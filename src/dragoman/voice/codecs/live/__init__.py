"""OpenAI Live, at `/v1/live/sessions`: full duplex, without turns; the client's side. A session with turns serves it.

| Live | GA |
|---|---|
| `session.start` | `session.update`; its `input` items are created |
| `audio.format`, `audio.output.voice` | `audio.input.format`, `.output.format` (16 kHz: resampled), `.output.voice` |
| `delegation`: `client` | a function `delegate`; a call of it is `session.delegation.created` |
| `delegation`: `responses` | its function tools and its instructions |
| a call of one of those | `session.delegation.created`, and `response.event`s |
| `session.started`, `session.updated` | `session.updated` |
| `session.input_audio.append` | `input_audio_buffer.append`, unless muted |
| `session.output_audio.delta` | `response.output_audio.delta`, no faster than it is played (`paced`) |
| `session.input_transcript.delta` | `conversation.item.input_audio_transcription.delta`, `.completed` |
| `session.output_transcript.delta` | `response.output_audio_transcript.delta` |
| `session.instructions.append`, `.thinking.append` | a `system` item |
| `session.commentary.append` | the output of the delegation, or a `system` item; `response.create` |
| `response.item.create`, `response.create` | `conversation.item.create`, `response.create` |
| `session.usage.updated` | after `response.done`: the seconds of sound |
| `session.close`, `session.closed` | the socket is closed |
| `error` | `error` |

Named as lost: `store`, `safety_identifier`, `triggers`, `client`, `delegation` to decisions, what a `responses`
delegation says of its model and its other tools. Refused: decisions, fixtures, DTMF. What is lost is told as `info`.
The provider's side is not there: a session without turns cannot be told as one with turns.

Source: the types of openai 3.57 (`types.live`).
"""

from dragoman.voice.codecs.live.client import Client

__all__ = ["Client"]
