"""Vectors from a file that the user names: ``.npy``, ``.fvecs``, or ``.hdf5`` as ann-benchmarks has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ragcourse.bench.index_data import Floats, VectorSet, unit
from ragcourse.remedies import install_command

FEWEST = 1000
QUERIES = 1000
_WIDEST = 100_000  # dimensions; a larger number means that the file is no .fvecs


def from_file(path: Path, queries: int = QUERIES) -> VectorSet:
    """The vectors of a file, and up to ``queries`` of them, drawn at random, taken out as queries.

    ``.npy``: one array (n, dim) of numbers. ``.fvecs``: for each vector its dimension as int32 and its
    numbers as float32, little-endian. ``.hdf5``: ``train``, ``test`` and the attribute ``distance``,
    euclidean or angular; the queries are the first of ``test``. Raises ``ValueError`` that says what is wrong
    with the file, ``FileNotFoundError`` where there is none.
    """
    readers = {".npy": _npy, ".fvecs": _fvecs, ".hdf5": _hdf5, ".h5": _hdf5}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path}: vectors are read from files that end with {', '.join(readers)}")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    vectors, asked = reader(path)
    _check(path, vectors, "vectors")
    if len(vectors) < FEWEST:
        raise ValueError(f"{path} has {len(vectors):,} vectors; a benchmark needs at least {FEWEST:,}")
    if asked is None:
        order = np.random.default_rng(0).permutation(len(vectors))
        held = min(queries, len(vectors) // 10)
        vectors, asked = vectors[order[held:]], vectors[order[:held]]
    elif asked.ndim != 2 or asked.shape[1:] != vectors.shape[1:] or not len(asked):
        raise ValueError(f"{path}: train has the shape {vectors.shape}, test {asked.shape}; they do not fit")
    _check(path, asked, "queries")
    return VectorSet.of(path.stem, np.ascontiguousarray(vectors), np.ascontiguousarray(asked[:queries]))


def _check(path: Path, vectors: Floats, what: str) -> None:
    if vectors.ndim != 2 or not vectors.shape[1]:
        raise ValueError(f"{path}: the {what} have the shape {vectors.shape}; expected (n, dim)")
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"{path}: row {int(np.argmin(finite))} of the {what} has a number that is not finite"
        )


def _npy(path: Path) -> tuple[Floats, None]:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is no .npy file of numbers: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        kind = array.dtype if isinstance(array, np.ndarray) else "several arrays"
        raise ValueError(f"{path} holds {kind}; expected one array of numbers, best float32")
    return array.astype(np.float32, copy=False), None


def _fvecs(path: Path) -> tuple[Floats, None]:
    raw = np.fromfile(path, "<i4")
    dim = int(raw[0]) if len(raw) else 0
    if not 1 <= dim <= _WIDEST:
        raise ValueError(f"{path} is no .fvecs file: it begins with the dimension {dim}")
    if path.stat().st_size % (4 * (dim + 1)):
        raise ValueError(
            f"{path} is cut off, or no .fvecs file: its {path.stat().st_size:,} bytes are no multiple of "
            f"the {4 * (dim + 1):,} of a vector of {dim} dimensions"
        )
    rows = raw.reshape(-1, dim + 1)
    if (rows[:, 0] != dim).any():
        row = int(np.argmax(rows[:, 0] != dim))
        raise ValueError(f"{path}: vector {row} has {rows[row, 0]} dimensions, the first has {dim}")
    return rows[:, 1:].copy().view("<f4").astype(np.float32, copy=False), None


def _hdf5(path: Path) -> tuple[Floats, Floats]:
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ValueError(f"{path}: reading it needs h5py: {install_command('lab,bench')}") from error
    try:
        with h5py.File(path, "r") as file:
            missing = {"train", "test"} - set(file)
            if missing:
                raise ValueError(
                    f"{path} has no data set {' and no '.join(sorted(missing))} of ann-benchmarks"
                )
            distance: Any = file.attrs.get("distance", "euclidean")
            train, test = (np.asarray(file[name][()]) for name in ("train", "test"))
    except OSError as error:
        raise ValueError(f"{path} is no HDF5 file, or damaged: {error}") from error
    if distance not in ("euclidean", "angular"):
        raise ValueError(f"{path} is compared by {distance!r}; known are 'euclidean' and 'angular'")
    for name, array in (("train", train), ("test", test)):
        if array.dtype.kind not in "fiu" or array.ndim != 2:
            raise ValueError(f"{path}: {name} is {array.dtype} {array.shape}; expected numbers (n, dim)")
    vectors, queries = train.astype(np.float32), test.astype(np.float32)
    return (unit(vectors), unit(queries)) if distance == "angular" else (vectors, queries)
