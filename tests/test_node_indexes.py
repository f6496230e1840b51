"""The course's indexes over nodes, by name, beside a library: found, kept in step, saved, taken up again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragcourse.documents import Node
from ragcourse.embedders import StaticEmbedder
from ragcourse.indexes import kinds
from ragcourse.indexes.key_nodes import KeyNodeIndex, words
from ragcourse.indexes.kinds import KINDS, index_of_nodes, structure
from ragcourse.indexes.vector_nodes import VectorNodeIndex
from ragcourse.indexes.vectors.base import VectorIndex
from ragcourse.indexes.vectors.flat import Flat
from ragcourse.indexes.vectors.hnsw import HNSW
from ragcourse.knowledge_base import KnowledgeBase
from ragcourse.library import LibraryError
from ragcourse.recall import Retriever

KEYS = [kind for kind, place in KINDS.items() if place.startswith("keys")]
VECTORS = [kind for kind, place in KINDS.items() if place.startswith("vectors")]
TEXTS = {
    "bread.md": "Yeast makes the dough rise. The oven must be hot before it goes in.",
    "log.txt": "A write-ahead log makes a commit durable. It is replayed after a crash.",
    "cache.txt": "A cache keeps answers to earlier questions.",
}


@pytest.fixture(scope="module")
def embedder() -> StaticEmbedder:
    return StaticEmbedder()


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(autouse=True)
def needs_hnswlib(request: pytest.FixtureRequest) -> None:
    if request.node.name.endswith("[hnswlib]"):
        pytest.importorskip("hnswlib", reason="the extra hnswlib is not installed: it needs a C++ compiler")


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many vectors each call of ``VectorIndex.add`` has brought."""
    counts: list[int] = []
    add = VectorIndex.add

    def counting(self: VectorIndex, vectors: Any, ids: Any = None) -> Any:
        counts.append(len(np.atleast_2d(vectors)))
        return add(self, vectors, ids)

    monkeypatch.setattr(VectorIndex, "add", counting)
    yield counts


def library(
    docs: Path, tmp_path: Path, embedder: StaticEmbedder, *index: Any, **settings: Any
) -> KnowledgeBase:
    kb = KnowledgeBase(docs, {"type": "file", "kwargs": {"dir": tmp_path / "library"}}, embedder)
    kb.register_index(*index, **settings)
    return kb


def found(kb: KnowledgeBase, index: str, question: str, k: int = 1) -> list[str]:
    return [hit.node.document for hit in Retriever(kb, "sentence", k, index=index)(question)]


@pytest.mark.parametrize("kind", VECTORS)
def test_a_kind_of_vector_index_finds_and_follows_the_library(
    kind: str, docs: Path, tmp_path: Path, embedder: StaticEmbedder
) -> None:
    with library(docs, tmp_path, embedder, kind) as kb:
        kb.start()
        assert found(kb, kind, "a log is replayed after a crash") == ["log.txt"]
        assert {*found(kb, kind, "anything", 9)} == {*TEXTS}
        (docs / "log.txt").unlink()
        (docs / "new.txt").write_text("Penguins live in the south.")
        kb.start()
        assert found(kb, kind, "where do penguins live?") == ["new.txt"]
        assert {*found(kb, kind, "a log is replayed", 9)} == {"bread.md", "cache.txt", "new.txt"}
    with library(docs, tmp_path, embedder, kind) as kb:
        kb.start()
        assert found(kb, kind, "where do penguins live?") == ["new.txt"]


@pytest.mark.parametrize("kind", KEYS)
def test_a_kind_of_key_index_finds_and_follows_the_library(
    kind: str, docs: Path, tmp_path: Path, embedder: StaticEmbedder
) -> None:
    with library(docs, tmp_path, embedder, "by word", kind, keys_of=words) as kb:
        kb.start()
        hits = Retriever(kb, "sentence", 9, index="by word")("Makes DOUGH")
        assert [(hit.node.document, hit.score) for hit in hits] == [("bread.md", 1.0), ("log.txt", 0.5)]
        (docs / "log.txt").unlink()
        kb.start()
        assert found(kb, "by word", "makes dough", 9) == ["bread.md"]
        assert found(kb, "by word", "log") == []


def test_a_trie_over_nodes_of_one_word_each_is_the_reference_practice(
    tmp_path: Path, embedder: StaticEmbedder
) -> None:
    folder = tmp_path / "words"
    folder.mkdir()
    (folder / "words.txt").write_text("a\nlazy\nlater\nzwitterionic")
    kb = KnowledgeBase(folder, None, embedder)
    kb.create_node_group("line", str.splitlines)
    kb.register_index("trie")
    kb.start()
    look_up = Retriever(kb, index="trie", k=3)
    assert [hit.node.text for hit in look_up("zwitterionic")] == ["zwitterionic"]
    assert [hit.node.text for hit in look_up("la*")] == ["later", "lazy"]  # in order of the alphabet
    assert look_up("zwitter") == []
    kb.close()


def test_the_next_start_takes_the_index_from_its_file(
    docs: Path, tmp_path: Path, embedder: StaticEmbedder, added: list[int]
) -> None:
    with library(docs, tmp_path, embedder, "hnsw") as kb:
        kb.start()
        first = kb.search(embedder.embed(["dough"])[0], 5)
    assert added == [3]
    with library(docs, tmp_path, embedder, "hnsw") as kb:
        kb.start()
        assert [hit.node for hit in Retriever(kb, "sentence", 5, index="hnsw")("dough")] == [
            hit.node for hit in first
        ]
    assert added == [3]
    (docs / "cache.txt").write_text("A cache keeps answers to earlier questions. It forgets the oldest.")
    with library(docs, tmp_path, embedder, "hnsw") as kb:
        kb.start()
        assert found(kb, "hnsw", "it forgets the oldest") == ["cache.txt"]
    assert added == [3, 1]


@pytest.mark.parametrize("change", ["damaged", "cut", "settings", "kind", "rebuild", "gone"])
def test_an_index_that_does_not_match_is_built_anew(
    change: str, docs: Path, tmp_path: Path, embedder: StaticEmbedder, added: list[int]
) -> None:
    with library(docs, tmp_path, embedder, "near", HNSW, M=8) as kb:
        kb.start()
    (file,) = (tmp_path / "library").glob("*.index")
    content = bytearray(file.read_bytes())
    if change == "damaged":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif change == "cut":
        file.write_bytes(content[:-1])
    elif change == "gone":
        file.unlink()
    M = 12 if change == "settings" else 8
    other = {"make": Flat} if change == "kind" else {"make": HNSW, "M": M}
    with library(docs, tmp_path, embedder, "near", **other) as kb:
        kb.start(rebuild=change == "rebuild")
        assert found(kb, "near", "a log is replayed after a crash") == ["log.txt"]
    assert added == [3, 3]


def test_every_kind_is_where_it_is_said_to_be_and_has_its_name(embedder: StaticEmbedder) -> None:
    for kind in KINDS:
        if kind != "hnswlib":
            made = index_of_nodes(structure(kind), embedder)
            assert isinstance(made, VectorNodeIndex if kind in VECTORS else KeyNodeIndex)
            assert kind in KEYS or structure(kind).kind == kind  # type: ignore[union-attr]


def test_wrong_registrations_are_told_at_once(docs: Path, embedder: StaticEmbedder) -> None:
    kb = KnowledgeBase(docs, None, embedder)
    with pytest.raises(ValueError, match="no index of kind 'tray'; there are linear, trie"):
        kb.register_index("tray")
    with pytest.raises(TypeError, match="unexpected keyword argument 'N'"):
        kb.register_index("near", "hnsw", N=3)
    with pytest.raises(TypeError, match="settings of HNSW by name"):
        kb.register_index("near", "hnsw", 3)
    kb.register_index("near", "hnsw")
    with pytest.raises(ValueError, match="taken"):
        kb.register_index("near", "flat")


def test_importing_the_names_loads_no_compiler() -> None:
    import subprocess
    import sys

    code = "import sys, ragcourse.knowledge_base; print('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
    assert kinds.KINDS


def test_alone_an_index_keeps_the_nodes_and_embeds_them_itself(embedder: StaticEmbedder) -> None:
    nodes = [Node(f"n{row}", text, "d", "g", 0, len(text)) for row, text in enumerate(TEXTS.values())]
    index = index_of_nodes(Flat, embedder)
    assert isinstance(index, VectorNodeIndex)
    index.update(nodes)
    assert index.query("dough and an oven", 1)[0].node == nodes[0]
    index.update(nodes[:1])
    index.remove(["n1", "unknown"])
    assert {hit.node.id for hit in index.query("a crash", 9)} == {"n0", "n2"}
    index.update([])
    index.vectors.check()


def test_of_a_node_given_twice_the_last_counts_and_a_failed_add_leaves_no_trace(
    embedder: StaticEmbedder, tmp_path: Path
) -> None:
    index = index_of_nodes(Flat, embedder)
    assert isinstance(index, VectorNodeIndex)
    texts = [("a", "bread"), ("b", "penguins"), ("a", "a crash")]
    index.update([Node(name, text, "d", "g") for name, text in texts])
    assert [hit.node.text for hit in index.query("a crash", 9)] == ["a crash", "penguins"]
    with pytest.raises(ValueError, match="all zeros"):
        index.add([Node("c", "nothing", "d", "g")], np.zeros((1, embedder.dim), np.float32))
    index.save(tmp_path / "index", {})
    again = index_of_nodes(Flat, embedder)
    assert isinstance(again, VectorNodeIndex) and again.load(tmp_path / "index", {})
    assert again.node_ids == {"a", "b"}
    again.remove([*again.node_ids])
    index.vectors.save(tmp_path / "of vectors alone")
    assert not again.load(tmp_path / "of vectors alone", {})


def test_an_index_asked_while_the_first_start_runs_says_to_wait(
    docs: Path, tmp_path: Path, embedder: StaticEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    with library(docs, tmp_path, embedder, "flat") as kb:
        add = VectorIndex.add

        def adding(self: VectorIndex, *given: Any) -> Any:
            with pytest.raises(LibraryError, match="not filled yet") as error:
                kb.index("flat")
            said.append(error)
            return add(self, *given)

        monkeypatch.setattr(VectorIndex, "add", adding)
        kb.start()
        assert said and kb.index("flat")


def test_a_crash_between_the_library_and_its_index_is_made_up_for(
    docs: Path, tmp_path: Path, embedder: StaticEmbedder, monkeypatch: pytest.MonkeyPatch, added: list[int]
) -> None:
    with library(docs, tmp_path, embedder, "flat") as kb:
        kb.start()
    (docs / "log.txt").unlink()
    (docs / "new.txt").write_text("Penguins live in the south.")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    kb = library(docs, tmp_path, embedder, "flat")
    with monkeypatch.context() as patch:
        patch.setattr(VectorIndex, "save", full)
        with pytest.raises(LibraryError, match=r"index 'flat' could not be saved.*No space left.*is whole"):
            kb.start()
    with library(docs, tmp_path, embedder, "flat") as kb:
        kb.start()
        index = kb.index("flat")
        assert isinstance(index, VectorNodeIndex) and index.node_ids == kb.store().ids()
        assert found(kb, "flat", "where do penguins live?") == ["new.txt"]
    assert added == [3, 1, 1]
