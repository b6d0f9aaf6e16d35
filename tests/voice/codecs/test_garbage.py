"""Nothing that a client or a provider says brings a codec down, on whichever side it stands.

The sessions come from plain random numbers: a seed is a session, and a thousand of them take less time than forty did
as strategies of hypothesis."""

import json
from random import Random

import pytest

from dragoman.voice.codecs import CLIENTS, UPSTREAMS
from dragoman.voice.events import CLIENT, SERVER
from fakes.realtime_schemas import assert_valid_server_event

from .said import numbers

FIELDS = [
    "session", "item", "response", "part", "error", "delta", "audio", "transcript", "item_id", "id", "type", "role",
    "content", "text", "usage", "output", "status", "status_details", "turn_detection", "input", "format", "tools",
    "voice", "name", "arguments", "call_id", "input_token_details", "message", "metadata", "output_modalities",
    "transcription", "max_output_tokens", "reasoning", "truncation", "conversation",
]  # fmt: skip
TYPES = ["message", "function_call", "function_call_output", "realtime", "server_vad", "input_text",
                         "audio/pcm", "function", "assistant", "user"]  # fmt: skip
KINDS_OF_CLIENTS, KINDS_OF_SERVERS = sorted(CLIENT), sorted(SERVER)
PLAIN = [None, True, False, 0, -9, 7, 0.5, "", "x", "AAA=", "é", *TYPES]
SEEDS = 1000  # sessions of each codec


def value(random, depth=0):
    """Any JSON, with fields that mean something at places where they do not."""
    match random.randrange(8) if depth < 4 else 7:
        case 0 | 1:
            return {random.choice(FIELDS): value(random, depth + 1) for _ in range(random.randrange(5))}
        case 2:
            return [value(random, depth + 1) for _ in range(random.randrange(3))]
        case _:
            return random.choice(PLAIN)


def said(random, kinds):
    """An event of one of these kinds, with some of its fields and others, of any value."""
    event = {random.choice(FIELDS): value(random) for _ in range(random.randrange(5))}
    for name in ("session", "item", "response", "part", "error"):
        if random.random() < 0.4:
            event[name] = {random.choice(FIELDS): value(random, 1) for _ in range(random.randrange(5))}
    return {**event, "type": random.choice(kinds) if random.random() < 0.95 else random.choice(PLAIN)}


def upstream(dialect):
    codec = UPSTREAMS[dialect](numbers(), "m")
    if dialect == "gemini":
        codec.write({"type": "session.update", "session": {"type": "realtime"}})
        codec.read('{"setupComplete": {}}')
    return codec


def client(dialect):
    codec = CLIENTS[dialect](numbers())
    begin = {"gemini": {"setup": {"model": "m"}}, "live": {"type": "session.start", "session": {"model": "m"}}}
    if dialect in begin:
        codec.read(json.dumps(begin[dialect]))
    codec.write({"type": "session.updated", "event_id": "e", "session": {"type": "realtime"}})
    return codec


@pytest.mark.parametrize("dialect", UPSTREAMS)
def test_whatever_a_client_says_a_provider_s_codec_stands(dialect):
    for seed in range(SEEDS):
        random = Random(seed)
        codec = upstream(dialect)
        codec.echoes()
        for _ in range(random.randrange(1, 6)):
            codec.write(said(random, KINDS_OF_CLIENTS))
        if dialect == "gemini":
            for echo in codec.echoes():
                if not echo["type"].startswith("dragoman."):
                    assert_valid_server_event(echo)


@pytest.mark.parametrize("dialect", CLIENTS)
def test_whatever_a_provider_says_a_client_s_codec_stands(dialect):
    for seed in range(SEEDS):
        random = Random(seed)
        codec = client(dialect)
        for _ in range(random.randrange(1, 6)):
            codec.write(said(random, KINDS_OF_SERVERS))
            codec.echoes()
