"""From a master notebook to the lesson a learner gets: pure functions on notebooks, no files.

Cells keep the master's ids. The cells of an exercise carry nbgrader metadata (schema 3): its answers may be
edited, its check is locked and has the points of its contract.
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Callable
from typing import Any

from nbformat import NotebookNode

from ragcourse.grading.stub import Answer, remove_answers

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
KEPT_METADATA = ("jupyter", "slideshow", "tags")
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
_CHECK = re.compile(r"^(?:\w+\s*=\s*)?check\(\s*[\"']([^\"']+)[\"']", re.MULTILINE)
_CELL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")

PointsOf = Callable[[str], float]


def normalise(master: NotebookNode, lesson: str, points_of: PointsOf) -> NotebookNode:
    """Return the master with stable ids and minimal metadata, its outputs kept; `lesson` is its number, "01".

    `points_of(exercise)` gives the points of a check cell. Raises ValueError, naming the cell, for markers
    that do not balance, an exercise of another lesson, an exercise without its check cell, or a check without
    exercise.
    """
    notebook = copy.deepcopy(master)
    notebook.metadata = {"kernelspec": dict(KERNEL), "language_info": {"name": "python"}}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    _set_ids(notebook)
    roles = _Roles(lesson, points_of)
    for number, cell in enumerate(notebook.cells, start=1):
        kept = {key: cell.metadata[key] for key in KEPT_METADATA if cell.metadata.get(key)}
        try:
            grading = roles.of(cell)
        except ValueError as error:
            raise ValueError(f"{name_of(number, cell)}: {error}") from error
        cell.metadata = kept | ({"nbgrader": grading} if grading else {})
        for output in cell.get("outputs", []):
            _drop_dead_view(output)
    roles.finish()
    return notebook


def to_lesson(normalised: NotebookNode) -> NotebookNode:
    """Return the notebook for learners: answers replaced by stubs, no outputs, check cells locked."""
    lesson = copy.deepcopy(normalised)
    for cell in lesson.cells:
        cell.source, _ = remove_answers(cell.source, cell.cell_type == "markdown")
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        grading = cell.metadata.get("nbgrader")
        if grading:
            cell.metadata["deletable"] = False
        if grading and grading["locked"]:
            cell.metadata["editable"] = False
    return lesson


def name_of(number: int, cell: NotebookNode) -> str:
    """Return how a message names a cell: its number from 1, its id and the start of its text."""
    first = next((line.strip() for line in cell.source.splitlines() if line.strip()), "")
    return f"cell {number} (id {cell.get('id', 'none')}, {first[:50]!r})"


class _Roles:
    """Gives each cell its nbgrader metadata, and sees that answers and checks belong together."""

    def __init__(self, lesson: str, points_of: PointsOf) -> None:
        self._lesson, self._points_of = lesson, points_of
        self._answered: dict[str, int] = {}  # exercise → answer cells so far
        self._checked: set[str] = set()
        self._code: set[str] = set()

    def of(self, cell: NotebookNode) -> dict[str, Any] | None:
        if cell.cell_type == "raw":
            return None
        answers = remove_answers(cell.source, cell.cell_type == "markdown")[1]
        checks = _CHECK.findall(cell.source) if cell.cell_type == "code" else []
        if answers and checks:
            raise ValueError("an answer and its check need a cell each, since the check is locked")
        if len(checks) > 1:
            raise ValueError("one check a cell, so that each has its points")
        if checks:
            return self._check(checks[0])
        return self._answer(answers, cell.cell_type == "markdown") if answers else None

    def _check(self, exercise: str) -> dict[str, Any]:
        if exercise in self._checked:
            raise ValueError(f"exercise {exercise} is already checked in a cell above")
        if exercise not in self._code:
            raise ValueError(f"there is no answer for exercise {exercise} above its check")
        self._checked.add(exercise)
        return _grading(f"check-{exercise}", points=self._points_of(exercise), grade=True, locked=True)

    def _answer(self, answers: list[Answer], markdown: bool) -> dict[str, Any]:
        exercises = {answer.exercise for answer in answers}
        if len(exercises) > 1:
            raise ValueError(
                f"answers of several exercises ({', '.join(sorted(exercises))}) need a cell each"
            )
        exercise = answers[0].exercise
        if int(exercise.split(".")[0]) != int(self._lesson):
            raise ValueError(f"exercise {exercise} does not belong to lesson {self._lesson}")
        count = self._answered[exercise] = self._answered.get(exercise, 0) + 1
        grade_id = f"exercise-{exercise}" + (f"-part-{count}" if count > 1 else "")
        if markdown:
            points = sum(answer.points for answer in answers)
            return _grading(grade_id, points=points, grade=True, solution=True)
        if exercise in self._checked:
            raise ValueError(f"the check of exercise {exercise} must stand below its last answer")
        self._code.add(exercise)
        return _grading(grade_id, solution=True)

    def finish(self) -> None:
        unchecked = sorted(self._code - self._checked)
        if unchecked:
            raise ValueError(
                f'exercise {unchecked[0]} has no check cell: add check("{unchecked[0]}", …) below it'
            )


def _grading(
    grade_id: str, points: float = 0, grade: bool = False, locked: bool = False, solution: bool = False
) -> dict[str, Any]:
    return {
        "grade": grade,
        "grade_id": grade_id.replace(".", "-"),  # nbgrader allows letters, digits, - and _
        "locked": locked,
        "points": int(points) if points == int(points) else points,
        "schema_version": 3,
        "solution": solution,
        "task": False,
    }


def _set_ids(notebook: NotebookNode) -> None:
    """Keep each valid id at its first use; make the missing and repeated ones from the cell's text."""
    taken: set[str] = set()
    fresh: list[NotebookNode] = []
    for cell in notebook.cells:
        if _CELL_ID.fullmatch(str(cell.get("id", ""))) and cell.id not in taken:
            taken.add(cell.id)
        else:
            fresh.append(cell)
    for cell in fresh:
        attempt = 0
        while (digest := hashlib.sha256(f"{attempt}\n{cell.source}".encode()).hexdigest()[:8]) in taken:
            attempt += 1
        cell.id = digest
        taken.add(digest)


def _drop_dead_view(output: NotebookNode) -> None:
    """Remove a widget's view from an output that has a picture: without its saved model it cannot show."""
    data = output.get("data", {})
    if "image/png" in data:
        data.pop(WIDGET_VIEW, None)
