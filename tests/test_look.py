"""The look at a learner's code: what a person should see, and no alarm for honest work."""

from __future__ import annotations

import re

import pytest

from ragcourse.grading.look import MOST, look
from ragcourse.grading.marks import Finding
from ragcourse.grading.submissions import parse
from ragcourse.grading.workcopy import load_masters, restore
from tests.submissions_kit import (
    as_bytes,
    at,
    edited,
    exercises,
    fill,
    honest,
    lesson,
    right,
    with_cell,
    wrong,
    wrong_names,
)

STORE = "ex-1-2"


def seen(answer: str = "", own: str = "", number: str = "01", name: str = STORE) -> list[Finding]:
    """What is seen in lesson 01 with another answer, or with a cell of the learner's own at its end."""
    notebook = edited(honest(number), name, answer) if answer else honest(number)
    if own:
        notebook = with_cell(notebook, notebook.cells[-1].id, own)
    master = load_masters()[number]
    return look(restore(parse(as_bytes(notebook)), master.lesson), master.lesson)


@pytest.mark.parametrize("number", ["00", "01"])
def test_nothing_is_seen_in_honest_answers(number: str) -> None:
    master = load_masters()[number]
    for notebook in (honest(number), lesson(number), fill(number, {}, others="stub")):
        assert look(restore(parse(as_bytes(notebook)), master.lesson), master.lesson) == []


def test_wrong_answers_are_no_reason_to_suspect_anyone() -> None:
    for number in ("00", "01"):
        master = load_masters()[number]
        for exercise in exercises(number):
            answers = [right(exercise), *(wrong(exercise, name) for name in wrong_names(exercise))]
            for source in answers[:5]:
                clean = re.sub(r"(?m)^from ragcourse\.timing.*$", "Span = object", source)
                notebook = fill(number, {exercise: clean})
                assert look(restore(parse(as_bytes(notebook)), master.lesson), master.lesson) == []


@pytest.mark.parametrize(
    "source",
    [
        "import inspect, os, sys, gc\nprint(os.getpid(), sys.version, inspect.isclass(int))",
        "print('there are two solutions')\nsolutions = [1, 2]\nprint(solutions)",
        "import zlib, json, struct\nx = __import__('json')\nexec('y = 1')\neval('1 + 1')",
        "kb = KnowledgeBase\nstore = file_store.FileStore(work / 'x')",
        "%matplotlib inline\n!ls\nassert eval('2') == 2",
        "class Frame:\n    def __init__(self):\n        self.modules = {}",
    ],
)
def test_ordinary_code_is_not_seen(source: str) -> None:
    assert seen(own=source) == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("from ragcourse.stores import FileStore", "imports ragcourse.stores.FileStore, which the lesson"),
        (
            "import ragcourse.stores.file as f\nFileStore = f.FileStore",
            "uses ragcourse.stores.file.FileStore",
        ),
        ("FileStore = file_store.FileStore", "uses ragcourse.stores.file.FileStore in an answer"),
        ("class FileStore(file_store.FileStore):\n    pass", "uses ragcourse.stores.file.FileStore"),
        ("def FileStore(path):\n    return file_store.FileStore(path)", "uses ragcourse.stores.file"),
        ("exec('from ragcourse.stores import FileStore')", "imports ragcourse.stores.FileStore"),
        (
            "from ragcourse.stores import FileStore as F\nclass FileStore(F):\n    pass",
            "imports ragcourse.stores",
        ),
        ("from ragcourse.stores import *", "imports ragcourse.stores.*"),
    ],
)
def test_the_courses_own_code_as_an_answer_is_suspicious(source: str, words: str) -> None:
    (found,) = seen(answer=source)
    assert found.kind == "suspicious" and found.text.startswith(words)
    assert "own code handed in" in found.text


def test_the_courses_own_code_bound_outside_of_the_answer_is_seen() -> None:
    (found,) = seen(own="x = 1\nFileStore = file_store.FileStore")
    assert "uses ragcourse.stores.file.FileStore in an answer" in found.text
    assert re.fullmatch(r"cell \d+ \(id mine-0\), line 2", found.where)


def test_what_the_stub_imports_may_be_used() -> None:
    source = honest("01").cells[at(honest("01"), "ex-1-1")].source
    assert "content_hash" in source
    assert seen(answer=source, name="ex-1-1") == []
    other = source + "\nimport ragcourse\nragcourse.documents.other"
    assert ["ragcourse.documents.other" in found.text for found in seen(other, name="ex-1-1")] == [True]


def test_the_measure_of_lesson_00_is_not_an_answer() -> None:
    name = next(cell.id for cell in lesson("00").cells if "exercise-0-1" in str(cell.metadata))
    (found,) = seen("def fair_measure(c, **k):\n    return measure(c)", number="00", name=name)
    assert "uses ragcourse.measure in an answer" in found.text


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("open('../solutions/01_x.ipynb').read()", "folder of the solutions"),
        ("from pathlib import Path\nPath('solutions')", "folder of the solutions"),
        ("!cat ../solutions/01_x.ipynb", "folder of the solutions"),
        ("%%bash\ncat ../solutions/01_x.ipynb", "folder of the solutions"),
        ("from ragcourse.grading.judge import main", "the inside of the checker"),
        ("import ragcourse.grading.contract as c", "the inside of the checker"),
        ("import os\nos.environ['RAGCOURSE_JUDGE']", "a variable of the grader"),
        ("import inspect\nprint(inspect.getsource(file_store))", "inspect.getsource: reads source code"),
        ("from inspect import getsource as g\ng(file_store)", "inspect.getsource: reads source code"),
        ("import gc\ngc.get_objects()", "gc.get_objects"),
        ("import sys\nsys._getframe(1)", "sys._getframe"),
        ("import sys\nsys.modules['ragcourse.grading']", "sys.modules"),
        ("import sys\nsys.settrace(print)", "sys.settrace"),
        ("import os\nos._exit(0)", "os._exit"),
        ("import ctypes", "imports ctypes"),
        ("from ctypes import c_int", "imports ctypes"),
        ("def f(e):\n    return e.__traceback__.tb_frame", "tb_frame"),
        ("__import__('ragcourse.stores')", "imports ragcourse.stores by __import__"),
        ("name = 'x'\n__import__(name)", "imports a computed name by __import__"),
        ("import importlib\nimportlib.import_module('rag' + 'course')", "a computed name"),
        ("exec('import ' + 'os')", "runs code by exec that cannot be read"),
        ("eval('__import__(\"ragcourse.stores\")')", "imports ragcourse.stores by __import__"),
        ("def check(*a):\n    print('passed')", "replaces check"),
        ("check = print", "replaces check"),
        ("file_store.FileStore = int", "changes ragcourse.stores.file.FileStore"),
        ("setattr(file_store, 'x', 1)", "changes a part of the course"),
    ],
)
def test_what_looks_at_the_grader_or_past_it_is_suspicious(source: str, words: str) -> None:
    found = seen(own=source)
    assert any(words in finding.text for finding in found), found
    assert {finding.kind for finding in found} == {"suspicious"}
    assert all(finding.where.startswith("cell 61 (id mine-0)") for finding in found)


def test_the_same_is_said_once_a_cell_and_much_is_cut_short() -> None:
    assert [finding.where for finding in seen(own="import os\nos._exit(0)\n" * 5)] == [
        "cell 61 (id mine-0), line 2"
    ]
    many = seen(own="\n".join(f"from ragcourse.stores import x{n}" for n in range(MOST + 7)))
    assert len(many) == MOST + 1 and many[-1].text == "and 7 more of the kind"


@pytest.mark.parametrize(
    "source", ["x = 1\n" * 100_000, "import os\n" * 100_000, "'solutions/'\n" * 100_000, "(" * 300_000]
)
def test_code_without_end_is_not_looked_at(source: str) -> None:
    (found,) = seen(own=source)
    assert (found.kind, found.text) == ("suspicious", "so much code that it was not looked at")


@pytest.mark.parametrize("source", ["(" * 50_000, "x = " + "-" * 50_000 + "1", "x = a" + ".b" * 50_000, "\0"])
def test_code_that_breaks_parsers_is_survived(source: str) -> None:
    assert seen(own=source) == [] and seen(answer=source) == []


def test_code_in_many_cells_is_looked_at_up_to_a_limit() -> None:
    notebook = honest("01")
    for number in range(7):
        notebook = with_cell(notebook, notebook.cells[-1].id, f"x = {number}\n" * 30_000)
    master = load_masters()["01"]
    found = look(restore(parse(as_bytes(notebook)), master.lesson), master.lesson)
    assert [item.where for item in found] == ["cell 66 (id mine-5)", "cell 67 (id mine-6)"]


# The published solution


def renamed_and_commented(source: str) -> str:
    return "# mine\n" + re.sub(r"\bplan\b", "my_plan", source).replace("\n\n", "\n\n\n")


def test_the_published_solution_is_noted() -> None:
    master = load_masters()["01"]
    source = honest("01").cells[at(honest("01"), "ex-1-1")].source
    for answer, equal in [
        (source, True),
        (renamed_and_commented(source), True),
        (source + "\nx = 1", False),
        (right("1.1"), False),
    ]:
        notebook = fill("01", {"1.1": answer}, others="stub")
        found = look(restore(parse(as_bytes(notebook)), master.lesson), master.lesson, master.solved)
        assert [("note", "1.1" in item.text) for item in found] == ([("note", True)] if equal else [])
