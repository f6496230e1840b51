"""Masters become lessons: stubs in place of answers, stable ids, nbgrader metadata, nothing else."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from typer.testing import CliRunner

from ragcourse.cli import app
from ragcourse.grading.release import ReleaseError, release
from ragcourse.grading.stub import remove_answers

ANSWER = textwrap.dedent('''\
    class Store:
        def commit(self, path):
            """Write everything, or nothing."""
            with open(path) as file:
                ### BEGIN SOLUTION  Exercise 1.2: write the "commit"
                file.flush()
                if file:
                    os.fsync(file)
                ### END SOLUTION
            return path

        def recover(self):
            ### BEGIN SOLUTION  Exercise 1.2: read it back
            return 3
            ### END SOLUTION
''')
STUB = textwrap.dedent('''\
    class Store:
        def commit(self, path):
            """Write everything, or nothing."""
            with open(path) as file:
                raise NotImplementedError("Exercise 1.2: write the \\"commit\\"")
            return path

        def recover(self):
            raise NotImplementedError("Exercise 1.2: read it back")''')
TEXT = textwrap.dedent("""\
    Think first.
    <!-- ### BEGIN SOLUTION  Exercise 1.3 [2 points]: why is the second run faster? -->
    Because of the page cache.
    <!-- ### END SOLUTION -->""")


def points(exercise: str) -> float:
    return {"1.1": 2.5, "1.2": 4}[exercise]


def master_cells() -> list[nbformat.NotebookNode]:
    plot = new_output(
        "display_data",
        data={
            "image/png": "aGk=",
            "application/vnd.jupyter.widget-view+json": {"model_id": "x"},
            "text/plain": "W()",
        },
    )
    return [
        new_markdown_cell("# Storage", id="title"),
        new_code_cell(
            "import os", id="setup", execution_count=7, outputs=[plot], metadata={"scrolled": True}
        ),
        new_code_cell(ANSWER, id="answer", metadata={"tags": ["keep"], "execution": {"iopub": "2020"}}),
        new_code_cell('check("1.2", Store)', id="check", outputs=[new_output("stream", text="ok 12:30\n")]),
        new_markdown_cell(TEXT, id="why"),
    ]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(
        tmp_path,
        master_cells(),
        {"widgets": {"state": {}}, "kernelspec": {"name": "my-env", "display_name": "x"}},
    )
    return tmp_path


def write(root: Path, cells: list[nbformat.NotebookNode], metadata: dict[str, Any] | None = None) -> Path:
    path = root / "solutions" / "01_storage.ipynb"
    path.parent.mkdir(exist_ok=True)
    path.write_text(nbformat.v4.writes(new_notebook(cells=cells, metadata=metadata or {})), "utf-8")
    return path


def run(root: Path, *numbers: str, check: bool = False) -> list[str]:
    return release(numbers, check=check, root=root, points_of=points)


def read(root: Path, folder: str = "lessons") -> nbformat.NotebookNode:
    notebook = nbformat.read(root / folder / "01_storage.ipynb", as_version=4)
    nbformat.validate(notebook)
    return notebook


def test_answers_become_stubs_at_their_indentation(root: Path) -> None:
    run(root)
    lesson = read(root)
    assert lesson.cells[2].source == STUB
    compile(lesson.cells[2].source, "lesson", "exec")
    assert lesson.cells[4].source == (
        "Think first.\n**Exercise 1.3: why is the second run faster?**\n\n*Write your answer here.*"
    )


def test_outputs_go_from_the_lesson_and_stay_in_the_master(root: Path) -> None:
    run(root)
    for cell in read(root).cells:
        assert cell.get("outputs", []) == [] and cell.get("execution_count") is None
    master = read(root, "solutions")
    assert master.cells[1].execution_count == 7
    assert master.cells[1].outputs[0].data == {"image/png": "aGk=", "text/plain": "W()"}
    assert master.cells[3].outputs[0].text == "ok 12:30\n"
    assert master.cells[2].source == ANSWER


def test_ids_are_kept_and_metadata_is_minimal(root: Path) -> None:
    run(root)
    for folder in ("solutions", "lessons"):
        notebook = read(root, folder)
        assert [cell.id for cell in notebook.cells] == ["title", "setup", "answer", "check", "why"]
        assert notebook.metadata.kernelspec.name == "python3"
        assert set(notebook.metadata) == {"kernelspec", "language_info"}
        assert notebook.cells[1].metadata == {}
        assert notebook.cells[2].metadata["tags"] == ["keep"]


def test_grading_metadata_is_nbgraders_schema_3(root: Path) -> None:
    run(root)
    keys = ["grade", "grade_id", "locked", "points", "schema_version", "solution", "task"]
    expected = {
        2: [False, "exercise-1-2", False, 0, 3, True, False],
        3: [True, "check-1-2", True, 4, 3, False, False],
        4: [True, "exercise-1-3", False, 2, 3, True, False],
    }
    for folder in ("solutions", "lessons"):
        for number, cell in enumerate(read(root, folder).cells):
            grading = cell.metadata.get("nbgrader")
            assert grading == (dict(zip(keys, expected[number], strict=True)) if number in expected else None)
    check = read(root).cells[3].metadata
    assert check["editable"] is False and check["deletable"] is False
    assert "editable" not in read(root).cells[2].metadata


def test_a_second_release_changes_nothing(root: Path) -> None:
    assert run(root) == ["solutions/01_storage.ipynb: normalised", "lessons/01_storage.ipynb: written"]
    before = {path: path.read_bytes() for path in root.rglob("*.ipynb")}
    assert run(root) == []
    assert run(root, check=True) == []
    assert {path: path.read_bytes() for path in root.rglob("*.ipynb")} == before


def test_missing_and_repeated_ids_are_made_the_same_each_time(tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        cells = [new_markdown_cell(text) for text in ("one", "two", "two")]
        path = write(folder, cells)
        raw = json.loads(path.read_text("utf-8"))
        del raw["cells"][0]["id"]
        raw["cells"][1]["id"] = raw["cells"][2]["id"] = "x"
        path.write_text(json.dumps(raw))
        run(folder)
        made.append([cell.id for cell in read(folder).cells])
    assert made[0] == made[1] and len(set(made[0])) == 3 and made[0][1] == "x"


def test_check_names_the_lesson_and_its_first_differing_cell(root: Path) -> None:
    problems = run(root, check=True)
    assert problems[-1] == "lessons/01_storage.ipynb has not been released: run `ragcourse release 01`"
    run(root)
    path = root / "lessons" / "01_storage.ipynb"
    path.write_text(path.read_text("utf-8").replace("import os", "import sys"), "utf-8")
    (problem,) = run(root, check=True)
    assert "lessons/01_storage.ipynb differs" in problem
    assert "source of cell 2 (id setup, 'import sys')" in problem


def test_check_sees_a_changed_master_and_a_lesson_without_master(root: Path) -> None:
    run(root)
    write(root, [*read(root, "solutions").cells, new_markdown_cell("more", id="more")])
    (root / "lessons" / "02_old.ipynb").write_text("{}")
    problems = run(root, check=True)
    assert any("cell 6 (id more, 'more') is missing" in problem for problem in problems)
    assert any("02_old.ipynb has no master" in problem for problem in problems)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f():\n    ### BEGIN SOLUTION  Exercise 1.2: a\n    pass", "without an END SOLUTION"),
        ("def f():\n    pass\n    ### END SOLUTION", "without a BEGIN SOLUTION"),
        (
            "def f():\n    ### BEGIN SOLUTION  Exercise 1.2: a\n    ### BEGIN SOLUTION  Exercise 1.2: b",
            "inside",
        ),
        ("def f():\n    ### BEGIN SOLUTION\n    pass\n    ### END SOLUTION", "its task are missing"),
        ("def f():\n    # BEGIN SOLUTION\n    pass\n    # END SOLUTION", "written exactly"),
        ("### BEGIN SOLUTION  Exercise 1.2: a\nx = 1\n### END SOLUTION", "stop Run All"),
        (
            "class A:\n    ### BEGIN SOLUTION  Exercise 1.2: a\n    x = 1\n    ### END SOLUTION",
            "stop Run All",
        ),
        (
            "def f():\n  if 1:\n    ### BEGIN SOLUTION  Exercise 1.2: a\n    x\n    ### END SOLUTION\n   y",
            "valid Python",
        ),
        (
            "def f():\n    ### BEGIN SOLUTION  Exercise 2.1: a\n    pass\n    ### END SOLUTION",
            "belong to lesson 01",
        ),
        (ANSWER + 'check("1.2", Store)', "a cell each"),
        ('check("1.1", f)\ncheck("1.2", f)', "one check a cell"),
        ('check("1.1", f)', "no answer for exercise 1.1"),
    ],
)
def test_a_faulty_master_is_refused_naming_its_cell(tmp_path: Path, source: str, message: str) -> None:
    write(tmp_path, [new_markdown_cell("text", id="a"), new_code_cell(source, id="faulty")])
    with pytest.raises(ReleaseError, match=message) as caught:
        run(tmp_path)
    assert "solutions/01_storage.ipynb: cell 2 (id faulty" in str(caught.value)
    assert not (tmp_path / "lessons").exists()


def test_an_exercise_needs_its_check_below_it(tmp_path: Path) -> None:
    write(tmp_path, [new_code_cell(ANSWER, id="answer")])
    with pytest.raises(ReleaseError, match=r"exercise 1\.2 has no check cell"):
        run(tmp_path)
    check = new_code_cell('check("1.2", Store)', id="check")
    write(tmp_path, [new_code_cell(ANSWER, id="a"), check, new_code_cell(ANSWER, id="b")])
    with pytest.raises(ReleaseError, match="below its last answer"):
        run(tmp_path)


def test_an_exercise_in_two_cells_has_two_grade_ids(tmp_path: Path) -> None:
    check = new_code_cell('result = check("1.2", Store)', id="check")
    write(tmp_path, [new_code_cell(ANSWER, id="a"), new_code_cell(ANSWER, id="b"), check])
    run(tmp_path)
    ids = [cell.metadata.nbgrader.grade_id for cell in read(tmp_path).cells]
    assert ids == ["exercise-1-2", "exercise-1-2-part-2", "check-1-2"]


def test_magics_do_not_disturb(tmp_path: Path) -> None:
    source = (
        "%matplotlib inline\ndef f():\n    ### BEGIN SOLUTION  Exercise 1.2: é\n    !ls\n    ### END SOLUTION"
    )
    stubbed, answers = remove_answers(source)
    assert stubbed.endswith('    raise NotImplementedError("Exercise 1.2: é")') and len(answers) == 1


def test_unknown_lesson_no_masters_and_broken_files_are_named(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.raises(ReleaseError, match="no master for lesson 09; there are 01"):
        run(root, "9")
    with pytest.raises(ReleaseError, match="there is no NN_name"):
        run(tmp_path_factory.mktemp("empty"))
    (root / "solutions" / "01_storage.ipynb").write_text("not JSON")
    with pytest.raises(ReleaseError, match=r"01_storage\.ipynb is not a notebook"):
        run(root)


def test_the_command_exits_with_1_when_a_lesson_differs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ragcourse.grading.release.release", lambda numbers, check: run(root, *numbers, check=check)
    )

    def command(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["release", *arguments])
        return result.exit_code, result.output

    assert command("01", "--check")[0] == 1
    assert "has not been released" in command("--check")[1]
    assert command("01")[0] == 0
    assert command("--check")[0] == 0
    code, output = command("7")
    assert code != 0 and "no master for lesson 07" in output
