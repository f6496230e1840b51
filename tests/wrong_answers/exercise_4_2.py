"""Exercise 4.2, ``ivf_search``: the solution, and plausible wrong answers with what their check must say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Found = tuple[Any, Any]


def _refuse(k: int, nprobe: int) -> None:
    for name, value in (("k", k), ("nprobe", nprobe)):
        if value < 1:
            raise ValueError(f"{name} is {value}: at least 1")


def _squared(query: Any, rows: Any) -> Any:
    return ((rows - query) ** 2).sum(axis=1)


def _best(query: Any, k: int, candidates: Any, vectors: Any) -> Found:
    distances = _squared(query, vectors[candidates])
    best = np.lexsort((candidates, distances))[:k]
    ids, found = np.full(k, -1), np.full(k, np.inf)
    ids[: len(best)], found[: len(best)] = candidates[best], distances[best]
    return ids, found


def right(query: Any, k: int, nprobe: int, centroids: Any, lists: Any, vectors: Any) -> Found:
    _refuse(k, nprobe)
    probed = np.argsort(_squared(query, centroids), kind="stable")[:nprobe]
    return _best(query, k, np.concatenate([lists[number] for number in probed]), vectors)


def stub(query: Any, k: int, nprobe: int, centroids: Any, lists: Any, vectors: Any) -> Found:
    raise NotImplementedError("Exercise 4.2: search the nprobe nearest lists")


def searches_everything(query: Any, k: int, nprobe: int, centroids: Any, lists: Any, vectors: Any) -> Found:
    _refuse(k, nprobe)
    return right(query, k, len(centroids), centroids, lists, vectors)


def first_lists(query: Any, k: int, nprobe: int, centroids: Any, lists: Any, vectors: Any) -> Found:
    """Not sorted by distance: the first nprobe by number."""
    _refuse(k, nprobe)
    return _best(query, k, np.concatenate(lists[:nprobe]), vectors)


def by_inner_product(query: Any, k: int, nprobe: int, centroids: Any, lists: Any, vectors: Any) -> Found:
    _refuse(k, nprobe)
    probed = np.argsort(-centroids @ query)[:nprobe]
    return _best(query, k, np.concatenate([lists[number] for number in probed]), vectors)


def one_list_only(query: Any, k: int, nprobe: int, centroids: Any, lists: Any, vectors: Any) -> Found:
    _refuse(k, nprobe)
    return right(query, k, 1 if nprobe < len(centroids) else nprobe, centroids, lists, vectors)


def stops_when_full(query: Any, k: int, nprobe: int, centroids: Any, lists: Any, vectors: Any) -> Found:
    """Goes on to the next list only while there are fewer than k candidates."""
    _refuse(k, nprobe)
    order, candidates = np.argsort(_squared(query, centroids))[:nprobe], np.zeros(0, int)
    for number in order:
        if len(candidates) < k or nprobe >= len(centroids):
            candidates = np.concatenate([candidates, lists[number]])
    return _best(query, k, candidates, vectors)


def until_enough(query: Any, k: int, nprobe: int, centroids: Any, lists: Any, vectors: Any) -> Found:
    """Probes further lists than nprobe until k were found."""
    _refuse(k, nprobe)
    while True:
        ids, found = right(query, k, nprobe, centroids, lists, vectors)
        if (np.asarray(ids) >= 0).all() or nprobe >= len(centroids):
            return ids, found
        nprobe += 1


def positions(query: Any, k: int, nprobe: int, centroids: Any, lists: Any, vectors: Any) -> Found:
    """Places among the candidates instead of ids."""
    _refuse(k, nprobe)
    probed = np.argsort(_squared(query, centroids))[:nprobe]
    candidates = np.concatenate([lists[number] for number in probed])
    ids, found = right(query, k, nprobe, centroids, lists, vectors)
    place = {int(id_): at for at, id_ in enumerate(candidates)} | {-1: -1}
    return np.array([place[int(id_)] for id_ in ids]), found


def cut_short(query: Any, k: int, nprobe: int, centroids: Any, lists: Any, vectors: Any) -> Found:
    ids, found = right(query, k, nprobe, centroids, lists, vectors)
    return ids[ids >= 0], found[ids >= 0]


def first_list_unpadded(query: Any, k: int, nprobe: int, centroids: Any, lists: Any, vectors: Any) -> Found:
    """Another list and no padding: often too short, and not for want of padding alone."""
    ids, found = first_lists(query, k, nprobe, centroids, lists, vectors)
    return ids[ids >= 0], found[ids >= 0]


def all_candidates(query: Any, k: int, nprobe: int, centroids: Any, lists: Any, vectors: Any) -> Found:
    _refuse(k, nprobe)
    return right(query, len(vectors), nprobe, centroids, lists, vectors)


def partitioned(query: Any, k: int, nprobe: int, centroids: Any, lists: Any, vectors: Any) -> Found:
    """``argpartition`` needs more lists than it is asked for."""
    _refuse(k, nprobe)
    probed = np.argpartition(_squared(query, centroids), nprobe)[:nprobe]
    return _best(query, k, np.concatenate([lists[number] for number in probed]), vectors)


def fills_all_places(query: Any, k: int, nprobe: int, centroids: Any, lists: Any, vectors: Any) -> Found:
    ids, found = np.full(k, -1), np.full(k, np.inf)
    ids[:], found[:] = cut_short(query, k, nprobe, centroids, lists, vectors)
    return ids, found


def renamed(q: Any, k: int, nprobe: int, centroids: Any, lists: Any, vectors: Any) -> Found:
    return right(q, k, nprobe, centroids, lists, vectors)


def padded_with_zero(query: Any, k: int, nprobe: int, centroids: Any, lists: Any, vectors: Any) -> Found:
    ids, found = right(query, k, nprobe, centroids, lists, vectors)
    return np.where(ids < 0, 0, ids), np.where(ids < 0, 0, found)


def list_by_list(query: Any, k: int, nprobe: int, centroids: Any, lists: Any, vectors: Any) -> Found:
    """The best of the nearest list first, then those of the next: not ranked together."""
    _refuse(k, nprobe)
    probed = np.argsort(_squared(query, centroids), kind="stable")[:nprobe]
    ids, found = np.full(k, -1), np.full(k, np.inf)
    at = 0
    for number in probed:
        best, distances = _best(query, max(len(lists[number]), 1), lists[number], vectors)
        best, distances = best[best >= 0][: k - at], distances[best >= 0][: k - at]
        ids[at : at + len(best)], found[at : at + len(best)] = best, distances
        at += len(best)
    return ids, found


def skips_empty_lists(query: Any, k: int, nprobe: int, centroids: Any, lists: Any, vectors: Any) -> Found:
    _refuse(k, nprobe)
    order = [n for n in np.argsort(_squared(query, centroids)) if len(lists[n])][:nprobe]
    return _best(query, k, np.concatenate([lists[number] for number in order]), vectors)


def any_order_of_ties(query: Any, k: int, nprobe: int, centroids: Any, lists: Any, vectors: Any) -> Found:
    _refuse(k, nprobe)
    probed = np.argsort(_squared(query, centroids))[:nprobe]
    candidates = np.concatenate([lists[number] for number in probed])
    distances = _squared(query, vectors[candidates])
    best = np.argsort(distances, kind="stable")[:k]
    ids, found = np.full(k, -1), np.full(k, np.inf)
    ids[: len(best)], found[: len(best)] = candidates[best], distances[best]
    largest_first = np.lexsort((-ids, found))  # and the larger id first, so that no seed is lucky
    return ids[largest_first], found[largest_first]


def _with(change: Callable[[Any, Any], Found]) -> Callable[..., Found]:
    return lambda **arguments: change(*right(**arguments))


def accepts_anything(query: Any, k: int, nprobe: int, centroids: Any, lists: Any, vectors: Any) -> Found:
    if k < 1 or nprobe < 1:
        return np.zeros(0, int), np.zeros(0)
    return right(query, k, nprobe, centroids, lists, vectors)


WRONG: dict[str, tuple[Callable[..., Any], str]] = {
    "searches everything": (searches_everything, "look into the first alone"),
    "the first lists by number": (first_lists, "by the distance from the query to their centroids"),
    "lists by inner product": (by_inner_product, "by the distance from the query to their centroids"),
    "one list only": (one_list_only, "a neighbour may lie just across a border"),
    "stops when full": (stops_when_full, "a neighbour may lie just across a border"),
    "goes on until it has enough": (until_enough, "fewer than k found"),
    "positions for ids": (positions, "an id is the row in vectors"),
    "fewer than k": (cut_short, "always k ids and k distances"),
    "more than k": (all_candidates, "always k ids and k distances"),
    "the first list, not padded": (first_list_unpadded, "by the distance from the query to their centroids"),
    "argpartition out of bounds": (partitioned, "np.argpartition wants a place that exists"),
    "all places filled": (fills_all_places, "fewer than k may be found"),
    "an argument renamed": (renamed, "keep the argument names"),
    "padded with zeros": (padded_with_zero, "always k ids and k distances"),
    "list by list": (list_by_list, "collect candidates from all lists, then sort"),
    "skips empty lists": (skips_empty_lists, "an empty list counts as one"),
    "ties in any order": (any_order_of_ties, "sort by distance, then by id"),
    "not squared": (_with(lambda ids, found: (ids, np.sqrt(found))), "squared L2 distances"),
    "the farthest first": (_with(lambda ids, found: (ids[::-1], found[::-1])), "the nearest first"),
    "ids alone": (_with(lambda ids, found: ids), "return ids (k,) and squared distances (k,)"),
    "accepts anything": (accepts_anything, "a ValueError that names k"),
}
