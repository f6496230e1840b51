"""Spans of a text: tokens, sentences, and how spans are packed into chunks.

A span is a pair ``(start, end)`` of character offsets. Every built-in splitter works on spans, not
on strings, so that a node knows the place it came from and no text is copied before it must be.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

Span = tuple[int, int]

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U000323af"
_TOKEN = re.compile(rf"[{_CJK}]|[^\W{_CJK}]{{1,64}}|[^\w\s]")  # 64: a key or a blob is not one word
_FENCE = re.compile(r"^[ \t]*(`{3,}(?=[^`\n]*$)|~{3,})[ \t]*(.*)$", re.MULTILINE)
_ALONE = re.compile(r"^[ \t]*(?:\|.*\||#{1,6}[ \t].*)[ \t]*$", re.MULTILINE)  # a row of a table, a heading
_BREAK = re.compile(
    r"[.!?…؟।۔][\"'”’»)\]*_`]*(?=\s)"  # a stop, with what closes behind it
    r"|[。！？]+[”’」』）]*"
    r"|\n\s*\n"  # an empty line
    r"|\n(?=[ \t]*(?:•|(?:[-*+]|\d+[.)])\s))"  # the next line is an item of a list
)
_STOPS = ".!?…؟।۔"
_NOT_SPACE = re.compile(r"\S")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|et al|etc|vs|cf|approx|resp|ca|dr|mr|mrs|ms|prof|st)|\b(?-i:[A-Z]))\.$",
    re.IGNORECASE,
)
_ITEM_NUMBER = re.compile(r"^[ \t]*\(?\d{1,3}\.$", re.MULTILINE)
_BEFORE_NUMBER = re.compile(r"\b(?:figs?|eqs?|secs?|nos?|vols?|pp?|ch|art)\.$", re.IGNORECASE)


def count_tokens(text: str) -> int:
    """Words and punctuation marks; each Chinese, Japanese or Korean character counts as one."""
    return sum(1 for _ in _TOKEN.finditer(text))


def token_spans(text: str) -> Iterator[Span]:
    """The spans of all tokens of ``text``."""
    return (match.span() for match in _TOKEN.finditer(text))


def sentence_spans(text: str) -> list[Span]:
    """The sentences of prose or Markdown; list items, rows, headings and code blocks stand alone."""
    spans: list[Span] = []
    cursor = 0
    for block in _blocks(text):
        spans += _prose_sentences(text, cursor, block[0])
        _append_stripped(spans, text, *block)
        cursor = block[1]
    return spans + _prose_sentences(text, cursor, len(text))


def _blocks(text: str) -> Iterator[Span]:
    """Code between fences, and the headings and table rows outside of it."""
    cursor = 0
    for block in _fenced(text):
        yield from (alone.span() for alone in _ALONE.finditer(text, cursor, block[0]))
        yield block
        cursor = block[1]
    yield from (alone.span() for alone in _ALONE.finditer(text, cursor))


def _fenced(text: str) -> Iterator[Span]:
    """A fence is closed by one of its kind, as long or longer and with nothing behind it (CommonMark, 4.5).

    One that is never closed is none: a chunk may begin in the middle of a code block.
    """
    opening: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opening is None:
            opening = fence
        elif fence[1].startswith(opening[1]) and not fence[2]:
            yield opening.start(), fence.end()
            opening = None


def _prose_sentences(text: str, start: int, end: int) -> list[Span]:
    spans: list[Span] = []
    for found in _BREAK.finditer(text, start, end):
        stop = found.start() + 1
        if text[found.start()] in _STOPS and not _ends_sentence(text, start, stop, found.end(), end):
            continue
        _append_stripped(spans, text, start, found.end())
        start = found.end()
    _append_stripped(spans, text, start, end)
    return spans


def _ends_sentence(text: str, start: int, stop: int, after: int, end: int) -> bool:
    """Is the stop before ``stop`` the end of the sentence from ``start``, or part of a word in it?

    In doubt it is part of one: two sentences in a node are better than half of one.
    """
    following = _NOT_SPACE.search(text, after, end)
    next_character = following.group() if following else ""
    window = max(start, stop - 16)
    if next_character.islower() or _ITEM_NUMBER.search(text, window, stop):
        return False
    if _BEFORE_NUMBER.search(text, window, stop):
        return not next_character.isdigit() and next_character != "("
    return not _ABBREVIATION.search(text, window, stop)


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
        self._text = text
        self._starts = array("q", (match.start() for match in _TOKEN.finditer(text)))

    def count(self, span: Span) -> int:
        """How many tokens begin in the span."""
        return bisect_left(self._starts, span[1]) - bisect_left(self._starts, span[0])

    def within(self, span: Span) -> list[Span]:
        """The spans of the tokens that begin in the span."""
        starts = self._starts[bisect_left(self._starts, span[0]) : bisect_left(self._starts, span[1])]
        return [match.span() for start in starts if (match := _TOKEN.match(self._text, start))]


def pack(atoms: Iterable[Span], counter: TokenCounter, size: int, overlap: int) -> list[Span]:
    """Join neighbouring atoms into chunks of at most ``size`` tokens.

    A chunk begins with as many of the last atoms of the one before it as fit into ``overlap``
    tokens. An atom above ``size`` is cut into windows of tokens.
    """
    chunks: list[Span] = []
    chunk: list[tuple[Span, int]] = []
    held = 0
    for atom in atoms:
        for piece, tokens in _fit(atom, counter, size):
            if chunk and held + tokens > size:
                chunks.append((chunk[0][0][0], chunk[-1][0][1]))
                while chunk and (held > overlap or held + tokens > size):
                    held -= chunk.pop(0)[1]
            chunk.append((piece, tokens))
            held += tokens
    if chunk:
        chunks.append((chunk[0][0][0], chunk[-1][0][1]))
    return chunks


def _fit(atom: Span, counter: TokenCounter, size: int) -> Sequence[tuple[Span, int]]:
    tokens = counter.count(atom)
    if tokens <= size:
        return [(atom, tokens)]
    return [(token, 1) for token in counter.within(atom)]
