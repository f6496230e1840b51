"""Files become documents: .txt, .md, .html, .docx, .pdf.

``scan`` lists what a folder holds, ``read`` turns one file into a ``Document``. A file that cannot
be read raises ``ReadError`` with a reason fit to show; ingest counts it as skipped and goes on.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ragcourse.documents import Document, Scalar
from ragcourse.readers.docx import read_docx
from ragcourse.readers.errors import ReadError
from ragcourse.readers.html import read_html
from ragcourse.readers.pdf import read_pdf
from ragcourse.readers.text import read_markdown, read_text

__all__ = ["MAX_BYTES", "MAX_CHARACTERS", "READERS", "ROOT", "FileEntry", "ReadError", "read", "scan"]

ROOT = "."
"""The id under which the folder itself is reported when it cannot be listed."""

MAX_BYTES = 32 * 2**20
"""Larger files are skipped, without being read."""

MAX_CHARACTERS = 8 * 2**20
"""More text is skipped: a document is ingested as a whole, in about 70 bytes of memory a character."""

Reader = Callable[[bytes], tuple[str, dict[str, Scalar]]]

READERS: dict[str, Reader] = {
    ".txt": read_text,
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".html": read_html,
    ".htm": read_html,
    ".docx": read_docx,
    ".pdf": read_pdf,
}
"""File ending → function from the file's bytes to (text, metadata). Add your own here."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of the folder as the file system describes it, without opening it.

    ``stamp`` changes when the file does: size in bytes, modification and status-change time in ns,
    inode. ``problem`` says why the file is not to be read, if so; ``unreachable`` that this may be
    a passing trouble (rights, a network drive) and says nothing of the content.
    """

    id: str
    path: Path
    stamp: tuple[int, int, int, int]
    problem: str | None = None
    unreachable: bool = False


def scan(folder: Path) -> Iterator[FileEntry]:
    """The files below ``folder`` in the order of their names; hidden ones are left out.

    Raises ``FileNotFoundError`` or ``NotADirectoryError`` when there is no such folder.
    """
    if not folder.exists():
        raise FileNotFoundError(f"the folder {folder} does not exist: nothing to ingest")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; give the folder that holds your documents")
    return _walk(folder, folder.resolve())


def _walk(folder: Path, root: Path) -> Iterator[FileEntry]:
    """Depth first. The next one to visit stands last in a list: recursion would end at a thousand folders."""
    todo: list[tuple[str, os.DirEntry[str] | None]] = [("", None)]
    while todo:
        name, entry = todo.pop()
        if entry is not None and not entry.is_dir(follow_symlinks=False):
            yield _entry(entry, root, name)
            continue
        path = folder if entry is None else Path(entry.path)
        try:
            with os.scandir(path) as listing:
                found = sorted(listing, key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            problem = f"cannot list the folder: {error.strerror}"
            yield _refused(name or ROOT, path, problem, unreachable=True)
            continue
        for entry in found:
            if not entry.name.startswith((".", "~$")):  # ~$: what Word leaves beside a document it has open
                todo.append((f"{name}/{entry.name}" if name else entry.name, entry))


def _entry(entry: os.DirEntry[str], root: Path, name: str) -> FileEntry:
    path = Path(entry.path)
    problem = None
    try:
        if entry.is_symlink() and not path.resolve().is_relative_to(root):
            return _refused(name, path, "a symbolic link that leaves the folder")
        if entry.is_symlink() and not path.exists():
            return _refused(name, path, "a symbolic link to a file that is not there")
        info = entry.stat()
        if name != _printable(name):
            problem = "its name is not valid UTF-8; rename it"
        elif entry.is_dir():
            problem = "a symbolic link to a folder; links to folders are not followed"
        elif not stat.S_ISREG(info.st_mode):
            problem = "not a regular file"
        elif path.suffix.lower() not in READERS:
            problem = f"no reader for {path.suffix or 'a name without ending'} (have {', '.join(READERS)})"
        elif info.st_size > MAX_BYTES:
            problem = f"{info.st_size / 2**20:.1f} MiB is above the limit of {MAX_BYTES // 2**20} MiB a file"
    except RuntimeError:  # from resolve() before Python 3.13, which says that there is no file
        return _refused(name, path, "a symbolic link that leads back to itself")
    except OSError as error:
        return _refused(name, path, f"cannot look at the file: {error.strerror}", unreachable=True)
    stamp = (info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino)
    return FileEntry(_printable(name), path, stamp, problem)


def _refused(name: str, path: Path, problem: str, unreachable: bool = False) -> FileEntry:
    return FileEntry(_printable(name), path, (0, 0, 0, 0), problem, unreachable)


def _printable(name: str) -> str:
    """Names are bytes to some systems; what is not UTF-8 in them can be neither stored nor printed."""
    return name.encode("utf-8", "backslashreplace").decode()


def read(path: Path, root: Path | None = None, data: bytes | None = None) -> Document:
    """One file as a ``Document`` whose id is the path relative to ``root`` (default: its folder).

    ``data`` gives the bytes when the caller has them already. Raises ``ReadError``, and ``OSError``
    if the file cannot be opened.
    """
    name = path.relative_to(root).as_posix() if root else path.name
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ReadError(f"no reader for {path.suffix or 'a name without ending'}")
    if data is None:
        data = path.read_bytes()
    if not data:
        raise ReadError("the file is empty")
    text, metadata = reader(data)
    if not text.strip():
        raise ReadError("there is no text in it")
    if len(text) > MAX_CHARACTERS:
        raise ReadError(f"{len(text):,} characters of text; the limit is {MAX_CHARACTERS:,}: split it")
    return Document(name, text, {"file_type": path.suffix.lower().lstrip("."), **metadata})
