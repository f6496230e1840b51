"""Submissions to try the grader with: honest ones, and edits that make them otherwise.

    fill("01", {"1.2": wrong("1.2", "never syncs")})      # one answer wrong, the others honest
    edited(honest("01"), "ex-1-2-check", "pass")          # every edit returns a new notebook

The edits find a cell by its id. `write(notebook, path)` writes the file that a learner hands in.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import nbformat
from nbformat import NotebookNode

from ragcourse.grading.matching import checked_exercise, exercise_of, is_answer, is_check
from ragcourse.grading.workcopy import load_masters

_MARKER = re.compile(r"(?m)^[ \t]*(?:<!--\s*)?### (?:BEGIN|END) SOLUTION.*\n?")


def lesson(number: str) -> NotebookNode:
    """The lesson as learners get it."""
    return copy.deepcopy(load_masters()[number].lesson)


def honest(number: str) -> NotebookNode:
    """The lesson with the answers of its master, without the markers around them."""
    return fill(number, {})


def fill(
    number: str, sources: Mapping[str, str], others: Literal["honest", "stub"] = "honest"
) -> NotebookNode:
    """The lesson with these sources in the answer cells of the exercises, and the other answers honest."""
    master = load_masters()[number]
    notebook = copy.deepcopy(master.lesson)
    unused = dict(sources)
    for cell, solved in zip(notebook.cells, master.solved.cells, strict=True):
        if not is_answer(cell):
            continue
        if exercise_of(cell) in unused:
            cell.source = unused.pop(exercise_of(cell))
        elif others == "honest" and exercise_of(cell) not in sources:
            cell.source = _MARKER.sub("", solved.source).rstrip("\n")
    assert not unused, f"lesson {number} has no exercise {', '.join(unused)}"
    return notebook


def exercises(number: str) -> dict[str, str]:
    """Each exercise that is checked → the name of what its check cell checks."""
    checks = [cell for cell in load_masters()[number].lesson.cells if is_check(cell)]
    found = {}
    for cell in checks:
        handed_in = re.search(r"check\([^,]+,\s*(\w+)", cell.source)
        assert handed_in, cell.source
        found[checked_exercise(cell.source)] = handed_in[1]
    return found


def wrong_names(exercise: str) -> list[str]:
    """The names of the wrong answers of an exercise, in tests/wrong_answers/."""
    return list(_module(exercise).WRONG)


def wrong(exercise: str, name: str) -> str:
    """The source of a wrong answer, for an answer cell: its whole module, and the name bound to it."""
    assert name in wrong_names(exercise)
    return _bound(exercise, f"WRONG[{name!r}][0]")


def right(exercise: str) -> str:
    """The source of the right answer of tests/wrong_answers/, which is not the master's."""
    return _bound(exercise, "right")


def _bound(exercise: str, value: str) -> str:
    answer = exercises(exercise.split(".")[0].zfill(2))[exercise]
    return f"{inspect.getsource(_module(exercise))}\n\n{answer} = {value}"


def _module(exercise: str) -> Any:
    return importlib.import_module(f"tests.wrong_answers.exercise_{exercise.replace('.', '_')}")


def as_bytes(notebook: NotebookNode) -> bytes:
    return json.dumps(notebook, ensure_ascii=False, indent=1).encode()


def write(notebook: NotebookNode, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(as_bytes(notebook))
    return path


def at(notebook: NotebookNode, name: str) -> int:
    """The index of the cell with this id."""
    return next(number for number, cell in enumerate(notebook.cells) if cell.get("id") == name)


def cell_of(notebook: NotebookNode, grade_id: str) -> str:
    """The id of the cell with this grade id."""
    found = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id]
    return str(found[0].id)


# Edits of one cell


def edited(notebook: NotebookNode, name: str, source: str) -> NotebookNode:
    return _changed(notebook, name, source=source)


def renamed(notebook: NotebookNode, name: str, new: str) -> NotebookNode:
    return _changed(notebook, name, id=new)


def turned_into(notebook: NotebookNode, name: str, kind: str) -> NotebookNode:
    return _changed(notebook, name, cell_type=kind)


def with_metadata(notebook: NotebookNode, name: str, **values: Any) -> NotebookNode:
    return _changed(notebook, name, metadata=notebook.cells[at(notebook, name)].metadata | values)


def with_grading(notebook: NotebookNode, name: str, **values: Any) -> NotebookNode:
    grading = notebook.cells[at(notebook, name)].metadata.nbgrader
    return with_metadata(notebook, name, nbgrader=grading | values)


def without(notebook: NotebookNode, *names: str) -> NotebookNode:
    new = copy.deepcopy(notebook)
    new.cells = [cell for cell in new.cells if cell.get("id") not in names]
    return new


def duplicated(
    notebook: NotebookNode, name: str, source: str | None = None, new_id: str | None = None
) -> NotebookNode:
    """A copy right below, as JupyterLab makes it: with all metadata, and another id if one is given."""
    new = copy.deepcopy(notebook)
    twin = copy.deepcopy(new.cells[at(new, name)])
    twin.source = twin.source if source is None else source
    twin.id = twin.id if new_id is None else new_id
    new.cells.insert(at(new, name) + 1, twin)
    return new


def moved(notebook: NotebookNode, name: str, to: int) -> NotebookNode:
    new = copy.deepcopy(notebook)
    new.cells.insert(to, new.cells.pop(at(new, name)))
    return new


def with_cell(notebook: NotebookNode, after: str, source: str, **metadata: Any) -> NotebookNode:
    """One more code cell of the learner's own below the cell `after`."""
    new = copy.deepcopy(notebook)
    count = sum(str(cell.get("id")).startswith("mine") for cell in new.cells)
    cell = NotebookNode(  # type: ignore[no-untyped-call]
        cell_type="code",
        execution_count=None,
        id=f"mine-{count}",
        metadata=metadata,
        outputs=[],
        source=source,
    )
    new.cells.insert(at(new, after) + 1, cell)
    return new


def _changed(notebook: NotebookNode, name: str, **values: Any) -> NotebookNode:
    new = copy.deepcopy(notebook)
    cell = new.cells[at(new, name)]
    for key, value in values.items():
        cell[key] = value
    return new


# Edits of all cells, as tools make them


def round_trip(notebook: NotebookNode) -> NotebookNode:
    """Written and read by nbformat."""
    text = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    read: NotebookNode = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
    return read


def ids_dropped(notebook: NotebookNode) -> NotebookNode:
    """As an old Jupyter saves it, in format 4.4."""
    new = copy.deepcopy(notebook)
    new.nbformat_minor = 4
    for cell in new.cells:
        del cell["id"]
    return new


def metadata_wiped(notebook: NotebookNode) -> NotebookNode:
    """As from Colab: no ids, no grading metadata, its own metadata instead."""
    new = ids_dropped(notebook)
    new.metadata = {
        "colab": {"provenance": []},
        "kernelspec": {"name": "python3", "display_name": "Python 3"},
    }
    for number, cell in enumerate(new.cells):
        cell.metadata = {"id": f"Zq{number}", "colab": {"base_uri": "https://localhost:8080/"}}
    return new


def outputs_filled(notebook: NotebookNode, claim: str = "passed, 99 of 99 points") -> NotebookNode:
    """Run, or made to look so."""
    new = copy.deepcopy(notebook)
    for count, cell in enumerate(new.cells, start=1):
        if cell.cell_type == "code":
            cell.execution_count = count
            cell.outputs = [
                {"output_type": "stream", "name": "stdout", "text": claim},
                {"output_type": "display_data", "data": {"text/html": claim}, "metadata": {}},
            ]
    return new


def reversed_cells(notebook: NotebookNode) -> NotebookNode:
    new = copy.deepcopy(notebook)
    new.cells = new.cells[::-1]
    return new


def saved_by_jupyterlab(notebook: NotebookNode) -> NotebookNode:
    """With the metadata that JupyterLab adds."""
    new = copy.deepcopy(notebook)
    for cell in new.cells:
        cell.metadata |= {"slideshow": {"slide_type": ""}, "tags": [], "scrolled": True}
        cell.metadata.setdefault("editable", True)
        if cell.cell_type == "code":
            cell.metadata |= {"collapsed": False, "jupyter": {"outputs_hidden": False}}
        else:
            cell.metadata["jp-MarkdownHeadingCollapsed"] = True
    return new
