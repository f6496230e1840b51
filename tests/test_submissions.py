"""Finding and reading what was handed in: labels, zips of strangers, files that are no notebooks."""

from __future__ import annotations

import copy
import json
import os
import random
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest
from nbformat import NotebookNode

from ragcourse.grading import submissions, unzip
from ragcourse.grading.submissions import Submission, SubmissionError, find, lesson_of, parse
from ragcourse.grading.workcopy import load_masters, restore
from tests.submissions_kit import (
    as_bytes,
    honest,
    ids_dropped,
    lesson,
    metadata_wiped,
    renamed,
    reversed_cells,
    without,
    write,
)

NAME = "01_storage_that_survives_a_restart"
OTHER = "00_measure_first"


def files(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}")
    return folder


def learners(found: list[Submission]) -> list[str]:
    return [submission.learner for submission in found]


def zipped(path: Path, members: dict[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


# Whose is it


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([f"Ada Lovelace_12345_assignsubmission_file_/{NAME}.ipynb"], ["Ada Lovelace"]),
        ([f"Ada Lovelace_12345_assignsubmission_file_{NAME}.ipynb"], ["Ada Lovelace"]),
        ([f"ada/{NAME}.ipynb", f"bob/{NAME}.ipynb"], ["ada", "bob"]),
        ([f"class 7/ada/{NAME}.ipynb", f"class 7/bob/{NAME}.ipynb"], ["ada", "bob"]),
        ([f"ada/lessons/{OTHER}.ipynb", f"ada/lessons/{NAME}.ipynb"], ["ada (00)", "ada (01)"]),
        ([f"01/{NAME}-ada.ipynb", f"01/bob_{NAME}.ipynb"], ["ada", "bob"]),
        ([f"class 7/{NAME}-ada.ipynb", f"class 7/{NAME}_bob.ipynb"], ["ada", "bob"]),
        (["class 7/ada.ipynb", "class 7/bob.ipynb"], ["ada", "bob"]),
        ([f"ada/{NAME}.ipynb", f"ada/{NAME}-Copy1.ipynb"], ["ada (01)", "ada (01) (2)"]),
        ([f"{NAME} (1).ipynb", "ada.ipynb"], ["handed in", "ada"]),
        (["student_07.ipynb", "student_08.ipynb"], ["student_07", "student_08"]),
        (["李雷/x.ipynb", "Zoë/x.ipynb"], ["Zoë", "李雷"]),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_the_learner_is_read_from_the_names(
    names: list[str], expected: list[str], kind: str, tmp_path: Path
) -> None:
    if kind == "zip":
        path = zipped(tmp_path / "handed in.zip", dict.fromkeys(names, b"{}"))
    else:
        path = files(tmp_path / "handed in", *names)
    found = find(path)
    assert sorted(learners(found)) == sorted(expected)
    assert len({submission.file for submission in found}) == len(names)
    assert all(submission.file.startswith(str(path)) and not submission.problem for submission in found)


def test_one_file_is_labelled_by_its_folder_or_its_name(tmp_path: Path) -> None:
    folder = files(tmp_path, f"ada/{NAME}.ipynb", "submissions/grace.ipynb", f"x/{NAME}-bob.ipynb")
    assert learners(find(folder / "ada" / f"{NAME}.ipynb")) == ["ada"]
    assert learners(find([folder / "submissions/grace.ipynb", folder / f"x/{NAME}-bob.ipynb"])) == [
        "grace",
        "bob",
    ]


def test_equal_learners_and_odd_names_are_told_apart(tmp_path: Path) -> None:
    files(tmp_path, "a/ada.ipynb", "b/ada.ipynb", "c/\x1b[31mevil\n.ipynb", "d/" + "x" * 200 + ".ipynb")
    found = find([tmp_path / name for name in "abcd"])
    assert learners(found)[:3] == ["ada", "ada (2)", "�[31mevil�"]
    assert len(found[3].learner) <= 100
    assert all(submission.file.isprintable() for submission in found)


# Folders and files


def test_hidden_files_and_other_kinds_are_left_out_of_a_folder(tmp_path: Path) -> None:
    files(
        tmp_path,
        "ada.ipynb",
        ".ipynb_checkpoints/ada-checkpoint.ipynb",
        ".x.ipynb",
        "notes.txt",
        "__MACOSX/a.ipynb",
    )
    (found,) = find(str(tmp_path))
    assert (found.learner, found.data, found.problem) == ("ada", b"{}", "")


def test_a_path_that_gives_nothing_has_a_problem(tmp_path: Path) -> None:
    files(tmp_path, "notes.txt", "empty/x.txt")
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    zipped(tmp_path / "none.zip", {"x.txt": "x"})
    names = ["notes.txt", "missing.ipynb", "empty", "bad.zip", "none.zip", "nul\0.ipynb"]
    found = find([tmp_path / name for name in names])
    words = [
        "not a notebook",
        "no such file",
        "no .ipynb in this folder",
        "cannot be read",
        "no .ipynb in this zip",
    ]
    for submission, word in zip(found, words, strict=False):
        assert word in submission.problem and submission.data == b""
    assert len(found) == len(names) and all(submission.problem for submission in found)
    assert find([]) == []


def test_a_file_named_twice_is_found_once(tmp_path: Path) -> None:
    files(tmp_path, "a/ada.ipynb")
    found = find([tmp_path, tmp_path / "a" / "ada.ipynb", tmp_path / "a" / ".." / "a" / "ada.ipynb"])
    assert len(found) == 1


def test_links_pipes_and_locked_files_are_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    folder = files(tmp_path / "in", "ada.ipynb")
    (folder / "link.ipynb").symlink_to(secret)
    (folder / "out").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.ipynb")
    found = {submission.learner: submission for submission in find(folder)}
    assert set(found) == {"ada", "link", "pipe"}
    assert "link" in found["link"].problem and "not a file" in found["pipe"].problem
    assert not any(b"secret" in submission.data for submission in found.values())


def test_a_file_too_large_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submissions, "MAX_BYTES", 1000)
    (tmp_path / "a.ipynb").write_bytes(b" " * 1001)
    (tmp_path / "b.ipynb").write_bytes(b" " * 1000)
    large, small = find(tmp_path)
    assert "clear the outputs" in large.problem and not large.data
    assert len(small.data) == 1000
    with pytest.raises(SubmissionError, match="clear the outputs"):
        parse(b" " * 1001)


# Zips


def test_a_zip_is_read_and_nothing_is_unpacked(tmp_path: Path) -> None:
    zipped(
        tmp_path / "class.zip",
        {"ada/x.ipynb": "A", "bob/x.ipynb": "B", "bob/.ipynb_checkpoints/x.ipynb": "C"},
    )
    found = find(tmp_path / "class.zip")
    assert [(item.learner, item.data) for item in found] == [("ada", b"A"), ("bob", b"B")]
    assert found[0].file == f"{tmp_path}/class.zip/ada/x.ipynb"
    assert [path.name for path in tmp_path.iterdir()] == ["class.zip"]


def test_a_learners_zip_in_a_folder_or_in_a_zip_is_opened_once(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "ada.zip", {f"{NAME}.ipynb": "A"}).read_bytes()
    third = zipped(tmp_path / "deep.zip", {"bob.zip": inner}).read_bytes()
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "ada.zip").rename(folder / "ada.zip")
    assert learners(find(folder)) == ["ada"]
    found = find(zipped(tmp_path / "class.zip", {"ada.zip": inner, "deep.zip": third, "cy/x.ipynb": "C"}))
    assert {(item.learner, item.data) for item in found if not item.problem} == {("ada", b"A"), ("cy", b"C")}
    assert ["zip in a zip in a zip" in item.problem for item in found if item.problem] == [True]


def test_hostile_members_are_refused_and_the_others_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unzip, "MAX_BYTES", 100_000)
    monkeypatch.setattr(unzip, "MAX_TOTAL", 250_000)
    path = tmp_path / "class.zip"
    link = zipfile.ZipInfo("link/x.ipynb")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("good/x.ipynb", "good")
        archive.writestr("../../evil.ipynb", "x")
        archive.writestr("/etc/evil.ipynb", "x")
        archive.writestr("..\\..\\windows.ipynb", "x")
        archive.writestr("bomb/x.ipynb", bytes(10_000_000))
        archive.writestr("lzma/x.ipynb", "x", zipfile.ZIP_LZMA)
        archive.writestr(link, "/etc/passwd")
        for number in range(5):
            archive.writestr(f"many/{number}.ipynb", bytes(80_000))
    found = {item.file.removeprefix(f"{path}/"): item for item in find(path)}
    assert found["good/x.ipynb"].data == b"good"
    for name, word in {
        "../../evil.ipynb": "leaves the zip",
        "/etc/evil.ipynb": "leaves the zip",
        "../../windows.ipynb": "leaves the zip",
        "bomb/x.ipynb": "larger than",
        "lzma/x.ipynb": "unusual way",
        "link/x.ipynb": "a link",
    }.items():
        assert word in found[name].problem and not found[name].data, name
    assert sum("in one zip" in item.problem for item in found.values()) == 2
    assert sum(len(item.data) for item in found.values()) <= 250_000
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_and_an_encrypted_member_are_named(tmp_path: Path) -> None:
    path = zipped(tmp_path / "class.zip", {"ada.ipynb": "A" * 1000, "bob.ipynb": "B"})
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[45] ^= 0xFF  # in the compressed data of the first
    path.write_bytes(damaged)
    ada, bob = find(path)
    assert "damaged" in ada.problem and bob.data == b"B"
    encrypted = bytearray(whole)
    directory = whole.index(b"PK\x01\x02")
    encrypted[6] |= 1
    encrypted[directory + 8] |= 1
    path.write_bytes(encrypted)
    ada, bob = find(path)
    assert "encrypted" in ada.problem and bob.data == b"B"


def test_names_in_other_encodings_are_read(tmp_path: Path) -> None:
    path = zipped(tmp_path / "class.zip", {"Zo__/x.ipynb": "A", "b/x.ipynb": "B"})
    path.write_bytes(path.read_bytes().replace(b"Zo__", "Zoë".encode()))
    assert learners(find(path)) == ["Zoë", "b"]
    path.write_bytes(path.read_bytes().replace("Zoë".encode(), b"Zo\xff\xfe"))
    assert len(find(path)) == 2 and not any(item.problem for item in find(path))


def test_a_path_without_end_in_a_zip_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {" " * 60_000 + "x.ipynb": "x", "ada.ipynb": "A"})
    long, ada = find(path)
    assert "more than 1,000 characters" in long.problem and len(long.file) <= 300
    assert (ada.learner, ada.data) == ("ada", b"A")


def test_a_zip_damaged_anywhere_is_never_fatal(tmp_path: Path) -> None:
    whole = zipped(tmp_path / "a.zip", {"ada/x.ipynb": "A" * 300, "b.zip": "no zip"}).read_bytes()
    rng = random.Random(1)
    for _ in range(1500):
        data = bytearray(whole[: rng.choice([len(whole), rng.randrange(len(whole))])])
        for _ in range(rng.randrange(1, 4)):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
        (tmp_path / "a.zip").write_bytes(data)
        for item in find(tmp_path / "a.zip"):
            assert isinstance(item.data, bytes) and item.file.isprintable()


# Reading a notebook


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"not JSON", "not valid JSON in line 1"),
        (b'{"cells": [', "not valid JSON"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8"),
        (b"PK\x03\x04...", "a zip"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"[1]", "not a notebook"),
        (b"{}", "not a notebook of format 4"),
        (b'{"nbformat": 4, "cells": {}}', "not a notebook of format 4"),
        (b'{"nbformat": 3, "worksheets": []}', "old format"),
        (b'{"nbformat": 4, "cells": [3]}', "cell 1 is not a cell"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": 3}]}', "cell 1 has no type or no text"),
        (b'{"nbformat": 4, "cells": [{"cell_type": [], "source": ""}]}', "cell 1 has no type or no text"),
        (
            b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": ["a", 1]}]}',
            "cell 1 has no type or no",
        ),
        (b"[" * 100_000, "JSON that no notebook has"),
        (b'{"nbformat": ' + b"9" * 10_000 + b"}", "JSON that no notebook has"),
        (
            json.dumps({"nbformat": 4, "cells": [{"cell_type": "raw", "source": ""}] * 2001}).encode(),
            "2,001 cells",
        ),
    ],
)
def test_what_is_no_notebook_is_told_what_to_do(data: bytes, message: str) -> None:
    with pytest.raises(SubmissionError, match=message):
        parse(data)


def test_only_what_is_needed_is_kept() -> None:
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "source": ["a\n", "b"],
            "metadata": {"tags": ["x", 3], "nbgrader": {"grade_id": "g", "x": []}},
        },
        {"cell_type": "markdown", "source": "half a \ud800", "id": 7, "metadata": None, "outputs": "?"},
        {"cell_type": "markdown", "source": "", "metadata": {"id": "of Colab", "x": 1}},
        {"cell_type": "raw", "source": "", "id": "same"},
        {"cell_type": "raw", "source": "", "id": "same"},
    ]
    notebook = parse(b"\xef\xbb\xbf" + json.dumps({"nbformat": 4, "cells": cells, "metadata": 3}).encode())
    code, text, colab, *raw = notebook.cells
    assert code == {
        "cell_type": "code",
        "source": "a\nb",
        "metadata": {"tags": ["x"], "nbgrader": {"grade_id": "g"}},
    }
    assert text == {"cell_type": "markdown", "source": "half a ?", "metadata": {}}
    assert colab == {"cell_type": "markdown", "source": "", "id": "of Colab", "metadata": {}}
    assert [cell.id for cell in raw] == ["same", "same"]


def test_wrong_types_anywhere_are_refused_or_survived() -> None:
    """Each value of a notebook is replaced by each of some others; what `parse` lets pass can be restored."""
    master = load_masters()["01"]
    base = json.loads(as_bytes(honest("01")))
    base["cells"] = base["cells"][-6:]
    base["cells"][1]["metadata"]["tags"] = ["a"]
    passed = 0
    others: list[Any] = [None, True, -1, 1e400, "", "x", [], [[]], {}, {"a": {"b": []}}]
    for path in list(_paths(base)):
        for value in others:
            broken = copy.deepcopy(base)
            _put(broken, path, value)
            try:
                notebook = parse(json.dumps(broken).encode())
            except SubmissionError:
                continue
            restore(notebook, master.lesson)
            passed += 1
    assert passed > 100


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Any:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _paths(inner, (*path, key))


def _put(value: Any, path: tuple[Any, ...], new: Any) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


# Which lesson


@pytest.mark.parametrize("number", ["00", "01"])
def test_the_lesson_is_known_by_its_cells(number: str) -> None:
    masters = load_masters()
    answers = [cell.id for cell in lesson(number).cells if "nbgrader" not in cell.metadata]
    for notebook in (
        honest(number),
        lesson(number),
        ids_dropped(honest(number)),
        metadata_wiped(honest(number)),
        reversed_cells(honest(number)),
        without(honest(number), *answers),
        metadata_wiped(without(honest(number), *answers)),
    ):
        assert lesson_of(parse(as_bytes(notebook)), masters) == number


def test_a_notebook_of_no_lesson_is_refused() -> None:
    foreign = {"cell_type": "code", "id": "setup", "metadata": {}, "source": "import os"}
    for cells in ([], [foreign]):
        with pytest.raises(SubmissionError, match=f"the lessons are: {OTHER}, {NAME}"):
            lesson_of(parse(json.dumps({"nbformat": 4, "cells": cells}).encode()), load_masters())


def test_cells_of_two_lessons_belong_to_the_one_with_more() -> None:
    mixed = honest("01")
    mixed.cells += honest("00").cells[:3]
    assert lesson_of(parse(as_bytes(mixed)), load_masters()) == "01"
    for cell in mixed.cells[:4]:
        mixed = renamed(mixed, cell.id, f"x{cell.id}")
    assert lesson_of(parse(as_bytes(mixed)), load_masters()) == "01"


def test_cells_of_two_lessons_as_many_of_each_are_refused() -> None:
    def own(number: str) -> list[NotebookNode]:
        """Two cells with ids that no other lesson has, such as most have a cell ``setup``."""
        others = {cell.id for other in load_masters() if other != number for cell in lesson(other).cells}
        return [cell for cell in lesson(number).cells if cell.id not in others][:2]

    mixed = lesson("01")
    mixed.cells = [*own("01"), *own("00")]
    for cell in mixed.cells:
        cell.source = ""
    with pytest.raises(SubmissionError, match="cells of the lessons 00 and 01, as many of each"):
        lesson_of(parse(as_bytes(mixed)), load_masters())


def test_a_written_file_is_found_and_parsed(tmp_path: Path) -> None:
    write(honest("01"), tmp_path / "ada" / f"{NAME}.ipynb")
    (found,) = find(tmp_path)
    assert [cell.source for cell in parse(found.data).cells] == [cell.source for cell in honest("01").cells]
