"""An article as a PDF booklet."""

from __future__ import annotations

import io
from html import escape
from typing import Any

from article import AUTHOR, BOOK, Block, Cell, Run
from reportlab.lib import colors
from reportlab.lib.pagesizes import A5
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Table,
    XPreformatted,
)

_SIDE, _TOP, _BOTTOM = 16 * mm, 16 * mm, 15 * mm  # margins
_WIDTH = A5[0] - 2 * _SIDE

_BODY = ParagraphStyle("p", fontName="Times-Roman", fontSize=9.3, leading=12.2, spaceAfter=4.5)
_ITEM = ParagraphStyle("item", _BODY, leftIndent=5 * mm, bulletIndent=1.5 * mm, spaceAfter=2.5)
_CODE = ParagraphStyle("code", fontName="Courier", fontSize=7.5, leading=10, leftIndent=4 * mm, spaceAfter=6)
_CELL = ParagraphStyle("cell", fontName="Times-Roman", fontSize=8.5, leading=10.5)
_BOLD = ParagraphStyle("bold", fontName="Helvetica-Bold", keepWithNext=1)
_HEADS = {
    "h1": ParagraphStyle("h1", _BOLD, fontSize=15, leading=19, spaceAfter=7),
    "h2": ParagraphStyle("h2", _BOLD, fontSize=10.5, leading=13, spaceBefore=7, spaceAfter=3.5),
    "h3": ParagraphStyle("h3", _BOLD, fontSize=9.3, leading=12.2, spaceBefore=4, spaceAfter=3),
}
_MARKUP = {
    "": "{}",
    "strong": "<b>{}</b>",
    "em": "<i>{}</i>",
    "code": '<font face="Courier" size="8.5">{}</font>',
}


def render_pdf(blocks: list[Block]) -> bytes:
    """An A5 booklet in the standard fonts, with a running head and page numbers."""
    title = blocks[0].text

    def head(canvas: Any, template: Any) -> None:
        canvas.setFont("Helvetica", 7.5)
        canvas.setFillColor(colors.grey)
        canvas.drawString(_SIDE, A5[1] - 10 * mm, f"{BOOK}  |  {title}")

    def foot(canvas: Any, template: Any) -> None:
        canvas.setFont("Helvetica", 7.5)
        canvas.setFillColor(colors.grey)
        canvas.drawCentredString(A5[0] / 2, 9 * mm, f"Page {template.page}")

    buffer = io.BytesIO()
    frame = Frame(_SIDE, _BOTTOM, _WIDTH, A5[1] - _TOP - _BOTTOM, 0, 0, 0, 0)
    template = BaseDocTemplate(
        buffer, pagesize=A5, title=title, author=AUTHOR, subject=BOOK, invariant=1, pageCompression=0
    )  # uncompressed: the bytes then do not depend on the version of zlib
    template.addPageTemplates(PageTemplate(frames=[frame], onPage=head, onPageEnd=foot))
    template.build([_flowable(block) for block in blocks])
    return buffer.getvalue()


def _flowable(block: Block) -> Flowable:
    match block.kind:
        case "table":
            return _table(block.rows)
        case "code":
            return _code(block.text)
        case "bullet":
            return Paragraph(_markup(block.runs), _ITEM, bulletText="•")
        case "number":
            return Paragraph(_markup(block.runs), _ITEM, bulletText=f"{block.number}.")
        case kind:
            return Paragraph(_markup(block.runs), _HEADS.get(kind, _BODY))


def _markup(runs: list[Run]) -> str:
    return "".join(_MARKUP[style].format(escape(text, quote=False)) for text, style in runs)


def _code(text: str) -> Flowable:
    """The code in a type small enough for its longest line."""
    widest = max(stringWidth(line, _CODE.fontName, _CODE.fontSize) for line in text.split("\n"))
    size = _CODE.fontSize * min(1.0, (_WIDTH - _CODE.leftIndent) / widest)
    return XPreformatted(escape(text, quote=False), ParagraphStyle("code", _CODE, fontSize=size))


def _table(rows: list[list[Cell]]) -> Flowable:
    head = [[(text, style or "strong") for text, style in cell] for cell in rows[0]]
    longest = [max(len(_markup(row[column])) for row in rows) for column in range(len(head))]
    shares = [max(length, 6) ** 0.7 for length in longest]  # long columns yield a little to short ones
    table = Table(
        [[Paragraph(_markup(cell), _CELL) for cell in row] for row in [head, *rows[1:]]],
        colWidths=[share / sum(shares) * _WIDTH for share in shares],
        style=[
            ("LINEBELOW", (0, 0), (-1, 0), 0.8, colors.black),
            ("LINEBELOW", (0, 1), (-1, -1), 0.25, colors.lightgrey),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (0, -1), 0),
            ("TOPPADDING", (0, 0), (-1, -1), 2),
        ],
        spaceBefore=3,
        spaceAfter=8,
    )
    return KeepTogether([table])
