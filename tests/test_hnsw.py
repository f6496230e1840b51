"""HNSW and the adapter over hnswlib: against a scan of everything, under any adding and removing."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ragcourse.indexes.vectors.base import IndexFileError, VectorIndex
from ragcourse.indexes.vectors.flat import Flat
from ragcourse.indexes.vectors.hnsw import HNSW
from ragcourse.indexes.vectors.hnswlib_adapter import HnswlibIndex

METRICS = ("l2", "ip", "cosine")


def clustered(count: int, dim: int, seed: int) -> NDArray[np.float32]:
    """Points around 20 centres, with uneven dimensions and far from the origin."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(1).standard_normal((20, dim))
    points = centres[random.integers(0, 20, count)] + 0.5 * random.standard_normal((count, dim))
    return (points * np.linspace(0.2, 3, dim) + np.linspace(-9, 9, dim)).astype(np.float32)


def recall(index: VectorIndex, oracle: VectorIndex, queries: NDArray[np.float32], **how: object) -> float:
    """Share of the true 10 that are found; a found one as near as the true tenth counts, for ties."""
    found, true = index.search(queries, **how), oracle.search(queries, allowed=how.get("allowed"))  # type: ignore[arg-type]
    return float((found.scores >= true.scores[:, -1:] - 1e-5 * np.abs(true.scores[:, -1:])).mean())


def both(metric: str, count: int = 1500, dim: int = 24, **settings: object) -> tuple[HNSW, Flat]:
    index, oracle = HNSW(dim, metric, **settings), Flat(dim, metric)  # type: ignore[arg-type]
    vectors = clustered(count, dim, 2)
    index.add(vectors)
    oracle.add(vectors)
    return index, oracle


@pytest.mark.parametrize("codes", ["int8", "float32"])
@pytest.mark.parametrize("metric", METRICS)
def test_recall_and_exact_scores(metric: str, codes: str) -> None:
    index, oracle = both(metric, codes=codes)
    index.check()
    queries = clustered(100, 24, 3)
    assert recall(index, oracle, queries, ef=40) >= (0.9 if metric == "ip" else 0.97)
    assert recall(index, oracle, queries, ef=1500) >= (0.97 if metric == "ip" and codes == "int8" else 0.999)
    found, true = index.search(queries, 3, ef=1500), oracle.search(queries, 3)
    same = found.ids == true.ids
    assert same.mean() > 0.95
    np.testing.assert_allclose(found.scores[same], true.scores[same], rtol=1e-4, atol=1e-4)
    assert (np.diff(found.scores, axis=1) <= 0).all()


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["add", "add", "remove", "search"]), st.integers(1, 25), st.integers(0, 2**20)),
    max_size=25,
)


@settings(max_examples=60)
@given(OPERATIONS, st.sampled_from(METRICS), st.sampled_from(["int8", "float32"]), st.integers(2, 4),
       st.booleans())  # fmt: skip
def test_any_adding_and_removing(
    operations: list[tuple[str, int, int]], metric: str, codes: str, M: int, coarse: bool
) -> None:
    """With a pool for all nodes the walk sees every node, or the graph fell apart. Coarse: full of equals."""
    index, oracle = HNSW(3, metric, M=M, ef_construction=8, codes=codes), Flat(3, metric)  # type: ignore[arg-type]
    for name, count, seed in operations:
        random = np.random.default_rng(seed)
        if name == "add":
            vectors = random.integers(1, 3, (count, 3)) if coarse else random.standard_normal((count, 3))
            assert index.add(vectors).tolist() == oracle.add(vectors).tolist()
        elif name == "remove" and len(index):
            gone = random.choice(np.sort(index.ids), min(count, len(index)), replace=False)
            index.remove(gone)
            oracle.remove(gone)
        index.check()
        if len(index):
            found = index.search(random.standard_normal((2, 3)), 300, ef=300).ids
            for row in found:
                assert sorted(row[row >= 0].tolist()) == np.sort(oracle.ids).tolist()


@pytest.mark.parametrize("metric", METRICS)
def test_after_half_is_removed_the_rest_is_found(metric: str) -> None:
    index, oracle = both(metric)
    queries = clustered(100, 24, 3)
    before = recall(index, oracle, queries, ef=40)
    gone = np.random.default_rng(4).permutation(1500)[:750]
    for part in np.array_split(gone, 5):
        index.remove(part)
        index.check()
    oracle.remove(gone)
    assert not np.isin(index.search(queries).ids, gone).any()
    assert recall(index, oracle, queries, ef=40) >= before - 0.02
    index.add(clustered(750, 24, 5), gone)
    oracle.add(clustered(750, 24, 5), gone)
    index.check()
    assert recall(index, oracle, queries, ef=40) >= before - 0.02


def test_a_removed_cluster_and_a_removed_entry_leave_a_whole_graph() -> None:
    index = HNSW(2, ef_construction=16, M=4)
    near, far = np.random.default_rng(0).random((2, 400, 2)).astype(np.float32)
    index.add(np.concatenate([near, far + 50, near - 50]))
    for _ in range(20):
        index.remove(index.ids[index._entry])
        index.check()
    index.remove(np.intersect1d(index.ids, np.arange(400, 800)))
    index.check()
    assert (index.search(np.array([-50.0, -50.0]), 5).ids >= 800).all()
    index.remove(index.ids)
    index.check()
    assert len(index) == 0 and index.search(np.zeros(2)).ids.tolist() == [-1] * 10
    index.add(near)
    index.check()


def test_the_same_seed_gives_the_same_graph_for_any_number_of_workers(tmp_path: Path) -> None:
    one, two, other = (HNSW(16, seed=seed, workers=workers) for seed, workers in ((5, 1), (5, 2), (6, 1)))
    vectors = clustered(1200, 16, 7)
    for index in (one, two, other):
        index.add(vectors[:900])
        index.remove(np.arange(0, 300, 3))
        index.add(vectors[900:])
    for name in ("links", "upper", "upper_at", "level", "parent"):
        a, b = (getattr(index._graph, name)[: len(index)] for index in (one, two))
        assert np.array_equal(a, b), name
    assert not np.array_equal(one._graph.level[: len(one)], other._graph.level[: len(other)])


def test_one_by_one_and_growth() -> None:
    index, oracle = HNSW(8, "l2"), Flat(8)
    vectors = clustered(600, 8, 8)
    for vector in vectors:
        index.add(vector)
    oracle.add(vectors)
    index.check()
    assert recall(index, oracle, clustered(50, 8, 9)) >= 0.99
    assert index.memory_bytes > vectors.nbytes


@pytest.mark.parametrize("share", [0.6, 0.3, 0.05, 0.002])
def test_a_filter_keeps_k_results_when_they_exist(share: float) -> None:
    index, oracle = both("cosine", count=3000)
    allowed = np.random.default_rng(10).permutation(3000)[: int(share * 3000)]
    queries = clustered(50, 24, 11)
    found = index.search(queries, 10, allowed=allowed)
    kept = min(10, len(allowed))
    assert np.isin(found.ids[:, :kept], allowed).all() and (found.ids[:, kept:] == -1).all()
    if kept == 10:
        assert recall(index, oracle, queries, allowed=allowed) >= 0.98


def test_a_filter_for_the_far_side_still_finds_k() -> None:
    """Allowed are only the farthest: the walk meets none of them, and a scan answers."""
    index = HNSW(1)
    index.add(np.arange(4000, dtype=np.float32)[:, None])
    found = index.search(np.zeros(1), 3, ef=10, allowed=np.arange(3000, 4000))
    assert found.ids.tolist() == [3000, 3001, 3002]


def test_equal_vectors_and_twins() -> None:
    index = HNSW(6, "cosine")
    index.add(np.ones((2000, 6)))
    index.check()
    found = index.search(np.ones(6), 50)
    assert len(set(found.ids.tolist())) == 50 and np.allclose(found.scores, 1)
    twins = np.repeat(clustered(60, 12, 12), 50, axis=0)  # 60 different ones, 50 times each
    index, oracle = HNSW(12), Flat(12)
    index.add(twins)
    oracle.add(twins)
    index.check()
    assert recall(index, oracle, twins[::50], ef=64) >= 0.95
    assert recall(index, oracle, clustered(50, 12, 13), ef=64) >= 0.85


def test_tight_clusters_are_walked_by_the_vectors() -> None:
    """A byte cannot tell the members of such a cluster apart; the code is then not used."""
    random = np.random.default_rng(14)
    vectors = (random.standard_normal((10, 16))[random.integers(0, 10, 2000)] * 100).astype(np.float32)
    vectors += random.standard_normal((2000, 16)).astype(np.float32) * 0.5
    index, oracle = HNSW(16), Flat(16)
    index.add(vectors)
    oracle.add(vectors)
    assert not index._code.int8
    assert recall(index, oracle, vectors[::40], ef=64) >= 0.97
    plain, _ = both("l2")
    assert plain._code.int8


def test_one_vector_and_none() -> None:
    index = HNSW(4)
    assert index.search(np.zeros((3, 4)), 2).ids.tolist() == [[-1, -1]] * 3
    index.check()
    index.add([1.0, 2, 3, 4], 7)
    index.check()
    assert index.search([1, 2, 3, 4], 2).ids.tolist() == [7, -1]
    index.remove(7)
    index.check()


def test_save_and_load(tmp_path: Path) -> None:
    index, _ = both("cosine", count=800)
    index.remove(np.arange(0, 800, 9))
    queries = clustered(20, 24, 15)
    index.save(tmp_path / "index")
    loaded = HNSW.load(tmp_path / "index")
    loaded.check()
    for a, b in zip(index.search(queries), loaded.search(queries), strict=True):
        np.testing.assert_array_equal(a, b)
    for one in (index, loaded):  # and they go on alike
        one.add(queries, np.arange(5000, 5020))
        one.check()
    assert np.array_equal(index._graph.level[: len(index)], loaded._graph.level[: len(loaded)])
    np.testing.assert_array_equal(loaded.search(queries, 1).ids[:, 0], np.arange(5000, 5020))


def test_a_file_with_a_broken_graph_is_refused(tmp_path: Path) -> None:
    index, _ = both("l2", count=300)
    index._graph.links[5, 0] = 99_999
    index.save(tmp_path / "index")
    with pytest.raises(IndexFileError, match="a link to no node in layer 0"):
        HNSW.load(tmp_path / "index")


def test_check_shows_what_is_broken() -> None:
    def broken(name: str, place: object, value: int) -> str:
        index, _ = both("l2", count=300)
        getattr(index._graph, name)[place] = value
        with pytest.raises(AssertionError) as caught:
            index.check()
        return str(caught.value)

    shown = broken("links", (5, 0), 5)
    assert "1 of 300 nodes: a link to itself in layer 0; the first is node 5" in shown
    assert "layer 0: [5, " in shown
    assert "a gap between links in layer 0" in broken("links", (5, 0), -1)
    assert "2 roots" in broken("parent", 7, -1)
    assert "no link to the parent" in broken("parent", 7, 7)
    assert "no node in layer 1" in broken("upper", (0, 0), 300)


def test_adding_while_others_search() -> None:
    index = HNSW(16, M=8, ef_construction=40)
    vectors = clustered(1500, 16, 16)
    index.add(vectors[:300])
    faults, done = list[str](), threading.Event()

    def search() -> None:
        while not done.is_set():
            found = index.search(vectors[:300:10], 1)
            if found.ids[:, 0].tolist() != list(range(0, 300, 10)):
                faults.append(str(found.ids[:, 0]))

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for at in range(300, 1500, 50):
        index.add(vectors[at : at + 50])
        index.remove(np.arange(at, at + 10))
    done.set()
    for thread in threads:
        thread.join()
    assert not faults
    index.check()


def test_an_interrupted_add_leaves_the_index_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    from ragcourse.indexes.vectors import hnsw

    index, oracle = both("l2", count=500)
    connect, calls = hnsw.connect, list[int]()

    def interrupted(*arguments: object) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        connect(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(hnsw, "connect", interrupted)
    with pytest.raises(KeyboardInterrupt):
        index.add(clustered(200, 24, 17))
    index.check()
    assert len(index) == 500 and recall(index, oracle, clustered(50, 24, 18)) >= 0.97
    index.add(clustered(200, 24, 17))
    index.check()


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"M": 1}, "M is 1"), ({"ef": 0}, "ef is 0"), ({"ef_construction": 1.5}, "ef_construction is 1.5"),
     ({"workers": 0}, "workers is 0"), ({"seed": -1}, "seed is -1"), ({"codes": "int4"}, "codes is 'int4'")],
)  # fmt: skip
def test_unfit_settings_are_named(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        HNSW(4, **settings)  # type: ignore[arg-type]


def test_hnswlib_behind_the_same_interface(tmp_path: Path) -> None:
    pytest.importorskip("hnswlib")
    for metric in METRICS:
        index, oracle = HnswlibIndex(24, metric), Flat(24, metric)  # type: ignore[arg-type]
        for at in range(0, 900, 300):
            index.add(clustered(300, 24, at))
            oracle.add(clustered(300, 24, at))
        index.remove(np.arange(0, 900, 4))
        oracle.remove(np.arange(0, 900, 4))
        index.add(clustered(100, 24, 1000))
        oracle.add(clustered(100, 24, 1000))
        index.check()
        queries = clustered(50, 24, 19)
        assert recall(index, oracle, queries, ef=200) >= (0.85 if metric == "ip" else 0.97)
        allowed = np.arange(1, 900, 50)
        assert recall(index, oracle, queries, allowed=allowed) >= 0.97
        found, true = index.search(queries, 900), oracle.search(queries, 900)  # more than there are
        assert (found.ids >= 0).sum() == (true.ids >= 0).sum() == 50 * len(oracle)
        index.save(tmp_path / "index")
        loaded = HnswlibIndex.load(tmp_path / "index")
        np.testing.assert_array_equal(loaded.search(queries).ids, index.search(queries).ids)
        loaded.add(queries)
        loaded.check()


def test_without_hnswlib_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    with pytest.raises(ImportError, match=r"not installed.*hnswlib"):
        HnswlibIndex(4)
