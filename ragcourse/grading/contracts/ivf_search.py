"""Exercise 4.2: search in an inverted file, given its centroids and lists."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragcourse.grading.cases import for_each
from ragcourse.grading.contract import Contract
from ragcourse.grading.expect import error_text, expect_equal, expect_error, expect_true
from ragcourse.grading.plain import plain

contract = Contract("4.2", task="find the k nearest in the nprobe nearest lists of an inverted file")

Case = dict[str, Any]  # the six arguments by name

_BOTH = "return ids (k,) and squared distances (k,), the nearest first"
_FULL = "always k ids and k distances: start from np.full(k, -1) and np.full(k, np.inf)"
_LIKELY = (  # a part of the error's text, and what may have caused it
    ("unexpected keyword", "keep the argument names: query, k, nprobe, centroids, lists, vectors"),
    ("required positional", "keep the argument names: query, k, nprobe, centroids, lists, vectors"),
    (
        "kth(",
        "np.argpartition wants a place that exists, but nprobe may be the number of lists or more, and k the "
        "number of candidates or more: np.argsort(…)[:nprobe] has no such limit",
    ),
    ("out of bounds", "there may be fewer lists than nprobe, and fewer candidates than k: slices allow it"),
    ("broadcast", "fewer than k may be found: fill ids[:len(best)], not all of ids"),
)


def _squared(query: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(((rows.astype(np.float64) - query.astype(np.float64)) ** 2).sum(axis=1))


def _expected(case: Case) -> tuple[list[int], list[float]]:
    """The oracle: the definition, one vector at a time."""
    to_lists = _squared(case["query"], case["centroids"])
    probed = sorted(range(len(to_lists)), key=lambda number: (to_lists[number], number))[: case["nprobe"]]
    distances = _squared(case["query"], case["vectors"])
    found = sorted((float(distances[i]), int(i)) for number in probed for i in case["lists"][number])
    found = [*found[: case["k"]], *[(np.inf, -1)] * (case["k"] - len(found))]
    return [i for _, i in found], [distance for distance, _ in found]


def _random(rng: np.random.Generator, n: int, nlist: int, d: int, *, k: int, nprobe: int) -> Case:
    """An inverted file whose lists have the ids in a random order; no two distances are equal."""
    while True:
        vectors = rng.normal(size=(n, d)).round(3).astype(np.float32)
        centroids = rng.normal(size=(nlist, d)).round(3).astype(np.float32)
        query = rng.normal(size=d).round(3).astype(np.float32)
        gaps = [np.diff(np.sort(_squared(query, rows))) for rows in (vectors, centroids)]
        if all((gap > 1e-4).all() for gap in gaps):
            break
    nearest = np.array([_squared(vector, centroids).argmin() for vector in vectors])
    lists = [rng.permutation(np.flatnonzero(nearest == number)) for number in range(nlist)]
    settings = {"query": query, "k": k, "nprobe": nprobe}
    return {**settings, "centroids": centroids, "lists": lists, "vectors": vectors}


@contextmanager
def _explained() -> Iterator[None]:
    """Give an error of the learner's code a likely cause, by its text."""
    try:
        yield
    except (TypeError, ValueError, IndexError) as error:
        text = error_text(error)
        for part, cause in _LIKELY:
            if part in text:
                error.__dict__.setdefault("likely_cause", cause)
        raise


def _search(implementation: Any, case: Case, cause: str) -> None:
    ids, distances = _expected(case)
    with _explained():
        got = plain(implementation(**case))
    two = isinstance(got, (tuple, list)) and len(got) == 2
    expect_true(two, "the answer has not two parts", got=got, cause=_BOTH)
    in_distances = "squared L2 distances, of the ids beside them"
    if any(_length(part) != case["k"] for part in got):
        short = -1 not in ids and _length(got[0]) < case["k"]  # padding alone would not help
        cause = in_distances = f"{_FULL}. Or were other lists opened? {cause}" if short else _FULL
    expect_equal({"ids": got[0]}, {"ids": ids}, cause=cause)
    expect_equal({"distances": got[1]}, {"distances": distances}, rel=1e-3, abs_=1e-4, cause=in_distances)


def _length(part: Any) -> int:
    sequence = isinstance(part, (list, tuple)) or (isinstance(part, np.ndarray) and part.ndim > 0)
    return len(part) if sequence else 0


@contract.check("with all lists probed it is the exact search", points=2)
def exact(implementation: Any, rng: np.random.Generator) -> None:
    sizes = ((4, 2, 2, 1), (6, 2, 2, 3), (30, 4, 3, 5), (200, 8, 16, 10))
    cases = [_random(rng, n, nlist, d, k=k, nprobe=nlist) for n, nlist, d, k in sizes]
    cause = "an id is the row in vectors, as the lists hold it; collect candidates from all lists, then sort"
    for_each(cases, lambda case: _search(implementation, case, f"{cause}. {_BOTH}"))


@contract.check("with nprobe = 1 the nearest list alone is searched", points=2)
def probes(implementation: Any, rng: np.random.Generator) -> None:
    cases: list[Case] = []
    while len(cases) < 4:
        n, nlist = (12, 3) if len(cases) < 2 else (60, 6)
        case = _random(rng, n, nlist, 2, k=3, nprobe=1)
        missed = _expected(case)[0] != _expected(case | {"nprobe": nlist})[0]
        full = -1 not in _expected(case)[0]
        if missed and full:  # the exact answer would be wrong here
            cases.append(case)
    cause = "sort the lists by the distance from the query to their centroids, and look into the first alone"
    for_each(cases, lambda case: _search(implementation, case, cause))


@contract.check("with nprobe = 3 the best of three lists are found, and no others", points=2)
def crossing(implementation: Any, rng: np.random.Generator) -> None:
    cases: list[Case] = []
    while len(cases) < 4:
        case = _random(rng, 60, 8, 2, k=5, nprobe=3)
        one, three, all_ = (_expected(case | {"nprobe": nprobe})[0] for nprobe in (1, 3, 8))
        if -1 not in one and one != three != all_:
            cases.append(case)
    cause = "a neighbour may lie just across a border: rank the candidates of all probed lists together"
    for_each(cases, lambda case: _search(implementation, case, cause))


@contract.check("fewer than k found: the rest is -1 and infinity", points=2)
def padded(implementation: Any, rng: np.random.Generator) -> None:
    cases = [_random(rng, n, nlist, 2, k=n + 2, nprobe=1) for n, nlist in ((2, 1), (5, 2), (20, 3))]
    for_each(cases, lambda case: _search(implementation, case, _FULL))


@contract.check("empty lists, and more probes than lists, are no trouble", points=1)
def empty(implementation: Any, rng: np.random.Generator) -> None:
    many = _random(rng, 20, 4, 2, k=3, nprobe=9)
    hollow = _random(rng, 20, 4, 2, k=3, nprobe=1)
    nearest = int(_squared(hollow["query"], hollow["centroids"]).argmin())
    hollow["lists"][nearest] = np.zeros(0, np.int64)
    cause = "an empty list counts as one of the nprobe, and adds nothing; there may be fewer lists"
    for_each([many, hollow, hollow | {"nprobe": 2}], lambda case: _search(implementation, case, cause))


@contract.check("of equally near vectors the smaller id comes first", points=1)
def ties(implementation: Any, rng: np.random.Generator) -> None:
    ids = rng.permutation(9)
    case = {
        "query": np.zeros(2, np.float32),
        "k": 5,
        "nprobe": 2,
        "centroids": np.array([[9, 9], [1, 0], [-2, 0]], np.float32),
        "lists": [ids[:1], ids[1:5], ids[5:]],
        "vectors": np.repeat(np.array([[2, 0]], np.float32), 9, axis=0),
    }
    cause = "all distances are equal here: sort by distance, then by id, as np.lexsort can"
    for_each([case], lambda case: _search(implementation, case, cause))


@contract.check("k or nprobe below 1 is refused", points=1)
def refused(implementation: Any, rng: np.random.Generator) -> None:
    case = _random(rng, 6, 2, 2, k=2, nprobe=1)
    for name in ("k", "nprobe"):
        cause = f"say what is wrong: a ValueError that names {name}"
        for value in (0, -1):
            call = functools.partial(implementation, **(case | {name: value}))
            expect_error(ValueError, call, mentions=name, given={name: value}, cause=cause)
