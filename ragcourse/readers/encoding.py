"""Bytes become text: find the encoding, refuse what is not text.

Files do not say how they are encoded. In this order: a byte-order mark; UTF-8, which hardly anything
else passes for; what the page itself declares; at last a guess by charset-normalizer, narrowed to the
encodings that people do use, for on a few words the rare ones look as plausible as the usual.
"""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

from ragcourse.readers.errors import ReadError

_BOMS = (  # the longest first: UTF-32-LE begins like UTF-16-LE
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_UTF16 = ["utf_16_le", "utf_16_be"]
_ACCENTS = ["cp1252", "cp1250", "cp1251", "cp1254", "cp1257", "cp1253"]
_ALPHABETS = ["gb18030", "cp1252", "cp1251", "cp932", "cp949", "big5hkscs", "euc_jp", "cp1250", "koi8_r"]
_SELDOM = ["cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874", "cp866", *_UTF16]
_BROWSER_NAMES = {"iso-8859-1": "cp1252", "latin1": "cp1252", "us-ascii": "cp1252", "ascii": "cp1252"}
_CHINESE = {"gb2312", "gbk", "x-gbk", "gb_2312-80"}  # all contained in gb18030
_NOT_OF_PAGES = re.compile("utf|unicode|raw|punycode|idna")  # tried already, or of Python's own
_RUN = re.compile(rb"[\x80-\xff]+")
_ACCENT = re.compile(rb"[\x80\x85\x91-\x97\x99\xa0-\xff]")  # or dash, quote, ellipsis, euro of cp1252
_FOREIGN = re.compile("[^\x00-\x7f\ufffd]+")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
_BINARY = "binary content under the name of a text file"
_SAMPLE = 64 * 1024  # bytes on which to guess


def decode(data: bytes, declared: str | None = None) -> tuple[str, str]:
    """Bytes → (text, encoding). ``declared`` is the name that an HTML page gives for its encoding.

    The mark is dropped and line ends become ``\\n``. Raises ``ReadError`` for binary content.
    """
    for mark, name in _BOMS:
        if data.startswith(mark):
            return _clean(_strict(data[len(mark) :], name)), name
    if b"\x00" in data[:_SAMPLE]:
        name = _guess_with_zeros(data[:_SAMPLE])
        return _clean(_strict(data, name)), name
    text = data.decode("utf-8", "replace")
    damaged = text.count("\ufffd")
    # a cut or overwritten character spoils itself, not the file; text in another encoding is all damage
    if not damaged or 20 * damaged < sum(map(len, _FOREIGN.findall(text))):
        return _clean(text), "utf-8"
    if declared and not _NOT_OF_PAGES.match(declared):
        name = "gb18030" if declared in _CHINESE else _BROWSER_NAMES.get(declared, declared)
        try:
            return _clean(data.decode(name)), name
        except (LookupError, UnicodeDecodeError):
            pass
    sample = _sample(data)
    runs = _RUN.findall(sample)
    lone = sum(len(run) == 1 and _ACCENT.match(run) is not None for run in runs)
    name = _guess(sample, _ACCENTS if lone >= 0.9 * len(runs) else _ALPHABETS + _SELDOM)
    return _clean(_strict(data, name)), name


def _sample(data: bytes) -> bytes:
    """The beginning of the data, cut behind a white space so as not to cut a character in two."""
    if len(data) <= _SAMPLE:
        return data
    cut = max(data.rfind(b"\n", 0, _SAMPLE), data.rfind(b" ", 0, _SAMPLE))
    return data[: cut + 1] if cut >= 0 else data


def _guess_with_zeros(sample: bytes) -> str:
    """UTF-16 and UTF-32 without a mark; as single bytes their alphabets are largely control characters."""
    if sample.isascii() and len(_CONTROL.findall(sample.decode("ascii"))) < len(sample) / 5:
        raise ReadError(_BINARY)
    return _guess(sample, ["utf_16_le", "utf_16_be", "utf_32_le", "utf_32_be"])


def _guess(sample: bytes, among: list[str]) -> str:
    """The one that makes the least disorder (0–1) of the bytes; the earlier one in ``among`` if equal.

    Western European text loses to its rarer neighbours by little: a bias mends that.
    """
    ranked = [
        (match.chaos + (name in _SELDOM) * 0.15 - (name == "cp1252") * 0.13, among.index(name))
        for match in from_bytes(sample, steps=20, cp_isolation=among)
        for name in match.could_be_from_charset  # several may give the same text
        if name in among
    ]
    if not ranked and among is _ACCENTS:
        return "cp1252"
    if not ranked:
        raise ReadError("binary content, or text in an unknown encoding")
    return among[min(ranked)[1]]


def _strict(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ReadError(
            f"not valid {encoding} at byte {error.start}: binary content or damaged text"
        ) from error


def _clean(text: str) -> str:
    controls = len(_CONTROL.findall(text[:_SAMPLE]))
    if "\x00" in text or controls > len(text[:_SAMPLE]) / 100:
        raise ReadError(_BINARY)
    return text.replace("\r\n", "\n").replace("\r", "\n")
