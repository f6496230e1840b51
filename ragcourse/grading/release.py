"""`ragcourse release`: write `lessons/NN_name.ipynb` from the masters in `solutions/`, or check that they
agree.

The masters are normalised on the way (ids, metadata; outputs are left alone), so that a second run changes
nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ragcourse.grading.contracts import contract_of
from ragcourse.grading.masters import PointsOf, name_of, normalise, to_lesson

ROOT = Path(__file__).parents[2]
_NAME = re.compile(r"(\d\d)_\w+\.ipynb")


class ReleaseError(ValueError):
    """A master that cannot be released; the text says which cell and what to do."""


def release(
    numbers: Sequence[str] = (), *, check: bool = False, root: Path = ROOT, points_of: PointsOf | None = None
) -> list[str]:
    """Release the lessons with these numbers ("00", "1"), or all; return one line for each file changed.

    With `check` nothing is written, and the lines say what is not as a release would leave it. Raises
    ReleaseError for an unknown number or a master that cannot be released.
    """
    masters = _masters(root / "solutions", numbers)
    points_of = points_of or _points_in_contract
    lines: list[str] = []
    for master in masters:
        lines += _release_one(master, root / "lessons" / master.name, root, check, points_of)
    if not numbers:
        known = {master.name for master in masters}
        for lesson in sorted((root / "lessons").glob("*.ipynb")):
            if lesson.name not in known:
                lines.append(
                    f"lessons/{lesson.name} has no master in solutions/: remove it, or add the master"
                )
    return lines


def _points_in_contract(exercise: str) -> float:
    return contract_of(exercise).points


def _masters(folder: Path, numbers: Sequence[str]) -> list[Path]:
    found = {path.name[:2]: path for path in sorted(folder.glob("*.ipynb")) if _NAME.fullmatch(path.name)}
    if not found:
        raise ReleaseError(f"there is no NN_name.ipynb in {folder}")
    wanted = [number.zfill(2) for number in numbers] or list(found)
    unknown = [number for number in wanted if number not in found]
    if unknown:
        raise ReleaseError(f"there is no master for lesson {unknown[0]}; there are {', '.join(found)}")
    return [found[number] for number in wanted]


def _release_one(master: Path, lesson: Path, root: Path, check: bool, points_of: PointsOf) -> list[str]:
    name = master.relative_to(root).as_posix()
    original = _read(master, name)
    try:
        normalised = normalise(original, master.name[:2], points_of)
        released = to_lesson(normalised)
        nbformat.validate(released)
    except (ValueError, nbformat.ValidationError) as error:
        raise ReleaseError(f"{name}: {error}") from error
    lines = []
    for path, wanted in ((master, normalised), (lesson, released)):
        text = nbformat.v4.writes(wanted) + "\n"  # type: ignore[no-untyped-call]
        old = path.read_text("utf-8") if path.exists() else None
        if old == text:
            continue
        where = path.relative_to(root).as_posix()
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8", newline="\n")
            lines.append(f"{where}: {'normalised' if path is master else 'written'}")
        elif old is None:
            lines.append(f"{where} has not been released: run `ragcourse release {master.name[:2]}`")
        else:
            place = first_difference(_read(path, where), wanted)
            lines.append(
                f"{where} differs from its release, {place}: run `ragcourse release {master.name[:2]}`"
            )
    return lines


def _read(path: Path, name: str) -> NotebookNode:
    """Read a notebook without validating or mending it: `normalise` is the one place that mends."""
    try:
        notebook: NotebookNode = nbformat.v4.reads(path.read_text("utf-8"))  # type: ignore[no-untyped-call]
        if notebook.nbformat != 4 or not isinstance(notebook.cells, list):
            raise ReleaseError(f"{name} is not a notebook of format 4: open and save it in JupyterLab")
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, KeyError, TypeError) as error:
        raise ReleaseError(f"{name} is not a notebook: {error}") from error
    return notebook


def first_difference(found: NotebookNode, wanted: NotebookNode) -> str:
    """Say in a few words where two notebooks first differ."""
    for number, (a, b) in enumerate(zip_longest(found.cells, wanted.cells), start=1):
        if a is None:
            return f"{name_of(number, b)} is missing"
        if b is None:
            return f"{name_of(number, a)} is too many"
        if a != b:
            keys = [key for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key)]
            return f"first in the {' and '.join(keys)} of {name_of(number, a)}"
    return "in the notebook's metadata" if found.metadata != wanted.metadata else "in the layout of the file"
