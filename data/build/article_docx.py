"""An article as a Word file."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import docx
from article import AUTHOR, BOOK, BUILT, Block, Run
from docx.shared import Pt

_STYLES = {"p": "Normal", "bullet": "List Bullet", "number": "List Number", "code": "No Spacing"}


def render_docx(blocks: list[Block]) -> bytes:
    """A Word file with real heading, list and table styles."""
    file = docx.Document()
    file.core_properties.title = blocks[0].text
    file.core_properties.author = file.core_properties.last_modified_by = AUTHOR
    file.core_properties.created = file.core_properties.modified = BUILT
    file.core_properties.comments = BOOK
    for block in blocks:
        if block.kind == "table":
            table = file.add_table(len(block.rows), len(block.rows[0]), style="Light Grid Accent 1")
            for row, cells in zip(table.rows, block.rows, strict=True):
                for cell, runs in zip(row.cells, cells, strict=True):
                    _add_runs(cell.paragraphs[0], runs)
            file.add_paragraph()
        else:
            style = _STYLES.get(block.kind) or f"Heading {block.kind.removeprefix('h')}"
            _add_runs(file.add_paragraph(style=style), block.runs)
    buffer = io.BytesIO()
    file.save(buffer)
    return _without_dates(buffer.getvalue())


def _add_runs(paragraph: Any, runs: list[Run]) -> None:
    for text, style in runs:
        run = paragraph.add_run(text)
        run.bold = True if style == "strong" else None
        run.italic = True if style == "em" else None
        if style == "code":
            run.font.name, run.font.size = "Courier New", Pt(9.5)


def _without_dates(archive: bytes) -> bytes:
    """The same zip file, its members dated `BUILT`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            member = zipfile.ZipInfo(name, BUILT.timetuple()[:6])
            member.compress_type, member.create_system = zipfile.ZIP_DEFLATED, 3
            new.writestr(member, old.read(name))
    return buffer.getvalue()
