"""Realtime dialects, each a module of one shape (`codec`): to and from the canon of voice, OpenAI's Realtime events."""

from collections.abc import Mapping

from dragoman.voice.codecs import beta, ga, gemini, live, voicelive
from dragoman.voice.codecs.codec import ClientCodec, UpstreamCodec

CLIENTS: Mapping[str, type[ClientCodec]] = {
    "ga": ga.Client,
    "beta": beta.Client,
    "voicelive": voicelive.Client,
    "gemini": gemini.Client,
    "live": live.Client,
}
UPSTREAMS: Mapping[str, type[UpstreamCodec]] = {
    "ga": ga.Upstream,
    "beta": beta.Upstream,
    "voicelive": voicelive.Upstream,
    "gemini": gemini.Upstream,
}
