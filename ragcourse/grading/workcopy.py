"""The working copy of a submission: the lesson's own cells with the learner's answers put into them.

Only what a learner may write comes from the learner: the source of answer cells, and code cells of their own.
Everything else, checks and metadata above all, is the lesson's. What was found changed is said in `findings`.
"""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ragcourse.grading.changes import added_definitions, changes, place
from ragcourse.grading.contracts import contract_of
from ragcourse.grading.marks import Finding
from ragcourse.grading.masters import normalise, to_lesson
from ragcourse.grading.matching import Match, exercise_of, is_answer, is_check, match, plain_text
from ragcourse.grading.release import ROOT

MAX_TEXT = 20_000  # characters of a text answer
_MARKER = re.compile(r"(?P<sign>\s*#[#\s]*)(?P<word>(?:NBVAL|PYTEST_VALIDATE)_\w+)(?P<end>\s*)")


@dataclass(frozen=True)
class Master:
    """A lesson as it was made: `solved` has the answers and outputs, `lesson` is what learners get."""

    number: str  # "01"
    name: str  # "01_storage_that_survives_a_restart"
    solved: NotebookNode
    lesson: NotebookNode


@dataclass(frozen=True)
class WorkingCopy:
    """A notebook to run, and what is known of it. A cell is named by its index in `notebook.cells`."""

    notebook: NotebookNode
    answers: dict[str, list[tuple[int, str]]]  # exercise → its written cells; [] if only the stub is there
    texts: dict[str, str]  # exercise → text for hand marking, "" if nothing was written
    positions: dict[int, str]  # check cell → exercise
    findings: list[Finding] = field(default_factory=list)
    own: dict[int, str] = field(default_factory=dict)  # code of the learner → its place in the submission


@functools.cache
def load_masters(root: Path = ROOT) -> Mapping[str, Master]:
    """Return the lessons by number, from the masters in `root`/solutions; read once, not to be changed."""
    found = {}
    for path in sorted((root / "solutions").glob("[0-9][0-9]_*.ipynb")):
        read = nbformat.v4.reads(path.read_text("utf-8"))  # type: ignore[no-untyped-call]
        solved = normalise(read, path.name[:2], lambda exercise: contract_of(exercise).points)
        found[path.name[:2]] = Master(path.name[:2], path.stem, solved, to_lesson(solved))
    return found


def restore(submission: NotebookNode, lesson: NotebookNode) -> WorkingCopy:
    """Return the working copy of a parsed submission; neither notebook is changed.

    The copy has all cells of the lesson in their order. A code cell of the learner's own stands behind the
    cell that it followed. Of several copies of an answer all that are not the stub are run, in their order,
    so that the last counts: JupyterLab makes two such cells of one that is split.
    """
    matches = match(submission.cells, lesson.cells)
    builder = _Builder(submission, lesson, matches)
    followers: dict[int, list[int]] = {}
    last = -1
    for number in range(len(submission.cells)):
        last = matches[number].lesson if number in matches else last
        followers.setdefault(last, []).append(number)
    for at in range(-1, len(lesson.cells)):
        if at >= 0 and is_answer(lesson.cells[at]):
            builder.answer(at, followers.get(at, []))
        else:
            builder.supplied(at, followers.get(at, []))
    return builder.copy(changes(submission.cells, lesson.cells, matches))


class _Builder:
    """Puts the cells of the copy together, one cell of the lesson after the other."""

    def __init__(self, submission: NotebookNode, lesson: NotebookNode, matches: Mapping[int, Match]) -> None:
        self._submitted, self._lesson, self._matches = submission.cells, lesson, matches
        self._cells: list[NotebookNode] = []
        self._findings: list[Finding] = []
        self._own: dict[int, str] = {}
        self._answers: dict[str, list[tuple[int, str]]] = {}
        self._texts: dict[str, str] = {}

    def supplied(self, at: int, numbers: list[int]) -> None:
        """Add a cell as the lesson has it (none for -1), what the learner added to its code, own cells."""
        if at >= 0:
            original = self._lesson.cells[at]
            self._cells.append(copy.deepcopy(original))
            for number in numbers:
                cell = self._submitted[number]
                if number in self._matches and not is_check(original) and original.cell_type == "code":
                    self._add(number, added_definitions(cell.source, original.source))
        for number in numbers:
            if number not in self._matches:
                self._add_own(number)

    def answer(self, at: int, numbers: list[int]) -> None:
        """Add an answer: what the learner wrote, or the stub."""
        original = self._lesson.cells[at]
        exercise = exercise_of(original)
        stub = plain_text(original.source)
        written = [
            number
            for number in numbers
            if number in self._matches and plain_text(self._submitted[number].source) not in ("", stub)
        ]
        if original.cell_type == "markdown":
            source = self._submitted[written[-1]].source if written else original.source
            self._cells.append(self._in_place(original, source))
            text = _without(source, original.source) if written else ""
            self._texts[exercise] = "\n\n".join(filter(None, [self._texts.get(exercise, ""), text]))
        answers = self._answers.setdefault(exercise, []) if original.cell_type == "code" else []
        if not written and original.cell_type == "code":
            self._cells.append(copy.deepcopy(original))
        for number in numbers:
            if number not in self._matches:
                self._add_own(number)
            elif number in written and original.cell_type == "code":
                self._add(number, self._submitted[number].source)
                source = self._cells[-1].source
                if number == written[-1]:
                    self._cells[-1] = self._in_place(original, source)
                answers.append((len(self._cells) - 1, source))

    def copy(self, findings: list[Finding]) -> WorkingCopy:
        """Return what was built."""
        notebook = copy.deepcopy(self._lesson)
        notebook.cells = self._cells
        checks = {at: exercise_of(cell) for at, cell in enumerate(self._cells) if is_check(cell)}
        return WorkingCopy(
            notebook, self._answers, self._texts, checks, [*findings, *self._findings], self._own
        )

    @staticmethod
    def _in_place(original: NotebookNode, source: str) -> NotebookNode:
        cell = copy.deepcopy(original)
        cell.source = source
        return cell

    def _add_own(self, number: int) -> None:
        cell = self._submitted[number]
        if cell.cell_type == "code":
            self._add(number, cell.source)

    def _add(self, number: int, source: str) -> None:
        """Add code of the learner, without ids, metadata and markers, unless it is empty."""
        if not source.strip():
            return
        where = place(number, self._submitted[number])
        clean, markers = _neutralised(source)
        if markers:
            text = f"the comment {markers[0]} steers how nbval checks the cell; it was made harmless"
            self._findings.append(Finding("suspicious", where, text))
        self._own[len(self._cells)] = where
        self._cells.append(_code_cell(clean, f"own-{number + 1}"))


def _code_cell(source: str, name: str) -> NotebookNode:
    return NotebookNode(  # type: ignore[no-untyped-call]
        cell_type="code", execution_count=None, id=name, metadata={}, outputs=[], source=source
    )


def _neutralised(source: str) -> tuple[str, list[str]]:
    """Return the source with nbval's comment markers, which it looks for line by line, put in brackets."""
    lines, markers = source.splitlines(keepends=True), []
    for at, line in enumerate(lines):
        if found := _MARKER.fullmatch(line):
            lines[at] = f"{found['sign']}({found['word']}){found['end']}"
            markers.append(found["word"])
    return ("".join(lines), markers) if markers else (source, [])


def _without(source: str, stub: str) -> str:
    """Return the lines of a text answer that are not the lesson's."""
    given = {line.strip() for line in stub.splitlines() if line.strip()}
    text = "\n".join(line for line in source.splitlines() if line.strip() not in given).strip()
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "\n… and more"
