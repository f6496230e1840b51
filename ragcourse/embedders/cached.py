"""Vectors kept on disk, so that no text is embedded twice, not even by another process.

    key = BLAKE2b(fingerprint, text)        SQLite: key → vector, little-endian float32

A changed model has another fingerprint and finds nothing of the old one's. Worth it when embedding is dear
(a transformer, a paid service: milliseconds a text). It is not for `StaticEmbedder`: to write a vector down
takes longer than to compute it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from ragcourse.embedders.base import Embedder, Vectors, check_texts

_PER_QUERY = 500  # keys in one SELECT; SQLite allowed 999 parameters for most of its life
_PER_WRITE = 1024  # texts embedded before their vectors are committed: what a crash can cost
_BUSY_S = 30.0  # how long to wait for another process's transaction


class CachedEmbedder:
    """An embedder with a memory on disk.

    One file may serve several models, threads and processes at once (SQLite in WAL mode: on a local disk,
    not on a network share). Vectors of a long run are committed every 1,024 texts.

    ``hits + misses`` is the number of texts asked for; ``misses`` those the wrapped embedder computed.
    A text that occurs twice in one call is computed once.

    Raises ValueError when ``path`` holds something else than such a cache.
    """

    def __init__(self, embedder: Embedder, path: Path | str) -> None:
        self.embedder = embedder
        self.path = Path(path)
        self.hits = 0
        self.misses = 0
        self._lock = threading.Lock()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(self.path, timeout=_BUSY_S, check_same_thread=False)
        try:
            with self._explained():
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last commits
                self._db.execute(
                    "CREATE TABLE IF NOT EXISTS vectors "
                    "(key BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID"
                )
        except ValueError:
            self._db.close()
            raise

    @property
    def name(self) -> str:
        """The wrapped model's name."""
        return self.embedder.name

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.embedder.dim

    @property
    def fingerprint(self) -> str:
        """The wrapped model's: where a vector comes from does not change it."""
        return self.embedder.fingerprint

    def embed(self, texts: Sequence[str]) -> Vectors:
        """The wrapped embedder's vectors, (n, dim) float32, computed only where they are not yet kept."""
        texts = check_texts(texts)
        model = blake2b(self.fingerprint.encode(), digest_size=16).digest()
        keys = [_key(model, text) for text in texts]
        found = self._get(keys)
        wanted = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        todo = iter(wanted.items())
        while part := list(islice(todo, _PER_WRITE)):
            vectors = self.embedder.embed([text for _, text in part])
            new = {
                key: vector.astype("<f4").tobytes() for (key, _), vector in zip(part, vectors, strict=True)
            }
            self._put(new)
            found |= new
        with self._lock:
            self.misses += len(wanted)
            self.hits += len(texts) - len(wanted)
        flat = b"".join(found[key] for key in keys)
        return np.frombuffer(flat, "<f4").reshape(len(texts), self.dim).astype(np.float32)

    def __len__(self) -> int:
        """Vectors kept, of all models."""
        with self._lock, self._explained():
            return int(self._db.execute("SELECT count(*) FROM vectors").fetchone()[0])

    def close(self) -> None:
        """Give the file back. The embedder is not usable after."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        distinct = iter(dict.fromkeys(keys))
        with self._lock, self._explained():
            while part := list(islice(distinct, _PER_QUERY)):
                marks = ",".join("?" * len(part))
                query = f"SELECT key, vector FROM vectors WHERE key IN ({marks})"
                found.update(self._db.execute(query, part))
        return found

    def _put(self, vectors: dict[bytes, bytes]) -> None:
        with self._lock, self._explained(), self._db:  # one transaction
            self._db.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", vectors.items())

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say which file, and what to do, when SQLite gives up."""
        try:
            yield
        except sqlite3.OperationalError as error:  # locked, disk full, no permission: the file is sound
            raise OSError(f"embedding cache {self.path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise ValueError(
                f"{self.path} is not an embedding cache, or is damaged ({error}): "
                "delete it and it will be built anew"
            ) from error


def _key(model: bytes, text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=model).digest()
