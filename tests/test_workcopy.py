"""The working copy: the lesson's own cells with the learner's answers, whatever was done to the notebook."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from ragcourse.grading.changes import FEW, parsed
from ragcourse.grading.masters import normalise, to_lesson
from ragcourse.grading.submissions import lesson_of, parse
from ragcourse.grading.workcopy import WorkingCopy, load_masters, restore
from tests.submissions_kit import (
    as_bytes,
    at,
    duplicated,
    edited,
    fill,
    honest,
    ids_dropped,
    lesson,
    metadata_wiped,
    moved,
    outputs_filled,
    renamed,
    reversed_cells,
    round_trip,
    saved_by_jupyterlab,
    turned_into,
    with_cell,
    with_grading,
    with_metadata,
    without,
)

NUMBERS = ["00", "01"]
STORE, CHECK = "ex-1-2", "ex-1-2-check"  # ids in lesson 01
MINE = "class FileStore:\n    mine = True"


def restored(notebook: NotebookNode, number: str = "01") -> WorkingCopy:
    """As the grader does it, from the bytes that were handed in."""
    return restore(parse(as_bytes(notebook)), load_masters()[number].lesson)


def told(found: WorkingCopy, kind: str = "") -> list[str]:
    return [f"{item.where}: {item.text}" for item in found.findings if item.kind == (kind or item.kind)]


def sources(found: WorkingCopy) -> dict[str, str]:
    return {cell.id: cell.source for cell in found.notebook.cells}


# Honest submissions


def is_the_lesson(found: WorkingCopy, number: str) -> bool:
    """Whether only the source of answers differs from the lesson."""
    expected = lesson(number)
    for cell, solved in zip(expected.cells, honest(number).cells, strict=True):
        cell.source = solved.source
    return bool(found.notebook == expected)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("saved", [copy.deepcopy, round_trip, outputs_filled, saved_by_jupyterlab])
def test_an_honest_submission_gives_the_lesson_with_answers_and_no_findings(
    number: str, saved: Callable[[NotebookNode], NotebookNode]
) -> None:
    found = restored(saved(honest(number)), number)
    assert is_the_lesson(found, number)
    assert found.findings == []
    nbformat.validate(found.notebook)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("saved", [ids_dropped, metadata_wiped, reversed_cells])
def test_lost_ids_lost_metadata_and_another_order_are_put_right(
    number: str, saved: Callable[[NotebookNode], NotebookNode]
) -> None:
    found = restored(saved(honest(number)), number)
    assert is_the_lesson(found, number)
    assert found.findings and told(found) == told(found, "restored")


@pytest.mark.parametrize("seed", range(5))
def test_any_order_without_any_metadata_is_put_right(seed: int) -> None:
    mixed = metadata_wiped(honest("01"))
    random.Random(seed).shuffle(mixed.cells)
    assert is_the_lesson(restored(mixed), "01")


def test_answers_and_checks_are_named_by_their_place() -> None:
    found = restored(with_cell(honest("01"), "setup", "x = 1"))
    assert list(found.positions.values()) == ["1.1", "1.2"]
    for place, exercise in found.positions.items():
        assert f'check("{exercise}"' in found.notebook.cells[place].source
    assert list(found.answers) == ["1.1", "1.2"]
    for cells in found.answers.values():
        assert all(found.notebook.cells[place].source == source for place, source in cells)
    assert {found.notebook.cells[place].id for place in found.own} == {"own-4", "ex-1-1", STORE}


def test_a_stub_is_no_answer_and_no_finding() -> None:
    found = restored(fill("01", {}, others="stub"))
    assert found.answers == {"1.1": [], "1.2": []}
    assert found.findings == [] and found.own == {}
    assert found.notebook == lesson("01")


def test_neither_notebook_is_changed() -> None:
    submitted, master = parse(as_bytes(honest("01"))), load_masters()["01"]
    before = copy.deepcopy((submitted, master.lesson))
    found = restore(submitted, master.lesson)
    found.notebook.cells[0].metadata["x"] = 1
    found.notebook.cells[at(found.notebook, STORE)].metadata["nbgrader"]["x"] = 1
    assert (submitted, master.lesson) == before


def test_masters_are_read_from_a_folder(tmp_path: Path) -> None:
    master = load_masters()["01"]
    (tmp_path / "solutions").mkdir()
    path = tmp_path / "solutions" / "01_other.ipynb"
    nbformat.write(master.solved, path)  # type: ignore[no-untyped-call]
    found = load_masters(tmp_path)
    assert list(found) == ["01"] and found["01"].name == "01_other"
    assert found["01"].lesson == master.lesson


# What belongs to the lesson


def test_an_edited_check_is_replaced_and_named() -> None:
    found = restored(edited(honest("01"), CHECK, "print('passed')"))
    assert is_the_lesson(found, "01")
    assert told(found, "restored") == [
        f"cell 59 (id {CHECK}): the check of exercise 1.2 had been changed; the original was run"
    ]


def test_an_edited_cell_of_the_lesson_is_replaced_and_its_new_imports_are_kept() -> None:
    setup = lesson("01").cells[at(lesson("01"), "setup")].source
    found = restored(
        edited(honest("01"), "setup", f"{setup}\nimport zlib as z\nos.environ['X'] = '1'\ndef f(): pass")
    )
    assert sources(found)["setup"] == setup
    assert sources(found)["own-3"] == "import zlib as z\n\ndef f():\n    pass"
    assert found.notebook.cells[at(found.notebook, "setup") + 1].id == "own-3"
    (only,) = told(found, "note")
    assert "had been changed; the original was used" in only


def test_guesses_in_a_cell_to_predict_are_no_finding() -> None:
    predict = lesson("01").cells[at(lesson("01"), "predict")].source
    assert "50" in predict
    found = restored(edited(honest("01"), "predict", predict.replace("50", "17")))
    assert found.findings == [] and sources(found)["predict"] == predict


def test_deleted_cells_are_put_back() -> None:
    found = restored(without(honest("01"), CHECK, "setup", "promise"))
    assert is_the_lesson(found, "01")
    words = " ".join(told(found, "restored"))
    assert "the check of exercise 1.2 had been deleted; the original was put back" in words
    assert "2 of the lesson's cells had been deleted" in words


def test_a_deleted_answer_leaves_its_stub() -> None:
    found = restored(without(honest("01"), STORE))
    assert found.answers["1.2"] == [] and "NotImplementedError" in sources(found)[STORE]
    assert any("the answer of exercise 1.2 had been deleted" in text for text in told(found, "restored"))


def test_an_empty_submission_gives_the_lesson() -> None:
    found = restored(without(honest("01"), *(cell.id for cell in honest("01").cells)))
    assert found.notebook == lesson("01")


def test_moved_cells_run_at_their_own_place() -> None:
    found = restored(moved(honest("01"), CHECK, 0))
    assert is_the_lesson(found, "01")
    assert told(found) == [
        f"cell 1 (id {CHECK}): the check of exercise 1.2 had been moved; it was run at its own place"
    ]


def test_changed_points_and_roles_have_no_effect_and_are_suspicious() -> None:
    found = restored(with_grading(honest("01"), CHECK, points=99, locked=False))
    assert is_the_lesson(found, "01")
    (text,) = told(found, "suspicious")
    assert "points 99 instead of" in text and "locked False instead of True" in text


def test_a_cell_that_claims_to_be_graded_is_only_the_learners_own() -> None:
    claim = {"grade_id": "check-1-9", "locked": True, "grade": True, "points": 50, "solution": False}
    found = restored(with_cell(honest("01"), CHECK, "check('1.9', 1)", nbgrader=claim))
    own = found.notebook.cells[at(found.notebook, CHECK) + 1]
    assert own.metadata == {} and own.source == "check('1.9', 1)"
    assert list(found.positions.values()) == ["1.1", "1.2"]
    assert "the grade id 'check-1-9', which the lesson does not have" in told(found, "suspicious")[0]


# Which answer counts


def test_a_renamed_answer_is_recognised() -> None:
    by_grade_id = restored(renamed(honest("01"), STORE, "mine"))
    assert is_the_lesson(by_grade_id, "01")
    assert told(by_grade_id) == [
        f"cell 58 (id mine): the answer of exercise 1.2 had lost its id {STORE}; "
        "it was recognised by its grade id"
    ]
    bare = with_metadata(renamed(honest("01"), STORE, "mine"), "mine", nbgrader={})
    assert "recognised by the name that it defines" in " ".join(told(restored(bare)))
    assert is_the_lesson(restored(bare), "01")


def test_a_cell_without_metadata_that_was_edited_is_recognised_by_its_likeness() -> None:
    setup = lesson("01").cells[at(lesson("01"), "setup")].source
    found = restored(metadata_wiped(edited(honest("01"), "setup", f"{setup}\nprint(1)")))
    assert is_the_lesson(found, "01")
    assert any("recognised by its likeness to the lesson's" in text for text in told(found, "restored"))


def test_equal_cells_without_ids_are_matched_one_by_one() -> None:
    made = lesson("01")
    made.cells = [made.cells[at(made, "setup")], *(copy.deepcopy(made.cells[0]) for _ in range(2))]
    made.cells[1].id, made.cells[2].id = "a", "b"
    found = restore(parse(as_bytes(ids_dropped(made))), made)
    assert found.notebook == made
    assert not any("times" in text or "deleted" in text for text in told(found))


def test_an_answer_written_into_a_new_cell_takes_the_place_of_the_deleted_one() -> None:
    found = restored(without(with_cell(honest("01"), CHECK, MINE), STORE))
    assert sources(found)[STORE] == MINE
    assert [source for _, source in found.answers["1.2"]] == [MINE]


def test_copies_of_an_answer_are_run_in_their_order_without_the_stub() -> None:
    stub = lesson("01").cells[at(lesson("01"), STORE)].source
    twice = duplicated(duplicated(honest("01"), STORE, MINE, "second"), "second", stub, "third")
    found = restored(twice)
    first, second = found.answers["1.2"]
    assert first[1].startswith("class FileStore:") and second[1] == MINE
    assert second[0] == first[0] + 1
    assert found.notebook.cells[second[0]].id == STORE, "the one that counts has the lesson's id"
    assert "3 times (cells 58 and 59 and 60)" in " ".join(told(found, "restored"))
    nbformat.validate(found.notebook)


def test_a_copy_with_the_same_id_is_a_copy_too() -> None:
    found = restored(duplicated(honest("01"), STORE, MINE))
    assert [source for _, source in found.answers["1.2"]][1] == MINE
    assert len({cell.id for cell in found.notebook.cells}) == len(found.notebook.cells)


def test_a_copied_check_is_run_once() -> None:
    found = restored(duplicated(honest("01"), CHECK, new_id="again"))
    assert is_the_lesson(found, "01")
    assert "the check of exercise 1.2 is there 2 times" in told(found, "restored")[0]


@pytest.mark.parametrize("kind", ["markdown", "raw"])
def test_an_answer_turned_into_text_is_read_as_code(kind: str) -> None:
    found = restored(turned_into(edited(honest("01"), STORE, MINE), STORE, kind))
    cell = found.notebook.cells[at(found.notebook, STORE)]
    assert (cell.cell_type, cell.source) == ("code", MINE)
    assert f"had been turned into a {kind} cell; it was read as code" in told(found, "restored")[0]


def test_a_magic_that_swallows_the_answer_is_noted() -> None:
    for magic in ("%%bash", "%%writefile store.py"):
        found = restored(edited(honest("01"), STORE, f"{magic}\n{MINE}"))
        assert f"begins with {magic.split()[0]}" in told(found, "note")[0]
    assert restored(edited(honest("01"), STORE, f"%%time\n!ls\n{MINE}")).findings == []


def test_an_answer_in_two_parts_is_two_cells() -> None:
    notebook = nbformat.v4.new_notebook(  # type: ignore[no-untyped-call]
        cells=[
            nbformat.v4.new_code_cell(  # type: ignore[no-untyped-call]
                f"def {name}():\n    ### BEGIN SOLUTION Exercise 1.1: {name}\n    return 1\n"
                "    ### END SOLUTION",
                id=name,
            )
            for name in ("one", "two")
        ]
        + [nbformat.v4.new_code_cell('check("1.1", two)', id="check")]  # type: ignore[no-untyped-call]
    )
    made = to_lesson(normalise(notebook, "01", lambda exercise: 3))
    written = edited(edited(made, "one", "one = 1"), "two", "two = 2")
    found = restore(parse(as_bytes(written)), made)
    assert found.answers == {"1.1": [(0, "one = 1"), (1, "two = 2")]} and found.positions == {2: "1.1"}
    found = restore(parse(as_bytes(edited(made, "two", "two = 2"))), made)
    assert found.answers == {"1.1": [(1, "two = 2")]}


# Text answers


def text_lesson() -> NotebookNode:
    source = (
        "**Exercise 1.3: why?**\n\n<!-- ### BEGIN SOLUTION Exercise 1.3 [2 points]: why is it faster? -->\n"
        "Because.\n<!-- ### END SOLUTION -->"
    )
    cell = nbformat.v4.new_markdown_cell(source, id="why")  # type: ignore[no-untyped-call]
    notebook = nbformat.v4.new_notebook(cells=[cell])  # type: ignore[no-untyped-call]
    return to_lesson(normalise(notebook, "01", lambda exercise: 1))


def test_a_text_answer_is_what_the_learner_added() -> None:
    made = text_lesson()
    stub = made.cells[0].source
    assert restore(parse(as_bytes(made)), made).texts == {"1.3": ""}
    for source in (f"{stub}\n\nThe pages are\nin memory.", "The pages are\nin memory."):
        found = restore(parse(as_bytes(edited(made, "why", source))), made)
        assert found.texts == {"1.3": "The pages are\nin memory."}
        assert (found.answers, found.own, found.findings) == ({}, {}, [])


def test_of_two_text_answers_the_last_that_is_written_counts() -> None:
    made = text_lesson()
    twice = duplicated(edited(made, "why", "First."), "why", "Second.", "x")
    twice = duplicated(twice, "x", made.cells[0].source, "y")
    found = restore(parse(as_bytes(twice)), made)
    assert found.texts == {"1.3": "Second."} and len(found.notebook.cells) == 1


# The learner's own cells


def test_own_cells_stay_where_they_were_without_metadata() -> None:
    notebook = with_cell(
        with_cell(honest("01"), STORE, "a = 1"), "promise", "b = 2", tags=["x"], editable=False
    )
    notebook.cells.insert(0, notebook.cells.pop(1))  # above the first cell
    notebook.cells[at(notebook, "promise")].source += "!"
    found = restored(notebook)
    cells = found.notebook.cells
    assert [cell.source for cell in cells[at(found.notebook, STORE) :][1:2]] == ["a = 1"]
    own = [cell for cell in cells if cell.id.startswith("own-")]
    assert all(cell.metadata == {} and cell.outputs == [] for cell in own) and len(own) == 2
    assert "code cells of the learner's own, run where they stand" in " ".join(told(found, "note"))


def test_own_cells_that_run_nothing_are_left_out() -> None:
    notebook = with_cell(with_cell(honest("01"), STORE, " \n"), STORE, "# A note")
    found = restored(turned_into(notebook, "mine-1", "markdown"))
    assert is_the_lesson(found, "01") and found.findings == []


@pytest.mark.parametrize("tag", ["raises-exception", "NBVAL_SKIP", "nbval-ignore-output"])
def test_tags_that_steer_nbval_are_removed(tag: str) -> None:
    found = restored(with_metadata(honest("01"), CHECK, tags=[tag]))
    assert is_the_lesson(found, "01")
    assert f"the tag {tag!r} steers" in told(found, "suspicious")[0]


@pytest.mark.parametrize(
    "comment",
    ["# NBVAL_SKIP", "#NBVAL_RAISES_EXCEPTION", "  ##  PYTEST_VALIDATE_IGNORE_OUTPUT  ", "# # NBVAL_SKIP"],
)
def test_comments_that_steer_nbval_are_made_harmless(comment: str) -> None:
    from nbval.plugin import find_comment_markers

    source = f"{MINE}\n{comment}\nx = 1"
    for notebook in (edited(honest("01"), STORE, source), with_cell(honest("01"), STORE, source)):
        found = restored(notebook)
        cell = next(cell for cell in found.notebook.cells if "mine = True" in cell.source)
        assert list(find_comment_markers(cell.source)) == []
        assert [line for line in cell.source.splitlines() if "#" not in line] == [*MINE.splitlines(), "x = 1"]
        assert "steers how nbval checks the cell" in told(found, "suspicious")[0]


# Whatever comes


def test_many_findings_of_a_sort_are_put_into_one() -> None:
    assert len(restored(reversed_cells(honest("01"))).findings) == 1
    assert len(restored(without(honest("01"), "setup", *(f"build-{n}" for n in range(5)))).findings) == 1
    assert len(restored(ids_dropped(honest("01"))).findings) == 1
    few = honest("01")
    for name in ("setup", "predict", "explore")[:FEW]:
        few = renamed(few, name, f"x-{name}")
    assert len(restored(few).findings) == 3


def test_what_a_finding_shows_is_short_and_has_no_hostile_id() -> None:
    notebook = renamed(edited(honest("01"), CHECK, "x"), CHECK, "<script>\x1b[31m")
    notebook = with_grading(notebook, "<script>\x1b[31m", points="9" * 1000)
    for text in told(restored(notebook)):
        assert len(text) < 400 and "<script>" not in text and text.isprintable()


def test_any_mixture_of_edits_leaves_the_lesson_whole() -> None:
    rng = random.Random(3)
    masters = load_masters()
    for _ in range(60):
        notebook = metadata_wiped(honest("01")) if rng.random() < 0.3 else honest("01")
        cells = notebook.cells
        for _ in range(rng.randrange(1, 40)):
            a, b = rng.randrange(len(cells)), rng.randrange(len(cells))
            edit = rng.randrange(7)
            if edit == 0 and len(cells) > 30:
                del cells[a]
            elif edit == 1:
                cells.insert(b, copy.deepcopy(cells[a]))
            elif edit == 2:
                cells[a], cells[b] = cells[b], cells[a]
            elif edit == 3:
                cells[a]["id"] = cells[b].get("id", "x")
            elif edit == 4:
                cells[a]["metadata"] = copy.deepcopy(cells[b].metadata)
            elif edit == 5:
                cells[a]["source"] = cells[b].source[: rng.randrange(200)]
            else:
                cells[a]["cell_type"] = rng.choice(["code", "markdown", "raw"])
        read = parse(as_bytes(notebook))
        assert lesson_of(read, masters) == "01"
        found = restore(read, masters["01"].lesson)
        nbformat.validate(found.notebook)
        ours = [cell for cell in found.notebook.cells if not cell.id.startswith("own-")]
        for cell, original in zip(ours, masters["01"].lesson.cells, strict=True):
            assert (cell.id, cell.cell_type, cell.metadata) == (
                original.id,
                original.cell_type,
                original.metadata,
            )
            assert cell.source == original.source or original.metadata.get("nbgrader", {}).get("solution")
        assert list(found.positions.values()) == ["1.1", "1.2"]


@pytest.mark.parametrize(
    "source",
    [
        "(" * 50_000,
        "x = " + "-" * 50_000 + "1",
        "x = " + "+".join(["1"] * 50_000),
        "x = a" + ".b" * 50_000,
        " " * 150_000 + "x",
        "\0",
        "def f(:",
        "x" * 300_000,
    ],
    ids=["brackets", "signs", "sum", "attributes", "spaces", "nul", "no Python", "long"],
)
def test_sources_that_break_parsers_do_not_break_this(source: str) -> None:
    for name in (STORE, "setup", CHECK):
        found = restored(edited(honest("01"), name, source))
        assert len(found.notebook.cells) == len(lesson("01").cells)


def test_magic_lines_do_not_hide_the_python_around_them() -> None:
    assert parsed("%time x = 1\nif True:\n    !ls\nx?\nimport os") is not None
    tree = parsed("x = f(1,  # why?\n      2)\n'''\nis it?\n'''")
    assert tree is not None and len(tree.body) == 2
