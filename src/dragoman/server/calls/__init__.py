"""Calls over WebRTC: a browser (or a phone's app) talks with plain web APIs, its sound on audio tracks.

| module        | its question                                                             |
|---------------|--------------------------------------------------------------------------|
| `desk`        | the endpoints: an SDP offer begins a call, and it is hung up             |
| `peer`        | the connection (aiortc), as the two-way line of messages that a session has |
| `channel`     | what of a session's events is said on the data channel, what becomes sound. Pure |
| `loudspeaker` | what is to be heard at the far end, and what has been. Pure              |

Source: OpenAI Realtime over WebRTC; RFC 8829 (offers and answers), RFC 7587 (Opus over RTP).
"""
