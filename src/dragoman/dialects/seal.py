"""Keeping reasoning alive through a client that has no place for it (law 4).

A provider may insist on getting its signed thinking back with the next turn: Anthropic with tool use, Gemini on every
function call, OpenAI with its encrypted reasoning. A client of another dialect can't send it back as such, but it does
send back opaque strings that it was given: a tool call's id, an Anthropic `redacted_thinking` block, an OpenAI
`encrypted_content`, a Gemini `thoughtSignature`. So the parts are packed into such a string, which needs no memory in
the gateway and therefore survives restarts, other workers and other nodes.

    sealed = MARK + base64url(deflate(json(parts)))          for a string of its own
    id     = the call's id + "_" + sealed                     for a tool call

`MARK` is eight characters of the base64 alphabet, so a client that decodes and re-encodes it leaves it standing. Its
presence in a request's bytes tells the relay lane to step aside. Nothing here is secret or trusted: the provider checks
its own signatures.
"""

import base64
import binascii
import zlib

import msgspec

from dragoman.canon import Part

MARK = "DgmSeal1"
_LIMIT = 4 * 1024 * 1024  # bytes of JSON that one seal may unpack to
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Part]).decode


def seal(parts: list[Part]) -> str:
    """`parts` as one opaque string of letters, digits, `-` and `_`; starts with `MARK`."""
    packed = base64.urlsafe_b64encode(zlib.compress(_encode(parts), 1))
    return MARK + packed.decode().rstrip("=")


def unseal(text: str) -> list[Part] | None:
    """The parts in `text`, or None where it is not a seal (or a broken one: then its content is simply gone)."""
    if not text.startswith(MARK):
        return None
    packed = text[len(MARK) :].rstrip("=").replace("+", "-").replace("/", "_")
    try:
        data = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
        inflater = zlib.decompressobj()
        plain = inflater.decompress(data, _LIMIT)
        return None if inflater.unconsumed_tail else _decode(plain)
    except (binascii.Error, zlib.error, msgspec.DecodeError, ValueError, RecursionError):
        return None


def seal_id(call_id: str, parts: list[Part]) -> str:
    """A tool call's id that carries `parts`; the plain id where there are none."""
    return f"{call_id}_{seal(parts)}" if parts else call_id


def unseal_id(call_id: str) -> tuple[str, list[Part]]:
    """The plain id and the parts it carries."""
    plain, mark, packed = call_id.partition("_" + MARK)
    if not mark:
        return call_id, []
    return plain, unseal(MARK + packed) or []
