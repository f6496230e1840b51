"""What changed in a folder since the manifest was written.

A file whose stamp (size, times, inode) is the recorded one was not touched; any other file is
hashed, since a touched file may hold the same bytes. One trap: a file changed twice within one tick
of the file system's clock has one stamp for two contents. So a stamp is believed only if it is
older, by a margin, than the moment at which the recorded content was read.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ragcourse.documents import content_hash
from ragcourse.manifest import FileRecord
from ragcourse.readers import ROOT, FileEntry

_MARGIN_NS = 2_000_000_000  # the coarsest clock in use: FAT keeps times to 2 s


@dataclass(slots=True)
class FolderDiff:
    """``unchanged`` records, of which ``touched`` have a new stamp; files to read; ids that are gone.

    ``unread`` are ids of files to read that could not be opened when their turn came.
    """

    unchanged: list[FileRecord] = field(default_factory=list)
    touched: list[FileRecord] = field(default_factory=list)
    added: list[FileEntry] = field(default_factory=list)
    changed: list[FileEntry] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def compare(
    entries: Iterable[FileEntry], records: Mapping[str, FileRecord], *, recheck: bool = False
) -> FolderDiff:
    """Sort the folder's entries against the records; with ``recheck`` every file counts as changed.

    A file or folder that cannot be looked at just now keeps its records: being unable to read is no
    reason to forget.
    """
    diff = FolderDiff()
    gone = dict(records)
    for entry in entries:
        record = gone.get(entry.id)
        if entry.problem is None:
            gone.pop(entry.id, None)
            _sort(entry, record, diff, recheck)
        else:
            diff.skipped.append((entry.id, entry.problem))
            if entry.unreachable:
                for name in [name for name in gone if _is_at_or_below(name, entry.id)]:
                    diff.unchanged.append(gone.pop(name))
    diff.removed = sorted(gone)
    return diff


def _is_at_or_below(name: str, folder: str) -> bool:
    return folder == ROOT or name == folder or name.startswith(folder + "/")


def _sort(entry: FileEntry, record: FileRecord | None, diff: FolderDiff, recheck: bool) -> None:
    if record is None:
        diff.added.append(entry)
    elif recheck:
        diff.changed.append(entry)
    elif entry.stamp == record.stamp and max(entry.stamp[1:3]) < record.seen_ns - _MARGIN_NS:
        _keep(record, diff)
    else:
        seen_ns = time.time_ns()
        if file_hash(entry.path) == record.hash:
            touched = replace(record, stamp=entry.stamp, seen_ns=seen_ns)
            diff.touched.append(touched)
            _keep(touched, diff)
        else:
            diff.changed.append(entry)


def _keep(record: FileRecord, diff: FolderDiff) -> None:
    diff.unchanged.append(record)
    if record.problem:
        diff.skipped.append((record.id, record.problem))


def file_hash(path: Path) -> str | None:
    """The content hash of a file, or None if it cannot be opened (reading it will say why)."""
    try:
        return content_hash(path.read_bytes())
    except OSError:
        return None
