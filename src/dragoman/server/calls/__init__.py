"""Calls over WebRTC: a browser (or a phone's app) talks with plain web APIs, its sound on audio tracks.

| module        | its question                                                             |
|---------------|--------------------------------------------------------------------------|
| `desk`        | the endpoints: a call begins, and is hung up                             |
| `offer`       | what a client's offer asks for, and its answer                           |
| `peer`        | the connection (aiortc), as the two-way line of messages that a session has |
| `channel`     | what of a session's events is said on the data channel, what becomes sound. Pure |
| `loudspeaker` | what is to be heard at the far end, and what has been. Pure              |

Source: OpenAI Realtime over WebRTC; RFC 8829 (offers and answers), RFC 7587 (Opus over RTP).
"""
