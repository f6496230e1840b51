"""Find the notebooks that were handed in, and read one without trusting anything in it.

Nothing that a learner made can end the grading: what cannot be read becomes a `Submission` with a `problem`,
or a `SubmissionError` whose text says what to do.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from ragcourse.grading.learners import Lessons, labels, printable
from ragcourse.grading.matching import checked_exercise, defined_names, grade_id, plain_text
from ragcourse.grading.release import ROOT
from ragcourse.grading.unzip import HUGE, MAX_BYTES, Item, hidden, unzip
from ragcourse.grading.workcopy import Master

MAX_CELLS = 2_000
MAX_FILES = 10_000  # notebooks in one folder
_KINDS = ("code", "markdown", "raw")
_GRADING = ("grade", "grade_id", "locked", "points", "solution")


class SubmissionError(ValueError):
    """A notebook that cannot be graded; the text says why, and what to do."""


@dataclass(frozen=True)
class Submission:
    """A notebook as it was handed in; where `problem` is not "", it says why there is no `data`."""

    file: str  # shown name, unique
    learner: str  # label, unique
    data: bytes = b""
    problem: str = ""


def find(paths: str | Path | Iterable[str | Path]) -> list[Submission]:
    """Return the notebooks in files, folders and zips, in the order of the paths, then of their names.

    Hidden files are left out, and in folders all that is neither .ipynb nor .zip. Nothing is written to disk.
    Never raises for what it finds: a path without a notebook, or one that cannot be read, has a `problem`.
    """
    listed = [paths] if isinstance(paths, (str, Path)) else list(paths)
    lessons = Lessons(path.stem for path in (ROOT / "lessons").glob("*.ipynb"))
    items: list[Item] = []
    learners: list[str] = []
    seen: set[Path] = set()
    for path in map(Path, listed):
        found = [item for item in _items(path) if item.path is None or _is_new(item.path, seen)]
        items += found
        learners += labels([item.parts for item in found], _home(path), lessons)
    learners = lessons.unique(learners, [item.parts[-1] for item in items])
    files = _unique([printable(item.shown, 300) for item in items])
    return [
        Submission(file, learner, item.data, item.problem)
        for file, learner, item in zip(files, learners, items, strict=True)
    ]


def parse(data: bytes) -> NotebookNode:
    """Return the cells of a notebook file: type, source, id, grading metadata and tags, nothing else.

    The ids may be missing or repeated, as they were. Raises SubmissionError for what is not a notebook of
    format 4, or a larger one than is graded.
    """
    if len(data) > MAX_BYTES:
        raise SubmissionError(HUGE)
    content = _json(data)
    if not isinstance(content, dict):
        raise SubmissionError("this is JSON, but not a notebook: hand in the .ipynb file of the lesson")
    if "worksheets" in content or (type(content.get("nbformat")) is int and content["nbformat"] < 4):
        raise SubmissionError("a notebook of an old format: open it in JupyterLab, save it, hand it in again")
    cells = content.get("cells")
    if content.get("nbformat") != 4 or not isinstance(cells, list):
        raise SubmissionError("this is JSON, but not a notebook of format 4: hand in the .ipynb file itself")
    if len(cells) > MAX_CELLS:
        raise SubmissionError(f"{len(cells):,} cells, more than {MAX_CELLS:,}: delete those you do not need")
    read = [_cell(number, cell) for number, cell in enumerate(cells, start=1)]
    return NotebookNode(cells=read)  # type: ignore[no-untyped-call]


def lesson_of(notebook: NotebookNode, masters: Mapping[str, Master]) -> str:
    """Return the number of the lesson, such as "01", that the cells come from; the file's name is no matter.

    Grade ids, cell ids, unchanged cells and the names of the answers count, as far as only one lesson has
    them. Raises SubmissionError, listing the lessons, where they point to none.
    """
    signs = {number: _signs(master.lesson) for number, master in masters.items()}
    found = _signs(notebook)
    scores = {
        number: sum(
            _WEIGHTS[sign[0]]
            for sign in own & found
            if not any(sign in others for other, others in signs.items() if other != number)
        )
        for number, own in signs.items()
    }
    best = sorted(scores, key=lambda number: scores[number], reverse=True)
    if not best or scores[best[0]] < 2:
        known = ", ".join(master.name for master in masters.values()) or "none"
        raise SubmissionError(f"no cell of a lesson was recognised; the lessons are: {known}")
    if len(best) > 1 and scores[best[0]] == scores[best[1]]:
        raise SubmissionError(
            f"cells of the lessons {best[0]} and {best[1]}, as many of each: hand in one lesson a notebook"
        )
    return best[0]


_WEIGHTS = {"grade id": 3, "id": 1, "text": 2, "name": 2}  # a foreign notebook may have a cell named "setup"


def _signs(notebook: NotebookNode) -> set[tuple[str, str]]:
    signs: set[tuple[str, str]] = set()
    for cell in notebook.cells:
        signs |= {("grade id", grade_id(cell)), ("id", str(cell.get("id", "")))}
        if cell.cell_type == "code":
            signs |= {("name", name) for name in defined_names(cell.source)}
            signs.add(("name", checked_exercise(cell.source)))
        if len(text := plain_text(cell.source)) > 20:
            signs.add(("text", text))
    return {sign for sign in signs if sign[1]}


def _json(data: bytes) -> Any:
    if data.startswith(b"PK\x03\x04"):
        raise SubmissionError("this is a zip with the ending .ipynb: hand in the notebook that is in it")
    if data.lstrip()[:1] == b"<":
        raise SubmissionError("this is a web page, not the notebook: download the .ipynb file itself")
    if not data.strip():
        raise SubmissionError("the file is empty: save the notebook and hand it in again")
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise SubmissionError(
            f"not UTF-8 text (byte {error.start}): save the notebook in JupyterLab"
        ) from error
    except json.JSONDecodeError as error:
        raise SubmissionError(
            f"not valid JSON in line {error.lineno}, {error.msg}: the file was cut off or edited by hand; "
            "open it in JupyterLab, save it and hand it in again"
        ) from error
    except (ValueError, RecursionError, MemoryError) as error:  # a number of 5,000 digits, 1,000 brackets
        raise SubmissionError("JSON that no notebook has: save the notebook in JupyterLab") from error


def _cell(number: int, cell: object) -> NotebookNode:
    if not isinstance(cell, dict):
        raise SubmissionError(f"cell {number} is not a cell: save the notebook in JupyterLab")
    kind, source, metadata = cell.get("cell_type"), cell.get("source"), cell.get("metadata")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if kind not in _KINDS or not isinstance(source, str):
        raise SubmissionError(f"cell {number} has no type or no text: save the notebook in JupyterLab")
    metadata = metadata if isinstance(metadata, dict) else {}
    made = NotebookNode(  # type: ignore[no-untyped-call]
        cell_type=kind, source=_encodable(source), metadata=_kept(metadata)
    )
    name = cell.get("id") or metadata.get("id")  # Colab keeps it in the metadata
    if isinstance(name, str):
        made["id"] = _encodable(name)[:64]
    return made


def _kept(metadata: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    if isinstance(grading := metadata.get("nbgrader"), dict):
        scalars = {key: grading[key] for key in _GRADING if isinstance(grading.get(key), (str, int, float))}
        kept["nbgrader"] = {
            key: _encodable(value) if isinstance(value, str) else value for key, value in scalars.items()
        }
    if isinstance(tags := metadata.get("tags"), list):
        kept["tags"] = [_encodable(tag) for tag in tags if isinstance(tag, str)][:100]
    return kept


def _encodable(text: str) -> str:
    """JSON may hold half a character (``\\ud800``), which no file can."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _items(path: Path) -> Iterator[Item]:
    shown, parts = str(path), (path.name or str(path),)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            found = list(_folder(path))
            yield from found or [Item(shown, parts, problem="there is no .ipynb in this folder")]
        elif path.suffix.lower() == ".zip":
            found = list(unzip(path, shown))
            yield from found or [Item(shown, parts, problem="there is no .ipynb in this zip")]
        elif path.suffix.lower() != ".ipynb":
            yield Item(
                shown, parts, problem="not a notebook: name a .ipynb file, a folder or a zip", path=path
            )
        else:
            yield _file(path, parts)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        yield Item(shown, parts, problem=_why(error))


def _folder(folder: Path) -> Iterator[Item]:
    count = 0
    errors: list[OSError] = []
    for here, folders, files in os.walk(folder, onerror=errors.append):
        folders[:] = sorted(name for name in folders if not hidden(name))
        for name in sorted(files):
            path = Path(here, name)
            if hidden(name) or path.suffix.lower() not in (".ipynb", ".zip"):
                continue
            count += 1
            if count > MAX_FILES:
                yield Item(
                    str(folder), (folder.name,), problem=f"only the first {MAX_FILES:,} files were read"
                )
                return
            parts = path.relative_to(folder).parts
            if path.is_symlink():
                yield Item(str(path), parts, problem="a link to another file: hand in the notebook itself")
            elif path.suffix.lower() == ".zip":
                yield from unzip(path, str(path), (*parts[:-1], path.stem))
            else:
                yield _file(path, parts)
    for error in errors:
        yield Item(str(error.filename), (Path(str(error.filename)).name,), problem=_why(error))


def _file(path: Path, parts: tuple[str, ...]) -> Item:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # reading a pipe would wait for ever
            return Item(str(path), parts, problem="not a file: hand in the notebook itself", path=path)
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        return Item(str(path), parts, problem=_why(error), path=path)
    if len(data) > MAX_BYTES:
        return Item(str(path), parts, problem=HUGE, path=path)
    return Item(str(path), parts, data, path=path)


def _home(path: Path) -> str:
    """The folder or zip that may be named after the learner."""
    try:
        whole = path.resolve()
        return whole.name if whole.is_dir() else whole.stem if path.suffix == ".zip" else whole.parent.name
    except (OSError, ValueError, RuntimeError):
        return ""


def _is_new(path: Path, seen: set[Path]) -> bool:
    whole = path.resolve()
    if whole in seen:
        return False
    seen.add(whole)
    return True


def _unique(names: list[str]) -> list[str]:
    taken: set[str] = set()
    for at, name in enumerate(names):
        count = 1
        while names[at] in taken:
            count += 1
            names[at] = f"{name} ({count})"
        taken.add(names[at])
    return names


def _why(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file or folder"
    if isinstance(error, PermissionError):
        return "no permission to read it: change its owner or its mode"
    return f"it cannot be read: {error}"
