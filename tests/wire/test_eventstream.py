"""The AWS event stream, against botocore's own decoder."""

import struct
from binascii import crc32
from uuid import UUID

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.wire.eventstream import MAX_HEADERS, MAX_PAYLOAD, BadMessage, Messages, Timestamp, encode

values = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.binary(max_size=50),
    st.text(max_size=20),
    st.uuids(),
    st.integers(-(2**63), 2**63 - 1).map(Timestamp),
)
headers = st.dictionaries(st.text(min_size=1, max_size=30), values, max_size=5)
messages = st.lists(st.tuples(headers, st.binary(max_size=200)), min_size=1, max_size=4)


def as_botocore_says(value):
    return value.bytes if isinstance(value, UUID) else value


@given(messages, st.lists(st.integers(0, 10_000), max_size=8))
@settings(max_examples=150, deadline=None)
def test_what_was_encoded_is_decoded_here_and_by_botocore_however_it_is_cut(said, cuts):
    data = b"".join(encode(head, payload) for head, payload in said)
    ours, theirs = Messages(), EventStreamBuffer()
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    found = [message for a, b in zip(edges, edges[1:]) for message in ours.feed(data[a:b])]  # noqa: B905, RUF007
    assert [(dict(message.headers), message.payload) for message in found] == said
    assert ours.rest() == b""
    theirs.add_data(data)
    expected = [({name: as_botocore_says(v) for name, v in head.items()}, payload) for head, payload in said]
    assert [(event.headers, event.payload) for event in theirs] == expected


def test_small_numbers_are_read_in_every_width():
    block = b"\x01a\x02\xff" + b"\x01b\x03\xff\xfe"
    (message,) = Messages().feed(raw(block, b""))
    assert message.headers == {"a": -1, "b": -2}


def raw(block, payload, total=None, headers=None):
    lengths = struct.pack("!II", 16 + len(block) + len(payload) if total is None else total,
                          len(block) if headers is None else headers)  # fmt: skip
    message = lengths + struct.pack("!I", crc32(lengths)) + block + payload
    return message + struct.pack("!I", crc32(message))


GOOD = encode({":message-type": "event", ":event-type": "x"}, b'{"a":1}')


@pytest.mark.parametrize("at", range(len(GOOD)))
def test_any_flipped_bit_is_noticed(at):
    bad = bytearray(GOOD)
    bad[at] ^= 0x10
    with pytest.raises(BadMessage):
        Messages().feed(bytes(bad))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (raw(b"", b"", headers=MAX_HEADERS + 1, total=MAX_HEADERS + 17), "headers"),
        (raw(b"", b"", total=MAX_PAYLOAD + 17), "payload"),
        (raw(b"", b"", total=15), "shorter"),
        (raw(b"", b"", total=20, headers=5), "shorter"),
        (raw(b"\x01a\x0a", b""), "unknown type"),
        (raw(b"\x01a\x07\x00\x05ab", b""), "broken"),
        (raw(b"\x05ab", b""), "broken"),
        (raw(b"\x01a", b""), "broken"),
        (raw(b"\x01a\x04\x00", b""), "broken"),
        (raw(b"\x01a\x09\x00", b""), "broken"),
        (raw(b"\x01\xff\x00", b""), "broken"),
        (raw(b"\x01a\x00\x01a\x00", b""), "twice"),
    ],
)
def test_impossible_messages_are_refused(data, words):
    with pytest.raises(BadMessage, match=words):
        Messages().feed(data)


def test_a_lying_length_is_refused_before_its_bytes_are_awaited():
    with pytest.raises(BadMessage):
        Messages().feed(raw(b"", b"", total=2**31)[:12])


def test_half_a_message_waits():
    reader = Messages()
    assert reader.feed(GOOD[:-1]) == []
    assert reader.rest() == GOOD[:-1]
    assert len(reader.feed(GOOD[-1:] + GOOD)) == 2


@pytest.mark.parametrize("head", [{"": "x"}, {"a" * 256: "x"}, {"a": "x" * 2**16}, {"a": 2**63}])
def test_what_has_no_form_is_not_encoded(head):
    with pytest.raises(ValueError, match="header"):
        encode(head, b"")


def test_a_payload_beyond_the_limit_is_not_encoded():
    with pytest.raises(ValueError, match="larger"):
        encode({}, bytes(MAX_PAYLOAD + 1))
