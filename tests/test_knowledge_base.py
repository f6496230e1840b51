"""A folder becomes a library: cold, warm, changed, watched from other threads, damaged and rebuilt."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragcourse import ingest
from ragcourse.documents import Hit, Node
from ragcourse.embedders import Embedder, StaticEmbedder
from ragcourse.embedders.base import Vectors
from ragcourse.ingest import with_title
from ragcourse.knowledge_base import KnowledgeBase, LibraryError
from ragcourse.manifest import Manifest
from ragcourse.readers import read
from ragcourse.recall import Retriever
from ragcourse.splitters import SentenceSplitter, TokenSplitter
from ragcourse.stores import DamagedError, FileStore, MapStore, Store
from tests.victim import synchronise

PERSISTENT = ("file", "chroma", "milvus")
EVERY = ("map", *PERSISTENT)


class Counting:
    """An embedder that remembers what it was asked; ``dim`` may be cut short."""

    name = "counting"

    def __init__(self, inner: Embedder, dim: int | None = None) -> None:
        self.inner, self.dim = inner, dim or inner.dim
        self.fingerprint = f"{inner.fingerprint}/{self.dim}"
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        vectors = self.inner.embed(texts)[:, : self.dim]
        unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


class Gone(Counting):
    def embed(self, texts: Sequence[str]) -> Vectors:
        raise ConnectionError("the model does not answer")


@pytest.fixture(scope="module")
def static() -> StaticEmbedder:
    return StaticEmbedder()


@pytest.fixture
def embedder(static: StaticEmbedder) -> Counting:
    return Counting(static)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that a reader has opened so far."""
    names: list[str] = []

    def counting(path: Path, *arguments: Any) -> Any:
        names.append(path.name)
        return read(path, *arguments)

    monkeypatch.setattr(ingest, "read", counting)
    return names


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    (folder / "bread.md").write_text(
        "# Bread\n\nYeast makes the dough rise. The oven must be hot before it goes in."
    )
    (folder / "log.txt").write_text("A write-ahead log makes a commit durable. It is replayed after a crash.")
    (folder / "sub" / "page.html").write_text(
        "<html><title>Cache</title><body><p>A cache keeps answers to earlier questions.</p></body></html>"
    )
    return folder


def conf(kind: str, tmp_path: Path, name: str = "library") -> dict[str, Any]:
    place = tmp_path / name
    kwargs = {"map": {}, "milvus": {"uri": str(place / "library.db")}}.get(kind, {"dir": place})
    return {"type": kind, "kwargs": kwargs}


def ask(kb: KnowledgeBase, question: str, k: int = 1, **filters: Any) -> list[str]:
    """The texts that are found."""
    hits = kb.search(kb.embedder.embed([question])[0], k, where=filters or None)
    return [hit.node.text for hit in hits]


def everything(kb: KnowledgeBase, group: str | None = None) -> list[Node]:
    return sorted((node for nodes, _ in kb.store(group).items() for node in nodes), key=lambda node: node.id)


def held(kb: KnowledgeBase) -> dict[str, set[str]]:
    """Document → the texts of its nodes."""
    found: dict[str, set[str]] = {}
    for node in everything(kb):
        found.setdefault(node.document, set()).add(node.text)
    return found


# ---- cold and warm ----


@pytest.mark.parametrize("kind", PERSISTENT)
def test_a_warm_start_parses_nothing_and_embeds_nothing(
    kind: str, docs: Path, tmp_path: Path, embedder: Counting, parsed: list[str]
) -> None:
    with KnowledgeBase(docs, conf(kind, tmp_path), embedder) as kb:
        first = kb.start()
        nodes = everything(kb)
    assert not first.warm and sorted(first.added) == ["bread.md", "log.txt", "sub/page.html"]
    assert sorted(parsed) == ["bread.md", "log.txt", "page.html"] and embedder.asked
    parsed.clear(), embedder.asked.clear()
    for _ in range(2):  # starts 2 and 3
        with KnowledgeBase(docs, conf(kind, tmp_path), embedder) as kb:
            again = kb.start()
            assert again.warm and len(again.unchanged) == 3 and again.recovered == 0
            assert again.nodes == first.nodes and kb.count() == first.nodes["sentence"] == kb.store().count()
            assert everything(kb) == nodes
    assert parsed == [] and embedder.asked == []


@pytest.mark.parametrize("kind", EVERY)
def test_edited_deleted_renamed_and_added_documents(
    kind: str, docs: Path, tmp_path: Path, embedder: Counting
) -> None:
    kb = KnowledgeBase(docs, conf(kind, tmp_path), embedder)
    kb.start()
    assert "rise" in ask(kb, "what does yeast do")[0]
    (docs / "bread.md").write_text(
        "# Bread\n\nSourdough needs no yeast from a shop. The oven must be hot before it goes in."
    )
    (docs / "log.txt").unlink()
    (docs / "sub" / "page.html").rename(docs / "cache.html")
    (docs / "new.txt").write_text("Quantization keeps numbers in fewer bits.")
    if kind != "map":
        kb.close()
        kb = KnowledgeBase(docs, conf(kind, tmp_path), embedder)
    embedder.asked.clear()
    report = kb.start()
    assert sorted(report.added) == ["cache.html", "new.txt"] and report.changed == ["bread.md"]
    assert sorted(report.removed) == ["log.txt", "sub/page.html"] and report.unchanged == []
    assert kb.documents() == ["bread.md", "cache.html", "new.txt"]
    assert held(kb).keys() == {"bread.md", "cache.html", "new.txt"}
    texts = "\n".join(ask(kb, "yeast, dough, commit, crash, answers", k=1000))
    assert "rise" not in texts and "durable" not in texts and "replayed" not in texts
    assert "Sourdough" in texts and "fewer bits" in texts and "earlier questions" in texts
    assert kb.count() == kb.store().count() == len(everything(kb))
    assert kb.start().warm
    kb.close()


def test_touching_a_file_changes_nothing(
    docs: Path, tmp_path: Path, embedder: Counting, parsed: list[str]
) -> None:
    with KnowledgeBase(docs, conf("file", tmp_path), embedder) as kb:
        kb.start()
    parsed.clear()
    os.utime(docs / "bread.md", ns=(1, 1))
    os.utime(docs / "log.txt")
    with KnowledgeBase(docs, conf("file", tmp_path), embedder) as kb:
        assert kb.start().warm
    assert parsed == []


def test_a_change_that_keeps_size_and_time_is_seen(docs: Path, tmp_path: Path, embedder: Counting) -> None:
    """Two writes within one tick of the clock give one stamp to two contents."""
    path = docs / "log.txt"
    stamp = path.stat().st_mtime_ns
    with KnowledgeBase(docs, conf("file", tmp_path), embedder) as kb:
        kb.start()
    path.write_text(path.read_text().replace("durable", "visible"))
    os.utime(path, ns=(stamp, stamp))
    with KnowledgeBase(docs, conf("file", tmp_path), embedder) as kb:
        assert kb.start().changed == ["log.txt"]
        assert "visible" in ask(kb, "commit")[0]


def test_equal_files_are_two_documents(docs: Path, embedder: Counting) -> None:
    shutil.copy(docs / "log.txt", docs / "sub" / "log.txt")
    kb = KnowledgeBase(docs, None, embedder)
    kb.start()
    assert {hit.node.document for hit in kb.search(embedder.embed(["write-ahead log"])[0], 2)} == {
        "log.txt",
        "sub/log.txt",
    }


def test_empty_and_missing_folders(tmp_path: Path, embedder: Counting) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        KnowledgeBase(tmp_path / "nowhere", None, embedder).start()
    (tmp_path / "empty").mkdir()
    kb = KnowledgeBase(tmp_path / "empty", None, embedder)
    assert kb.start().nodes == {} and kb.count() == 0 and kb.documents() == []
    assert kb.search(embedder.embed(["anything"])[0], 3) == []


# ---- what cannot be read ----


def test_bad_files_are_named_and_the_rest_is_ingested(
    docs: Path, tmp_path: Path, embedder: Counting, parsed: list[str]
) -> None:
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7 and then nothing")
    (docs / "empty.txt").write_bytes(b"")
    for start in range(2):
        with KnowledgeBase(docs, conf("file", tmp_path), embedder) as kb:
            report = kb.start()
            assert {name for name, _ in report.skipped} == {"broken.pdf", "empty.txt"}
            assert kb.documents() == ["bread.md", "log.txt", "sub/page.html"]
            assert len(parsed) == 5  # the second start knows without trying
            assert report.warm == bool(start)
    (docs / "empty.txt").write_text("It has something to say after all.")
    (docs / "log.txt").write_bytes(b"")
    with KnowledgeBase(docs, conf("file", tmp_path), embedder) as kb:
        report = kb.start()
        assert report.changed == ["empty.txt"] and {name for name, _ in report.skipped} == {
            "broken.pdf",
            "log.txt",
        }
        assert held(kb).keys() == {"bread.md", "empty.txt", "sub/page.html"}


def test_a_file_that_cannot_be_opened_keeps_what_was_known_of_it(
    docs: Path, tmp_path: Path, embedder: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    kb = KnowledgeBase(docs, conf("file", tmp_path), embedder)
    kb.start()
    kb.close()
    before = held_in(docs, tmp_path, embedder)
    read_bytes = Path.read_bytes

    def refuse(self: Path) -> bytes:
        if self.name == "log.txt":
            raise PermissionError(13, "Permission denied")
        return read_bytes(self)

    def recut(kb: KnowledgeBase) -> KnowledgeBase:
        kb.create_node_group("words", TokenSplitter(5, 0))
        return kb

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        with recut(KnowledgeBase(docs, conf("file", tmp_path), embedder)) as kb:
            report = kb.start()
            assert ("log.txt", "cannot open the file: Permission denied") in report.skipped
            assert "log.txt" in kb.documents() and "log.txt" not in held(kb)
    with recut(KnowledgeBase(docs, conf("file", tmp_path), embedder)) as kb:  # now it is cut like the others
        assert "log.txt" in kb.start().changed
        assert len(held(kb)["log.txt"]) > len(before["log.txt"])
    with recut(KnowledgeBase(docs, conf("file", tmp_path), embedder)) as kb:
        assert kb.start().warm


def held_in(docs: Path, tmp_path: Path, embedder: Counting) -> dict[str, set[str]]:
    with KnowledgeBase(docs, conf("file", tmp_path), embedder) as kb:
        kb.start()
        return held(kb)


def test_a_passage_too_long_for_milvus_is_a_skipped_file(
    docs: Path, tmp_path: Path, embedder: Counting
) -> None:
    (docs / "blob.txt").write_text("A picture: " + "QUJD" * 20_000)
    with KnowledgeBase(docs, conf("milvus", tmp_path), embedder) as kb:
        kb.create_node_group("whole", lambda text: [text])
        report = kb.start()
        assert len(report.added) == 3
        [(name, reason)] = report.skipped
        assert name == "blob.txt" and "80,0" in reason and "milvus store keeps 65,535" in reason
    with KnowledgeBase(docs, conf("file", tmp_path, "other"), embedder) as kb:
        kb.create_node_group("whole", lambda text: [text])
        assert len(kb.start().added) == 4


# ---- groups and splitters ----


def test_only_what_is_cut_differently_is_embedded_again(
    docs: Path, tmp_path: Path, embedder: Counting, parsed: list[str]
) -> None:
    long = " ".join(f"Sentence {i} of a longer text about topic {i}." for i in range(20))
    (docs / "long.txt").write_text(long)

    def started(size: int) -> tuple[KnowledgeBase, Any]:
        kb = KnowledgeBase(docs, conf("file", tmp_path), embedder)
        kb.create_node_group("chunk", SentenceSplitter(size, 0))
        return kb, kb.start()

    kb, first = started(60)
    short = {node.id for node in everything(kb) if node.document != "long.txt"}
    old = {node.text for node in everything(kb) if node.document == "long.txt"}
    kb.close()
    embedder.asked.clear()
    kb, report = started(30)
    assert len(report.changed) == 4 and report.nodes["chunk"] > first.nodes["chunk"]
    new = {node.text for node in everything(kb) if node.document == "long.txt"}
    assert set(embedder.asked) == {f"long: {text}" for text in new - old} and len(embedder.asked) == len(
        new - old
    )
    assert short <= {node.id for node in everything(kb)} and not (old - new) & {
        n.text for n in everything(kb)
    }
    kb.close()
    parsed.clear(), embedder.asked.clear()
    kb, report = started(30)
    assert report.warm and parsed == [] and embedder.asked == []
    kb.close()


@pytest.mark.parametrize("kind", PERSISTENT)
def test_another_group_is_searched_and_back(
    kind: str, docs: Path, tmp_path: Path, embedder: Counting
) -> None:
    """The store of a group that is searched no more is emptied, not forgotten."""
    for groups in (("sentence",), ("FineChunk",), ("MediumChunk", "sentence"), ("sentence",)):
        with KnowledgeBase(docs, conf(kind, tmp_path), embedder, groups=groups) as kb:
            report = kb.start()
            assert kb.library.manifest.counts(stored=True).keys() == set(groups)
            for group in groups:
                assert kb.count(group) == kb.store(group).count() == report.nodes[group] > 0
            assert "rise" in ask(kb, "what does yeast do")[0]
        with KnowledgeBase(docs, conf(kind, tmp_path), embedder, groups=groups) as kb:
            assert kb.start().warm


@pytest.mark.parametrize("kind", EVERY)
def test_parents_and_places(kind: str, docs: Path, tmp_path: Path, embedder: Counting) -> None:
    with KnowledgeBase(docs, conf(kind, tmp_path), embedder) as kb:
        kb.start()
        assert kb.parent_group("sentence") == "MediumChunk" and kb.parent_group("MediumChunk") is None
        for node in everything(kb):
            document = read(docs / node.document, docs)
            assert document.text[node.start : node.end] == node.text
            assert node.parent is not None
            [parent] = kb.get([node.parent], "MediumChunk")
            assert node.text in parent.text and parent.document == node.document and parent.parent is None
            assert document.text[parent.start : parent.end] == parent.text
            assert node.metadata["title"] == document.title
        with pytest.raises(ValueError, match="no group 'x'"):
            kb.parent_group("x")
        with pytest.raises(ValueError, match="'MediumChunk' is not searched"):
            kb.search(np.ones(embedder.dim), 1, "MediumChunk")


def test_functions_as_splitters(docs: Path, embedder: Counting) -> None:
    kb = KnowledgeBase(docs, None, embedder)
    kb.create_node_group("strings", lambda text: text.split(". "))
    kb.create_node_group("spans", lambda text: [(0, 5), (5, 9)])
    kb.create_node_group("shouted", lambda text: [text.upper()], parent="strings")
    kb.create_node_group("nothing", lambda text: [" ", ""])
    kb.start()
    assert kb.group == "strings" and "nothing" not in kb.library.manifest.counts()
    for node in everything(kb, "strings"):
        assert read(docs / node.document, docs).text[node.start : node.end] == node.text
    assert {node.text for node in everything(kb, "spans") if node.document == "log.txt"} == {"A wri", "te-a"}
    for node in everything(kb, "shouted"):  # not in the text: it has no place, but a parent
        assert (node.start, node.end) == (-1, -1) and node.text.isupper()
        assert kb.get([node.parent or ""], "strings")[0].text.upper() == node.text
    assert ask(kb, "write-ahead log") == ["A write-ahead log makes a commit durable"]


@pytest.mark.parametrize("bad", [lambda text: [3], lambda text: [("a",)], lambda text: [None]])
def test_a_splitter_that_returns_something_else(
    bad: Any, docs: Path, tmp_path: Path, embedder: Counting
) -> None:
    kb = KnowledgeBase(docs, conf("file", tmp_path), embedder)
    kb.create_node_group("bad", bad)
    with pytest.raises(ValueError, match="splitter of group 'bad' returned"):
        kb.start()
    with KnowledgeBase(docs, conf("file", tmp_path), embedder) as good:  # the lock is free
        good.start()


def test_the_library_is_settled_once_it_is_open(docs: Path, embedder: Counting) -> None:
    kb = KnowledgeBase(docs, None, embedder)
    with pytest.raises(LibraryError, match=r"call start\(\) first"):
        kb.count()
    kb.start()
    with pytest.raises(LibraryError, match=r"create_node_group .* before start"):
        kb.create_node_group("late", TokenSplitter())
    with pytest.raises(LibraryError, match=r"register_index .* before start"):
        kb.register_index("late", Toy)
    with pytest.raises(LibraryError, match=r"search_group.* before start"):
        kb.search_group("FineChunk")
    kb.close()
    kb.close()
    with pytest.raises(LibraryError, match=r"call start\(\) first"):
        kb.search(np.ones(embedder.dim), 1)
    kb.search_group("FineChunk")
    assert set(kb.start().nodes) >= {"sentence", "FineChunk"}


def test_wrong_definitions_are_refused(docs: Path, embedder: Counting) -> None:
    kb = KnowledgeBase(docs, None, embedder)
    with pytest.raises(ValueError, match="no parent group 'none'"):
        kb.create_node_group("x", TokenSplitter(), parent="none")
    with pytest.raises(ValueError, match="transform is a int"):
        kb.create_node_group("x", 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no group 'x'"):
        kb.search_group("x")
    kb.register_index("toy", Toy)
    for taken in ("toy", "default"):
        with pytest.raises(ValueError, match="is taken"):
            kb.register_index(taken, Toy)
    with pytest.raises(ValueError, match="home="):
        KnowledgeBase(docs, {"type": "milvus", "kwargs": {"uri": "http://localhost:19530"}}, embedder)


# ---- another embedder, rebuilding ----


@pytest.mark.parametrize("kind", PERSISTENT)
def test_another_embedder_is_refused_and_changes_nothing(
    kind: str, docs: Path, tmp_path: Path, static: StaticEmbedder
) -> None:
    with KnowledgeBase(docs, conf(kind, tmp_path), static) as kb:
        kb.start()
        nodes = everything(kb)
    (docs / "new.txt").write_text("This must not get in.")
    smaller = Counting(static, 64)
    with pytest.raises(LibraryError, match=r"start\(rebuild=True\)"):
        KnowledgeBase(docs, conf(kind, tmp_path), smaller).start()
    with pytest.raises(LibraryError, match="written with embed_text"):
        KnowledgeBase(docs, conf(kind, tmp_path), static, embed_text=lambda node: node.text).start()
    (docs / "new.txt").unlink()
    assert smaller.asked == []
    with KnowledgeBase(docs, conf(kind, tmp_path), static) as kb:
        assert kb.start().warm and everything(kb) == nodes
    with KnowledgeBase(docs, conf(kind, tmp_path), smaller) as kb:
        report = kb.start(rebuild=True)
        assert len(report.added) == 3 and everything(kb) == nodes  # ids do not depend on the vectors
        assert "rise" in ask(kb, "what does yeast do")[0]
    with KnowledgeBase(docs, conf(kind, tmp_path), smaller) as kb:
        assert kb.start().warm


@pytest.mark.parametrize("kind", PERSISTENT)
def test_rebuilding_a_library_that_holds_nothing(kind: str, tmp_path: Path, static: StaticEmbedder) -> None:
    (tmp_path / "docs").mkdir()
    with KnowledgeBase(tmp_path / "docs", conf(kind, tmp_path), static) as kb:
        kb.start()
    with KnowledgeBase(tmp_path / "docs", conf(kind, tmp_path), Counting(static, 64)) as kb:
        assert kb.start(rebuild=True).nodes == {}


@pytest.mark.parametrize("kind", PERSISTENT)
def test_a_store_of_another_dimension_whose_manifest_is_gone(
    kind: str, docs: Path, tmp_path: Path, static: StaticEmbedder
) -> None:
    with KnowledgeBase(docs, conf(kind, tmp_path), static) as kb:
        kb.start()
    for path in (tmp_path / "library").glob("*library.sqlite*"):
        path.unlink()
    with KnowledgeBase(docs, conf(kind, tmp_path), Counting(static, 64)) as kb:
        with pytest.raises(LibraryError, match=r"256 dimensions, not 64. start\(rebuild=True\)"):
            kb.start()
        assert len(kb.start(rebuild=True).added) == 3


def test_a_rebuild_can_change_the_index(docs: Path, tmp_path: Path, embedder: Counting) -> None:
    store_conf = conf("milvus", tmp_path)
    with KnowledgeBase(docs, store_conf, embedder) as kb:
        kb.start()
    store_conf["kwargs"]["index_kwargs"] = {"index_type": "HNSW", "metric_type": "IP"}
    with KnowledgeBase(docs, store_conf, embedder) as kb:
        with pytest.raises(LibraryError, match=r"index_type FLAT, not HNSW. start\(rebuild=True\)"):
            kb.start()
        assert len(kb.start(rebuild=True).added) == 3
        assert kb.store().metric == "inner product" and "rise" in ask(kb, "what does yeast do")[0]


def test_rebuilding_an_open_library(docs: Path, tmp_path: Path, embedder: Counting) -> None:
    with KnowledgeBase(docs, conf("file", tmp_path), embedder) as kb:
        kb.start()
        embedder.asked.clear()
        report = kb.start(rebuild=True)
        assert len(report.added) == 3 and len(embedder.asked) >= kb.count()


# ---- damage ----


@pytest.mark.parametrize("kind", PERSISTENT)
def test_a_store_that_was_deleted_is_filled_again(
    kind: str, docs: Path, tmp_path: Path, embedder: Counting
) -> None:
    def started() -> tuple[list[Node], Any]:
        with KnowledgeBase(docs, conf(kind, tmp_path), embedder) as kb:
            report = kb.start()
            return everything(kb), report

    nodes, _ = started()
    library = tmp_path / "library"
    for path in list(library.iterdir()):
        if (".sqlite" in path.name and "library" in path.name) or path.suffix == ".lock":
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    again, report = started()
    assert again == nodes and len(report.added) == 3
    for path in library.glob("*library*.sqlite*"):  # the other way round: the manifest is gone
        path.unlink()
    again, report = started()
    assert again == nodes and len(report.added) == 3
    assert started()[1].warm


@pytest.mark.parametrize("name", ["sentence.log", "file.library.sqlite"])
def test_damage_is_refused_and_a_rebuild_mends_it(
    name: str, docs: Path, tmp_path: Path, embedder: Counting
) -> None:
    with KnowledgeBase(docs, conf("file", tmp_path), embedder) as kb:
        kb.start()
        nodes = everything(kb)
    path = tmp_path / "library" / name
    path.write_bytes(b"overwritten by something else" + path.read_bytes()[29:])
    kb = KnowledgeBase(docs, conf("file", tmp_path), embedder)
    with pytest.raises(LibraryError, match=rf"{name} is damaged.*start\(rebuild=True\)"):
        kb.start()
    assert len(kb.start(rebuild=True).added) == 3 and everything(kb) == nodes
    kb.close()


@pytest.mark.parametrize("kind", PERSISTENT)
def test_nodes_that_a_store_has_lost_are_brought_back(
    kind: str, docs: Path, tmp_path: Path, embedder: Counting
) -> None:
    with KnowledgeBase(docs, conf(kind, tmp_path), embedder) as kb:
        kb.start()
        nodes = everything(kb)
        lost = next(node for node in nodes if node.document == "bread.md")
        kb.store().delete([lost.id])
        stranger = Node("stranger", "not of this library", "x.md", "sentence")
        kb.store().add([stranger, Node("second", "nor this", "x.md", "sentence")], np.eye(2, embedder.dim))
        kb.store().flush()
    with KnowledgeBase(docs, conf(kind, tmp_path), embedder) as kb:
        assert kb.start().added == ["bread.md"]
        assert everything(kb) == nodes


@pytest.mark.parametrize("name", ["index_metadata.pickle", "data_level0.bin"])
def test_chroma_killed_while_it_writes_its_index(
    name: str, docs: Path, tmp_path: Path, embedder: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes in place, and drops its log then: vectors of which half was written are nowhere else."""
    monkeypatch.setattr(ingest, "BATCH", 1)
    synchronise(2, monkeypatch.setattr)
    with KnowledgeBase(docs, conf("chroma", tmp_path), embedder) as kb:
        kb.start()
        nodes = everything(kb)
    [index] = (tmp_path / "library").glob(f"*/{name}")
    written = index.read_bytes()
    index.write_bytes(written[:50].ljust(len(written), b"\0"))
    kb = KnowledgeBase(docs, conf("chroma", tmp_path), embedder)
    with kb, pytest.raises((LibraryError, DamagedError)):  # damage: no change was under way
        kb.start()
        everything(kb)
    manifest = Manifest(tmp_path / "library" / "chroma.library.sqlite")
    manifest.announce(nodes[:1])  # a crash: one was
    manifest.close()
    with KnowledgeBase(docs, conf("chroma", tmp_path), embedder) as kb:
        kb.start()
        assert everything(kb) == nodes and len(ask(kb, "anything", 1000)) == len(nodes)


def test_milvus_killed_between_writing_a_segment_and_dropping_its_log(
    docs: Path, tmp_path: Path, embedder: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Milvus Lite then reads each row from both, and would return it twice."""
    with monkeypatch.context() as patch:
        patch.setattr("milvus_lite.storage.wal.WAL.close_and_delete", lambda self: None)
        patch.setattr("milvus_lite.storage.wal._cleanup_old_wals", lambda *_: None)
        with KnowledgeBase(docs, conf("milvus", tmp_path), embedder) as kb:
            kb.start()
            nodes = everything(kb)
            kb.library.manifest.forget(kb.documents())  # killed in the flush: nothing was committed yet
    with KnowledgeBase(docs, conf("milvus", tmp_path), embedder) as kb:
        assert kb.start().recovered == len(nodes)
        assert len(ask(kb, "anything at all", 1000)) == len(nodes)
        assert everything(kb) == nodes


def test_a_failing_embedder_leaves_the_library_as_it_was(
    docs: Path, tmp_path: Path, embedder: Counting
) -> None:
    with KnowledgeBase(docs, conf("file", tmp_path), embedder) as kb:
        kb.start()
        nodes = everything(kb)
    (docs / "new.txt").write_text("A model that is gone.")

    kb = KnowledgeBase(docs, conf("file", tmp_path), Gone(embedder.inner))
    with pytest.raises(ConnectionError):
        kb.start()
    (docs / "new.txt").unlink()
    with KnowledgeBase(docs, conf("file", tmp_path), embedder) as kb:
        assert kb.start().warm and everything(kb) == nodes


# ---- registered indexes ----


class Toy:
    """A node-level index that knows every word, and complains about what an index should not be told."""

    def __init__(self, log: list[str] | None = None) -> None:
        self.nodes: dict[str, Node] = {}
        self.log = log if log is not None else []

    def update(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            assert node.id not in self.nodes, "an index sees each node once"
            self.nodes[node.id] = node
            self.log.append(f"+{node.text}")

    def remove(self, ids: Iterable[str]) -> None:
        for node_id in ids:
            self.log.append(f"-{self.nodes.pop(node_id).text}")

    def query(self, query: str, k: int) -> list[Hit]:
        found = (Hit(node, float(node.text.lower().count(query.lower()))) for node in self.nodes.values())
        return sorted((hit for hit in found if hit.score), key=lambda hit: -hit.score)[:k]


@pytest.mark.parametrize("kind", EVERY)
def test_a_registered_index_is_kept_up_to_date(
    kind: str, docs: Path, tmp_path: Path, embedder: Counting
) -> None:
    log: list[str] = []

    def make() -> KnowledgeBase:
        kb = KnowledgeBase(docs, conf(kind, tmp_path), embedder)
        kb.register_index("toy", Toy, log)
        return kb

    kb = make()
    kb.start()
    toy = kb.index("toy")
    assert isinstance(toy, Toy) and toy.nodes == {node.id: node for node in everything(kb)}
    log.clear()
    kb.start()
    assert log == [] and kb.index("toy") is toy
    (docs / "bread.md").write_text("# Bread\n\nSourdough needs time. The oven must be hot before it goes in.")
    (docs / "log.txt").unlink()
    kb.start()
    assert toy.nodes == {node.id: node for node in everything(kb)}
    assert any("Sourdough" in line for line in log) and not any("cache" in line for line in log)
    assert [hit.node.document for hit in Retriever(kb, "sentence", index="toy")("sourdough")] == ["bread.md"]
    assert Retriever(kb, "sentence", index="toy")("durable") == []
    kb.close()
    kb = make()
    kb.start()
    warm = kb.index("toy")
    assert (
        isinstance(warm, Toy) and warm is not toy and warm.nodes == {node.id: node for node in everything(kb)}
    )
    with pytest.raises(ValueError, match="no index 'tay'; have default, toy"):
        kb.index("tay")
    kb.close()


def test_an_index_of_a_group(docs: Path, embedder: Counting) -> None:
    kb = KnowledgeBase(docs, None, embedder, groups=("FineChunk",))
    kb.register_index("toy", Toy, group="sentence")
    kb.start()
    toy = kb.index("toy")
    assert isinstance(toy, Toy) and toy.nodes == {node.id: node for node in everything(kb, "sentence")}
    assert kb.group == "FineChunk"


@pytest.mark.parametrize("kind", ["map", "chroma", "milvus"])
def test_the_form_of_the_reference_texts(kind: str, docs: Path, tmp_path: Path, embedder: Counting) -> None:
    uri = str(tmp_path / "library" / "library.db")  # with milvus, the very file of the store
    store_conf = {
        **conf(kind, tmp_path),
        "indices": {
            "smart_embedding_index": {
                "backend": "milvus",
                "kwargs": {"uri": uri, "index_kwargs": {"index_type": "HNSW", "metric_type": "COSINE"}},
            },
            "second_index": {"backend": "map"},
        },
    }
    for start in range(2):
        embedder.asked.clear()
        with KnowledgeBase(docs, store_conf, embedder) as kb:
            kb.start()
            if start and kind != "map":
                assert embedder.asked == []  # the index is filled with the vectors of the store
            for name in ("smart_embedding_index", "second_index", "default"):
                find = Retriever(kb, "sentence", index=name, k=2)
                assert "rise" in find("what does yeast do")[0].node.text
                assert find("write-ahead log")[0].score == pytest.approx(
                    Retriever(kb, "sentence")("write-ahead log")[0].score, abs=1e-4
                )
            (docs / "log.txt").write_text(f"Version {start}: a journal is written first.")
            kb.start()
            for name in ("smart_embedding_index", "second_index"):
                texts = [
                    hit.node.text for hit in Retriever(kb, "sentence", index=name, k=100)("write-ahead log")
                ]
                assert sorted(texts) == sorted(node.text for node in everything(kb))
            assert kb.count() == kb.store().count()


def test_a_wrong_index_configuration_is_refused_at_once(docs: Path, embedder: Counting) -> None:
    for index, message in (
        ({"backend": "redis"}, "it is one of"),
        ({"kwargs": {}}, "it takes"),
        ({"backend": "map", "kwarg": {}}, "no field 'kwarg'"),
    ):
        with pytest.raises(ValueError, match=message):
            KnowledgeBase(docs, {"type": "map", "indices": {"x": index}}, embedder)


# ---- filters, arguments ----


@pytest.mark.parametrize("kind", EVERY)
def test_filters(kind: str, docs: Path, tmp_path: Path, embedder: Counting) -> None:
    with KnowledgeBase(docs, conf(kind, tmp_path), embedder) as kb:
        kb.start()
        assert {node.document for node in everything(kb)} == {"bread.md", "log.txt", "sub/page.html"}
        for document in ("bread.md", "sub/page.html"):
            texts = ask(kb, "write-ahead log", 10, document=document)
            assert set(texts) == held(kb)[document]
        assert set(ask(kb, "x", 10, file_type="txt")) == held(kb)["log.txt"]
        assert set(ask(kb, "x", 10, title=["Bread", "log"])) == held(kb)["bread.md"] | held(kb)["log.txt"]
        assert ask(kb, "x", 10, title="Bread", file_type="txt") == []
        with pytest.raises(
            ValueError, match=r"no document has a field 'colour' to filter by; have .*file_type"
        ):
            ask(kb, "x", 10, colour="red")


def test_arguments_of_a_search(docs: Path, embedder: Counting) -> None:
    kb = KnowledgeBase(docs, None, embedder)
    kb.start()
    vector = embedder.embed(["oven"])[0]
    assert len(kb.search(vector, 10_000)) == kb.count()
    for k in (0, -1):
        with pytest.raises(ValueError, match="at least one"):
            kb.search(vector, k)
    with pytest.raises(ValueError, match="shape"):
        kb.search(vector[:5], 1)
    with pytest.raises(ValueError, match="NaN"):
        kb.search(np.full(embedder.dim, np.nan, np.float32), 1)


def test_vectors_are_mixed_with_those_of_the_parents(docs: Path, static: StaticEmbedder) -> None:
    for share in (0.0, 0.25):
        kb = KnowledgeBase(docs, None, static, context=share)
        kb.start()
        for nodes, vectors in kb.store().items():
            for node, vector in zip(nodes, vectors, strict=True):
                own, parent = static.embed(
                    [with_title(n) for n in (node, *kb.get([node.parent or ""], "MediumChunk"))]
                )
                mixed = (1 - share) * own + share * parent
                assert vector == pytest.approx(mixed / np.linalg.norm(mixed), abs=1e-6)
    with pytest.raises(ValueError, match="context is 1"):
        KnowledgeBase(docs, None, static, context=1)


# ---- seen from other threads ----


@pytest.fixture
def versions(docs: Path) -> dict[str, list[set[str]]]:
    """Document → the texts of its nodes in each version that a reader may see, none among them."""
    shutil.rmtree(docs)
    docs.mkdir()
    allowed: dict[str, list[set[str]]] = {}
    for topic in ("bread", "logs", "caches", "graphs"):
        texts = [
            {f"Version {v} says {i} about {topic} and much that follows." for i in range(4)} for v in range(2)
        ]
        allowed[f"{topic}.txt"] = [set(), *texts]
    return allowed


def write_version(docs: Path, versions: dict[str, list[set[str]]], version: int) -> None:
    for name, states in versions.items():
        (docs / name).write_text(" ".join(sorted(states[1 + version])))


@pytest.mark.parametrize("kind", EVERY)
def test_a_search_never_sees_half_a_document(
    kind: str,
    docs: Path,
    versions: dict[str, list[set[str]]],
    tmp_path: Path,
    embedder: Counting,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another thread looks before and after every single write of the manifest and of the store."""
    monkeypatch.setattr(ingest, "BATCH", 10)
    kb = KnowledgeBase(docs, conf(kind, tmp_path), embedder)
    query = embedder.embed(["Version says"])[0]
    seen: list[dict[str, int]] = []

    def look() -> None:
        try:
            hits = kb.search(query, 1000)
        except LibraryError:
            return  # not open yet
        found: dict[str, set[str]] = {name: set() for name in versions}
        for hit in hits:
            assert hit.node.text not in found[hit.node.document], "twice"
            found[hit.node.document].add(hit.node.text)
        for name, texts in found.items():
            assert texts in versions[name], f"half of {name}: {texts}"
        seen.append({name: versions[name].index(texts) for name, texts in found.items()})

    with ThreadPoolExecutor(1) as other:

        def watched(function: Callable[..., Any]) -> Callable[..., Any]:
            def watching(*args: Any, **kwargs: Any) -> Any:
                other.submit(look).result()
                result = function(*args, **kwargs)
                other.submit(look).result()
                return result

            return watching

        for owner, names in (
            (Manifest, ("announce", "commit", "settle", "set_meta", "record_files")),
            (Store, ("add", "delete", "flush")),
            (type(embedder), ("embed",)),
        ):
            for name in names:
                monkeypatch.setattr(owner, name, watched(getattr(owner, name)))
        for version in (0, 1):
            write_version(docs, versions, version)
            kb.start()
            assert seen[-1] == dict.fromkeys(versions, version + 1)
        for name in list(versions)[1:]:
            (docs / name).unlink()
        kb.start()
    assert seen[-1] == {name: 2 if name == "bread.txt" else 0 for name in versions}
    states = {tuple(sorted(state.items())) for state in seen}
    assert len(states) >= 5, "batches become visible one after the other"
    kb.close()


def test_a_search_that_was_overtaken_by_a_whole_change_looks_again(
    docs: Path, versions: dict[str, list[set[str]]], embedder: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All steps of a change pass while one search is at work; it reads the store in the middle of them."""
    write_version(docs, versions, 0)
    kb = KnowledgeBase(docs, None, embedder)
    kb.start()
    query = embedder.embed(["Version says"])[0]
    search, add = MapStore._search, MapStore._add
    added, looked = threading.Event(), threading.Event()
    change = threading.Thread(target=kb.start)

    def stop_after_add(self: MapStore, *args: Any) -> None:
        add(self, *args)
        added.set()
        assert looked.wait(60)

    def overtaken(self: MapStore, *args: Any) -> Any:
        monkeypatch.setattr(MapStore, "_search", search)
        change.start()
        assert added.wait(60)
        hits = search(self, *args)  # between the adding and the commit
        looked.set()
        change.join()
        return hits

    write_version(docs, versions, 1)
    monkeypatch.setattr(MapStore, "_add", stop_after_add)
    monkeypatch.setattr(MapStore, "_search", overtaken)
    hits = kb.search(query, 1000)
    assert {hit.node.text for hit in hits} == set.union(*(states[2] for states in versions.values()))
    assert len(hits) == kb.count()


def test_what_an_interrupted_change_left_is_never_seen(
    docs: Path,
    versions: dict[str, list[set[str]]],
    tmp_path: Path,
    embedder: Counting,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not even while the start that clears it away is at work."""
    write_version(docs, versions, 0)
    with KnowledgeBase(docs, conf("file", tmp_path), embedder) as kb:
        kb.start()
        strangers = [Node(f"half-{i}", "half of a change", "half.txt", "sentence") for i in range(3)]
        kb.library.manifest.announce(strangers)
        kb.store().add(strangers, np.eye(3, embedder.dim))
    looks: list[bool] = []
    delete = FileStore._delete

    def look_first(self: FileStore, ids: list[str]) -> None:
        try:
            looks.append(any(hit.node in strangers for hit in kb.search(np.ones(embedder.dim), 1000)))
        except LibraryError:
            looks.append(False)
        delete(self, ids)

    monkeypatch.setattr(FileStore, "_delete", look_first)
    with KnowledgeBase(docs, conf("file", tmp_path), embedder) as kb:
        assert kb.start().recovered == 3
        assert kb.count() == kb.store().count()
    assert looks == [False]


@pytest.mark.parametrize("at", ["_add", "_flush"])
def test_what_an_interrupt_of_an_open_library_left_is_never_seen(
    at: str, docs: Path, tmp_path: Path, embedder: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C, or a notebook's stop button, while a library that answers is brought up to date."""
    kb = KnowledgeBase(docs, conf("file", tmp_path), embedder)
    kb.start()
    (docs / "new.txt").write_text("A half-hearted attempt.")
    step = getattr(FileStore, at)

    def interrupted(*args: Any) -> None:
        step(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(FileStore, at, interrupted)
        kb.start()
    (docs / "new.txt").unlink()
    (docs / "log.txt").write_text("Another change.")
    kb.start()
    assert "half-hearted" not in "".join(ask(kb, "A half-hearted attempt.", 1000))
    assert kb.count() == kb.store().count()
    kb.close()


def test_an_open_library_answers_on_when_the_model_is_gone(docs: Path, embedder: Counting) -> None:
    kb = KnowledgeBase(docs, None, embedder)
    kb.start()
    (docs / "new.txt").write_text("Not yet.")
    question = embedder.embed(["yeast"])[0]
    kb.embedder = Gone(embedder.inner)
    with pytest.raises(ConnectionError):
        kb.start()
    assert "rise" in kb.search(question, 1)[0].node.text
    kb.embedder = embedder
    assert kb.start().added == ["new.txt"]


def test_two_threads_start_one_library(docs: Path, tmp_path: Path, embedder: Counting) -> None:
    with KnowledgeBase(docs, conf("file", tmp_path), embedder) as kb, ThreadPoolExecutor(4) as pool:
        reports = [future.result() for future in [pool.submit(kb.start) for _ in range(4)]]
        assert sorted(len(report.added) for report in reports) == [0, 0, 0, 3]
        assert kb.count() == kb.store().count() > 0


# ---- closing ----


def test_leaving_the_context_closes_and_frees_the_lock(
    docs: Path, tmp_path: Path, embedder: Counting
) -> None:
    with pytest.raises(ZeroDivisionError), KnowledgeBase(docs, conf("file", tmp_path), embedder) as kb:
        kb.start()
        1 / 0  # noqa: B018
    with pytest.raises(LibraryError):
        kb.count()
    with KnowledgeBase(docs, conf("file", tmp_path), embedder) as other:
        assert other.start().warm


def test_one_store_that_will_not_close_keeps_no_lock(
    docs: Path, tmp_path: Path, embedder: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = FileStore.close

    def refuse(self: FileStore) -> None:
        close(self)
        raise OSError("it will not")

    kb = KnowledgeBase(docs, conf("file", tmp_path), embedder)
    with monkeypatch.context() as patch:
        patch.setattr(FileStore, "close", refuse)
        kb.start()
        with pytest.raises(OSError, match="will not"):
            kb.close()
    with KnowledgeBase(docs, conf("file", tmp_path), embedder) as other:
        assert other.start().warm


def test_a_place_where_nothing_can_be_written(docs: Path, tmp_path: Path, embedder: Counting) -> None:
    (tmp_path / "file").write_text("in the way")
    store_conf = {"type": "file", "kwargs": {"dir": tmp_path / "file" / "library"}}
    with pytest.raises(LibraryError, match="cannot be opened"):
        KnowledgeBase(docs, store_conf, embedder).start()
