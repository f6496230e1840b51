"""How long a class takes to be graded, what the grader adds to a notebook's own run, and whether it errs."""

from __future__ import annotations

import json
import re
from contextlib import redirect_stdout
from copy import deepcopy
from io import StringIO
from time import perf_counter
from typing import Any

from nbformat import NotebookNode

from ragcourse.bench.process import Progress
from ragcourse.bench.report import Report, our_versions
from ragcourse.grading.contract import run
from ragcourse.grading.contracts import contract_of
from ragcourse.grading.grade import grade
from ragcourse.grading.matching import exercise_of, is_answer, is_check
from ragcourse.grading.submissions import Submission
from ragcourse.grading.workcopy import Master, load_masters
from ragcourse.needed_cells import needed_cells

LESSON = "01"
LEARNERS = 30
SEEDS = 200
CLASS_BAR_S = 180.0
OVERHEAD_BAR_S = 2.0
_MAGIC = re.compile(r"(?m)^%.*$")
_HANDED_IN = re.compile(r"check\([^,]+,\s*(\w+)")


def grading(report: Report, *, rounds: int | None, quick: bool, progress: Progress) -> None:
    """``ragcourse bench grading``: a class of 30 honest notebooks, and the solutions with 200 other seeds."""
    report.versions = our_versions()
    masters = load_masters()
    data = json.dumps(solved(masters[LESSON])).encode()
    names = [f"learner {number}" for number in range(1, 1 + (2 if quick else LEARNERS))]
    seconds: list[float] = []
    marks = []
    for turn in range(rounds or 1):
        progress(f"a class of {len(names)}, round {turn + 1}")
        begin = perf_counter()
        marks += grade([Submission(name, name, data) for name in names], seed=turn)
        seconds.append(perf_counter() - begin)
    report.add(
        f"{len(names)} submissions of lesson {LESSON}, two at a time", "bar", "s", seconds, [CLASS_BAR_S]
    )
    overheads = [mark.seconds - mark.notebook_seconds for mark in marks]
    report.add("grading beyond the notebook's own run", "bar", "s", overheads, [OVERHEAD_BAR_S])
    report.details["notebook_s"] = [mark.notebook_seconds for mark in marks]
    unfair = [mark for mark in marks if mark.points != mark.max_points]
    report.require(not unfair, f"{len(unfair)} honest submissions did not get all points")
    for master in masters.values():
        for exercise, implementation in answers(master).items():
            progress(f"exercise {exercise}: {SEEDS} seeds")
            seeds = range(1000, 1000 + (3 if quick else SEEDS))
            failed = [seed for seed in seeds if not run(contract_of(exercise), implementation, seed).passed]
            report.require(not failed, f"the solution of {exercise} fails with the seeds {failed}")
            report.details.setdefault("seeds", {})[exercise] = {"runs": len(seeds), "failed": failed}


def solved(master: Master) -> NotebookNode:
    """The lesson with the answers of its master: an honest submission."""
    notebook = deepcopy(master.lesson)
    for cell, answer in zip(notebook.cells, master.solved.cells, strict=True):
        if is_answer(cell):
            cell.source = answer.source
    return notebook


def answers(master: Master) -> dict[str, Any]:
    """Exercise → what the master's check cell checks, made by the cells that it needs."""
    cells = [cell for cell in master.solved.cells if cell.cell_type == "code"]
    sources = [cell.source for cell in cells]
    found = {}
    for number, cell in enumerate(cells):
        if is_check(cell) and (handed_in := _HANDED_IN.search(cell.source)):
            namespace: dict[str, Any] = {"__name__": "__main__"}
            for needed in needed_cells(sources, number)[:-1]:
                code = _MAGIC.sub("", sources[needed])
                with redirect_stdout(StringIO()):
                    exec(compile(code, f"cell {needed}", "exec"), namespace)
            found[exercise_of(cell)] = namespace[handed_in[1]]
    return found
