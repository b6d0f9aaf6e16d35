"""Cuts an answer, as it streams in, into pieces that can be said one by one.

The first piece is short, since somebody waits for it: it ends at the first mark of punctuation with two words ahead of
it, or after `FIRST_WORDS` words. The others are sentences, so that they are said with the right melody; a sentence
that does not end is cut at a comma, or at last between two words. Together the pieces are the text, to the character.
"""

import re

FIRST_WORDS = 4
_FIRST_LONGEST = 48  # characters without any space after which the first piece is cut all the same: somebody waits
_LONG = 160  # characters from which on a comma is as good as a full stop
_LONGEST = 280  # and from which on any space is
_SENTENCE = re.compile(r"[.!?…]{1,8}[\"')\]*_”’]{0,8}(?=\s)|\n|[。！？]")
_BOUNDARY = re.compile(r"[\s。！？，；、]")
_FIRST = re.compile(rf"\s*(?:\S+\s+){{{FIRST_WORDS}}}")
_COMMA = re.compile(r"[,;:–—]{1,8}[\"')\]*_”’]{0,8}(?=\s)|[，；、]")
# what ends in a full stop and ends no sentence: titles, initials, the number ahead of a list's item
_SHORT_FORM = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|vs|etc|e\.g|i\.e|approx|[A-Z])|^\s*\d{1,3})\.$")


class Clauses:
    """One answer's text. `add` gives the pieces that are whole now, `rest` what is left at its end."""

    def __init__(self) -> None:
        self._text = ""
        self._first = True

    def add(self, text: str) -> list[str]:
        self._text += text
        pieces: list[str] = []
        longest = _FIRST_LONGEST if self._first else _LONGEST
        if len(self._text) <= longest and not _BOUNDARY.search(text):
            return pieces  # in the middle of a word nothing ends
        while (end := self._end()) is not None:
            pieces.append(self._text[:end])
            self._text = self._text[end:]
            self._first = False
        return pieces

    def rest(self) -> list[str]:
        left, self._text = self._text, ""
        return [left] if left else []

    def _end(self) -> int | None:
        """Where the first piece ends, its space included; None: it is not whole yet."""
        text = self._text
        ends = [e for e in (self._sentence(), self._early() if self._first else self._late()) if e is not None]
        if not ends:
            return None
        end = min(ends)
        while end < len(text) and text[end].isspace():
            end += 1
        return end

    def _sentence(self) -> int | None:
        for found in _SENTENCE.finditer(self._text):
            ahead = self._text[: found.end()]
            if ahead.strip() and not _SHORT_FORM.search(ahead):
                return found.end()
        return None

    def _early(self) -> int | None:
        text = self._text
        commas = (found.end() for found in _COMMA.finditer(text) if len(text[: found.end()].split()) >= 2)
        comma, words = next(commas, None), _FIRST.match(text)
        ends = [end for end in (comma, words and words.end(), self._late()) if end is not None]
        if not ends and len(text) > _FIRST_LONGEST and not _BOUNDARY.search(text.strip()):
            return _FIRST_LONGEST
        return min(ends, default=None)

    def _late(self) -> int | None:
        text = self._text
        if len(text) > _LONG:
            found = None
            for found in _COMMA.finditer(text, 0, _LONGEST):
                if found.end() > _LONG // 2:
                    return found.end()
        if len(text) > _LONGEST:
            space = text.rfind(" ", 1, _LONGEST)
            return space if space > 0 else _LONGEST
        return None
