"""What every vector index promises, and refuses, said once.

An index takes vectors and gives back ids: it knows no text, no node, no embedder. This class is the
part that all of them share: it checks what comes in, keeps the caller's ids, lets many threads search
and one change, and writes the index to a file. What is left for a subclass is the paper's work, on
clean input::

    rows      float32 (n, dim), C-contiguous, finite; of unit length under cosine
    slots     the position of each row inside the index, always 0 … len - 1
    distances float32, smaller is nearer: squared L2, or minus the inner product

Outside, a score is a similarity and higher is better: minus the squared L2 distance, the inner
product, or the cosine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ragcourse.indexes.sharing import SharedLock
from ragcourse.indexes.vectors.files import IndexFileError, read_index, write_index
from ragcourse.indexes.vectors.ids import Ids

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Metric = Literal["l2", "ip", "cosine"]

# Squared lengths: the distance of two vectors is finite up to the one, well computed from the other on.
_LARGEST, _SMALLEST = np.finfo(np.float32).max / np.float32(8), np.float32(1e-20)


class Found(NamedTuple):
    """The nearest of each query, best first: ids and scores, both (queries, k), or (k,) for one query.

    Where fewer than k were found, the rest is -1 and minus infinity.
    """

    ids: Ints
    scores: Floats


class VectorIndex(ABC):
    """Vectors of ``dim`` numbers under one ``metric``: "l2", "ip" (inner product) or "cosine".

    Threads may share an index. Searches run side by side; ``add`` and ``remove`` wait for the searches
    under way, and searches that come later wait for them.
    """

    kind: ClassVar[str]
    """Its name in files and in messages."""

    def __init__(self, dim: int, metric: Metric = "l2") -> None:
        if not isinstance(dim, (int, np.integer)) or isinstance(dim, bool) or dim < 1:
            raise ValueError(f"dim is {dim!r}; give the number of dimensions, 1 or more")
        if metric not in get_args(Metric):
            raise ValueError(f"metric is {metric!r}; known are {', '.join(get_args(Metric))}")
        self.dim, self.metric = int(dim), metric
        self.note: Any = None
        self._ids = Ids()
        self._lock = SharedLock()

    def __len__(self) -> int:
        """How many vectors are in it."""
        return len(self._ids)

    def __contains__(self, id: object) -> bool:
        with self._lock.shared:  # the table of ids is built when it is first asked
            return isinstance(id, (int, np.integer)) and int(id) in self._ids

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self._settings().items())
        return f"<{type(self).__name__}({settings}) with {len(self):,} vectors>"

    @property
    def ids(self) -> Ints:
        """The ids of all vectors, (len,), in no promised order."""
        with self._lock.shared:
            return self._ids.of_slots.copy()

    def add(self, vectors: ArrayLike, ids: ArrayLike | None = None) -> Ints:
        """Take in ``vectors`` (n, dim), or one (dim,); their ids (n,) are returned.

        ``ids`` are integers ≥ 0 of the caller's choice; without them the next free ones are given.
        Nothing is added when one is known already, when a number is not finite, or when, under cosine,
        a vector is all zeros: ``ValueError`` names the first.
        """
        rows = self._rows(vectors, "vectors")
        with self._lock.exclusive:
            wanted = self._ids.new(len(rows), ids)
            if len(rows):
                self._add(rows)
                self._ids.append(wanted)
        return wanted

    def remove(self, ids: ArrayLike) -> None:
        """Forget the vectors of these ids, or of one. ``KeyError`` for an unknown id, and none is removed."""
        with self._lock.exclusive:
            gone = self._ids.slots(ids)
            if len(gone):
                source, target = self._ids.remove(gone)
                self._remove(gone, source, target)

    def search(
        self, queries: ArrayLike, k: int = 10, *, allowed: ArrayLike | None = None, **tuning: int
    ) -> Found:
        """The ``k`` nearest of each of ``queries`` (n, dim), or of one (dim,).

        ``allowed`` lists the ids that may be found; ids that the index does not hold are ignored.
        ``tuning`` are the index's own knobs (``ef``, ``nprobe``, ``rerank``), for this call alone.
        """
        if not isinstance(k, (int, np.integer)) or isinstance(k, bool) or k < 1:
            raise ValueError(f"k is {k!r}; ask for at least one neighbour")
        self._check_tuning(tuning)
        rows = self._rows(queries, "queries")
        with self._lock.shared:
            mask = None if allowed is None else self._ids.mask(allowed)
            most = min(int(k), len(self) if mask is None else int(mask.sum()))
            if most and len(rows):
                slots, distances = self._search(rows, most, mask, **tuning)
                ids = np.where(slots < 0, -1, self._ids.of_slots[slots])
                scores = 0 - distances  # 0 - 0 is 0; -0 would print as -0.0
            else:
                ids, scores = np.empty((len(rows), 0), np.int64), np.empty((len(rows), 0), np.float32)
        if ids.shape[1] < k:
            missing = ((0, 0), (0, k - ids.shape[1]))
            ids = np.pad(ids, missing, constant_values=-1)
            scores = np.pad(scores, missing, constant_values=-np.inf)
        return Found(ids[0], scores[0]) if np.ndim(queries) == 1 else Found(ids, scores)

    def save(self, path: str | Path, note: object = None) -> None:
        """Write the index to one file, all or nothing: JSON settings, plain arrays, a checksum; no pickle.

        ``note`` is anything that JSON can hold; the loaded index has it in ``note``.
        """
        with self._lock.shared:
            head = {
                "kind": self.kind, "settings": self._settings(), "next_id": self._ids.next, "note": note
            }  # fmt: skip
            write_index(Path(path), head, {"ids": self._ids.of_slots, **self._arrays()})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what ``save`` wrote. ``IndexFileError`` names a file that is damaged or of another kind."""
        path = Path(path)
        head, arrays = read_index(path)
        if (kind := head["kind"]) != cls.kind:
            raise IndexFileError(f"{path} holds an index of kind {kind!r}, not {cls.kind!r}")
        try:
            index = cls(**head["settings"])
            index.note = head["note"]
            index._ids.append(stored(arrays, "ids", np.int64, None))
            index._ids.next = int(head["next_id"])
            index._restore(arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise IndexFileError(f"{path} holds no {cls.kind} index that can be read: {error}") from error
        return index

    @property
    def memory_bytes(self) -> int:
        """Bytes held in arrays and in the table of ids."""
        return self._memory() + self._ids.memory_bytes

    def check(self) -> None:
        """Verify every invariant; ``AssertionError`` says which one is broken, and shows where."""
        self._ids.check()
        self._check()

    def _rows(self, vectors: ArrayLike, what: str) -> Floats:
        """What the caller gave as clean rows (n, dim): see the top of this file."""
        given = np.asarray(vectors)
        if given.dtype.kind not in "fiu":
            raise ValueError(f"{what} are of type {given.dtype}; give numbers, best as float32")
        if given.ndim not in (1, 2) or given.shape[-1] != self.dim:
            raise ValueError(
                f"{what} have the shape {given.shape}; this index takes (n, {self.dim}) or ({self.dim},)"
            )
        if given.ndim == 1:
            given = given[None]
        rows = given
        if given.dtype != np.float32 or not given.flags.carray:
            with np.errstate(over="ignore"):
                rows = np.array(given, np.float32, order="C")
        lengths = np.einsum("ij,ij->i", rows, rows)
        if not (lengths < _LARGEST).all():  # false for NaN, too
            row = int(np.argmin(lengths < _LARGEST))
            fault = "too large for float32" if np.isfinite(given[row]).all() else "NaN or infinite"
            raise ValueError(f"row {row} of {what} has a number that is {fault}; leave that vector out")
        return _of_unit_length(rows, lengths, what) if self.metric == "cosine" else rows

    def _check_tuning(self, tuning: Mapping[str, int]) -> None:
        for name, value in tuning.items():
            if name not in self.tuning:
                known = ", ".join(self.tuning) or "none"
                raise TypeError(f"{self.kind} has no knob {name!r} for a search; known: {known}")
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 0:
                raise ValueError(f"{name} is {value!r}; give a whole number, 0 or more")

    tuning: ClassVar[tuple[str, ...]] = ()
    """The knobs that ``search`` takes."""

    # What a subclass writes.

    @abstractmethod
    def _add(self, rows: Floats) -> None:
        """Copy in rows (n, dim), n ≥ 1: they take the slots len … len + n - 1, where len is the old length.

        The rows may be the caller's own array. If this raises, the index must be as it was.
        """

    @abstractmethod
    def _remove(self, gone: Ints, source: Ints, target: Ints) -> None:
        """Forget the slots ``gone`` (r,), sorted; then ``source[i]`` takes the slot ``target[i]``.

        ``target`` are the holes below the new length, ``source`` the survivors above it, so that slots
        stay 0 … len - 1. When this is called, ``len(self)`` is the new length.
        """

    @abstractmethod
    def _search(self, queries: Floats, k: int, mask: Mask | None, **tuning: int) -> tuple[Ints, Floats]:
        """Slots (n, k), -1 where none was found, and distances (n, k), infinite there; nearest first.

        1 ≤ k ≤ the number of slots that ``mask`` (len,) allows. Threads may call it side by side, so that
        scratch memory belongs to the call or to the thread.
        """

    @abstractmethod
    def _settings(self) -> dict[str, Any]:
        """The arguments of ``__init__``, as JSON can hold them."""

    @abstractmethod
    def _arrays(self) -> dict[str, NDArray[Any]]:
        """Everything else that must be in the file, trimmed to what is used."""

    @abstractmethod
    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take back what ``_arrays`` gave; ``len(self)`` is set. ``ValueError``: shapes do not fit."""

    @abstractmethod
    def _check(self) -> None:
        """Verify the structure's own invariants; ``AssertionError`` shows what is broken."""

    def _memory(self) -> int:
        return sum(array.nbytes for array in self._arrays().values())


def _of_unit_length(rows: Floats, lengths: Floats, what: str) -> Floats:
    """``rows``, with their squared ``lengths`` (n,), each divided by its length."""
    if (lengths < _SMALLEST).any():  # too small to be squared in float32, or zero
        largest = np.abs(rows).max(axis=1, keepdims=True)
        if not largest.all():
            row = int(np.argmin(largest))
            raise ValueError(f"row {row} of {what} is all zeros: it has no direction, and no cosine")
        rows = rows / largest
        lengths = np.einsum("ij,ij->i", rows, rows)
    return (rows / np.sqrt(lengths)[:, None]).astype(np.float32, copy=False)


def grown(array: NDArray[Any], rows: int) -> NDArray[Any]:
    """``array`` with room for ``rows`` rows: itself, or a copy with at least twice the room."""
    if rows <= len(array):
        return array
    larger = np.empty((max(rows, 2 * len(array)), *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger


def stored(arrays: Mapping[str, NDArray[Any]], name: str, dtype: type, *shape: int | None) -> NDArray[Any]:
    """One array from a file, writable; ``ValueError`` unless of this type and shape (None: any length)."""
    array = arrays[name]
    fits = array.ndim == len(shape) and all(
        want in (None, have) for want, have in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype != dtype:
        raise ValueError(f"{name} is {array.dtype} {array.shape}, not {np.dtype(dtype)} {shape}")
    return np.require(array, requirements=("C", "W"))
