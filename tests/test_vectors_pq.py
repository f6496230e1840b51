"""Codes: scalar, product, and of residuals; distances are judged by decoded vectors in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ragcourse.indexes.vectors.base import Metric
from ragcourse.indexes.vectors.files import IndexFileError, read_index, write_index
from ragcourse.indexes.vectors.ivf_pq import IVFPQ
from ragcourse.indexes.vectors.pq import PQ, ProductQuantizer
from ragcourse.indexes.vectors.scalar import SQ8, ScalarQuantizer
from tests.vectors_kit import METRICS, all_scores, assert_exact, shared, vectors


def trained(dim: int = 12, m: int = 3, nbits: int = 4) -> ProductQuantizer:
    quantizer = ProductQuantizer(dim, m, nbits)
    quantizer.train(vectors(600, dim))
    return quantizer


@pytest.mark.parametrize(("m", "nbits"), [(1, 1), (3, 4), (4, 8), (12, 2)])
def test_a_code_names_the_nearest_word_of_each_part(m: int, nbits: int) -> None:
    quantizer, rows = trained(12, m, nbits), vectors(700, 12, 1)
    codes, parts = quantizer.encode(rows), rows.reshape(700, m, 1, 12 // m).astype(float)
    assert quantizer.codebooks.shape == (m, 2**nbits, 12 // m) and codes.dtype == np.uint8
    squared = ((parts - quantizer.codebooks[None]) ** 2).sum(axis=3)  # (n, m, words)
    assert (squared.argmin(axis=2) == codes).mean() > 0.999
    decoded = np.concatenate([quantizer.codebooks[j][codes[:, j]] for j in range(m)], axis=1)
    assert (quantizer.decode(codes) == decoded).all()


@pytest.mark.parametrize("n", [1, 3, 4, 5, 8, 103])  # the kernel takes four at a time
@pytest.mark.parametrize("l2", [True, False])
def test_adc_is_the_distance_to_the_decoded_vector(n: int, l2: bool) -> None:
    quantizer, queries = trained(), vectors(6, 12, 2)
    codes = quantizer.encode(vectors(n, 12, 1))
    wanted = -all_scores(queries, quantizer.decode(codes), "l2" if l2 else "ip")
    np.testing.assert_allclose(quantizer.distances(queries, codes, l2), wanted, rtol=1e-4, atol=1e-3)
    tables = quantizer.tables(queries, l2)  # by the definition: a sum of entries
    looked_up = sum(tables[:, j, codes[:, j]] for j in range(3))
    np.testing.assert_allclose(looked_up, wanted, rtol=1e-4, atol=1e-3)


def test_codebooks_from_elsewhere() -> None:
    quantizer = trained()
    twin = ProductQuantizer.from_codebooks(quantizer.codebooks)
    rows = vectors(50, 12, 3)
    assert (twin.encode(rows) == quantizer.encode(rows)).all() and twin.nbits == 4 and twin.dim == 12
    for bad in (np.zeros((3, 4)), np.zeros((3, 257, 4)), np.full((1, 2, 2), np.nan), np.zeros((2, 0, 3))):
        with pytest.raises(ValueError, match="codebooks"):
            ProductQuantizer.from_codebooks(bad)


def test_quantizers_that_make_no_sense_are_named() -> None:
    with pytest.raises(ValueError, match=r"5 parts do not divide 12 dimensions; .* \[1, 2, 3, 4, 6, 12\]"):
        ProductQuantizer(12, 5)
    for m, nbits in ((0, 8), (3, 0), (3, 9), (2.5, 8)):
        with pytest.raises(ValueError, match=r"(m|nbits) is"):
            ProductQuantizer(12, m, nbits)  # type: ignore[arg-type]
    for use in (ProductQuantizer(12, 3).encode, ProductQuantizer(12, 3).tables):
        with pytest.raises(ValueError, match="train it"):
            use(vectors(2, 12))
    for build in (PQ, IVFPQ):
        with pytest.raises(ValueError, match="quantizer for 8 dimensions"):
            build(8, quantizer=trained(), **({"centroids": np.zeros((1, 8))} if build is IVFPQ else {}))
        with pytest.raises(ValueError, match="rerank is -1"):
            build(12, m=3, rerank=-1)
    with pytest.raises(ValueError, match="both centroids and quantizer"):
        IVFPQ(12, quantizer=trained())


def test_a_small_sample_gives_fewer_words() -> None:
    quantizer = ProductQuantizer(4, 2)
    quantizer.train(vectors(10, 4))
    assert quantizer.words == 10
    rows = vectors(10, 4)
    np.testing.assert_allclose(quantizer.decode(quantizer.encode(rows)), rows, atol=1e-5)


def test_more_bytes_are_nearer_to_the_truth() -> None:
    sample, rows = vectors(2000, 16), vectors(500, 16, 1)
    errors = []
    for m in (1, 2, 4, 8):
        quantizer = ProductQuantizer(16, m, 6)
        quantizer.train(sample)
        errors.append(((quantizer.decode(quantizer.encode(rows)) - rows) ** 2).mean())
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.3 * errors[0]


@pytest.mark.parametrize("metric", METRICS)
def test_a_search_by_codes_ranks_the_decoded_vectors(metric: Metric) -> None:
    rows, queries = vectors(900, 12), vectors(20, 12, 1)
    index = PQ(12, metric, m=3, nbits=4)
    index.add(rows)
    index.check()
    assert index.trained and index.codes.shape == (900, 3)
    decoded = index.quantizer.decode(index.codes)
    scores = all_scores(index._rows(queries, "queries"), decoded, "ip" if metric == "cosine" else metric)
    for number in (20, 1):
        found = index.search(queries[:number], 15)
        wanted = -np.sort(-scores[:number], axis=1)[:, :15]
        np.testing.assert_allclose(found.scores, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("metric", METRICS)
def test_residual_codes_rank_centroid_plus_residual(metric: Metric) -> None:
    rows, queries = vectors(900, 12), vectors(20, 12, 1)
    index = IVFPQ(12, metric, nlist=8, m=3, nbits=4, nprobe=8)
    index.add(rows)
    index.check()
    cells = index._lists.cells
    decoded = index.centroids[cells] + index.quantizer.decode(index.codes)
    scores = all_scores(index._rows(queries, "queries"), decoded, "ip" if metric == "cosine" else metric)
    for number in (20, 1):
        found = index.search(queries[:number], 15)
        wanted = -np.sort(-scores[:number], axis=1)[:, :15]
        np.testing.assert_allclose(found.scores, wanted, rtol=1e-3, atol=1e-3)
        taken = np.take_along_axis(scores[:number], found.ids, axis=1)
        np.testing.assert_allclose(found.scores, taken, rtol=1e-3, atol=1e-3)
    probed = index.search(queries, 15, nprobe=2)
    nearest = np.argsort(-all_scores(queries, index.centroids, metric), axis=1)[:, :2]
    for ids, near in zip(probed.ids, nearest, strict=True):
        assert set(cells[ids[ids >= 0]].tolist()) <= set(near.tolist())


@pytest.mark.parametrize("kind", [PQ, SQ8, IVFPQ])
@pytest.mark.parametrize("metric", METRICS)
def test_reranking_all_is_exact_and_some_is_better_than_none(kind: Any, metric: Metric) -> None:
    rows, queries = vectors(1500, 12), vectors(30, 12, 1)
    settings = {SQ8: {}, PQ: {"m": 2, "nbits": 4}, IVFPQ: {"m": 2, "nbits": 4, "nlist": 6, "nprobe": 6}}[kind]
    index = kind(12, metric, rerank=40, **settings)
    index.add(rows)
    assert index.trained
    assert_exact(index, dict(enumerate(rows)), queries, 10, rerank=1500)
    wanted = np.argsort(-all_scores(queries, rows, metric), axis=1)[:, :10]
    right = [shared(index.search(queries, 10, rerank=rerank).ids, wanted) for rerank in (0, 40, 200)]
    assert right == sorted(right) and (right[0] < right[2] or kind is SQ8)
    alone = kind(12, metric, **settings)
    alone.add(rows)
    with pytest.raises(ValueError, match="rerank=50"):
        alone.search(queries, rerank=50)
    assert alone.memory_bytes < index.memory_bytes - rows.nbytes / 2


@pytest.mark.parametrize("kind", [PQ, SQ8, IVFPQ])
def test_one_by_one_it_is_exact_until_it_trains(kind: Any) -> None:
    rows = vectors(130, 4)
    index = kind(4) if kind is SQ8 else kind(4, m=2, nbits=4)
    if kind is IVFPQ:
        index = IVFPQ(4, nlist=16, m=2, nbits=4)
    for row in rows[:63]:
        index.add(row)
    assert not index.trained
    assert_exact(index, dict(enumerate(rows[:63])), vectors(5, 4, 1), 7)
    index.add(rows[63])
    assert index.trained
    for row in rows[64:]:
        index.add(row)
    index.check()
    assert len(index.codes) == 130
    found = index.search(rows, 1)
    assert (-found.scores >= -1e-3).all() and -found.scores.mean() < 2


def test_codes_are_not_trained_again_but_vectors_are() -> None:
    index = PQ(4, m=2, nbits=3)
    index.add(vectors(100, 4))
    with pytest.raises(ValueError, match="100 vectors are codes already"):
        index.train(vectors(50, 4))
    with pytest.raises(ValueError, match="sample is empty"):
        index.train(np.zeros((0, 4)))
    kept = PQ(4, m=2, nbits=3, rerank=100)
    kept.add(vectors(100, 4))
    kept.train(vectors(50, 4, 1))
    kept.check()
    assert_exact(kept, dict(enumerate(vectors(100, 4))), vectors(5, 4, 2), 9)
    early = PQ(4, m=2, nbits=3)
    early.add(vectors(5, 4))
    early.train(vectors(50, 4))
    early.check()
    assert early.trained and early.codes.shape == (5, 2) and early._kept.size == 0


def test_scalar_codes_err_by_half_a_step() -> None:
    sample, rows = vectors(3000, 8), vectors(500, 8, 1)
    quantizer = ScalarQuantizer()
    quantizer.train(sample)
    inside = np.clip(rows, sample.min(axis=0), sample.max(axis=0))
    codes = quantizer.encode(rows)
    assert codes.dtype == np.int8
    assert (np.abs(quantizer.decode(codes) - inside) <= quantizer.scale * 0.501).all()
    for l2 in (True, False):
        wanted = -all_scores(rows[:5], quantizer.decode(codes), "l2" if l2 else "ip")
        np.testing.assert_allclose(quantizer.distances(rows[:5], codes, l2), wanted, rtol=1e-4, atol=1e-3)
    constant = ScalarQuantizer()
    constant.train(np.full((3, 2), 7, np.float32))
    assert constant.decode(constant.encode(np.float32([[7, 7]]))).tolist() == [[7, 7]]
    with pytest.raises(ValueError, match="above 0"):
        ScalarQuantizer([0.0], [1.0])
    with pytest.raises(ValueError, match="quantizer has 8 dimensions"):
        SQ8(4, quantizer=quantizer)


def test_a_code_without_a_word_is_refused(tmp_path: Any) -> None:
    for index in (PQ(4, m=2, nbits=3), IVFPQ(4, nlist=4, m=2, nbits=3)):
        index.add(vectors(100, 4))
        index.save(tmp_path / "codes")
        head, arrays = read_index(tmp_path / "codes")
        arrays["codes"] = np.full_like(arrays["codes"], 8)
        write_index(tmp_path / "codes", head, arrays)
        with pytest.raises(IndexFileError, match="word 8 of 8"):
            type(index).load(tmp_path / "codes")


@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_with_the_codes_of_faiss_it_finds_what_faiss_finds(metric: Metric) -> None:
    faiss = pytest.importorskip("faiss")
    rows, queries = vectors(3000, 16), vectors(40, 16, 1)
    measure = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    theirs = faiss.IndexPQ(16, 4, 4, measure)
    theirs.train(rows[:600])
    theirs.add(rows)
    books = faiss.vector_to_array(theirs.pq.centroids).reshape(4, 16, 4)
    ours = PQ(16, metric, quantizer=ProductQuantizer.from_codebooks(books))
    ours.add(rows)
    scores = theirs.search(queries, 5)[0] * (-1 if metric == "l2" else 1)
    np.testing.assert_allclose(ours.search(queries, 5).scores, scores, rtol=1e-3, atol=1e-3)
    coarse = faiss.IndexFlatL2(16) if metric == "l2" else faiss.IndexFlatIP(16)
    lists = faiss.IndexIVFPQ(coarse, 16, 20, 4, 4, measure)
    lists.train(rows[:600])
    lists.add(rows)
    books = faiss.vector_to_array(lists.pq.centroids).reshape(4, 16, 4)
    quantizer = ProductQuantizer.from_codebooks(books)
    listed = IVFPQ(16, metric, centroids=coarse.reconstruct_n(0, 20), quantizer=quantizer)
    listed.add(rows)
    lists.nprobe = 5
    scores = lists.search(queries, 5)[0] * (-1 if metric == "l2" else 1)
    np.testing.assert_allclose(listed.search(queries, 5, nprobe=5).scores, scores, rtol=1e-3, atol=1e-3)


def test_an_index_keeps_its_quantizer_when_another_index_trains_it_again() -> None:
    pairs: list[tuple[Any, Any]] = [(ProductQuantizer(4, 2, 3), PQ), (ScalarQuantizer(), SQ8)]
    for quantizer, kind in pairs:
        quantizer.train(vectors(100, 4))
        one, other = kind(4, quantizer=quantizer), kind(4, quantizer=quantizer)
        one.add(vectors(50, 4))
        before = one.search(vectors(3, 4, 1), 5)
        other.train(vectors(100, 4) * 100)
        quantizer.train(vectors(100, 4) * 50)
        after = one.search(vectors(3, 4, 1), 5)
        assert (before.scores == after.scores).all()


def test_a_quantizer_refuses_what_its_kernels_would_read_past_the_end_of() -> None:
    quantizer = ProductQuantizer(4, 2, 3)
    with pytest.raises(ValueError, match=r"takes \(n, 4\)"):
        quantizer.train(np.zeros((10, 7), np.float32))
    quantizer.train(vectors(100, 4))
    codes = quantizer.encode(vectors(5, 4))
    wrongs: list[Any] = [np.tile(codes, (1, 2)), codes.astype(np.int64), codes[0]]
    for wrong in wrongs:
        with pytest.raises(ValueError, match=r"encode makes them uint8 \(n, 2\)"):
            quantizer.distances(vectors(2, 4), wrong)
    with pytest.raises(ValueError, match="names word 200 of 8"):
        quantizer.distances(vectors(2, 4), np.full((3, 2), 200, np.uint8))
    for call in (quantizer.encode, quantizer.tables, lambda rows: quantizer.distances(rows, codes)):
        with pytest.raises(ValueError, match=r"takes \(n, 4\)"):
            call(vectors(2, 2))
    scalar = ScalarQuantizer()
    scalar.train(vectors(9, 4))
    with pytest.raises(ValueError, match=r"encode makes them \(n, 4\)"):
        scalar.distances(vectors(2, 4), np.zeros((3, 9), np.int8))


def test_a_squared_distance_is_never_below_zero() -> None:
    rows = np.repeat(vectors(50, 16), 60, axis=0)
    index = IVFPQ(16, nlist=4, m=16)
    index.add(rows)
    assert index.search(rows[:500], 1).scores.max() <= 0
