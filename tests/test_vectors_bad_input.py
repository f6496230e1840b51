"""Whatever is given to a vector index: a clear error that changes nothing, or the right answer."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragcourse.indexes.vectors import ivf, pq, scalar
from ragcourse.indexes.vectors.base import VectorIndex
from ragcourse.indexes.vectors.distance import scan
from ragcourse.indexes.vectors.files import IndexFileError, read_index, write_index
from ragcourse.indexes.vectors.flat import Flat
from ragcourse.indexes.vectors.ids import Ids
from ragcourse.indexes.vectors.ivf_pq import IVFPQ
from tests.vectors_kit import KINDS, Kind, all_scores, assert_exact, shared, vectors

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
DIM = 4


def filled(kind: Kind, n: int = 80, metric: str = "l2") -> VectorIndex:
    index = kind.make(DIM, metric)  # type: ignore[arg-type]
    index.add(vectors(n, DIM))
    return index


@every_kind
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_a_number_that_is_none_is_refused_with_its_row(kind: Kind, bad: float) -> None:
    index, rows = filled(kind), vectors(7, DIM, 1)
    rows[5, 2] = bad
    with pytest.raises(ValueError, match="row 5 of vectors"):
        index.add(rows)
    with pytest.raises(ValueError, match="row 5 of queries"):
        index.search(rows)
    assert len(index) == 80
    assert_exact(index, dict(enumerate(vectors(80, DIM))), vectors(3, DIM, 2), 5, **kind.exactly)


@every_kind
@pytest.mark.parametrize(
    "given",
    [1.5, [], np.zeros(3), np.zeros((2, 5)), np.zeros((1, 2, 4)), np.zeros((4, 0)), "abcd", [["a"] * 4],
     np.zeros((2, 4), complex), np.zeros((2, 4), bool), [[None] * 4], np.zeros((2, 4), "M8[s]")],
    ids=str,
)  # fmt: skip
def test_a_wrong_shape_or_type_is_refused(kind: Kind, given: Any) -> None:
    index = filled(kind)
    for call in (index.add, index.search):
        with pytest.raises(ValueError, match=r"of type|have the shape|inhomogeneous"):
            call(given)
    assert len(index) == 80


@every_kind
@pytest.mark.parametrize("dim", [0, -1, 2.5, True, "4"])
def test_a_dimension_that_is_none(kind: Kind, dim: Any) -> None:
    with pytest.raises(ValueError, match="dim"):
        kind.make(dim, "l2")


@every_kind
def test_an_unknown_metric_or_knob_is_named(kind: Kind) -> None:
    with pytest.raises(ValueError, match="manhattan"):
        kind.make(DIM, "manhattan")  # type: ignore[arg-type]
    index = filled(kind)
    with pytest.raises(TypeError, match="depth"):
        index.search(vectors(1, DIM), depth=3)
    for name in kind.exactly:
        for value in (-1, 2.5, True, "3"):
            with pytest.raises(ValueError, match=name):
                index.search(vectors(1, DIM), **{name: value})  # type: ignore[arg-type]


@every_kind
def test_an_empty_index_finds_nothing(kind: Kind) -> None:
    index = kind.make(DIM, "l2")
    found = index.search(vectors(2, DIM), 3)
    assert (found.ids == -1).all() and (found.scores == -np.inf).all() and found.ids.shape == (2, 3)
    assert index.search(np.zeros(DIM), 3).ids.tolist() == [-1, -1, -1]
    index.check()


@every_kind
def test_nothing_added_and_nothing_asked(kind: Kind) -> None:
    index = filled(kind)
    assert index.add(np.zeros((0, DIM))).tolist() == []
    assert index.search(np.zeros((0, DIM)), 3).ids.shape == (0, 3)
    index.remove([])
    assert len(index) == 80


@every_kind
def test_more_neighbours_than_vectors(kind: Kind) -> None:
    for n in (1, 3, 80):
        held = dict(enumerate(vectors(n, DIM)))
        assert_exact(filled(kind, n), held, vectors(5, DIM, 3), n + 9, **kind.exactly)


@every_kind
@pytest.mark.parametrize("k", [0, -3, 2.0, True, None, "5"])
def test_a_k_that_is_no_number_of_neighbours(kind: Kind, k: Any) -> None:
    with pytest.raises(ValueError, match="k is"):
        filled(kind).search(vectors(1, DIM), k)


@every_kind
def test_ids_that_do_not_fit_change_nothing(kind: Kind) -> None:
    index = filled(kind)
    for ids, message in (
        ([100, 7], "id 7 is in the index"),
        ([100, 100], "id 100 is given twice"),
        ([100, -4], "id -4 is negative"),
        ([100], "1 ids for 2 vectors"),
        ([1.5, 2.5], "ids are float"),
    ):
        with pytest.raises(ValueError, match=message):
            index.add(vectors(2, DIM, 5), ids)
    with pytest.raises(KeyError, match="id 500"):
        index.remove([3, 500])
    with pytest.raises(ValueError, match="twice"):
        index.remove([3, 3])
    assert len(index) == 80 and 3 in index and 500 not in index
    assert_exact(index, dict(enumerate(vectors(80, DIM))), vectors(5, DIM, 3), 9, **kind.exactly)
    index.check()


@every_kind
@pytest.mark.parametrize(
    "given",
    [
        lambda rows: rows.astype(np.float64),
        lambda rows: np.asfortranarray(rows),
        lambda rows: np.repeat(rows, 2, axis=1)[:, ::2],
        lambda rows: np.repeat(rows, 2, axis=0)[::2],
        lambda rows: rows[::-1].copy()[::-1],
        lambda rows: rows.tolist(),
        lambda rows: rows.astype(">f4"),
        lambda rows: np.frombuffer(rows.tobytes(), np.float32).reshape(rows.shape),  # read-only
    ],
    ids=["float64", "fortran", "columns", "rows", "reversed", "list", "big-endian", "read-only"],
)
@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_any_layout_gives_the_same_answer_and_is_left_alone(kind: Kind, given: Any, metric: str) -> None:
    rows, queries = given(vectors(80, DIM)), given(vectors(5, DIM, 1))
    before = np.array(rows)
    index = kind.make(DIM, metric)  # type: ignore[arg-type]
    index.add(rows)
    wanted, found = filled(kind, metric=metric).search(vectors(5, DIM, 1)), index.search(queries)
    assert (found.ids == wanted.ids).all() and (found.scores == wanted.scores).all()
    assert (np.array(rows) == before).all()
    if isinstance(rows, np.ndarray) and rows.flags.writeable:
        rows[:] = 0  # the index has a copy of its own
        assert (index.search(queries).scores == wanted.scores).all()


@every_kind
def test_whole_numbers_are_numbers(kind: Kind) -> None:
    rows = np.arange(40).reshape(10, DIM)
    index = kind.make(DIM, "l2")
    index.add(rows)
    assert index.search(rows[3], 1).ids.tolist() == [3]


@every_kind
def test_a_vector_of_zeros_has_no_cosine(kind: Kind) -> None:
    index, rows = filled(kind, metric="cosine"), vectors(5, DIM, 1)
    rows[2] = 0
    with pytest.raises(ValueError, match="row 2 of vectors is all zeros"):
        index.add(rows)
    with pytest.raises(ValueError, match="row 0 of queries is all zeros"):
        index.search(np.zeros(DIM))
    assert len(index) == 80
    tiny = kind.make(DIM, "cosine")
    tiny.add(rows[[0, 1]] * 1e-30)  # small is not zero
    np.testing.assert_allclose(tiny.search(rows[1] * 1e15, 1).scores, [1], rtol=1e-5)


@every_kind
@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
def test_all_vectors_equal(kind: Kind, metric: str) -> None:
    index = kind.make(DIM, metric)  # type: ignore[arg-type]
    rows = np.tile(np.float32([1, 2, 3, 4]), (150, 1))
    index.add(rows)
    index.check()
    assert_exact(index, dict(enumerate(rows)), vectors(6, DIM), 20, **kind.exactly)
    index.remove(np.arange(0, 150, 2))
    index.check()
    assert_exact(index, dict.fromkeys(range(1, 150, 2), rows[0]), rows[:4], 100, **kind.exactly)


@every_kind
def test_vectors_far_from_the_origin(kind: Kind) -> None:
    """‖x‖² − 2 q·x would have no digit left: neighbours at distance 1 lie at 30,000 from the origin."""
    rows = (vectors(150, DIM) + np.float32(15_000)).astype(np.float32)
    index = kind.make(DIM, "l2")
    index.add(rows)
    queries = rows[:8] + np.float32(0.25)
    wanted = np.sort(-all_scores(queries, rows, "l2"), axis=1)[:, :10]
    for asked, right in ((queries, wanted), (queries[0], wanted[0])):
        found = index.search(asked, 10, **kind.exactly)
        np.testing.assert_allclose(-found.scores, right, rtol=1e-4, atol=1e-6)


@every_kind
def test_a_filter_of_any_size(kind: Kind) -> None:
    index, held = filled(kind), dict(enumerate(vectors(80, DIM)))
    for allowed in ([], [5], [5, 999], list(range(0, 80, 3)), list(range(80)), 7, np.uint8([1, 2])):
        for queries in (vectors(1, DIM, 1), vectors(6, DIM, 1)):
            assert_exact(index, held, queries, 10, **kind.exactly, allowed=allowed)
    with pytest.raises(ValueError, match="ids are float"):
        index.search(vectors(1, DIM), allowed=[0.5])


@every_kind
@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
@pytest.mark.parametrize("n", [0, 1, 5, 90])
def test_a_file_brings_the_index_back(kind: Kind, metric: str, n: int, tmp_path: Path) -> None:
    index = filled(kind, n, metric)
    if n > 4:
        index.remove([1, 3])
    index.save(tmp_path / "index")
    again = type(index).load(tmp_path / "index")
    again.check()
    assert repr(again) == repr(index) and (again.ids == index.ids).all()
    queries = vectors(6, DIM, 2)
    for how in ({}, kind.exactly):
        wanted, found = index.search(queries, 7, **how), again.search(queries, 7, **how)
        np.testing.assert_array_equal(found.ids, wanted.ids)
        np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-6)
    for one in (index, again):  # and lives on
        one.add(vectors(30, DIM, 3))
        one.remove(one.ids[::3])
        one.check()
    np.testing.assert_array_equal(again.ids, index.ids)


@every_kind
def test_a_damaged_file_is_refused_by_name(kind: Kind, tmp_path: Path) -> None:
    index, file = filled(kind), tmp_path / "index"
    index.save(file)
    content, random = file.read_bytes(), np.random.default_rng(0)
    cuts = random.integers(len(content), size=15).tolist()
    for cut in [0, 1, 8, len(content) - 1, *cuts]:
        file.write_bytes(content[:cut])
        with pytest.raises(IndexFileError, match="index"):
            type(index).load(file)
    places = [*range(40), *random.integers(len(content), size=60).tolist()]
    for place in places:
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(random.integers(8))
        file.write_bytes(flipped)
        with pytest.raises(IndexFileError, match="index"):
            type(index).load(file)


@every_kind
def test_arrays_that_do_not_fit_are_refused_though_their_checksum_does(kind: Kind, tmp_path: Path) -> None:
    """A kernel trusts its arrays, and would read past the end of a short one: so the loader must not."""
    index, file = filled(kind), tmp_path / "index"
    index.save(file)
    head, arrays = read_index(file)
    for name, array in arrays.items():
        wrong = [array.astype(np.float64), array[..., None]]
        if array.size:
            wrong.append(array[:-1])
        if name != "codes":  # without codes it is an index that waits for its training
            wrong.append(None)
        for other in wrong:
            changed = {**arrays, name: other}
            write_index(file, head, {key: value for key, value in changed.items() if value is not None})
            with pytest.raises(IndexFileError, match="index"):
                type(index).load(file).check()
    write_index(file, {**head, "kind": "foreign"}, arrays)
    with pytest.raises(IndexFileError, match="foreign"):
        type(index).load(file)


@every_kind
def test_threads_search_while_one_adds_and_removes(kind: Kind) -> None:
    index, queries = filled(kind, 200), vectors(200, DIM)[:4]
    failures: list[BaseException] = []
    done = threading.Event()

    def search() -> None:
        try:
            while not done.is_set():
                found = index.search(queries, 5, **kind.exactly)
                assert (found.scores[:, 0] == 0).all(), "the query itself is always in the index"
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    readers = [threading.Thread(target=search) for _ in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(8):
        index.add(vectors(25, DIM, turn + 9), np.arange(1000, 1025))
        index.remove(np.arange(1000, 1025))
    done.set()
    for reader in readers:
        reader.join()
    assert not failures, failures[0]
    index.check()


@every_kind
def test_asking_by_id_beside_an_adding_thread_leaves_the_table_right(kind: Kind) -> None:
    """The table id → slot is built when it is first asked: the vectors added meanwhile must be in it."""
    index = filled(kind)
    building, go_on = threading.Event(), threading.Event()

    class Slow(Ids):
        @property
        def of_slots(self) -> Any:
            ids = super().of_slots
            if threading.current_thread() is asker:
                building.set()
                go_on.wait(0.2)
            return ids

    index._ids.__class__ = Slow
    answers = []
    asker = threading.Thread(target=lambda: answers.append(5 in index))
    adder = threading.Thread(target=lambda: index.add(vectors(3, DIM, 1)))
    asker.start()
    assert building.wait(30)
    adder.start()
    asker.join()
    adder.join()
    index.check()
    assert answers == [True] and 82 in index


@pytest.mark.parametrize("place", ["kmeans", "encode"])
@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if hasattr(kind.make(DIM, "l2"), "train")], ids=lambda kind: kind.name
)
def test_an_interrupt_while_it_trains_leaves_the_index_as_it_was(
    kind: Kind, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = kind.make(DIM, "l2")
    index.add(vectors(5, DIM))

    def interrupt(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if place == "kmeans":
            patch.setattr(ivf, "kmeans", interrupt)
            patch.setattr(pq, "kmeans", interrupt)
            patch.setattr(scalar.ScalarQuantizer, "train", interrupt)
        else:
            if kind.name == "ivf":
                patch.setattr(ivf.Cells, "of", interrupt)
            patch.setattr(pq.ProductQuantizer, "encode", interrupt)
            patch.setattr(scalar.ScalarQuantizer, "encode", interrupt)
        with pytest.raises(KeyboardInterrupt):
            index.add(vectors(95, DIM, 1))
    index.check()
    assert_exact(index, dict(enumerate(vectors(5, DIM))), vectors(3, DIM, 2), 4, **kind.exactly)
    index.add(vectors(95, DIM, 1))
    index.check()
    held = dict(enumerate(np.concatenate([vectors(5, DIM), vectors(95, DIM, 1)])))
    assert_exact(index, held, vectors(3, DIM, 2), 9, **kind.exactly)


@every_kind
def test_the_next_id_after_loading_is_the_one_it_would_have_been(kind: Kind, tmp_path: Path) -> None:
    index = filled(kind)
    index.remove([79])
    index.save(tmp_path / "index")
    again = type(index).load(tmp_path / "index")
    assert again.add(vectors(2, DIM)).tolist() == index.add(vectors(2, DIM)).tolist() == [80, 81]


@every_kind
def test_behind_the_largest_id_none_is_given(kind: Kind) -> None:
    index = filled(kind)
    index.add(vectors(1, DIM), [2**63 - 1])
    with pytest.raises(ValueError, match="was the last one"):
        index.add(vectors(1, DIM))
    assert len(index) == 81


@every_kind
def test_a_place_that_cannot_be_written_is_told(kind: Kind, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no folder .*missing"):
        filled(kind).save(tmp_path / "missing" / "index")


@every_kind
def test_numbers_too_small_to_be_divided(kind: Kind) -> None:
    rows = (np.arange(80 * DIM, dtype=np.float32).reshape(80, DIM) * np.float32(1e-45)).astype(np.float32)
    index = kind.make(DIM, "l2")
    index.add(rows)
    index.check()
    assert (index.search(rows[:3], 4).scores <= 0).all()


@pytest.mark.parametrize(("make", "least"), [
    (lambda: ivf.IVF(16, nlist=32, nprobe=4), 0.85), (lambda: pq.PQ(16, m=8), 0.75),
    (lambda: IVFPQ(16, nlist=32, nprobe=4, m=8), 0.75),
], ids=["ivf", "pq", "ivf_pq"])  # fmt: skip
def test_far_from_the_origin_each_vector_comes_into_its_own_cell(make: Any, least: float) -> None:
    """Beside recall 0.90, 0.85 and 0.84 at the origin."""
    rows, queries = vectors(4000, 16, 1) + np.float32(5000), vectors(100, 16, 2) + np.float32(5000)
    index, truth = make(), Flat(16)
    index.add(rows)
    truth.add(rows)
    wanted = truth.search(queries).ids
    assert shared(index.search(queries).ids, wanted) >= least * wanted.size


def test_a_seed_from_numpy_can_be_saved(tmp_path: Path) -> None:
    ivf.IVF(DIM, seed=np.int64(3)).save(tmp_path / "index")  # type: ignore[arg-type]
    assert ivf.IVF.load(tmp_path / "index").seed == 3
    with pytest.raises(TypeError, match="cannot be written to an index file"):
        Flat(DIM).save(tmp_path / "index", note=object())


def test_an_unaligned_array_compiles_nothing_anew() -> None:
    rows = np.frombuffer(bytearray(b"x" + vectors(80, DIM).tobytes()), np.float32, offset=1).reshape(80, DIM)
    index = Flat(DIM)
    index.add(rows)
    before = len(scan.signatures)  # type: ignore[attr-defined]
    assert index.search(rows[7], 1).ids.tolist() == [7]
    assert len(scan.signatures) == max(before, 1)  # type: ignore[attr-defined]
