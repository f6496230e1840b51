"""Word documents: headings, paragraphs, list items and tables in the order of the page.

A .docx is a zip file of XML parts (Office Open XML, ECMA-376). Only the part with the text is needed,
and it is read as a stream, so that a missing picture harms nothing and a large document stays small in
memory. Its elements, by local name, since the strict form of the standard has other namespaces:

==============  ====================================================
``p``           a paragraph; one in a text box stands inside another
``tr``, ``tc``  a row of a table and its cells
``t``           text, also of formulas and tracked insertions
==============  ====================================================
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError, fromstring, iterparse

from ragcourse.documents import Scalar
from ragcourse.readers.errors import ReadError

MAX_UNPACKED = 256 * 2**20
MAX_PART = 64 * 2**20
MAX_SIDE_PART = 4 * 2**20
MAX_RATIO = 200

_MAIN = "/wordprocessingml/document.main"
_CHARACTERS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_UNSEEN = ("moveFrom", "Fallback")
"""Text that was moved away, and text boxes a second time for old programs."""


def read_docx(data: bytes) -> tuple[str, dict[str, Scalar]]:
    """Blocks separated by an empty line, table cells by `` | ``; the title from the first heading."""
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise ReadError("protected by a password, or an old .doc under the name of a .docx")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _refuse_bomb(archive, len(data))
            return _read(archive)
    except ReadError:
        raise
    except zipfile.BadZipFile as error:
        raise ReadError(f"damaged, or not a .docx file: {error}") from error
    except (ParseError, zlib.error, LookupError, ValueError, EOFError, RuntimeError, OSError) as error:
        raise ReadError(f"damaged .docx: {error}") from error


def _refuse_bomb(archive: zipfile.ZipFile, size: int) -> None:
    """Look at what the archive claims to hold before any of it is unpacked; zipfile stops at the claim."""
    unpacked = sum(item.file_size for item in archive.infolist())
    if unpacked > MAX_UNPACKED or unpacked > max(2**20, MAX_RATIO * size):
        raise ReadError(
            f"a zip bomb: {size:,} bytes would unpack to {unpacked:,} "
            f"(limits: {MAX_UNPACKED // 2**20} MiB and {MAX_RATIO} times)"
        )


def _read(archive: zipfile.ZipFile) -> tuple[str, dict[str, Scalar]]:
    part = _main_part(archive)
    blocks = list(_blocks(archive, part))
    title = _core_title(archive)
    if not title:
        headings = _heading_styles(archive, part.rpartition("/")[0] + "/styles.xml")
        title = next((block for block, style in blocks if style in headings), "")
    return "\n\n".join(block for block, _ in blocks), {"title": title} if title else {}


def _blocks(archive: zipfile.ZipFile, part: str) -> Iterator[tuple[str, str]]:
    """The text and the style of each paragraph outside of tables, and of each row of a table."""
    paragraphs: list[list[str]] = []  # the open ones
    cells: list[list[str]] = []  # of the open row
    rows = 0  # how many are open: a row in a cell is text of that cell
    unseen = 0
    style = ""
    above: list[Element] = []
    for event, name, element in _elements(archive, part):
        begins = event == "start"
        if begins:
            above.append(element)
        else:
            above.pop()
            if above:
                above[-1].remove(element)  # or the tree of the whole document stays in memory
        if name in _UNSEEN:
            unseen += 1 if begins else -1
        elif name == "tr":
            rows += 1 if begins else -1
            if not rows:
                row = " | ".join(" ".join(" ".join(cell).split()) for cell in cells)
                if row.strip(" |"):
                    yield row, ""
                cells.clear()
        elif name == "tc" and begins and rows == 1:
            cells.append([])
        elif name == "p" and begins:
            paragraphs.append([])
        elif name == "p":
            text = "".join(paragraphs.pop())
            if rows and cells:
                cells[-1].append(text)
            elif text.strip():
                yield text.strip(), style
            style = ""
        elif paragraphs and not begins and not unseen:
            if name == "t":
                paragraphs[-1].append(element.text or "")
            elif name in _CHARACTERS:
                paragraphs[-1].append(_CHARACTERS[name])
            elif name == "pStyle":
                style = _attribute(element, "val")


def _elements(archive: zipfile.ZipFile, part: str) -> Iterator[tuple[str, str, Element]]:
    """("start" or "end", local name, element) for all elements of a part, as they are parsed."""
    if (size := archive.getinfo(part).file_size) > MAX_PART:
        raise ReadError(f"{part} in it has {size / 2**20:.0f} MiB; the limit is {MAX_PART // 2**20} MiB")
    with archive.open(part) as file:
        for event, element in iterparse(file, ("start", "end")):
            yield event, element.tag.rpartition("}")[2], element


def _side_part(archive: zipfile.ZipFile, part: str) -> list[tuple[str, Element]]:
    """The elements of a small part that the document can do without, if it is there and whole."""
    try:
        if archive.getinfo(part).file_size <= MAX_SIDE_PART:
            return [
                (element.tag.rpartition("}")[2], element) for element in fromstring(archive.read(part)).iter()
            ]
    except (KeyError, ParseError, zipfile.BadZipFile, zlib.error):
        pass
    return []


def _main_part(archive: zipfile.ZipFile) -> str:
    """The name of the part with the text: nearly always ``word/document.xml``."""
    for name, element in _side_part(archive, "[Content_Types].xml"):
        if name == "Override" and _MAIN in element.get("ContentType", ""):
            return element.get("PartName", "").lstrip("/")
    return "word/document.xml"


def _core_title(archive: zipfile.ZipFile) -> str:
    titles = [element.text for name, element in _side_part(archive, "docProps/core.xml") if name == "title"]
    return (titles[0] or "").strip() if titles else ""


def _heading_styles(archive: zipfile.ZipFile, part: str) -> set[str]:
    """Ids of the styles of a title or a first heading: their names are English in every language's Word."""
    found = {"Title", "Heading1"}
    for name, element in _side_part(archive, part):
        if name == "style":
            names = [_attribute(child, "val") for child in element if child.tag.endswith("}name")]
            if {"title", "heading 1"} & {name.lower() for name in names}:
                found.add(_attribute(element, "styleId"))
    return found


def _attribute(element: Element, name: str) -> str:
    """An attribute by its local name."""
    return next((value for key, value in element.items() if key.rpartition("}")[2] == name), "")
