"""An ingest in a process of its own that can be killed at any of its steps. Used by test_durability.

A *step* is a moment at which something is about to be, or has just been, written: a statement of the
manifest, a call of a store, an fsync, a file opened for writing, renamed or removed. One clean run
counts them; a later one is killed at the n-th, by itself, or by its parent a random time after it.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import chromadb.api.client
import chromadb.api.rust
import chromadb.telemetry.product.posthog
import milvus_lite.adapter.grpc.server  # noqa: F401
import numpy as np
import pyarrow.dataset  # noqa: F401
import pymilvus  # noqa: F401

from ragcourse import ingest
from ragcourse.knowledge_base import KnowledgeBase
from ragcourse.stores import STORES, FileStore

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # on Windows SIGTERM ends a process as abruptly
CONTEXT = multiprocessing.get_context(
    "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
)


class WordHashes:
    """A small embedder that is the same everywhere: each word adds a vector drawn from its hash."""

    name, dim, fingerprint = "word hashes", 64, "word-hashes-64"

    def __init__(self) -> None:
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.texts += texts
        rows = np.stack([sum(map(self._word, text.split()), np.zeros(self.dim)) for text in texts])
        unit: np.ndarray = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        return unit

    def _word(self, word: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
        return np.random.default_rng(seed).normal(size=self.dim)


@dataclass(frozen=True)
class Job:
    """One ingest of ``docs`` into the library at ``place``; ``die_at`` is the step at which it ends."""

    kind: str
    docs: Path
    place: Path
    die_at: int | None = None  # the process kills itself
    tell_at: int | None = None  # it tells its parent, who may kill it
    sync_threshold: int | None = None  # after how many records Chroma writes its vector index
    file_size: int | None = None  # bytes: no file may grow beyond it, as on a full disk
    rebuild: bool = False

    def store_conf(self) -> dict[str, Any]:
        place = {"uri": str(self.place / "library.db")} if self.kind == "milvus" else {"dir": self.place}
        return {"type": self.kind, "kwargs": place}

    def library(self, embedder: WordHashes | None = None) -> KnowledgeBase:
        groups = ("sentence", "CoarseChunk")
        return KnowledgeBase(self.docs, self.store_conf(), embedder or WordHashes(), groups=groups)


class Steps:
    """Counts steps, and ends the process at the one that the job names."""

    def __init__(self, job: Job, pipe: Connection) -> None:
        self.job, self.pipe, self.count = job, pipe, 0
        self._lock = threading.Lock()

    def __call__(self, *_: object) -> None:
        with self._lock:
            self.count += 1
            if self.count == self.job.die_at:
                os.kill(os.getpid(), KILL)
            if self.count == self.job.tell_at:
                self.pipe.send(self.count)

    def around(self, owner: Any, name: str) -> None:
        """Make the beginning and the end of a function or method steps."""
        function: Callable[..., Any] = getattr(owner, name)

        def stepping(*args: Any, **kwargs: Any) -> Any:
            self()
            result = function(*args, **kwargs)
            self()
            return result

        setattr(owner, name, stepping)

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """See ``sys.addaudithook``: what any Python code does to files of the library."""
        if event == "open":
            path, _, flags = args
            changes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        else:
            path, changes = (
                (args or (None,))[0],
                event in ("os.rename", "os.remove", "os.mkdir", "os.truncate"),
            )
        if changes and isinstance(path, (str, Path)) and str(path).startswith(str(self.job.place)):
            self()

    def install(self) -> None:
        for store in STORES.values():
            if store.persistent:
                for name in ("_add", "_delete", "_flush"):
                    if name in vars(store):
                        self.around(store, name)
        self.around(os, "fsync")
        connect, append = sqlite3.connect, FileStore._append

        def traced(*args: Any, **kwargs: Any) -> sqlite3.Connection:
            connection = connect(*args, **kwargs)
            connection.set_trace_callback(self)
            return connection

        def torn(store: FileStore, *args: Any) -> None:
            log = store._log
            store._log = InThirds(log, self)  # type: ignore[assignment]
            try:
                append(store, *args)
            finally:
                store._log = log

        sqlite3.connect = traced  # type: ignore[assignment]
        FileStore._append = torn  # type: ignore[assignment,method-assign]
        sys.addaudithook(self.audit)


class InThirds:
    """A file that takes each write in three parts, with a step between them."""

    def __init__(self, file: Any, step: Steps) -> None:
        self._file, self._step = file, step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: bytes) -> int:
        third = len(data) // 3
        for part in (data[:third], data[third : 2 * third], data[2 * third :]):
            self._file.write(part)
            self._step()
        return len(data)


def run(job: Job, pipe: Connection) -> None:
    """Ingest; sends "ready", the number of the step ``tell_at`` when it comes, and the outcome.

    The outcome is a pair: the count of steps, and the error's type and message or None.
    """
    ingest.BATCH = 10
    steps = Steps(job, pipe)
    steps.install()
    if job.sync_threshold:
        synchronise(job.sync_threshold)
    if job.file_size:
        limit(job.file_size)
    pipe.send("ready")
    kb = job.library()
    try:
        kb.start(rebuild=job.rebuild)
        problem = None
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent judges it
        problem = (type(error).__name__, str(error))
    finally:
        kb.close()
    pipe.send((steps.count, problem))


def synchronise(threshold: int, setattr_: Callable[[Any, str, Any], None] = setattr) -> None:
    """Have Chroma write its vector index after ``threshold`` records, not after a thousand."""
    create = chromadb.api.client.Client.create_collection

    def with_threshold(self: Any, name: str, **kwargs: Any) -> Any:
        kwargs["configuration"]["hnsw"]["sync_threshold"] = threshold
        return create(self, name, **kwargs)

    setattr_(chromadb.api.client.Client, "create_collection", with_threshold)


def limit(size: int) -> None:
    """From now on a file that would grow beyond ``size`` bytes is refused with EFBIG."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def hold(job: Job, pipe: Connection) -> None:
    """Open the library and say so; answer each query with its nodes and whether it finds itself."""
    with job.library() as kb:
        kb.start()
        pipe.send("open")
        while True:
            hits = kb.search(pipe.recv(), 1000)
            pipe.send([len(hits), hits[0].score > 0.9999])
