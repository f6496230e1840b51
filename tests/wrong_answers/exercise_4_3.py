"""Exercise 4.3, ``as_distance``: the solution, and plausible wrong answers with what their check must say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Lifted = tuple[Any, Any]


def _with(
    column: Callable[[Any], Any], of_queries: Callable[[Any], Any] | None = None
) -> Callable[..., Lifted]:
    """An answer made from the new number of each vector, given the squared lengths."""

    def as_distance(vectors: Any, queries: Any) -> Lifted:
        new = column((vectors**2).sum(axis=1))
        last = np.zeros(len(queries)) if of_queries is None else of_queries((queries**2).sum(axis=1))
        return np.column_stack([vectors, new]), np.column_stack([queries, last])

    return as_distance


def _missing(squares: Any) -> Any:
    return np.sqrt(squares.max() - squares)


right = _with(_missing)


def stub(vectors: Any, queries: Any) -> Lifted:
    raise NotImplementedError("Exercise 4.3: add the number that makes all vectors equally long")


def normalised(vectors: Any, queries: Any) -> Lifted:
    """That is the cosine, another question."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.column_stack([unit, np.zeros(len(unit))]), np.column_stack([queries, np.zeros(len(queries))])


def vectors_alone(vectors: Any, queries: Any) -> Lifted:
    return right(vectors, queries)[0], queries


def as_columns(vectors: Any, queries: Any) -> Lifted:
    new, last = right(vectors, queries)
    return new.T, last.T


def in_front(vectors: Any, queries: Any) -> Lifted:
    new, last = right(vectors, queries)
    return np.roll(new, 1, axis=1), np.roll(last, 1, axis=1)


def longest_query(vectors: Any, queries: Any) -> Lifted:
    """The longest of the queries, too, so that nothing is negative: one bound for both."""
    squares = (vectors**2).sum(axis=1)
    bound = max(squares.max(), (queries**2).sum(axis=1).max()) * 4
    new = np.sqrt(bound - squares)
    return np.column_stack([vectors, new]), np.column_stack([queries, np.zeros(len(queries))])


def mean_length(vectors: Any, queries: Any) -> Lifted:
    squares = (vectors**2).sum(axis=1)
    with np.errstate(invalid="ignore"):
        new = np.sqrt(0.999 * squares.mean() - squares)
    return np.column_stack([vectors, new]), np.column_stack([queries, np.zeros(len(queries))])


WRONG: dict[str, tuple[Callable[..., Any], str]] = {
    "cosine": (normalised, "nothing is scaled"),
    "the vectors alone": (vectors_alone, "the queries get one more column"),
    "transposed": (as_columns, "np.column_stack"),
    "the new number in front": (in_front, "the first d columns are the given ones"),
    "the queries lifted too": (_with(_missing, np.sqrt), "must vanish for every x"),
    "ones for the queries": (_with(_missing, np.ones_like), "must vanish for every x"),
    "no root": (_with(lambda squares: squares.max() - squares), "Pythagoras"),
    "the difference of the lengths": (
        _with(lambda squares: np.sqrt(squares.max()) - np.sqrt(squares)),
        "Pythagoras",
    ),
    "the length itself": (_with(np.sqrt), "Pythagoras"),
    "only zeros": (_with(np.zeros_like), "Pythagoras"),
    "a bound that is too large": (longest_query, "as long as the longest was"),
    "the mean length": (mean_length, "must not be negative"),
    "the vectors without queries": (lambda vectors, queries: right(vectors, queries)[0], "has not two parts"),
}
