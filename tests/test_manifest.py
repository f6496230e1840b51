"""The manifest by itself: what is committed, what is pending, and that every method is all or nothing."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragcourse.documents import Node
from ragcourse.manifest import Change, FileRecord, Manifest
from ragcourse.stores import DamagedError

SEARCHED = {"small"}


def node(name: str, document: str = "a.md", group: str = "small") -> Node:
    return Node(name, f"text of {name} ü", document, group, 1, 5, None, {"title": "T", "n": 1})


def record(document: str, hash_: str = "h", problem: str | None = None, **metadata: str | int) -> FileRecord:
    return FileRecord(document, (10, 2**62, 3, 4), 2**62 + 1, hash_, problem, metadata)


def change(document: str, *nodes: Node) -> Change:
    return Change(document, record(document), nodes)


@pytest.fixture(params=["file", "memory"])
def manifest(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manifest]:
    made = Manifest(tmp_path / "library.sqlite" if request.param == "file" else None)
    yield made
    made.close()


def test_the_four_steps_of_a_change(manifest: Manifest) -> None:
    manifest.announce([node("a1"), node("a2")])
    assert manifest.pending() == {"a1": "small", "a2": "small"} and manifest.counts() == {}
    assert manifest.commit([change("a.md", node("a1"), node("a2"))], SEARCHED) == {}
    assert manifest.pending() == {} and manifest.counts() == {"small": 2}
    # an edit: a1 stays, a2 goes, a3 comes
    manifest.announce([node("a3")])
    assert manifest.commit([change("a.md", node("a1"), node("a3"))], SEARCHED) == {"a2": "small"}
    assert manifest.pending() == {"a2": "small"}
    assert manifest.stored_ids() == {"a1": "small", "a3": "small"}
    manifest.settle(["a2"])
    assert manifest.pending() == {}


def test_a_document_that_is_gone(manifest: Manifest) -> None:
    manifest.commit([change("a.md", node("a1")), change("b.md", node("b1", "b.md"))], SEARCHED)
    assert manifest.commit([Change("a.md", None, ())], SEARCHED) == {"a1": "small"}
    assert manifest.files().keys() == {"b.md"} and manifest.stored_ids() == {"b1": "small"}


def test_many_documents_become_visible_together(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest.announce([node("a1"), node("b1", "b.md")])

    def broken(body: object) -> str:
        raise ValueError("no such body")

    monkeypatch.setattr("ragcourse.manifest._body", broken)
    with pytest.raises(ValueError, match="no such body"):
        manifest.commit(
            [change("a.md", node("a1")), change("b.md", node("b1", "b.md"), node("p", "b.md", "large"))],
            SEARCHED,
        )
    assert manifest.counts() == {} and manifest.files() == {}
    assert manifest.pending() == {"a1": "small", "b1": "small"}
    monkeypatch.undo()
    manifest.commit([change("a.md", node("a1"))], SEARCHED)  # no transaction was left open
    assert manifest.counts() == {"small": 1}


def test_parents_live_here_and_searched_nodes_are_only_named(manifest: Manifest) -> None:
    parent, child = node("p1", group="large"), node("c1")
    manifest.commit([change("a.md", parent, child)], SEARCHED)
    assert manifest.counts() == {"large": 1, "small": 1} and manifest.counts(stored=True) == {"small": 1}
    assert manifest.get(["c1", "p1", "nobody"]) == [parent]
    assert manifest.stored_ids(group="large") == {} and manifest.stored_ids(document="a.md") == {
        "c1": "small"
    }


def test_a_group_that_is_searched_no_more_leaves_its_store(manifest: Manifest) -> None:
    manifest.commit([change("a.md", node("p1", group="large"), node("c1"))], {"large", "small"})
    assert manifest.commit([change("a.md", node("p1", group="large"), node("c1"))], SEARCHED) == {
        "p1": "large"
    }
    assert manifest.pending() == {"p1": "large"} and [n.id for n in manifest.get(["p1"])] == ["p1"]
    manifest.settle(["p1"])
    assert manifest.commit([change("a.md", node("p1", group="large"), node("c1"))], {"large", "small"}) == {}
    assert manifest.get(["p1"]) == [] and manifest.stored_ids() == {"p1": "large", "c1": "small"}


def test_a_node_that_comes_back_is_pending_no_more(manifest: Manifest) -> None:
    manifest.commit([change("a.md", node("a1"))], SEARCHED)
    manifest.commit([change("a.md")], SEARCHED)
    assert manifest.pending() == {"a1": "small"}
    manifest.announce([node("a1")])
    manifest.commit([change("a.md", node("a1"))], SEARCHED)
    assert manifest.pending() == {}


def test_forgetting_makes_stored_nodes_pending_and_the_file_new(manifest: Manifest) -> None:
    manifest.commit(
        [change("a.md", node("p1", group="large"), node("a1")), change("b.md", node("b1", "b.md"))], SEARCHED
    )
    manifest.forget(["a.md", "nobody.md"])
    assert manifest.pending() == {"a1": "small"} and manifest.files().keys() == {"b.md"}
    assert manifest.counts() == {"small": 1} and manifest.get(["p1"]) == []
    assert manifest.documents_of(["a1", "b1"]) == {"b.md"}


def test_what_is_known_of_files_comes_back(manifest: Manifest) -> None:
    records = [
        record("sub/ü 'quoted'.md", "h1", title="x", year=2020),
        record("bad.pdf", "h2", "corrupt: no objects"),
    ]
    manifest.commit([Change(r.id, r, ()) for r in records], SEARCHED)
    assert manifest.files() == {r.id: r for r in records}
    assert manifest.fields() == {"title", "year"}
    touched = FileRecord("bad.pdf", (1, 2, 3, 4), 9, "h2", "corrupt: no objects", {})
    manifest.record_files([touched])
    assert manifest.files()["bad.pdf"] == touched and len(manifest.files()) == 2


def test_settings_and_stores(manifest: Manifest) -> None:
    manifest.set_meta({"embedder": "a", "dim": "8"})
    manifest.set_meta({"dim": "9"})
    manifest.add_stores(["small", "large"])
    manifest.add_stores(["small"])
    assert manifest.meta() == {"embedder": "a", "dim": "9"} and manifest.stores() == {"small", "large"}
    manifest.commit([change("a.md", node("a1"))], SEARCHED)
    manifest.announce([node("a2")])
    manifest.reset()
    assert not (
        manifest.meta() or manifest.stores() or manifest.files() or manifest.counts() or manifest.pending()
    )


def test_more_ids_than_one_statement_takes(manifest: Manifest) -> None:
    parents = [node(f"p{i}", group="large") for i in range(1201)]
    manifest.commit([change("a.md", *parents)], SEARCHED)
    wanted = [n.id for n in reversed(parents)]
    assert [n.id for n in manifest.get(wanted)] == wanted
    assert manifest.get([]) == [] and manifest.documents_of(wanted) == {"a.md"}


def test_all_of_it_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "library.sqlite"
    first = Manifest(path)
    first.commit([change("a.md", node("a1"), node("p1", group="large"))], SEARCHED)
    first.announce([node("a2")])
    first.set_meta({"dim": "8"})
    before = (first.files(), first.counts(), first.pending(), first.meta(), first.get(["p1"]))
    first.close()
    again = Manifest(path)
    assert (again.files(), again.counts(), again.pending(), again.meta(), again.get(["p1"])) == before
    again.close()


def test_threads_never_see_half_a_commit(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path / "library.sqlite")
    manifest.commit([change("a.md", *(node(f"old{i}") for i in range(50)))], SEARCHED)
    states: list[set[str]] = []
    begun, ended = threading.Event(), threading.Event()

    def read() -> None:
        while not ended.is_set():
            states.append({name[:3] for name in manifest.stored_ids()})
            begun.set()

    reader = threading.Thread(target=read)
    reader.start()
    begun.wait(60)
    for i in range(20):
        name = ("new", "old")[i % 2]
        manifest.commit([change("a.md", *(node(f"{name}{j}") for j in range(50)))], SEARCHED)
    ended.set()
    reader.join()
    manifest.close()
    assert all(len(state) == 1 for state in states)


@pytest.mark.parametrize(
    "content",
    [b"this is no database, but it is longer than the header of one" * 20, b"SQLite format 3\0junk"],
)
def test_a_file_that_is_no_manifest_is_named_and_left_alone(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite"
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=r"library\.sqlite is damaged"):
        Manifest(path)
    assert path.read_bytes() == content


def test_a_manifest_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite"
    Manifest(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=77")
    db.close()
    with pytest.raises(DamagedError, match="version 77"):
        Manifest(path)


def test_a_full_disk_undoes_the_transaction(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path / "library.sqlite")
    manifest.commit([change("a.md", node("a1"))], SEARCHED)
    pages = manifest._db.execute("PRAGMA page_count").fetchone()[0]
    manifest._db.execute(f"PRAGMA max_page_count={pages + 1}")  # SQLite's own way to a full disk
    big = [Node(f"p{i}", "x" * 5000, "b.md", "large") for i in range(20)]
    with pytest.raises(sqlite3.OperationalError, match="full"):
        manifest.commit([change("b.md", *big)], SEARCHED)
    assert manifest.files().keys() == {"a.md"} and manifest.stored_ids() == {"a1": "small"}
    manifest._db.execute("PRAGMA max_page_count=100000")
    manifest.commit([change("b.md", *big)], SEARCHED)
    assert manifest.counts() == {"small": 1, "large": 20}
    manifest.close()
