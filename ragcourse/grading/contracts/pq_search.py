"""Exercise 5.2: search codes by tables of distances, and rank a shortlist again with exact vectors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ragcourse.grading.cases import for_each
from ragcourse.grading.contract import Contract
from ragcourse.grading.contracts._given import given
from ragcourse.grading.contracts.pq_encode import CODEBOOKS, FOUR
from ragcourse.grading.expect import Mismatch, expect_equal, expect_error
from ragcourse.grading.plain import show
from ragcourse.grading.reads import rows_read

contract = Contract("5.2", task="the k nearest by distance tables, and a shortlist ranked again exactly")

Floats = NDArray[np.float32]

QUERY = np.array([3.1, 4.5, 1.7, 2.8], np.float32)
FOUR_CODES = np.array([[1, 0], [0, 1], [1, 0], [0, 0]], np.uint8)


class _Case(NamedTuple):
    query: Floats  # (m · width,)
    codebooks: Floats  # (m, codewords, width)
    codes: NDArray[np.uint8]  # (n, m)
    vectors: Floats  # (n, m · width)


def _random(rng: np.random.Generator, n: int, m: int, codewords: int, width: int) -> _Case:
    """Codes of vectors that lie around their codewords, so that both rankings differ."""
    books = rng.standard_normal((m, codewords, width)).astype(np.float32)
    codes = rng.integers(0, codewords, (n, m)).astype(np.uint8)
    exact = _decoded(books, codes) + 0.7 * rng.standard_normal((n, m * width))
    return _Case(
        rng.standard_normal(m * width).astype(np.float32), books, codes, exact.astype(np.float32)
    )


def _decoded(books: Floats, codes: NDArray[np.uint8]) -> NDArray[np.float64]:
    m = len(books)
    return np.concatenate([books[j][codes[:, j]] for j in range(m)], axis=1).astype(np.float64)


def _squared(query: Floats, rows: NDArray[Any]) -> NDArray[np.float64]:
    squared: NDArray[np.float64] = ((rows.astype(np.float64) - query.astype(np.float64)) ** 2).sum(axis=1)
    return squared


def _best(distances: NDArray[np.float64], ids: NDArray[np.int64], k: int) -> tuple[Any, Any]:
    order = np.lexsort((ids, np.round(distances, 9)))[:k]
    return ids[order], distances[order]


def _expected(case: _Case, k: int, rerank: int = 0) -> tuple[Any, Any]:
    """Ids and squared distances: the oracle, in float64, on decoded vectors."""
    every = np.arange(len(case.codes))
    if not rerank:
        return _best(_squared(case.query, _decoded(case.codebooks, case.codes)), every, k)
    short, _ = _expected(case, max(k, rerank))
    return _best(_squared(case.query, case.vectors[short]), short, k)


def _compare(got: Any, expected: tuple[Any, Any], cause: str) -> None:
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise Mismatch(
            "this is no pair of ids and distances", expected="(ids, distances)", got=show(got), cause=cause
        )
    ids, distances = (np.asarray(part).tolist() for part in got)
    expect_equal({"ids": ids}, {"ids": expected[0].tolist()}, cause=cause)
    wanted = {"distances": expected[1].tolist()}
    if _are_roots(distances, expected[1]):
        cause = "these are square roots; return squared distances, without the root"
    expect_equal({"distances": distances}, wanted, cause=cause, rel=1e-3, abs_=1e-4)


def _are_roots(got: Any, squared: NDArray[np.float64]) -> bool:
    """Whether these are the roots of the expected distances, and those differ from them."""
    try:
        roots = np.asarray(got, np.float64)
    except (TypeError, ValueError):
        return False
    if roots.shape != squared.shape or np.allclose(roots, squared, 1e-3, 1e-4):
        return False
    return bool(np.allclose(roots, np.sqrt(squared), 1e-3, 1e-4))


def _given(case: _Case, k: int, rerank: int) -> str:
    (n, m), (_, codewords, width) = case.codes.shape, case.codebooks.shape
    return f"{n} codes of {m} bytes, codebooks ({m}, {codewords}, {width}), k={k}, rerank={rerank}"


def _check(
    implementation: Any, case: _Case, k: int, rerank: int = 0, *, cause: str, told: str = ""
) -> None:
    expected = _expected(case, k, rerank)

    def test(case: _Case) -> None:
        more = {"vectors": case.vectors, "rerank": rerank} if rerank else {}
        got = implementation(case.query, case.codebooks, case.codes, k, **more)
        _compare(got, expected, cause)

    with given(told or _given(case, k, rerank)):
        for_each([case], test)


_FOUR = _Case(QUERY, CODEBOOKS, FOUR_CODES, FOUR)
# Four corners of a square around the query; the tables put them at 8, 5, 5 and 2, all true distances are 2.
_CORNERS = _Case(
    np.zeros(2, np.float32),
    np.array([[[1], [-2]], [[1], [-2]]], np.float32),
    np.array([[1, 1], [0, 1], [1, 0], [0, 0]], np.uint8),
    np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]], np.float32),
)


@contract.check("the four vectors of section 3, by their codes", points=2)
def _four(implementation: Any, rng: np.random.Generator) -> None:
    cause = "add squared distances, one from each table; X1 and X3 have one code, so they tie at 0.03"
    for k in (1, 4):
        told = f"section 3: ids 0–3 are X1–X4; k={k}, no re-ranking"
        _check(implementation, _FOUR, k, cause=cause, told=told)


@contract.check("the distance is the one to the decoded vector", points=2)
def _decoded_distance(implementation: Any, rng: np.random.Generator) -> None:
    cause = "the query stays exact: sum over j of table[j, codes[i, j]], where table[j] is from its piece j"
    for shape in ((1, 1, 2, 1), (3, 2, 3, 2), (6, 4, 16, 3), (300, 8, 256, 4)):
        case = _random(rng, *shape)
        _check(implementation, case, min(10, shape[0]), cause=cause)


@contract.check("equal codes keep the order of their ids", points=1)
def _ties(implementation: Any, rng: np.random.Generator) -> None:
    cause = "np.argsort(…, kind='stable') keeps equals in order; the default does not promise it"
    case = _random(rng, 400, 2, 3, 2)  # nine different codes
    for k in (1, 7, 150, 400):
        _check(implementation, case, k, cause=cause)


@contract.check("k may be larger than the number of codes", points=1)
def _few(implementation: Any, rng: np.random.Generator) -> None:
    _check(implementation, _random(rng, 3, 2, 4, 2), 10, cause="return what there is, without padding")


@contract.check("re-ranking mends the miss of section 3, when the shortlist is long enough", points=2)
def _mended(implementation: Any, rng: np.random.Generator) -> None:
    cause = "rank the `rerank` best by table again, by their exact squared distances; X4 is third by table"
    for rerank in (2, 3):
        told = f"section 3: ids 0–3 are X1–X4; k=1, rerank={rerank}"
        _check(implementation, _FOUR, 1, rerank, cause=cause, told=told)


@contract.check("the shortlist is ranked by exact distances, which are returned", points=1)
def _exact(implementation: Any, rng: np.random.Generator) -> None:
    cause = "both the order and the distances are now the exact ones, and only k of them"
    for shape, k, rerank in (((6, 2, 4, 2), 2, 4), ((300, 4, 16, 4), 10, 50)):
        _check(implementation, _random(rng, *shape), k, rerank, cause=cause)


@contract.check("of equal exact distances the smaller id comes first", points=1)
def _exact_ties(implementation: Any, rng: np.random.Generator) -> None:
    cause = "the shortlist comes in the order of the tables: sort by exact distance, and equals by id"
    for k, rerank in ((2, 3), (3, 4), (4, 4)):
        told = f"{_given(_CORNERS, k, rerank)}; all exact distances are 2, and id 3 is the first by table"
        _check(implementation, _CORNERS, k, rerank, cause=cause, told=told)


@contract.check("only the vectors of the shortlist are read", points=2)
def _only_short(implementation: Any, rng: np.random.Generator) -> None:
    case, k, rerank = _random(rng, 200, 4, 8, 2), 10, 20
    expected, (short, _) = _expected(case, k, rerank), _expected(case, rerank)
    others = np.setdiff1d(np.arange(len(case.codes)), short)
    case.vectors[others] = case.query  # nothing is nearer
    cause = "the exact vectors lie on a disk: take vectors[ids] first, and measure those alone"
    with given(f"{_given(case, k, rerank)}; all vectors outside of the shortlist are equal to the query"):
        args = (case.query, case.codebooks, case.codes, k)
        got, read = rows_read(implementation, args, case.vectors, rerank=rerank)
        _compare(got, expected, cause)
        if not set(read) <= set(short.tolist()):
            raise Mismatch(
                "vectors outside of the shortlist were read",
                expected=f"rows of the {len(short)} ids of the shortlist",
                got=f"{len(read)} different rows of {len(case.vectors)}",
                cause=cause,
            )


@contract.check("a shortlist is never shorter than k, nor longer than the index", points=1)
def _short_list(implementation: Any, rng: np.random.Generator) -> None:
    cause = "with rerank below k, rank k of them again: max(k, rerank)"
    _check(implementation, _random(rng, 50, 3, 8, 2), 10, 4, cause=cause)
    _check(implementation, _random(rng, 3, 2, 4, 2), 10, 20, cause="return what there is, without padding")


@contract.check("k below 1 is refused", points=1)
def _no_k(implementation: Any, rng: np.random.Generator) -> None:
    case = _random(rng, 5, 2, 4, 2)
    for k in (0, -1):
        expect_error(
            ValueError,
            lambda k=k: implementation(case.query, case.codebooks, case.codes, k),  # type: ignore[misc]
            mentions="k",
            given=_given(case, k, 0),
            cause="ids[:-1] is nearly everything: refuse, with a ValueError that names k",
        )
