"""Grade submissions: restore each one, run it in a sandbox, and let the judge give the points.

The learner's cells run in the sandbox, the contracts in the judge, a process that the cells cannot reach.
Only what the judge writes counts; how the cells ended merely explains a verdict that is missing.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from ragcourse.grading import sandbox
from ragcourse.grading.contract import JUDGE, Contract
from ragcourse.grading.contracts import contract_of
from ragcourse.grading.look import look
from ragcourse.grading.marks import ExerciseMark, Finding, SubmissionMark
from ragcourse.grading.matching import exercise_of, is_answer
from ragcourse.grading.nbval_guard import CELL_LOG
from ragcourse.grading.release import ROOT
from ragcourse.grading.result import Outcome
from ragcourse.grading.sandbox import Limits
from ragcourse.grading.submissions import Submission, SubmissionError, lesson_of, parse
from ragcourse.grading.workcopy import Master, WorkingCopy, load_masters, restore
from ragcourse.needed_cells import names_in, needed_cells

LIMITS = Limits(seconds=240, memory=3 << 30, address_space=8 << 30)
CELL_SECONDS = 60
JUDGE_STOPS = 5.0  # seconds for the judge to write its last verdict
_MAX_LOG = 4 << 20  # bytes that are read of what the sandbox wrote


@dataclass
class Run:
    """What a notebook's run left: the judge's lines by exercise, and how each code cell ended."""

    ended: sandbox.Ended
    verdicts: dict[str, dict[str, Any]]  # the last one of an exercise
    errors: dict[int, str]  # index in the notebook → how the cell failed, "" if it did not


def grade(
    submissions: Sequence[Submission],
    *,
    seed: int,
    workers: int = 2,
    limits: Limits = LIMITS,
    cell_seconds: int = CELL_SECONDS,
    hidden: Sequence[Path] = (),
    done: Callable[[SubmissionMark], None] = lambda mark: None,
) -> list[SubmissionMark]:
    """Grade each submission, `workers` at a time; `done` hears of each as it ends. None stops the others.

    `seed` makes the hidden cases; `limits` are a whole notebook's, `cell_seconds` a cell's. The notebooks see
    nothing of the paths `hidden`: what the others have handed in.
    """
    hidden = [*hidden, *(path for path in (ROOT / "solutions", ROOT / "tests") if path.exists())]
    masters = load_masters(ROOT)
    telling = threading.Lock()

    def one(submission: Submission) -> SubmissionMark:
        mark = grade_one(submission, masters, seed, limits, cell_seconds, hidden)
        with telling:
            done(mark)
        return mark

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, submissions))


def grade_one(
    submission: Submission,
    masters: Mapping[str, Master],
    seed: int,
    limits: Limits,
    cell_seconds: int,
    hidden: Sequence[Path],
) -> SubmissionMark:
    """The marks of one submission. What makes it impossible to grade becomes its `error`."""
    begin = time.perf_counter()
    mark = SubmissionMark(submission.file, submission.learner, "", ())
    try:
        if submission.problem:
            raise SubmissionError(submission.problem)
        notebook = parse(submission.data)
        master = masters[lesson_of(notebook, masters)]
        mark = replace(mark, lesson=master.number)
        copy = restore(notebook, master.lesson)
        findings = [*copy.findings, *look(copy, master.lesson, master.solved)]
        run = run_copy(copy, seed, limits, cell_seconds, hidden)
        exercises = _exercises(copy, master, run, findings)
        mark = replace(mark, exercises=exercises, notebook_seconds=run.ended.seconds)
        mark = replace(mark, findings=tuple(findings))
    except SubmissionError as error:
        mark = replace(mark, error=str(error))
    except Exception as error:  # noqa: BLE001 - a fault of ours in one must not stop the class
        mark = replace(mark, error=f"the grader failed on it: {type(error).__name__}: {error}")
    return replace(mark, seconds=time.perf_counter() - begin)


# ---- running ----


def run_copy(copy: WorkingCopy, seed: int, limits: Limits, cell_seconds: int, hidden: Sequence[Path]) -> Run:
    """Run a working copy under nbval in a sandbox, with a judge beside it."""
    with tempfile.TemporaryDirectory(prefix="rc-") as name:
        work, shared = Path(name).resolve() / "work", Path(name).resolve() / "shared"
        work.mkdir()
        shared.mkdir()
        nbformat.write(_what_matters(copy), work / "lesson.ipynb")  # type: ignore[no-untyped-call]
        with _judge(shared, sorted(copy.positions.values()), seed, limits) as verdicts:
            ended = sandbox.run(
                [
                    *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                    *("-p", "nbval.plugin", "-p", "ragcourse.grading.nbval_guard"),
                    *("--rootdir", work, "-c", "/dev/null"),
                    *("--nbval-lax", "--nbval-current-env", f"--nbval-cell-timeout={cell_seconds}"),
                    *("--nbval-kernel-startup-timeout=60", work / "lesson.ipynb"),
                ],
                cwd=work,
                writable=[work, shared],
                hidden=hidden,
                env={
                    JUDGE: str(shared / "judge"),
                    CELL_LOG: str(work / "cells.jsonl"),
                    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                },
                limits=limits,
            )
        return Run(ended, verdicts, _cell_errors(copy, work / "cells.jsonl"))


def _what_matters(copy: WorkingCopy) -> NotebookNode:
    """The copy, with those cells of the lesson emptied that no cell of the learner's and no check needs.

    They measure and draw: in lesson 01 they take ten times as long as all the others.
    """
    code = [at for at, cell in enumerate(copy.notebook.cells) if cell.cell_type == "code"]
    sources = [_parsable(copy.notebook.cells[at].source) for at in code]
    own = {*copy.own, *copy.positions, *(at for cells in copy.answers.values() for at, _ in cells)}
    needed = needed_cells(sources, *(number for number, at in enumerate(code) if at in own))
    notebook = deepcopy(copy.notebook)
    for number, at in enumerate(code):
        if number not in needed:
            notebook.cells[at].source = ""
    return notebook


def _parsable(source: str) -> str:
    try:
        names_in(source)
    except SyntaxError:
        return ""  # it fails when it runs, and needs nothing
    return source


@contextmanager
def _judge(shared: Path, exercises: Sequence[str], seed: int, limits: Limits) -> Iterator[dict[str, Any]]:
    """A judge that listens at `shared`/judge; at the end of the block the verdicts are complete."""
    verdicts: dict[str, Any] = {}
    argv = [sys.executable, "-m", "ragcourse.grading.judge", str(shared / "judge"), "--seed", str(seed)]
    argv += ["--shared", str(shared), *(f"--exercise={exercise}" for exercise in exercises)]
    ready = threading.Event()

    def read(judge: sandbox.Running) -> None:
        for line in judge.lines():
            said = json.loads(line)
            if "ready" in said:
                ready.set()
            else:
                verdicts[said["exercise"]] = said
        ready.set()

    limits = replace(limits, seconds=limits.seconds + 60, address_space=None)
    with sandbox.start(argv, cwd=shared, writable=[shared], limits=limits) as judge:
        reader = threading.Thread(target=read, args=(judge,), daemon=True)
        reader.start()
        ready.wait()
        if not (shared / "judge").exists():
            raise RuntimeError(f"the judge did not start: {judge.wait().output[-2000:]}")
        yield verdicts
        judge.stop()
        reader.join(JUDGE_STOPS)


def _cell_errors(copy: WorkingCopy, log: Path) -> dict[int, str]:
    """What the plugin beside nbval wrote; it lay within the learner's reach, so it is only ever shown."""
    code = [at for at, cell in enumerate(copy.notebook.cells) if cell.cell_type == "code"]
    errors: dict[int, str] = {}
    if log.is_symlink() or not log.is_file():
        return errors
    with log.open("rb") as file:
        lines = file.read(_MAX_LOG).decode(errors="replace").splitlines()
    for line in lines:
        try:
            said = json.loads(line)
            errors[code[said["cell"]]] = str(said["error"])[:500]
        except (ValueError, KeyError, IndexError, TypeError):
            continue
    return errors


# ---- marking ----


def _exercises(
    copy: WorkingCopy, master: Master, run: Run, findings: list[Finding]
) -> tuple[ExerciseMark, ...]:
    marks = [_mark(exercise, at, copy, run, findings) for at, exercise in copy.positions.items()]
    texts: dict[str, ExerciseMark] = {}
    for cell in master.lesson.cells:
        if is_answer(cell) and cell.cell_type == "markdown":
            exercise, points = exercise_of(cell), cell.metadata["nbgrader"]["points"]
            task = next((line.strip("*# ") for line in cell.source.splitlines() if line.strip()), exercise)
            first = texts.get(exercise, ExerciseMark(exercise, task, 0, 0, "", by_hand=True))
            answer = copy.texts.get(exercise, "")
            texts[exercise] = replace(first, max_points=first.max_points + points, answer=answer)
    marks += texts.values()
    return tuple(sorted(marks, key=lambda mark: [int(part) for part in mark.exercise.split(".")]))


def _mark(exercise: str, at: int, copy: WorkingCopy, run: Run, findings: list[Finding]) -> ExerciseMark:
    contract = contract_of(exercise)
    nothing = ExerciseMark(exercise, contract.task, 0, contract.points, "")
    if exercise not in run.verdicts:
        return replace(nothing, message=_why_no_verdict(exercise, at, copy, run))
    verdict = run.verdicts[exercise]
    outcomes = tuple(Outcome(**outcome) for outcome in verdict["result"]["outcomes"])
    if course := verdict["origin"]["course"]:
        text = f"the answer to exercise {exercise} is the course's own {course[0]}, not written here"
        findings.append(Finding("suspicious", f"exercise {exercise}", text))
        return replace(nothing, message=text)
    points = sum(outcome.points for outcome in outcomes if outcome.state == "passed")
    message = _first_failure(contract, outcomes)
    if message and run.ended.reason:
        message = f"the notebook {run.ended.reason} and was stopped; {message}"
    return replace(nothing, points=points, message=message, outcomes=outcomes)


def _first_failure(contract: Contract, outcomes: Sequence[Outcome]) -> str:
    for outcome in outcomes:
        if outcome.state == "not written":
            return "not written yet"
        if outcome.state != "passed":
            details = [
                f"{label} {text}".strip() for label, text in outcome.details if label != "likely cause"
            ]
            return " · ".join(" ".join(part.split()) for part in [outcome.name, *details])[:500]
    return ""


def _why_no_verdict(exercise: str, at: int, copy: WorkingCopy, run: Run) -> str:
    """The check handed nothing in; say what is most likely the reason."""
    for index, _ in copy.answers.get(exercise, []):
        if error := run.errors.get(index):
            return f"the cell of the answer failed: {error}"
    if error := run.errors.get(at):
        return f"the check could not run: {error}"
    if run.ended.reason:
        return f"the notebook {run.ended.reason} and was stopped before this was checked"
    if at not in run.errors:
        return "the notebook ended before this was checked"
    return "its check ran, but nothing was handed in: was `check` replaced?"
