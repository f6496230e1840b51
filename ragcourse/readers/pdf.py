"""PDF: a page is lines at places, not paragraphs; put the paragraphs together again.

A paragraph ends where the space below a line is larger than is usual in the document, or where a line
is much shorter than the column.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import Counter
from itertools import pairwise
from typing import NamedTuple

import pypdfium2

from ragcourse.documents import Scalar
from ragcourse.readers.errors import ReadError

_PDFIUM = threading.Lock()  # the library is not thread-safe
_DIGITS = re.compile(r"\d+")
_BULLET = re.compile(r"[•·◦▪–-]\s")
_HYPHENS = ("\ufffe", "\x02")  # PDFium's signs, of different calls, for a hyphen at the end of a line
_LINE = re.compile("([^\r\n\ufffe\x02]*)(\r?\n|[\ufffe\x02]|$)")
_LIGATURE = re.compile("[\ufb00-\ufb06]")


class _Line(NamedTuple):
    """``gap``: the space between this line and the one before, in line heights; None if it is not below.

    The boxes of lines that are set tight overlap a little: their gap is negative.
    """

    text: str
    gap: float | None


def read_pdf(data: bytes) -> tuple[str, dict[str, Scalar]]:
    """Paragraphs separated by an empty line, running headers and footers removed."""
    with _PDFIUM:
        try:
            file = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            raise ReadError(f"damaged or encrypted PDF: {error}") from error
        try:
            pages = [_lines(page) for page in file]
            title = file.get_metadata_value("Title").strip()
        except pypdfium2.PdfiumError as error:
            raise ReadError(f"damaged PDF: {error}") from error
        finally:
            file.close()
    if not any(pages):
        raise ReadError(f"{len(pages)} pages without a text layer (a scan?)")
    metadata: dict[str, Scalar] = {"pages": len(pages), **({"title": title} if title else {})}
    gaps = sorted(line.gap for lines in pages for line in lines if line.gap is not None)
    leading = gaps[len(gaps) // 4] if gaps else 0.0  # lines inside of paragraphs have the small gaps
    return "\n\n".join(_paragraphs(_without_margins(pages, leading), leading)), metadata


def _lines(page: pypdfium2.PdfPage) -> list[_Line]:
    text_page = page.get_textpage()
    try:
        text = text_page.get_text_range()
        known = text_page.count_chars() == len(text)  # otherwise our offsets are not PDFium's indices
        lines: list[_Line] = []
        above: float | None = None  # the lower edge of the line before
        for found in _LINE.finditer(text):
            line = found[1].strip()
            if not line:
                continue
            gap = None
            if known:
                first = found.start() + found[1].index(line)
                boxes = [text_page.get_charbox(i, loose=True) for i in (first, first + len(line) - 1)]
                lower, upper = min(box[1] for box in boxes), max(box[3] for box in boxes)
                if above is not None and upper > lower:
                    gap = (above - upper) / (upper - lower)
                    gap = gap if gap > -0.5 else None  # beside it, or at the top of another column
                above = lower
            line = _LIGATURE.sub(lambda letters: unicodedata.normalize("NFKC", letters[0]), line)
            lines.append(_Line(line + "-" if found[2] in _HYPHENS else line, gap))
        return lines
    finally:
        text_page.close()
        page.close()  # here, under the lock, and not when the garbage collector comes by


def _without_margins(pages: list[list[_Line]], leading: float) -> list[_Line]:
    """Drop page numbers, and lines at the edges that return, but for their numbers, on most pages."""
    edges = [_edges(lines, leading) for lines in pages]
    shapes = Counter(
        shape
        for lines, edge in zip(pages, edges, strict=True)
        for shape in {_DIGITS.sub("#", lines[number].text) for number in edge}
    )
    running = {shape for shape, count in shapes.items() if count > 1 and count >= 0.6 * len(pages)}
    kept: list[_Line] = []
    for lines, edge in zip(pages, edges, strict=True):
        top = True
        for number, line in enumerate(lines):
            if number in edge and (line.text.isdigit() or _DIGITS.sub("#", line.text) in running):
                continue
            kept.append(_Line(line.text, None) if top else line)
            top = False
    return kept


def _edges(lines: list[_Line], leading: float) -> set[int]:
    """The numbers of the first and last lines, two at most on each side, that stand apart from the rest."""

    def apart(number: int) -> bool:
        gap = lines[number].gap if number < len(lines) else None
        return gap is None or gap > leading + 0.5

    head = max((count for count in (1, 2) if apart(count)), default=0)
    foot = max((count for count in (1, 2) if count <= len(lines) and apart(len(lines) - count)), default=0)
    return {*range(min(head, len(lines))), *range(len(lines) - foot, len(lines))}


def _paragraphs(lines: list[_Line], leading: float) -> list[str]:
    """Join the lines between which there is neither a gap nor an end of a paragraph."""
    if not lines:
        return []
    width = sorted(len(line.text) for line in lines)[int(0.8 * (len(lines) - 1))]
    paragraphs = [lines[0].text]
    for above, line in pairwise(lines):
        apart = line.gap is not None and line.gap > leading + 0.2
        if apart or len(above.text) < 0.8 * width or _BULLET.match(line.text):
            paragraphs.append(line.text)
        else:
            paragraphs[-1] = _join(paragraphs[-1], line.text)
    return paragraphs


def _join(text: str, line: str) -> str:
    if not re.search(r"\w-$", text):
        return f"{text} {line}"
    compound = "-" in text.rsplit(maxsplit=1)[-1][:-1]  # state-of-the-
    return text + line if compound or not line[0].islower() else text[:-1] + line
