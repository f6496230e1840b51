"""`ragcourse bench indexes` on tiny data: both sides find the same; a file is read, or refused in words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ragcourse import bench
from ragcourse.bench import index_board, indexes
from ragcourse.bench.index_board import Bar, Board, Side, Sizes, bars_table, least_effort
from ragcourse.bench.index_data import VectorSet, clustered, effective_dimension
from ragcourse.bench.index_files import from_file
from ragcourse.bench.report import Report

pytest.importorskip("faiss", reason="faiss is not installed: make install EXTRAS=lab,bench")

TINY = Sizes(
    sets=((1_500, 16),), handbook=False, queries=40, build=300, efforts=(10, 80), growth=(150, 1_500),
    keys=2_000, words=300, rounds=1,
)  # fmt: skip


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "QUICK", TINY)
    monkeypatch.setattr(index_board, "usable_cores", lambda: 1)


def measured(only: str, **options: object) -> Report:
    report = Report("indexes", "ragcourse bench indexes")
    indexes.indexes(report, rounds=1, quick=True, progress=lambda line: None, only=only, **options)
    assert not report.failed, report.notes
    assert json.loads(report.dumps())["rows"]
    return report


def their_recall(against: str) -> float:
    return float(against.rpartition("recall ")[2])


def objective(text: str) -> float:
    return float(text.partition("objective ")[2].partition(":")[0])


@pytest.mark.parametrize("part", ["flat", "ivf", "pq"])
def test_the_same_cells_and_codes_find_the_same_on_both_sides(tiny: None, part: str) -> None:
    rows = [row for row in measured(part).rows if row.recall is not None and "FastScan" not in row.against]
    assert len(rows) >= 3
    for row in rows:
        assert row.recall == pytest.approx(their_recall(row.against), abs=0.005), row.what
        assert min(*row.ours, *row.theirs) > 0


def test_one_thread_and_all(tiny: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_board, "usable_cores", lambda: 2)
    what = [row.what for row in measured("ivf").rows if " at recall " in row.what]
    assert [sum(text.endswith(said) for text in what) for said in ("1 thread", "2 threads")] == [4, 4]


def test_graphs_are_compared_at_equal_recall_and_drawn(tiny: None, tmp_path: Path) -> None:
    from ragcourse.bench.index_plots import draw

    report = measured("hnsw")
    rows = [row for row in report.rows if " at recall " in row.what]
    assert {row.against.partition(",")[0] for row in rows} >= {"faiss"}
    for row in rows:
        target = float(row.what.partition(" at recall ")[2].partition(",")[0])
        assert row.recall is not None and row.recall >= target
        assert their_recall(row.against) >= target - 0.0005  # it is printed with three digits
    (curves,) = report.details["curves"].values()
    assert all(len(points) == len(TINY.efforts) for points in curves.values())
    assert all(points[0]["recall"] <= points[-1]["recall"] for points in curves.values())
    growing = measured("growth").details["growth"]
    assert growing["sizes"] == [150, 1_500]
    paths = draw(report.details | {"growth": growing}, tmp_path, "tiny")
    assert [path.name for path in paths] == ["tiny-hnsw.svg", "tiny-growth.svg"]
    assert "<svg" in paths[0].read_text("utf-8")


def test_training_reaches_the_objective_of_faiss(tiny: None) -> None:
    rows = measured("kmeans").rows
    for row in rows:
        if "objective" in row.what and "sample" not in row.what:
            assert objective(row.what) == pytest.approx(objective(row.against), rel=0.05)
    trained = [row for row in rows if row.what.startswith("PQ training")]
    assert len(trained) == 2 and all(row.recall > their_recall(row.against) - 0.1 for row in trained)


def test_keys(tiny: None) -> None:
    rows = {(row.what, row.against): row for row in measured("keys").rows}
    assert ("B+ tree: insert, 2,000 random keys", "SortedDict") in rows
    assert rows["static trie: memory of 300 words", "one object a node"].ratio > 10


def test_a_user_names_the_vectors(tiny: None, tmp_path: Path) -> None:
    path = tmp_path / "mine.npy"
    np.save(path, np.random.default_rng(0).standard_normal((1_200, 8)))
    report = measured("flat", file=path)
    assert all("mine 1,160 × 8" in row.what for row in report.rows)
    assert report.details["data"]["mine 1,160 × 8"]["queries"] == 40


def test_what_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="no such part; have flat"):
        bench.run("indexes", quick=True, only="hsnw")
    with pytest.raises(ValueError, match="leave one of them out"):
        bench.run("indexes", quick=True, only="keys", file=Path("x.npy"))
    with pytest.raises(ValueError, match="no --peers"):
        bench.run("indexes", quick=True, peers=True)
    with pytest.raises(ValueError, match="bench query has no --only"):
        bench.run("query", quick=True, only="hnsw")


def test_recall_counts_ties_and_no_vector_twice() -> None:
    vectors = np.zeros((30, 2), np.float32)
    vectors[:, 0] = np.arange(30)
    vectors[29] = vectors[9]  # as far as the tenth
    data = VectorSet.of("line", vectors, np.zeros((1, 2), np.float32))
    ten = np.arange(10)
    assert data.recall(ten[None]) == 1
    assert data.recall(np.where(ten == 9, 29, ten)[None]) == 1
    assert data.recall(np.where(ten == 9, 15, ten)[None]) == 0.9
    assert data.recall(np.where(ten > 4, -1, ten)[None]) == 0.5
    assert data.recall(np.zeros((1, 10), np.int64)) == 0.1


def test_clustered_vectors_are_what_they_promise() -> None:
    data = clustered(3_000, 96, queries=50)
    assert data.name == "clustered 3k × 96" and data.queries.shape == (50, 96)
    assert np.allclose(np.linalg.norm(data.vectors, axis=1), 1, atol=1e-5)
    assert 30 < effective_dimension(data.vectors) < 62
    assert np.array_equal(data.vectors, clustered(3_000, 96, queries=50).vectors)
    assert data.first(1_000).name == "clustered 1k × 96"
    exact = ((data.queries[0] - data.vectors.astype(np.float64)) ** 2).sum(axis=1)
    assert data.reach[0] == pytest.approx(np.sort(exact)[9], rel=1e-5)


@pytest.mark.parametrize("target", [0.0, 0.31, 0.5, 0.99, 1.0])
def test_the_least_effort(target: float) -> None:
    effort = least_effort(lambda ef: ef / 100, target, 10, 100)
    assert effort == max(10, round(100 * target))
    assert least_effort(lambda ef: ef / 200, 0.51, 10, 100) is None


def test_a_bar_is_cleared_or_missed() -> None:
    board = Board(Report("indexes", "x"), TINY, 1, lambda line: None)
    for ours in (1.0, 2.0, 4.0):
        board.row("search", Side("", [ours], 0.95), Side("peer", [4.0], 0.951), "s", Bar("HNSW", 1.5, 3.0))
    table = bars_table(board.report.details).splitlines()
    assert [line.split("|")[-2].strip() for line in table[2:]] == ["aim", "must", "missed"]
    assert "0.950 / 0.951" in table[2] and "4.00×" in table[2]
    assert board.report.rows[0].against == "peer, recall 0.951"


def test_files_of_each_kind_are_read(tmp_path: Path) -> None:
    vectors = np.random.default_rng(1).standard_normal((1_100, 6)).astype(np.float32)
    np.save(tmp_path / "a.npy", vectors.astype(np.float64))
    records = np.zeros(1_100, [("dim", "<i4"), ("vector", "<f4", 6)])
    records["dim"], records["vector"] = 6, vectors
    records.tofile(tmp_path / "a.fvecs")
    both = [from_file(tmp_path / name, queries=100) for name in ("a.npy", "a.fvecs")]
    for data in both:
        assert data.vectors.shape == (1_000, 6) and data.queries.shape == (100, 6)
        assert {row.tobytes() for row in (*data.vectors, *data.queries)} == {row.tobytes() for row in vectors}

    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        file["train"], file["test"] = vectors, vectors[:30] + 1
        file.attrs["distance"] = "angular"
    data = from_file(tmp_path / "b.hdf5")
    assert len(data.vectors) == 1_100 and len(data.queries) == 30
    assert np.allclose(np.linalg.norm(data.vectors, axis=1), 1, atol=1e-5)


def damaged(name: str) -> bytes:
    rng = np.random.default_rng(2)
    records = np.zeros(1_000, [("dim", "<i4"), ("vector", "<f4", 6)])
    records["dim"], records["vector"] = 6, rng.standard_normal((1_000, 6))
    if name == "short.fvecs":
        return records.tobytes()[:-5]
    if name == "uneven.fvecs":
        records["dim"][7] = 5
        return records.tobytes()
    return {"noise.fvecs": b"\xff" * 400, "empty.fvecs": b"", "noise.npy": b"nothing of the kind",
            "noise.hdf5": b"nothing of the kind"}[name]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("short.fvecs", "cut off"),
        ("uneven.fvecs", "vector 7 has 5 dimensions"),
        ("noise.fvecs", "begins with the dimension -1"),
        ("empty.fvecs", "begins with the dimension 0"),
        ("noise.npy", "is no .npy file"),
        ("noise.hdf5", "is no HDF5 file"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, name: str, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(damaged(name))
    with pytest.raises(ValueError, match=message) as refused:
        from_file(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((20, 4)), "at least 1,000"),
        (np.zeros(2_000), "the shape"),
        (np.full((1_000, 2), np.nan), "row 0 of the vectors"),
        (np.array(["a", "b"]), "expected one array of numbers"),
        (np.array([{}, []], object), "is no .npy file"),
    ],
)
def test_an_array_that_is_no_set_of_vectors(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=message):
        from_file(tmp_path / "x.npy")


def test_a_file_that_is_not_there_or_of_no_kind(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        from_file(tmp_path / "x.npy")
    with pytest.raises(ValueError, match=r"end with \.npy, \.fvecs"):
        from_file(tmp_path / "x.csv")


@pytest.mark.parametrize("distance", ["hamming", None])
def test_an_hdf5_file_of_another_layout(tmp_path: Path, distance: str | None) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["train"] = np.zeros((1_000, 4), np.float32)
        if distance:
            file["test"], file.attrs["distance"] = np.zeros((10, 4), np.float32), distance
    with pytest.raises(ValueError, match="'hamming'" if distance else "no data set test"):
        from_file(tmp_path / "x.hdf5")
