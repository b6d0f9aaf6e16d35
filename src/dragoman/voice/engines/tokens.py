"""The vocabulary of Moonshine's models: what stands for what in `tokenizer.bin`.

The file is one entry after the other: its length in one byte (or, from 128, in two: low seven bits first), then its
bytes. The first 259 are special: three marks, then the 256 bytes by themselves.
"""

from collections.abc import Iterable, Sequence

START, END = 1, 2
FIRST_WORD = 3
SPACE = "\u2581".encode()


def vocabulary(data: bytes) -> list[bytes]:
    """What each token says, by its number. Raises `ValueError` for a file of another kind."""
    entries = []
    at = 0
    try:
        while at < len(data):
            length = data[at]
            at += 1
            if length > 127:
                length += 128 * data[at] - 128
                at += 1
            if at + length > len(data):
                raise IndexError
            entries.append(data[at : at + length])
            at += length
    except IndexError:
        raise ValueError("the vocabulary ends in the middle of an entry") from None
    return entries


def text_of(tokens: Iterable[int], entries: Sequence[bytes]) -> str:
    """The text that `tokens` say, without marks and outer spaces."""
    said = b"".join(entries[token] for token in tokens if token >= FIRST_WORD)
    return said.replace(SPACE, b" ").decode("utf-8", "replace").strip()
