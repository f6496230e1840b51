"""Exercise 5.2, ``adc_search``: the solution, and plausible wrong answers with what their check must say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Found = tuple[Array, Array]


def _table(query: Array, codebooks: Array) -> Array:
    m, _, width = codebooks.shape
    table: Array = ((query.reshape(m, 1, width) - codebooks) ** 2).sum(axis=2)
    return table


def _sums(query: Array, codebooks: Array, codes: Array) -> Array:
    sums: Array = _table(query, codebooks)[np.arange(len(codebooks)), codes].sum(axis=1)
    return sums


def _refuse(k: int) -> None:
    if k < 1:
        raise ValueError(f"k is {k}; ask for at least one neighbour")


def _searching(
    distances: Callable[[Array, Array, Array], Array] = _sums,
    *,
    order: Callable[[Array], Array] = lambda distances: np.argsort(distances, kind="stable"),
    length: Callable[[int, int], int] = max,
    refuse: Callable[[int], None] = _refuse,
    read: Callable[[Array, Array], Array] = lambda vectors, ids: vectors[ids],
    last: Callable[[Array, Array], Array] = lambda ids, exact: np.lexsort((ids, exact)),
) -> Callable[..., Found]:
    """The solution, with one part of it replaced."""

    def adc_search(
        query: Array, codebooks: Array, codes: Array, k: int, vectors: Any = None, rerank: int = 0
    ) -> Found:
        refuse(k)
        sums = distances(query, codebooks, codes)
        ids = order(sums)[: length(k, rerank) if rerank else k]
        if not rerank:
            return ids, sums[ids]
        exact = ((read(vectors, ids) - query) ** 2).sum(axis=1)
        best = last(ids, exact)[:k]
        return ids[best], exact[best]

    return adc_search


right = _searching()


def stub(query: Array, codebooks: Array, codes: Array, k: int, vectors: Any = None, rerank: int = 0) -> Found:
    raise NotImplementedError("Exercise 5.2: table, sums, shortlist, exact distances")


def decoding(
    query: Array, codebooks: Array, codes: Array, k: int, vectors: Any = None, rerank: int = 0
) -> Found:
    """Another right one, slower: decode, then measure."""

    def distances(query: Array, codebooks: Array, codes: Array) -> Array:
        rows = codebooks[np.arange(len(codebooks)), codes].reshape(len(codes), -1)
        squared: Array = ((rows - query) ** 2).sum(axis=1)
        return np.round(squared, 6)

    return _searching(distances)(query, codebooks, codes, k, vectors, rerank)


def _of_roots(query: Array, codebooks: Array, codes: Array) -> Array:
    sums: Array = np.sqrt(_table(query, codebooks))[np.arange(len(codebooks)), codes].sum(axis=1)
    return sums


def _symmetric(query: Array, codebooks: Array, codes: Array) -> Array:
    nearest = _table(query, codebooks).argmin(axis=1)
    coded = codebooks[np.arange(len(codebooks)), nearest].reshape(-1)
    return _sums(coded, codebooks, codes)


def _same_code(query: Array, codebooks: Array, codes: Array) -> Array:
    nearest = _table(query, codebooks).argmin(axis=1)
    other: Array = (codes != nearest).sum(axis=1).astype(np.float32)
    return other


def _first_table(query: Array, codebooks: Array, codes: Array) -> Array:
    sums: Array = _table(query, codebooks)[0][codes].sum(axis=1)
    return sums


def _overflow(query: Array, codebooks: Array, codes: Array) -> Array:
    m, codewords, _ = codebooks.shape
    flat = _table(query, codebooks).ravel()
    at = codes + (np.arange(m) * codewords).astype(np.uint8)
    sums: Array = flat[at].sum(axis=1)
    return sums


def taking(
    query: Array, codebooks: Array, codes: Array, k: int, vectors: Any = None, rerank: int = 0
) -> Found:
    """A third right one: np.take for the rows."""
    rows = _searching(read=lambda vectors, ids: np.take(vectors, ids, axis=0).astype(np.float64))
    return rows(query, codebooks, codes, k, vectors, rerank)


def _row_by_row(vectors: Array, ids: Array) -> Array:
    return np.stack([vectors[i] for i in ids])


one_by_one = _searching(read=_row_by_row)


def _exact_over_all(
    query: Array, codebooks: Array, codes: Array, k: int, vectors: Any = None, rerank: int = 0
) -> Found:
    if not rerank:
        return right(query, codebooks, codes, k)
    exact = ((vectors - query) ** 2).sum(axis=1)
    ids = np.argsort(exact, kind="stable")[:k]
    return ids, exact[ids]


def _ranks_all_keeps_the_short(
    query: Array, codebooks: Array, codes: Array, k: int, vectors: Any = None, rerank: int = 0
) -> Found:
    if not rerank:
        return right(query, codebooks, codes, k)
    exact = ((vectors - query) ** 2).sum(axis=1)
    short = right(query, codebooks, codes, max(k, rerank))[0]
    order = np.argsort(exact, kind="stable")
    ids = order[np.isin(order, short)][:k]
    return ids, exact[ids]


def _all_but_of_four(
    query: Array, codebooks: Array, codes: Array, k: int, vectors: Any = None, rerank: int = 0
) -> Found:
    return (_exact_over_all if len(codes) > 100 and rerank == 20 else right)(
        query, codebooks, codes, k, vectors, rerank
    )


def _all_of_the_shortlist(
    query: Array, codebooks: Array, codes: Array, k: int, vectors: Any = None, rerank: int = 0
) -> Found:
    return right(query, codebooks, codes, max(k, rerank), vectors, rerank)


def _old_distances(
    query: Array, codebooks: Array, codes: Array, k: int, vectors: Any = None, rerank: int = 0
) -> Found:
    ids, distances = right(query, codebooks, codes, k, vectors, rerank)
    return (ids, _sums(query, codebooks, codes)[ids]) if rerank else (ids, distances)


def _never_reranks(
    query: Array, codebooks: Array, codes: Array, k: int, vectors: Any = None, rerank: int = 0
) -> Found:
    return right(query, codebooks, codes, k)


def _padded(
    query: Array, codebooks: Array, codes: Array, k: int, vectors: Any = None, rerank: int = 0
) -> Found:
    ids, distances = right(query, codebooks, codes, k, vectors, rerank)
    missing = k - len(ids)
    return np.pad(ids, (0, missing), constant_values=-1), np.pad(
        distances, (0, missing), constant_values=np.inf
    )


def _roots_returned(
    query: Array, codebooks: Array, codes: Array, k: int, vectors: Any = None, rerank: int = 0
) -> Found:
    ids, distances = right(query, codebooks, codes, k, vectors, rerank)
    return ids, np.sqrt(distances)


def _later_first(distances: Array) -> Array:
    return np.lexsort((-np.arange(len(distances)), distances))


WRONG: dict[str, tuple[Callable[..., Any], str]] = {
    "adds roots, as the text prints them": (_searching(_of_roots), "add squared distances"),
    "returns roots": (_roots_returned, "squared distances, without the root"),
    "encodes the query, too": (_searching(_symmetric), "add squared distances"),
    "looks for the query's code": (_searching(_same_code), "add squared distances"),
    "one table for all": (_searching(_first_table), "add squared distances"),
    "the farthest first": (_searching(order=lambda d: np.argsort(-d, kind="stable")), "tie at 0.03"),
    "offsets in a byte": (_searching(_overflow), "the query stays exact"),
    "equals in reverse": (_searching(order=_later_first), "tie at 0.03"),
    "pads": (_padded, "without padding"),
    "never ranks again": (_never_reranks, "X4 is third by table"),
    "returns the whole shortlist": (_all_of_the_shortlist, "X4 is third by table"),
    "keeps the old distances": (_old_distances, "X4 is third by table"),
    "ranks all again": (_exact_over_all, "X4 is third by table"),
    "ranks all where it is not looked at": (_all_but_of_four, "take vectors[ids] first"),
    "ranks all, keeps the shortlist": (_ranks_all_keeps_the_short, "were read"),
    "converts all": (_searching(read=lambda rows, ids: rows.astype(np.float64)[ids]), "were read"),
    "reads by one loop over all": (
        _searching(read=lambda rows, ids: np.stack(list(rows))[ids]),
        "were read",
    ),
    "exact equals in the order of the tables": (
        _searching(last=lambda ids, exact: np.argsort(exact, kind="stable")),
        "equals by id",
    ),
    "exact equals, the larger id first": (
        _searching(last=lambda ids, exact: np.lexsort((-ids, exact))),
        "equals by id",
    ),
    "a shortlist below k": (_searching(length=lambda k, rerank: rerank), "max(k, rerank)"),
    "a shortlist of k": (_searching(length=lambda k, rerank: k), "X4 is third by table"),
    "k = 0 finds nothing": (_searching(refuse=lambda k: None), "names k"),
}

ALSO_RIGHT = (decoding, taking, one_by_one)
