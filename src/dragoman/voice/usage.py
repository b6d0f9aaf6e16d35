"""What a response took, in the protocol's words.

Text tokens are the model's own counts. A text model counts no sound, so audio tokens are estimated by the rate at
which OpenAI's realtime models count it: one for every 100 ms that was heard, one for every 50 ms that was said. They
are added to the totals; what is charged are the model's tokens and the engines' own prices, as the ledger has them.
"""

from dragoman.canon import Usage
from dragoman.voice.events import JSON

INPUT_MS = 100.0  # of heard sound for a token
OUTPUT_MS = 50.0  # of spoken sound for a token


def response_usage(usage: Usage | None, heard_ms: float, spoken_ms: float) -> JSON:
    """`heard_ms`: the speech that the response answers; `spoken_ms`: what it said."""
    counted = usage or Usage()
    heard, spoken = round(heard_ms / INPUT_MS), round(spoken_ms / OUTPUT_MS)
    cached = min(counted.cached, counted.input)
    return {
        "total_tokens": counted.input + heard + counted.output + spoken,
        "input_tokens": counted.input + heard,
        "output_tokens": counted.output + spoken,
        "input_token_details": {
            "text_tokens": counted.input, "audio_tokens": heard, "image_tokens": 0, "cached_tokens": cached,
            "cached_tokens_details": {"text_tokens": cached, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": counted.output, "audio_tokens": spoken},
    }  # fmt: skip


def transcription_usage(ms: float) -> JSON:
    """Of a transcript: as long as the sound was."""
    return {"type": "duration", "seconds": round(ms / 1000, 3)}
