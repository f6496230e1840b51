"""PDF: a page is lines at places, not paragraphs; put the paragraphs together again."""

from __future__ import annotations

import re
import threading
from collections import Counter

import pypdfium2

from ragcourse.documents import Scalar
from ragcourse.readers.errors import ReadError

_PDFIUM = threading.Lock()  # the library is not thread-safe
_DIGITS = re.compile(r"\d+")
_BULLET = re.compile(r"[•·◦▪–-]\s")


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
    return "\n\n".join(_paragraphs(_without_margins(pages))), metadata


def _lines(page: pypdfium2.PdfPage) -> list[str]:
    text_page = page.get_textpage()
    text = text_page.get_text_bounded().replace("\ufffe", "-").replace("\x02", "-")
    return [line.strip() for line in text.splitlines() if line.strip()]


def _without_margins(pages: list[list[str]]) -> list[str]:
    """Drop first and last lines that return, but for their numbers, on most pages."""

    def shape(line: str) -> str:
        return _DIGITS.sub("#", line)

    edges = Counter(shape(line) for lines in pages for line in {*lines[:2], *lines[-2:]})
    running = {line for line, count in edges.items() if count > 1 and count >= 0.6 * len(pages)}
    kept: list[str] = []
    for lines in pages:
        for number, line in enumerate(lines):
            at_edge = number < 2 or number >= len(lines) - 2
            if not (at_edge and (shape(line) in running or line.isdigit())):
                kept.append(line)
    return kept


def _paragraphs(lines: list[str]) -> list[str]:
    """Join lines; one that is much shorter than the column ends its paragraph."""
    if not lines:
        return []
    width = sorted(map(len, lines))[int(0.8 * (len(lines) - 1))]
    paragraphs: list[str] = []
    joined = ""
    for line in lines:
        if joined and _BULLET.match(line):
            paragraphs.append(joined)
            joined = ""
        joined = _join(joined, line)
        if len(line) < 0.8 * width:
            paragraphs.append(joined)
            joined = ""
    return [*paragraphs, joined] if joined else paragraphs


def _join(text: str, line: str) -> str:
    if not text:
        return line
    if text.endswith("-") and text[-2:-1].isalpha() and line[:1].islower():
        return text[:-1] + line
    return f"{text} {line}"
