"""Spans of a text: tokens, sentences, and how spans are packed into chunks.

A span is a pair ``(start, end)`` of character offsets. Every built-in splitter works on spans, not
on strings, so that a node knows the place it came from and no text is copied before it must be.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence

Span = tuple[int, int]

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+|[^\w\s]")
_FENCE = re.compile(r"^(```|~~~)[^\n]*\n.*?^\1[ \t]*$", re.MULTILINE | re.DOTALL)
_BREAK = re.compile(
    r"[.!?…][\"'”’)\]]*\s+"  # a stop, with what closes behind it
    r"|[。！？][”’」』]?"
    r"|\n\s*\n"  # an empty line
    r"|\n(?=[ \t]*(?:[-*•+]|\d+[.)]|#+|\|)\s?)"  # the next line is an item, a heading or a row
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|et al|etc|vs|cf|approx|resp|fig|eq|sec|no|vol|pp|ca|dr|mr|mrs|prof|st)"
    r"|\b[A-Za-z])\.$",
    re.IGNORECASE,
)


def count_tokens(text: str) -> int:
    """Words and punctuation marks; each Chinese, Japanese or Korean character counts as one."""
    return sum(1 for _ in _TOKEN.finditer(text))


def token_spans(text: str) -> list[Span]:
    """The spans of all tokens of ``text``."""
    return [match.span() for match in _TOKEN.finditer(text)]


def sentence_spans(text: str) -> list[Span]:
    """The sentences of prose or Markdown; list items, rows, headings and code blocks stand alone."""
    spans: list[Span] = []
    cursor = 0
    for fence in _FENCE.finditer(text):
        spans += _prose_sentences(text, cursor, fence.start())
        spans.append(fence.span())
        cursor = fence.end()
    return spans + _prose_sentences(text, cursor, len(text))


def _prose_sentences(text: str, start: int, end: int) -> list[Span]:
    spans: list[Span] = []
    for found in _BREAK.finditer(text, start, end):
        stop = found.end()
        if text[found.start()] in ".!?…" and "\n\n" not in found.group():
            following = text[stop : stop + 1]
            if following.islower() or _ABBREVIATION.search(
                text, max(start, found.start() - 8), found.start() + 1
            ):
                continue
        _append_stripped(spans, text, start, stop)
        start = stop
    _append_stripped(spans, text, start, end)
    return spans


def _append_stripped(spans: list[Span], text: str, start: int, end: int) -> None:
    stripped = strip_span(text, (start, end))
    if stripped[0] < stripped[1]:
        spans.append(stripped)


def strip_span(text: str, span: Span) -> Span:
    """The span without white space at its ends."""
    piece = text[span[0] : span[1]]
    left = len(piece) - len(piece.lstrip())
    return (span[0] + left, span[0] + left + len(piece.strip()))


class TokenCounter:
    """Counts the tokens of any span of one text in O(log n), after one pass over it."""

    def __init__(self, text: str) -> None:
        self.tokens = token_spans(text)
        self._starts = [start for start, _ in self.tokens]

    def count(self, span: Span) -> int:
        return bisect_left(self._starts, span[1]) - bisect_left(self._starts, span[0])

    def within(self, span: Span) -> list[Span]:
        """The tokens of a span."""
        return self.tokens[bisect_left(self._starts, span[0]) : bisect_left(self._starts, span[1])]


def pack(atoms: Iterable[Span], counter: TokenCounter, size: int, overlap: int) -> list[Span]:
    """Join neighbouring atoms into chunks of at most ``size`` tokens.

    A chunk begins with as many of the last atoms of the one before it as fit into ``overlap``
    tokens. An atom above ``size`` is cut into windows of tokens.
    """
    chunks: list[Span] = []
    chunk: list[tuple[Span, int]] = []
    held = 0
    fresh = False  # does the chunk hold an atom that no earlier chunk has?
    for atom in atoms:
        for piece, tokens in _fit(atom, counter, size):
            if chunk and held + tokens > size:
                if fresh:
                    chunks.append((chunk[0][0][0], chunk[-1][0][1]))
                while chunk and (held > overlap or held + tokens > size):
                    held -= chunk.pop(0)[1]
                fresh = False
            chunk.append((piece, tokens))
            held += tokens
            fresh = True
    if chunk and fresh:
        chunks.append((chunk[0][0][0], chunk[-1][0][1]))
    return chunks


def _fit(atom: Span, counter: TokenCounter, size: int) -> Sequence[tuple[Span, int]]:
    tokens = counter.count(atom)
    if tokens <= size:
        return [(atom, tokens)]
    return [(token, 1) for token in counter.within(atom)]
