"""IVF: lists that grow and move, probes, the scan against the matrix product."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragcourse.indexes.vectors import ivf
from ragcourse.indexes.vectors.base import Metric
from ragcourse.indexes.vectors.flat import Flat
from ragcourse.indexes.vectors.ivf import IVF
from ragcourse.indexes.vectors.lists import Lists
from tests.vectors_kit import METRICS, all_scores, assert_exact, shared, vectors

LIST_STEPS = st.lists(
    st.tuples(st.booleans(), st.lists(st.integers(0, 4), min_size=1, max_size=20)), min_size=1, max_size=25
)


@settings(max_examples=40)
@given(LIST_STEPS)
def test_lists_hold_what_was_written_into_them(steps: list[tuple[bool, list[int]]]) -> None:
    lists = Lists(5, values=np.empty((0, 2), np.float32))
    cells: list[int] = []
    values: list[float] = []
    for turn, (adding, numbers) in enumerate(steps):
        if adding:
            new = np.float32([[turn, i] for i in range(len(numbers))])
            lists.add(np.array(numbers, np.int32), values=new)
            cells += numbers
            values += new.tolist()
        else:
            gone = np.unique(np.array(numbers)[np.array(numbers) < len(cells)])
            left = len(cells) - len(gone)
            target = gone[gone < left]
            source = np.setdiff1d(np.arange(left, len(cells)), gone)
            lists.remove(gone, source, target)
            for here, there in zip(source.tolist(), target.tolist(), strict=True):
                cells[there], values[there] = cells[here], values[here]
            del cells[left:], values[left:]
        lists.check()
        assert lists.cells.tolist() == cells
        assert lists.in_order_of_slots("values").tolist() == values
    for cell in range(5):
        members = lists.slots[lists.starts[cell] : lists.starts[cell] + lists.sizes[cell]]
        assert sorted(members.tolist()) == [slot for slot, its in enumerate(cells) if its == cell]


def test_check_finds_a_list_that_lies() -> None:
    index = IVF(4, nlist=3)
    index.add(vectors(100, 4))
    index.check()
    index._lists.slots[index._lists.starts[0]] += 1
    with pytest.raises(AssertionError, match="not where they should be"):
        index.check()


def test_lists_keep_little_more_room_than_they_need_and_give_it_back() -> None:
    index = IVF(16, nlist=10)
    index.add(vectors(5000, 16))
    whole = 5000 * (16 * 4 + 4 + 8 + 12 + 8)
    assert whole <= index.memory_bytes < 1.2 * whole
    for one in vectors(500, 16, 1):
        index.add(one)
    assert index.memory_bytes < 2.5 * whole
    index.remove(index.ids[500:])
    index.check()
    assert index._lists.memory() < 0.5 * whole


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("queries", [1, 60])
@pytest.mark.parametrize("least", [0, 1e12], ids=["product", "scan"])
def test_all_lists_probed_it_is_exact(
    metric: Metric, queries: int, least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ivf, "SHARED", least)
    rows = vectors(3000, 12)
    index = IVF(12, metric, nlist=7)
    index.add(rows)
    assert index.trained and len(index.centroids) == 7
    held = dict(enumerate(rows))
    assert_exact(index, held, vectors(queries, 12, 1), 20, nprobe=7)
    assert_exact(index, held, vectors(queries, 12, 1), 20, nprobe=7, allowed=np.arange(0, 3000, 7))


@pytest.mark.parametrize("metric", METRICS)
def test_scan_and_matrix_product_agree_at_any_nprobe(metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    index, queries = IVF(12, metric, nlist=20), vectors(50, 12, 1)
    index.add(vectors(4000, 12))
    for nprobe in (1, 3, 11):
        monkeypatch.setattr(ivf, "SHARED", 0)
        product = index.search(queries, 8, nprobe=nprobe)
        monkeypatch.setattr(ivf, "SHARED", 1e12)
        scanned = index.search(queries, 8, nprobe=nprobe)
        np.testing.assert_allclose(product.scores, scanned.scores, rtol=1e-4, atol=1e-4)
        assert (product.ids == scanned.ids).mean() > 0.99


def test_far_from_the_origin_the_matrix_product_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ivf, "SHARED", 0)
    rows = vectors(600, 12) + np.float32(20_000)
    index = IVF(12, nlist=7)
    index.add(rows)
    queries = rows[:20] + np.float32(0.25)
    wanted = -np.sort(-all_scores(queries, rows, "l2"), axis=1)[:, :8]
    np.testing.assert_allclose(index.search(queries, 8, nprobe=7).scores, wanted, rtol=1e-3)


def test_recall_grows_with_nprobe_to_one() -> None:
    rows, queries = vectors(5000, 16), vectors(100, 16, 1)
    index, oracle = IVF(16, nlist=50), Flat(16)
    index.add(rows)
    oracle.add(rows)
    wanted = oracle.search(queries, 10).ids
    found = [index.search(queries, 10, nprobe=nprobe).ids for nprobe in (1, 5, 20, 50)]
    recall = [shared(ids, wanted) / wanted.size for ids in found]
    assert recall == sorted(recall) and recall[0] > 0.2 and recall[-1] == 1


def test_a_probe_finds_only_what_lies_in_its_lists() -> None:
    centroids = np.float32([[0, 0], [100, 0], [0, 100]])
    index = IVF(2, centroids=centroids, nprobe=1)
    index.add([[1, 1], [2, 2], [99, 1], [1, 99]], [10, 11, 12, 13])
    found = index.search([[0, 0], [98, 0]], 3)
    assert found.ids.tolist() == [[10, 11, -1], [12, -1, -1]]
    assert found.scores[1].tolist() == [-2, -np.inf, -np.inf]
    assert index.search([98, 0], 3, nprobe=3).ids.tolist() == [12, 11, 10]
    with pytest.raises(ValueError, match="nprobe is 0"):
        index.search([0, 0], nprobe=0)


def test_one_by_one_it_waits_trains_and_grows() -> None:
    rows = vectors(400, 6)
    index = IVF(6, nlist=10, nprobe=10)
    for count, row in enumerate(rows, 1):
        index.add(row)
        assert index.trained == (count >= 40)
    index.check()
    assert_exact(index, dict(enumerate(rows)), vectors(20, 6, 1), 9)


def test_training_again_moves_vectors_to_new_lists() -> None:
    index = IVF(6, nlist=10, nprobe=10)
    index.add(vectors(200, 6))
    before = index.centroids
    index.add(vectors(200, 6, 1) + np.float32(40))
    index.train(vectors(400, 6, 2) + np.float32(40))
    index.check()
    assert not np.allclose(before, index.centroids)
    held = dict(enumerate(np.concatenate([vectors(200, 6), vectors(200, 6, 1) + np.float32(40)])))
    assert_exact(index, held, vectors(9, 6, 3), 30)
    index.train(vectors(3, 6))  # fewer than lists
    assert len(index.centroids) == 3
    with pytest.raises(ValueError, match="sample is empty"):
        index.train(np.zeros((0, 6)))


@pytest.mark.parametrize("setting", [{"nlist": 0}, {"nprobe": -1}, {"nlist": 2.5}, {"nprobe": True}])
def test_settings_that_make_no_sense_are_named(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(setting))):
        IVF(4, **setting)
    with pytest.raises(ValueError, match="centroids"):
        IVF(4, centroids=np.zeros((3, 5)))


def test_with_the_centroids_of_faiss_it_finds_what_faiss_finds() -> None:
    faiss = pytest.importorskip("faiss")
    rows, queries = vectors(4000, 16), vectors(50, 16, 1)
    quantizer = faiss.IndexFlatL2(16)
    theirs = faiss.IndexIVFFlat(quantizer, 16, 30)
    theirs.train(rows)
    theirs.add(rows)
    ours = IVF(16, centroids=quantizer.reconstruct_n(0, 30))
    ours.add(rows)
    for nprobe in (1, 4):
        theirs.nprobe = nprobe
        distances, ids = theirs.search(queries, 5)
        found = ours.search(queries, 5, nprobe=nprobe)
        assert (found.ids == ids).mean() > 0.99
        np.testing.assert_allclose(-found.scores, distances, rtol=1e-3, atol=1e-3)
