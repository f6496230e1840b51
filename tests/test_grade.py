"""The grader as a whole, on real submissions: honest ones get their points, attacks get none.

Every attack hands in lesson 01 with nothing but a stub in exercise 1.2, so that any point is unearned.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from nbformat import NotebookNode

from ragcourse.grading.grade import LIMITS, grade
from ragcourse.grading.marks import SubmissionMark
from ragcourse.grading.submissions import Submission
from tests.submissions_kit import (
    as_bytes,
    duplicated,
    edited,
    fill,
    honest,
    lesson,
    metadata_wiped,
    moved,
    outputs_filled,
    reversed_cells,
    right,
    with_cell,
    with_grading,
    with_metadata,
    without,
    write,
)

CHECK, ANSWER = "ex-1-1-check", "ex-1-1"
STUB = lesson("01")
HONEST = honest("01")
MANY = '{"add": [], "change": [], "remove": [], "keep": []}'


def attack(source: str, before: str = "") -> NotebookNode:
    """The stub of lesson 01 with this answer to exercise 1.1, and code in a cell above it."""
    notebook = edited(STUB, ANSWER, source)
    return with_cell(notebook, "setup-2", before) if before else notebook


def plan(body: str) -> str:
    """An answer with this body."""
    return f"def plan_start(files, manifest, splitter, embedder):\n    {body.strip()}\n"


FORGED = '{"exercise": "1.1", "seed": 1, "result": {"outcomes": []}, "origin": {"course": []}}'

ATTACKS: dict[str, NotebookNode] = {
    "an edited check cell": edited(STUB, CHECK, "print('passed, 15 of 15 points')"),
    "an emptied check cell": edited(STUB, CHECK, ""),
    "no check cell": without(STUB, CHECK),
    "two check cells": duplicated(STUB, CHECK, "print('passed')", new_id="another"),
    "check replaced": attack(plan(f"return {MANY}"), "check = lambda *a, **k: None"),
    "check replaced in its module": attack(
        plan(f"return {MANY}"),
        "import ragcourse.grading as g, ragcourse.grading.contract as c\n"
        "g.check = c.check = lambda *a, **k: type('R', (), {'passed': True, 'points': 15})()",
    ),
    "the grading package patched": attack(
        plan(f"return {MANY}"),
        "from ragcourse.grading import contract as c, expect as e, plain as p\n"
        "import ragcourse.grading.contracts.warm_start as w\n"
        "for module in (c, e, p, w):\n"
        "    for name in ('expect_equal', 'expect_true', 'expect_error', 'difference', '_expect_plan'):\n"
        "        if hasattr(module, name):\n"
        "            setattr(module, name, lambda *a, **k: None)\n"
        "w.contract.checks.clear()",
    ),
    "asserts skipped": attack(
        plan(f"return {MANY}"),
        "import ast, os\n"
        "os.environ['PYTHONOPTIMIZE'] = '2'\n"
        "class NoAsserts(ast.NodeTransformer):\n"
        "    def visit_Assert(self, node):\n"
        "        return ast.Pass()\n"
        "get_ipython().ast_transformers.append(NoAsserts())",
    ),
    "sys.exit(0)": attack(plan("import sys; sys.exit(0)")),
    "sys.exit(0) in a cell": attack("import sys; sys.exit(0)"),
    "os._exit(0)": attack(plan("import os; os._exit(0)")),
    "os._exit(0) in a cell": attack("import os; os._exit(0)"),
    "SystemExit from the answer": attack(plan("raise SystemExit(0)")),
    "a forged result": attack(
        plan(f"print('''{FORGED}'''); return {MANY}"),
        f"import sys, os\nos.write(1, b'''{FORGED}\\n''')\nprint('passed, 15 of 15 points')\n"
        f"open(os.environ['RAGCOURSE_CELL_LOG'], 'w').write('''{FORGED}''')",
    ),
    "more points in the metadata": with_grading(STUB, CHECK, points=1000, grade_id="check-9-9"),
    "a check that is said to be an answer": with_grading(
        edited(STUB, CHECK, "print('passed')"), CHECK, solution=True, locked=False, grade=False
    ),
    "a cell that may raise": with_metadata(attack("raise RuntimeError"), ANSWER, tags=["raises-exception"]),
    "the checker's exceptions caught": attack(
        "class Always:\n"
        "    def __eq__(self, other): return True\n"
        "    def __ne__(self, other): return False\n"
        "    def __hash__(self): return 0\n"
        "    def __getattr__(self, name): return self\n"
        "    def __call__(self, *a, **k): return self\n"
        "    def __iter__(self): return iter([])\n"
        "    def __bool__(self): return True\n"
        "    def __exit__(self, *a): return True\n"
        "    def __enter__(self): return self\n"
        "plan_start = Always()"
    ),
    "the expected answer off the stack": attack(
        plan(
            """
    import gc, sys
    frame = sys._getframe()
    while frame is not None:
        for value in [*frame.f_locals.values(), *frame.f_globals.values()]:
            if type(value) is dict and set(value) == {"add", "change", "remove", "keep"}:
                return value
            if hasattr(value, "plan"):
                return value.plan
        frame = frame.f_back
    for value in gc.get_objects():
        if type(value) is dict and set(value) == {"add", "change", "remove", "keep"}:
            return value
        if type(value).__name__ == "_World":
            return value.plan
    for file in files.values():
        for name in ("_World", "__self__", "__globals__", "__closure__", "_owner", "names_read"):
            found = getattr(getattr(file, "read", file), name, None)
            if isinstance(found, dict):
                return found
    raise RuntimeError("not found")"""
        )
    ),
    "the solution read from the disk": attack(
        "import json, os\n"
        "from pathlib import Path\n"
        "import ragcourse\n"
        "root = Path(ragcourse.__file__).parents[1]\n"
        "found = [*root.glob('solutions/01*.ipynb'), *root.glob('tests/wrong_answers/exercise_1_1.py'),\n"
        "         *Path('/proc/1/root').glob('**/solutions/01*.ipynb'),\n"
        "         *Path(os.path.expanduser('~')).glob('**/solutions/01*.ipynb')]\n"
        "cells = json.loads(found[0].read_text())['cells']\n"
        "exec(next(''.join(c['source']) for c in cells if c['id'] == 'ex-1-1'))"
    ),
    "the judge called directly": attack(
        plan(f"return {MANY}"),
        f"import os, socket\n"
        f"for message in (b'{{}}', b'\\x00' * 4096, b'''{FORGED}''', b'\\xff' * 100_000):\n"
        f"    try:\n"
        f"        with socket.socket(socket.AF_UNIX) as s:\n"
        f"            s.connect(os.environ['RAGCOURSE_JUDGE']); s.sendall(message)\n"
        f"    except OSError:\n"
        f"        pass",
    ),
    "the judge's socket replaced": attack(
        plan(f"return {MANY}"),
        "import os, socket, threading\n"
        "path = os.environ['RAGCOURSE_JUDGE']\n"
        "os.unlink(path)\n"
        "server = socket.socket(socket.AF_UNIX); server.bind(path); server.listen()\n"
        "hang_up = lambda: [server.accept()[0].close() for _ in range(9)]\n"
        "threading.Thread(target=hang_up, daemon=True).start()",
    ),
    "an endless loop": attack(plan("while True: pass")),
    "an endless loop in a cell": attack("while True: pass"),
    "many processes": attack(
        plan(
            """
    import os, time
    for _ in range(600):
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)
    return {"add": [], "change": [], "remove": [], "keep": []}"""
        )
    ),
    "10 GB of memory": attack(plan("x = bytearray(10 << 30); return len(x)")),
    "1 GB of output": attack("import sys\nfor _ in range(1024):\n    sys.stdout.write('x' * (1 << 20))"),
    "the kernel killed": attack(plan("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")),
    "everything killed": attack(plan("import os, signal; os.kill(-1, signal.SIGKILL)")),
    "outputs that claim success": outputs_filled(STUB),
    "cells in another order": reversed_cells(STUB),
}
COURSE_CODE = {
    "the course's own function": "from ragcourse.folder_diff import compare as plan_start",
    "its name computed": "import importlib\n"
    "plan_start = importlib.import_module('rag' + 'course.folder_diff').compare",
}
NOT_NOTEBOOKS = {
    "not a notebook": b"%PDF-1.4 my homework",
    "invalid JSON": as_bytes(HONEST)[:-20],
    "JSON that is none": b'{"cells": "none"}',
    "nothing": b"",
}


def submitted(notebooks: Mapping[str, NotebookNode | bytes]) -> list[Submission]:
    return [
        Submission(name, name, book if isinstance(book, bytes) else as_bytes(book))
        for name, book in notebooks.items()
    ]


@pytest.fixture(scope="module")
def marks() -> dict[str, SubmissionMark]:
    """All submissions of this module, graded in one run as a class is."""
    everything: dict[str, NotebookNode | bytes] = {
        **ATTACKS,
        **{name: attack(source) for name, source in COURSE_CODE.items()},
        **NOT_NOTEBOOKS,
        "honest 01": HONEST,
        "honest 00": honest("00"),
        "honest, from Colab": metadata_wiped(HONEST),
        "honest, another answer": fill("01", {"1.1": right("1.1"), "1.2": right("1.2")}),
        "honest, moved": moved(HONEST, ANSWER, 3),
        "honest, with an error of its own": with_cell(HONEST, "setup-2", "1 / 0"),
        "half": attack(honest("01").cells[[c.id for c in HONEST.cells].index(ANSWER)].source),
        "a syntax error": attack("def plan_start(files:\n    pass"),
    }
    limits = replace(LIMITS, seconds=90, memory=2 << 30)
    found = grade(submitted(everything), seed=7, limits=limits, cell_seconds=15)
    return {mark.learner: mark for mark in found}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_earns_nothing(name: str, marks: dict[str, SubmissionMark]) -> None:
    assert marks[name].points == 0, marks[name].exercises
    assert marks[name].error == ""
    assert all(mark.message for mark in marks[name].exercises)


@pytest.mark.parametrize("name", COURSE_CODE)
def test_the_courses_own_code_earns_nothing_and_is_named(name: str, marks: dict[str, SubmissionMark]) -> None:
    assert marks[name].points == 0
    assert any(finding.kind == "suspicious" and "compare" in finding.text for finding in marks[name].findings)


@pytest.mark.parametrize("name", NOT_NOTEBOOKS)
def test_what_is_no_notebook_is_named_and_stops_nobody(name: str, marks: dict[str, SubmissionMark]) -> None:
    assert marks[name].error and marks[name].points == 0


@pytest.mark.parametrize("name", ["honest 01", "honest 00", "honest, another answer"])
def test_an_honest_submission_gets_all_points(name: str, marks: dict[str, SubmissionMark]) -> None:
    assert marks[name].points == marks[name].max_points > 0, marks[name].exercises
    assert {finding.kind for finding in marks[name].findings} <= {"note"}  # "the published solution"


@pytest.mark.parametrize("name", ["honest, from Colab", "honest, moved", "honest, with an error of its own"])
def test_a_mishap_costs_nothing(name: str, marks: dict[str, SubmissionMark]) -> None:
    assert marks[name].points == marks[name].max_points == 32, marks[name].exercises
    assert not any(finding.kind == "suspicious" for finding in marks[name].findings)


def test_a_notebook_of_another_lesson_counts_for_that_one(marks: dict[str, SubmissionMark]) -> None:
    assert marks["honest 00"].lesson == "00"
    assert all(mark.exercise.startswith("0.") for mark in marks["honest 00"].exercises)


def test_one_exercise_of_two(marks: dict[str, SubmissionMark]) -> None:
    assert [(mark.exercise, mark.points) for mark in marks["half"].exercises] == [("1.1", 15), ("1.2", 0)]
    assert marks["half"].exercises[1].message == "not written yet"


def test_a_missing_verdict_is_explained(marks: dict[str, SubmissionMark]) -> None:
    messages = {name: mark.exercises[0].message for name, mark in marks.items() if mark.exercises}
    assert "SyntaxError" in messages["a syntax error"]
    assert "check" in messages["check replaced"]
    assert "died" in messages["os._exit(0) in a cell"]
    assert "started more than" in messages["many processes"]


@pytest.mark.timeout(300)
def test_the_command(tmp_path: Path) -> None:
    write(HONEST, tmp_path / "class" / "ada" / "01_storage_that_survives_a_restart.ipynb")
    (tmp_path / "class" / "bob.ipynb").write_text("not a notebook")
    command = [sys.executable, "-m", "ragcourse", "grade", "class", "--json", "marks.json", "--seed", "3"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr  # one could not be graded
    found = {one["file"]: one for one in json.loads((tmp_path / "marks.json").read_text())["submissions"]}
    ada, bob = (next(one for file, one in found.items() if name in file) for name in ("ada", "bob"))
    assert ada["points"] == ada["max_points"] == 32 and ada["error"] is None
    assert bob["error"]
    assert (tmp_path / "grades" / "index.html").exists() and "2 submissions" in done.stdout
