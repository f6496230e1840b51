"""A store in one file: the memory store, and a log from which it is filled again.

Every change is one record at the end of the log::

    magic "RCL1" | length of head | length of vectors | crc32 | head (JSON) | vectors (float32)

A record counts once it is whole. ``kill -9`` in the middle of one leaves a torn tail, which the
next opening cuts off; damage before the tail is refused, since something else wrote there.
When more than half of the records are dead, the live ones are written to a new file that replaces
the old one in a single step (``os.replace``).
"""

from __future__ import annotations

import errno
import json
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ragcourse.documents import Node
from ragcourse.stores.base import StoreError, Vectors
from ragcourse.stores.map import MapStore

_MAGIC = b"RCL1"
_HEADER = struct.Struct("<4sIII")  # magic, bytes of head, bytes of vectors, crc32 of both


class FileStore(MapStore):
    """``dir`` holds one log a group; ``name`` is the group's.

    Raises ``StoreError`` for a damaged log and ``ValueError`` for one of another dimension.
    """

    type = "file"
    persistent = True

    def __init__(self, dim: int, dir: str | Path, name: str = "nodes") -> None:
        super().__init__(dim, name)
        self._dir = Path(dir)
        self._dir.mkdir(parents=True, exist_ok=True)
        self.path = self._dir / f"{name}.log"
        self._dead = 0  # nodes in the log that a later record replaced or deleted
        end = self._replay() if self.path.exists() else 0
        self._log = self.path.open("ab", buffering=0)
        if end < self.path.stat().st_size:
            self._log.truncate(end)
        if end == 0:
            self._append({"dim": dim}, b"")
            sync_folder(self._dir)

    @classmethod
    def home(cls, **kwargs: Any) -> Path | None:
        return Path(kwargs["dir"]) / "library"

    def _add(self, nodes: Sequence[Node], vectors: Vectors) -> None:
        with self._lock:
            self._append({"add": [asdict(node) for node in nodes]}, vectors.tobytes())
            self._dead += sum(node.id in self._row for node in nodes)
            super()._add(nodes, vectors)

    def _delete(self, ids: list[str]) -> None:
        with self._lock:
            known = [node_id for node_id in ids if node_id in self._row]
            if not known:
                return
            self._append({"delete": known}, b"")
            super()._delete(known)
            self._dead += len(known)
            if self._dead > max(1024, self.count()):
                self._compact()

    def _flush(self) -> None:
        os.fsync(self._log.fileno())

    def drop(self) -> None:
        super().drop()
        self.close()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        self._log.close()

    def _append(self, head: dict[str, Any], vectors: bytes) -> None:
        record = _record(head, vectors)
        start = self._log.seek(0, os.SEEK_END)
        try:
            if self._log.write(record) != len(record):  # a full disk takes what still fits
                raise OSError(errno.ENOSPC, "no space left on the disk", str(self.path))
        except OSError:
            self._log.truncate(start)
            raise

    def _replay(self) -> int:
        """Fill the memory from the log; returns the offset behind the last whole record."""
        data = memoryview(self.path.read_bytes())
        at = 0
        for at, head, vectors in _records(data, self.path):
            if head.get("dim", self.dim) != self.dim:
                raise ValueError(f"{self.path} holds vectors of {head['dim']} dimensions, not {self.dim}")
            if "add" in head:
                nodes = [Node(**row) for row in head["add"]]
                self._dead += sum(node.id in self._row for node in nodes)
                super()._add(nodes, np.frombuffer(vectors, np.float32).reshape(len(nodes), self.dim))
            if "delete" in head:
                self._dead += len(head["delete"])
                super()._delete(head["delete"])
        return at

    def _compact(self) -> None:
        fresh = self.path.with_suffix(".log.new")
        with fresh.open("wb") as file:
            file.write(_record({"dim": self.dim}, b""))
            for nodes, vectors in self.items():
                file.write(_record({"add": [asdict(node) for node in nodes]}, vectors.tobytes()))
            file.flush()
            os.fsync(file.fileno())
        self._log.close()  # Windows replaces no open file
        os.replace(fresh, self.path)
        sync_folder(self._dir)
        self._log = self.path.open("ab", buffering=0)
        self._dead = 0


def _record(head: dict[str, Any], vectors: bytes) -> bytes:
    text = json.dumps(head, ensure_ascii=False).encode("utf-8", "surrogatepass")
    crc = zlib.crc32(vectors, zlib.crc32(text))
    return _HEADER.pack(_MAGIC, len(text), len(vectors), crc) + text + vectors


def _records(data: memoryview, path: Path) -> Iterator[tuple[int, dict[str, Any], memoryview]]:
    """The whole records of a log: (offset behind it, head, bytes of the vectors)."""
    at = 0
    while at < len(data):
        if len(data) - at < _HEADER.size:
            return  # torn in the header
        magic, head_size, vector_size, crc = _HEADER.unpack_from(data, at)
        body, end = at + _HEADER.size, at + _HEADER.size + head_size + vector_size
        if magic != _MAGIC:
            raise StoreError(f"{path} is damaged at byte {at}; delete it to build the library again")
        if end > len(data):
            return  # torn in the body
        text, vectors = data[body : body + head_size], data[body + head_size : end]
        if zlib.crc32(vectors, zlib.crc32(text)) != crc:
            if end == len(data):
                return  # the last record: its pages had not all reached the disk
            raise StoreError(f"{path} is damaged at byte {at}; delete it to build the library again")
        yield end, json.loads(bytes(text)), vectors
        at = end


def sync_folder(folder: Path) -> None:
    """Make a new or renamed file's name durable (a no-op on Windows, which has no such call)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
