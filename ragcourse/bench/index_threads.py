"""So many threads for everyone in the race, whatever each library calls its setting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def threads(count: int, *, numpy_too: bool = False) -> Iterator[None]:
    """Inside the block, faiss, its OpenMP and BLAS compute with ``count`` threads.

    Ours cuts a batch into ``count`` parts, a thread each (`Ours.use`), so that NumPy's own BLAS gets one
    thread, or with ``numpy_too`` as many as the others. hnswlib is told by `Hnswlib.use`. BLAS libraries that
    threadpoolctl does not know (Accelerate on macOS) keep their own number.
    """
    import faiss
    from threadpoolctl import ThreadpoolController

    libraries = ThreadpoolController()
    paths = [library.filepath for library in libraries.lib_controllers]
    of_numpy = [path for path in paths if "numpy.libs" in Path(path).parts]
    before = faiss.omp_get_max_threads()
    limits = libraries.limit(limits=count)
    faiss.omp_set_num_threads(count)
    own = libraries.select(filepath=of_numpy).limit(limits=count if numpy_too else 1)
    try:
        yield
    finally:
        own.restore_original_limits()
        limits.restore_original_limits()
        faiss.omp_set_num_threads(before)
