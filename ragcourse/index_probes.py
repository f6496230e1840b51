"""The probes of ``ragcourse doctor`` for what the lessons on indexes use (see ``probes.py``)."""

from __future__ import annotations

from ragcourse.probes import version_of


def compiler() -> str:
    """Numba compiles a loop for this processor."""
    versions = f"numba {version_of('numba')}, llvmlite {version_of('llvmlite')}"
    from ragcourse.compiled import kernel

    @kernel
    def double(n: int) -> int:
        return 2 * n

    if double(5) != 10:
        raise RuntimeError(f"{versions} doubled 5 and got {double(5)}")
    return f"{versions} compiled a kernel"


def words() -> str:
    """The list that the lessons on keys look up."""
    version = version_of("english-words")
    from ragcourse.words import english_words

    return f"english-words {version}, {len(english_words()):,} words"


def hnswlib() -> str:
    """The index beside ours, where it was built."""
    version = version_of("hnswlib")
    import hnswlib
    import numpy as np

    index = hnswlib.Index("l2", 4)
    index.init_index(2)
    index.add_items(np.eye(2, 4, dtype=np.float32))  # (2, 4)
    found, _ = index.knn_query(np.eye(2, 4, dtype=np.float32)[1], k=1)
    if found.tolist() != [[1]]:
        raise RuntimeError(f"hnswlib {version} was asked for vector 1 and found {found.tolist()}")
    return f"hnswlib {version} found the right vector of 2"


def peers() -> str:
    """Whom ``ragcourse bench indexes`` measures against."""
    packages = ("faiss-cpu", "marisa-trie", "sortedcontainers", "BTrees", "threadpoolctl", "h5py")
    return ", ".join(f"{name} {version_of(name)}" for name in packages)
