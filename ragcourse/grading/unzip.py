"""Read the notebooks in a zip that a stranger made: into memory, within limits, nothing to disk."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MAX_BYTES = 20 * 2**20  # one notebook
MAX_TOTAL = 512 * 2**20  # all notebooks of one zip
MAX_MEMBERS = 100_000
MAX_NAME = 1_000  # characters of a path in a zip
HUGE = f"larger than {MAX_BYTES >> 20} MB: clear the outputs, save, and hand it in again"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others may ask for gigabytes to unpack
_AGAIN = "pack it again as an ordinary zip, or hand in the notebook itself"


@dataclass(frozen=True)
class Item:
    """A file that was found: its shown name, its path below the place that was named, its data."""

    shown: str
    parts: tuple[str, ...]
    data: bytes = b""
    problem: str = ""
    path: Path | None = None  # on disk, or None for one in a zip


def hidden(name: str) -> bool:
    """Tell whether a file or folder of this name is left out."""
    return name.startswith(".") or name == "__MACOSX"


def unzip(
    source: Path | bytes, shown: str, folders: tuple[str, ...] = (), *, nested: bool = False
) -> Iterator[Item]:
    """Yield the notebooks in a zip, by name, and those of the zips in it (one level).

    The parts of an item begin with `folders`. What cannot be read is an item with a `problem`.
    """
    place = (*folders, PurePosixPath(shown).name)
    try:
        with zipfile.ZipFile(source if isinstance(source, Path) else io.BytesIO(source)) as archive:
            members = archive.infolist()
            if len(members) > MAX_MEMBERS:
                yield Item(
                    shown, place, problem=f"{len(members):,} files in a zip, more than {MAX_MEMBERS:,}"
                )
                return
            wanted = [member for member in members if _wanted(member)]
            too_many = _beyond_total(wanted)
            for member in sorted(wanted, key=_name):
                item = _read(archive, member, shown, folders, member in too_many)
                if item.problem or not item.shown.lower().endswith(".zip"):
                    yield item
                elif nested:
                    yield Item(item.shown, item.parts, problem=f"a zip in a zip in a zip: {_AGAIN}")
                else:
                    inner = (*item.parts[:-1], PurePosixPath(item.parts[-1]).stem)
                    yield from unzip(item.data, item.shown, inner, nested=True)
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, EOFError, MemoryError) as error:
        yield Item(shown, place, problem=f"this zip cannot be read ({error}): {_AGAIN}")


def _name(member: zipfile.ZipInfo) -> str:
    """Return the name with / between its parts; old tools write UTF-8 names without saying so."""
    name = member.orig_filename
    if not member.flag_bits & 0x800:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def _wanted(member: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(_name(member))
    names = [name for name in path.parts if name != ".."]
    return path.suffix.lower() in (".ipynb", ".zip") and not any(map(hidden, names)) and not member.is_dir()


def _beyond_total(members: list[zipfile.ZipInfo]) -> set[zipfile.ZipInfo]:
    """Return those that do not fit; the small ones come first, so that a bomb harms only itself."""
    total, beyond = 0, set()
    for member in sorted(members, key=lambda member: member.file_size):
        total += min(member.file_size, MAX_BYTES)
        if total > MAX_TOTAL:
            beyond.add(member)
    return beyond


def _read(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, shown: str, folders: tuple[str, ...], too_many: bool
) -> Item:
    name = _name(member)
    too_long = len(name) > MAX_NAME
    name = name[-MAX_NAME:]
    path = PurePosixPath(name)
    parts = (*folders, *(part for part in path.parts if part not in ("..", "/")))
    data, problem = b"", ""
    if too_long:
        problem = f"its path has more than {MAX_NAME:,} characters: {_AGAIN}"
    elif path.is_absolute() or ".." in path.parts or name[1:2] == ":":
        problem = f"its path leaves the zip: {_AGAIN}"
    elif stat.S_ISLNK(member.external_attr >> 16):
        problem = "a link to another file: hand in the notebook itself"
    elif member.flag_bits & 0x1:
        problem = f"the zip is encrypted: {_AGAIN}"
    elif member.compress_type not in _METHODS:
        problem = f"compressed in an unusual way: {_AGAIN}"
    elif member.file_size > MAX_BYTES:
        problem = HUGE
    elif too_many:
        problem = f"more than {MAX_TOTAL >> 20} MB in one zip: grade its notebooks in parts"
    else:
        try:
            data = archive.read(member)  # never more than file_size
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
            problem = f"damaged in the zip ({error}): {_AGAIN}"
    return Item(f"{shown}/{name}", parts, data, problem)
