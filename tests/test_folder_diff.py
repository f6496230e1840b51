"""What changed in a folder: found by stamps and hashes, never by trusting a clock too much."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragcourse import folder_diff
from ragcourse.documents import content_hash
from ragcourse.folder_diff import FolderDiff, compare, file_hash
from ragcourse.manifest import FileRecord
from ragcourse.readers import ROOT, FileEntry, scan

LONG_AGO = 10**18  # nanoseconds, in 2001
LATER = LONG_AGO + 10**12


def write(folder: Path, name: str, text: str, at: int = LONG_AGO) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(at, at))


def entries(folder: Path, **changes: Any) -> list[FileEntry]:
    """The folder's files as if their status had last changed when their content did."""
    return [
        replace(entry, stamp=(*entry.stamp[:2], entry.stamp[1], entry.stamp[3]), **changes)
        for entry in scan(folder)
    ]


def records(files: Iterable[FileEntry], seen_ns: int = LATER) -> dict[str, FileRecord]:
    """What a manifest would hold of these files."""
    return {
        entry.id: FileRecord(entry.id, entry.stamp, seen_ns, content_hash(entry.path.read_bytes()))
        for entry in files
    }


def names(diff: FolderDiff) -> dict[str, list[str]]:
    return {
        "unchanged": [record.id for record in diff.unchanged],
        "touched": [record.id for record in diff.touched],
        "added": [entry.id for entry in diff.added],
        "changed": [entry.id for entry in diff.changed],
        "removed": diff.removed,
    }


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose content is looked at."""
    looked: list[str] = []

    def spy(path: Path) -> str | None:
        looked.append(path.name)
        return file_hash(path)

    monkeypatch.setattr(folder_diff, "file_hash", spy)
    return looked


def test_each_file_is_put_where_it_belongs(tmp_path: Path, hashed: list[str]) -> None:
    for name in ("same.md", "edited.md", "touched.md", "gone.md"):
        write(tmp_path, name, "before")
    known = records(entries(tmp_path))
    (tmp_path / "gone.md").unlink()
    write(tmp_path, "edited.md", "after!")  # as long as before, and as old
    os.utime(tmp_path / "edited.md", ns=(LONG_AGO + 1, LONG_AGO + 1))
    os.utime(tmp_path / "touched.md", ns=(LONG_AGO + 1, LONG_AGO + 1))
    write(tmp_path, "sub/new.md", "new")
    diff = compare(entries(tmp_path), known)
    assert names(diff) == {
        "unchanged": ["same.md", "touched.md"],
        "touched": ["touched.md"],
        "added": ["sub/new.md"],
        "changed": ["edited.md"],
        "removed": ["gone.md"],
    }
    assert hashed == ["edited.md", "touched.md"]
    assert not diff.skipped


def test_a_touched_file_is_not_hashed_again(tmp_path: Path, hashed: list[str]) -> None:
    write(tmp_path, "a.md", "text")
    known = records(entries(tmp_path))
    os.utime(tmp_path / "a.md", ns=(LONG_AGO + 1, LONG_AGO + 1))
    first = compare(entries(tmp_path), known)
    second = compare(entries(tmp_path), {record.id: record for record in first.touched})
    assert names(second)["unchanged"] == ["a.md"]
    assert not second.touched
    assert hashed == ["a.md"]


@pytest.mark.parametrize(("age", "looked_at"), [(10**9, True), (3 * 10**9, False)])
def test_a_stamp_is_believed_only_if_the_clock_had_moved_on(
    tmp_path: Path, hashed: list[str], age: int, looked_at: bool
) -> None:
    """A file written twice within one tick has one stamp for two contents."""
    write(tmp_path, "a.md", "before")
    known = records(entries(tmp_path), seen_ns=LONG_AGO + age)
    write(tmp_path, "a.md", "after!")  # size and times are those of the record
    diff = compare(entries(tmp_path), known)
    assert names(diff)["changed"] == (["a.md"] if looked_at else [])
    assert hashed == (["a.md"] if looked_at else [])


def test_the_clock_must_also_have_moved_on_since_the_last_change_of_status(
    tmp_path: Path, hashed: list[str]
) -> None:
    """Content that was written just now under an old time, as rsync does."""
    write(tmp_path, "a.md", "before")
    [entry] = entries(tmp_path)
    entry = replace(entry, stamp=(entry.stamp[0], LONG_AGO, LATER, entry.stamp[3]))
    known = records([entry], seen_ns=LATER + 10**9)
    write(tmp_path, "a.md", "after!")
    assert names(compare([entry], known))["changed"] == ["a.md"]


def test_a_status_change_counts_although_the_time_of_the_content_was_put_back(
    tmp_path: Path, hashed: list[str]
) -> None:
    write(tmp_path, "a.md", "before")
    known = records(scan(tmp_path), seen_ns=time.time_ns() + 10**12)
    record = known["a.md"]
    known["a.md"] = replace(record, stamp=(*record.stamp[:2], record.stamp[2] - 1, record.stamp[3]))
    write(tmp_path, "a.md", "after!")  # like cp --preserve or rsync --times
    assert names(compare(scan(tmp_path), known))["changed"] == ["a.md"]
    assert hashed == ["a.md"]


def test_another_file_under_the_same_name_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "before")
    known = records(entries(tmp_path))
    other = replace(entries(tmp_path)[0], stamp=(*known["a.md"].stamp[:3], known["a.md"].stamp[3] + 1))
    write(tmp_path, "a.md", "after!")
    assert names(compare([other], known))["changed"] == ["a.md"]


def test_recheck_counts_every_file_as_changed(tmp_path: Path, hashed: list[str]) -> None:
    write(tmp_path, "a.md", "a")
    known = records(entries(tmp_path))
    write(tmp_path, "b.md", "b")
    diff = compare(entries(tmp_path), known, recheck=True)
    assert (names(diff)["changed"], names(diff)["added"]) == (["a.md"], ["b.md"])
    assert not hashed


def test_a_skipped_file_stays_skipped_for_its_reason_until_it_changes(tmp_path: Path) -> None:
    write(tmp_path, "bad.pdf", "no pdf")
    known = {name: replace(record, problem="damaged") for name, record in records(entries(tmp_path)).items()}
    diff = compare(entries(tmp_path), known)
    assert diff.skipped == [("bad.pdf", "damaged")]
    assert names(diff)["unchanged"] == ["bad.pdf"]
    write(tmp_path, "bad.pdf", "mended", at=LONG_AGO + 1)
    diff = compare(entries(tmp_path), known)
    assert not diff.skipped
    assert names(diff)["changed"] == ["bad.pdf"]


def test_a_file_that_is_no_longer_to_be_read_is_removed(tmp_path: Path) -> None:
    """It has grown above the limit, or became a link out of the folder."""
    write(tmp_path, "a.md", "a")
    known = records(entries(tmp_path))
    diff = compare(entries(tmp_path, problem="too large"), known)
    assert diff.removed == ["a.md"]
    assert diff.skipped == [("a.md", "too large")]


@pytest.mark.parametrize(
    ("unreachable", "kept"),
    [
        ("docs/a.md", {"docs/a.md"}),
        ("docs", {"docs/a.md", "docs/sub/b.md"}),
        (ROOT, {"docs/a.md", "docs/sub/b.md", "docs.md", "docs2/c.md"}),
    ],
)
def test_what_cannot_be_reached_is_not_forgotten(tmp_path: Path, unreachable: str, kept: set[str]) -> None:
    for name in ("docs/a.md", "docs/sub/b.md", "docs.md", "docs2/c.md"):
        write(tmp_path, name, name)
    known = records(entries(tmp_path))
    away = FileEntry(unreachable, tmp_path / unreachable, (0, 0, 0, 0), "no rights", unreachable=True)
    diff = compare([away], known)
    assert {record.id for record in diff.unchanged} == kept
    assert set(diff.removed) == set(known) - kept
    assert diff.skipped == [(unreachable, "no rights")]


def test_a_file_that_cannot_be_opened_has_no_hash_and_is_left_to_the_reader(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "a")
    known = records(entries(tmp_path))
    assert file_hash(tmp_path / "missing") is None
    assert file_hash(tmp_path / "a.md") == known["a.md"].hash
    gone = replace(entries(tmp_path)[0], path=tmp_path / "missing", stamp=(1, LONG_AGO, LONG_AGO, 1))
    assert names(compare([gone], known))["changed"] == ["a.md"]


CONTENTS = st.dictionaries(st.sampled_from("abcde"), st.sampled_from(["1", "2", "33"]), max_size=5)


@given(before=CONTENTS, after=CONTENTS, at=st.sampled_from([LONG_AGO, LONG_AGO + 1]))
def test_the_difference_is_that_of_the_contents(
    tmp_path_factory: pytest.TempPathFactory, before: dict[str, str], after: dict[str, str], at: int
) -> None:
    """Against the plain comparison of two dictionaries."""
    folder = tmp_path_factory.mktemp("folder")
    for name, text in before.items():
        write(folder, f"{name}.md", text)
    known = records(entries(folder))
    for path in folder.iterdir():
        path.unlink()
    for name, text in after.items():
        write(folder, f"{name}.md", text, at=at if before.get(name) == text else LONG_AGO + 2)
    found = names(compare(entries(folder), known))
    found.pop("touched")

    def files(chosen: Iterable[str]) -> list[str]:
        return sorted(f"{name}.md" for name in chosen)

    assert {kind: sorted(ids) for kind, ids in found.items()} == {
        "unchanged": files(name for name in after if before.get(name) == after[name]),
        "added": files(after.keys() - before.keys()),
        "changed": files(name for name in after.keys() & before.keys() if before[name] != after[name]),
        "removed": files(before.keys() - after.keys()),
    }
