"""Where the text comes from: `groundingMetadata` and `citationMetadata` <-> citations.

| canon Citation     | gemini                                                                      |
|--------------------|-----------------------------------------------------------------------------|
| url, title         | `groundingChunks[].web` (or `maps`, `retrievedContext`, `image`) uri, title |
| start, end         | `groundingSupports[].segment` startIndex, endIndex                          |
| cited_text         | `groundingSupports[].segment.text`                                          |

Gemini counts bytes of UTF-8, the canon counts characters. A source that no support names is a citation without place.
"""

from collections.abc import Iterable
from typing import Any

from dragoman.canon import JSON, Citation
from dragoman.dialects.gemini.names import NAME, keyed, listed

_SOURCES = ("web", "maps", "retrievedContext", "image")


def read_citations(grounding: Any, recited: Any, text: str) -> list[Citation]:
    """The citations of one candidate, whose last text part is `text`."""
    found = _grounded(keyed(grounding), text)
    meta = keyed(recited)
    for item in listed(meta.get("citationSources") or meta.get("citations")):
        source = keyed(item)
        found.append(_citation((source.get("uri"), source.get("title")), _place(source, text), None, item))
    return found


def _grounded(grounding: JSON, text: str) -> list[Citation]:
    sources = [_source(keyed(chunk)) for chunk in listed(grounding.get("groundingChunks"))]
    named: set[int] = set()
    found: list[Citation] = []
    for item in listed(grounding.get("groundingSupports")):
        support = keyed(item)
        segment = keyed(support.get("segment"))
        place = _place(segment, text)
        for index in listed(support.get("groundingChunkIndices")):
            if isinstance(index, int) and 0 <= index < len(sources):
                named.add(index)
                found.append(_citation(sources[index], place, segment.get("text"), None))
    found += [
        _citation(source, (None, None), None, None)
        for index, source in enumerate(sources)
        if index not in named and any(source)
    ]
    return found


def _source(chunk: JSON) -> tuple[Any, Any]:
    for kind in _SOURCES:
        if kind in chunk:
            source = keyed(chunk[kind])
            return source.get("uri") or source.get("sourceUri"), source.get("title")
    return None, None


def _citation(source: tuple[Any, Any], place: tuple[int | None, int | None], cited: Any, raw: Any) -> Citation:
    (url, title), (start, end) = source, place
    return Citation(
        kind="url",
        url=url if isinstance(url, str) else None,
        title=title if isinstance(title, str) else None,
        start=start,
        end=end,
        cited_text=cited if isinstance(cited, str) else None,
        dialect=NAME,
        raw=raw if isinstance(raw, dict) else None,
    )


def _place(segment: JSON, text: str) -> tuple[int | None, int | None]:
    start, end = segment.get("startIndex"), segment.get("endIndex")
    if not isinstance(end, int):
        return None, None
    return _characters(text, start if isinstance(start, int) else 0), _characters(text, end)


def _characters(text: str, offset: int) -> int:
    """A byte offset as a number of characters."""
    if text.isascii():
        return offset
    return len(text.encode("utf-8", "surrogatepass")[:offset].decode("utf-8", "ignore"))


def write_citations(citations: Iterable[Citation], text: str) -> JSON:
    """`groundingMetadata` and `citationMetadata` of a candidate; empty where there is nothing to say."""
    sources: dict[tuple[str, str | None], int] = {}
    supports: dict[tuple[int, int], JSON] = {}
    recited: list[JSON] = []
    for citation in citations:
        if citation.dialect == NAME and citation.raw is not None:
            recited.append(citation.raw)
        elif citation.url:
            index = sources.setdefault((citation.url, citation.title), len(sources))
            if citation.start is not None and citation.end is not None:
                place = (citation.start, citation.end)
                support = supports.setdefault(place, {"segment": _segment(citation, text), "groundingChunkIndices": []})
                support["groundingChunkIndices"].append(index)
    written: JSON = {}
    if sources:
        chunks = [{"web": {"uri": url} | ({"title": title} if title else {})} for url, title in sources]
        written["groundingMetadata"] = {"groundingChunks": chunks}
        if supports:
            written["groundingMetadata"]["groundingSupports"] = list(supports.values())
    if recited:
        written["citationMetadata"] = {"citationSources": recited}
    return written


def _segment(citation: Citation, text: str) -> JSON:
    start, end = citation.start or 0, citation.end or 0
    segment: JSON = {"startIndex": _bytes(text, start)} if start else {}
    segment["endIndex"] = _bytes(text, end)
    segment["text"] = citation.cited_text or text[start:end]
    return segment


def _bytes(text: str, offset: int) -> int:
    return offset if text.isascii() else len(text[:offset].encode("utf-8", "surrogatepass"))
