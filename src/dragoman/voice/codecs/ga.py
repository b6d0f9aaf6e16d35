"""OpenAI Realtime, GA: the canon itself. What is said goes through as it is.

| client or provider says              | canon                                            |
|--------------------------------------|--------------------------------------------------|
| any event                            | the same                                         |
| `input_audio_buffer.append`, `audio` | the same, in standard base64, if it was URL-safe |
| `dragoman.lossy`                     | to clients that asked for notices                |

Source: https://platform.openai.com/docs/api-reference/realtime and the types of openai 3.57.
"""

from dragoman.voice.codecs.codec import ClientCodec, Event, UpstreamCodec, standard_base64, typed


class Client(ClientCodec):
    """Towards a client that speaks GA."""

    def _read(self, said: Event) -> list[Event]:
        if typed(said) == "input_audio_buffer.append" and "audio" in said:
            said["audio"] = standard_base64(said["audio"])
        return [said]


class Upstream(UpstreamCodec):
    """Towards a provider that speaks GA."""

    def _read(self, said: Event) -> list[Event]:
        typed(said)
        return [said]
