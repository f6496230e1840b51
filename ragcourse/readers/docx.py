"""Word documents: headings, paragraphs and tables in the order of the page."""

from __future__ import annotations

import io
import zipfile

from ragcourse.documents import Scalar
from ragcourse.readers.errors import ReadError

MAX_UNPACKED = 256 * 2**20
MAX_RATIO = 200


def read_docx(data: bytes) -> tuple[str, dict[str, Scalar]]:
    """Blocks separated by an empty line, table cells by `` | ``; the title from the first heading."""
    _refuse_bomb(data)
    from docx import Document as open_docx  # 60 ms of imports that a folder without .docx never needs
    from docx.opc.exceptions import OpcError
    from docx.table import Table

    try:
        file = open_docx(io.BytesIO(data))
        blocks: list[str] = []
        title = file.core_properties.title or ""
        for item in file.iter_inner_content():
            if isinstance(item, Table):
                blocks += [" | ".join(cell.text.strip() for cell in row.cells) for row in item.rows]
            elif item.text.strip():
                blocks.append(item.text.strip())
                style = item.style.name if item.style is not None else None
                if not title and style in ("Title", "Heading 1"):
                    title = item.text.strip()
    except (OpcError, KeyError, ValueError, SyntaxError, zipfile.BadZipFile) as error:
        # SyntaxError is what lxml raises for XML that is not well formed
        raise ReadError(f"damaged .docx: {error}") from error
    return "\n\n".join(blocks), {"title": title} if title else {}


def _refuse_bomb(data: bytes) -> None:
    """A .docx is a zip file: look at what it claims to hold before anything is unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            sizes = [(item.file_size, item.compress_size) for item in archive.infolist()]
    except zipfile.BadZipFile as error:
        raise ReadError(f"not a .docx file: {error}") from error
    unpacked, packed = sum(size for size, _ in sizes), sum(size for _, size in sizes)
    if unpacked > MAX_UNPACKED or (unpacked > 2**20 and unpacked > MAX_RATIO * max(packed, 1)):
        raise ReadError(
            f"a zip bomb: {len(data):,} bytes would unpack to {unpacked:,} "
            f"(limits: {MAX_UNPACKED // 2**20} MiB and {MAX_RATIO} times)"
        )
