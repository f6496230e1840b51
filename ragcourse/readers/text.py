"""Plain text and Markdown: find the encoding, refuse what is not text."""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

from ragcourse.documents import Scalar
from ragcourse.readers.errors import ReadError

_BOMS = (  # the longest first: UTF-32-LE begins like UTF-16-LE
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_TITLE = re.compile(r"^#\s+(.+?)\s*#*\s*$", re.MULTILINE)
_SAMPLE = 64 * 1024  # bytes on which an unmarked encoding is guessed


def decode(data: bytes) -> tuple[str, str]:
    """Bytes → (text, encoding): byte-order mark, else strict UTF-8, else a statistical guess.

    The mark is dropped and line ends become ``\\n``. Raises ``ReadError`` for binary content.
    """
    for mark, name in _BOMS:
        if data.startswith(mark):
            return _clean(_strict(data[len(mark) :], name)), name
    try:
        return _clean(data.decode("utf-8")), "utf-8"
    except UnicodeDecodeError:
        pass
    guess = from_bytes(data[:_SAMPLE]).best()
    if guess is None:
        raise ReadError("binary content, or text in an unknown encoding")
    # gb18030 contains GBK and GB2312, so that one rare character does not spoil the file
    name = "gb18030" if guess.encoding in ("gb2312", "gbk") else guess.encoding
    return _clean(_strict(data, name)), name


def _strict(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ReadError(f"not valid {encoding} at byte {error.start}: binary content or damaged text") from error


def _clean(text: str) -> str:
    controls = len(_CONTROL.findall(text[:_SAMPLE]))
    if "\x00" in text or controls > len(text[:_SAMPLE]) / 100:
        raise ReadError("binary content under the name of a text file")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_text(data: bytes) -> tuple[str, dict[str, Scalar]]:
    """Plain text; its encoding goes into the metadata."""
    text, encoding = decode(data)
    return text, {"encoding": encoding}


def read_markdown(data: bytes) -> tuple[str, dict[str, Scalar]]:
    """Markdown as it is written; the first heading is the title."""
    text, encoding = decode(data)
    title = _TITLE.search(text)
    return text, {"encoding": encoding, **({"title": title.group(1)} if title else {})}
