"""A store in one file: the memory store, and a log from which it is filled again.

Every change is one record at the end of the log::

    magic "RCL1" | length of head | length of vectors | crc32 of both | crc32 of these four
    head (JSON) | vectors (float32)

A record counts once it is whole. ``kill -9`` in the middle of one leaves a torn tail, which the
next opening cuts off; damage before the tail is refused, since something else wrote there. The
lengths have a checksum of their own: a wrong one would make all that follows look like a torn tail.
When more than half of the records are dead, the live ones are written to a new file that replaces
the old one in a single step.
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
from ragcourse.stores.base import DamagedError, MismatchError, Vectors
from ragcourse.stores.map import MapStore

_FIELDS = struct.Struct("<4sIII")  # magic, bytes of head, bytes of vectors, crc32 of both
_HEADER_SIZE = _FIELDS.size + 4
_MAGIC = b"RCL1"
_COMPACTED = ".log.new"
_DEAD = 1024  # fewer dead nodes than this are not worth a compaction


class FileStore(MapStore):
    """``dir`` holds one log a group; ``name`` is the group's.

    Raises ``DamagedError`` for a damaged log and ``MismatchError`` for one of another dimension.
    """

    kind = "file"
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
        return Path(kwargs["dir"]) / "file.library"

    def _add(self, nodes: Sequence[Node], vectors: Vectors) -> None:
        with self._lock:
            self._append({"add": [asdict(node) for node in nodes]}, vectors.tobytes())
            self._dead += sum(node.id in self._row for node in nodes)
            super()._add(nodes, vectors)
            self._compact()

    def _delete(self, ids: list[str]) -> None:
        with self._lock:
            known = [node_id for node_id in ids if node_id in self._row]
            if not known:
                return
            self._append({"delete": known}, b"")
            super()._delete(known)
            self._dead += len(known)
            self._compact()

    def _flush(self) -> None:
        os.fsync(self._log.fileno())

    def drop(self) -> None:
        super().drop()
        self.close()
        self.erase(dir=self._dir, name=self.name)

    @classmethod
    def erase(cls, **kwargs: Any) -> None:
        for ending in (".log", _COMPACTED):
            (Path(kwargs["dir"]) / (kwargs["name"] + ending)).unlink(missing_ok=True)

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
        whole = 0
        for end, head, vectors in _records(data, self.path):
            whole = end
            if head.get("dim", self.dim) != self.dim:
                raise MismatchError(f"{self.path} holds vectors of {head['dim']} dimensions, not {self.dim}")
            if "add" in head:
                nodes = [Node(**row) for row in head["add"]]
                self._dead += sum(node.id in self._row for node in nodes)
                super()._add(nodes, np.frombuffer(vectors, np.float32).reshape(len(nodes), self.dim))
            if "delete" in head:
                self._dead += len(head["delete"])
                super()._delete(head["delete"])
        return whole

    def _compact(self) -> None:
        if self._dead <= max(_DEAD, self.count()):
            return
        fresh = self.path.with_suffix(_COMPACTED)
        try:
            with fresh.open("wb") as file:
                file.write(_record({"dim": self.dim}, b""))
                for nodes, vectors in self.items():
                    file.write(_record({"add": [asdict(node) for node in nodes]}, vectors.tobytes()))
                file.flush()
                os.fsync(file.fileno())
        except OSError:  # a full disk: the log is as good as before, and needs the room
            fresh.unlink(missing_ok=True)
            raise
        self._log.close()  # Windows replaces no open file
        try:
            fresh.replace(self.path)
        finally:
            self._log = self.path.open("ab", buffering=0)
        sync_folder(self._dir)
        self._dead = 0


def _record(head: dict[str, Any], vectors: bytes) -> bytes:
    text = json.dumps(head, ensure_ascii=False).encode("utf-8", "surrogatepass")
    header = _FIELDS.pack(_MAGIC, len(text), len(vectors), zlib.crc32(vectors, zlib.crc32(text)))
    return header + zlib.crc32(header).to_bytes(4, "little") + text + vectors


def _records(data: memoryview, path: Path) -> Iterator[tuple[int, dict[str, Any], memoryview]]:
    """The whole records of a log: (offset behind it, head, bytes of the vectors)."""
    at = 0
    while at < len(data):
        body = at + _HEADER_SIZE
        if body > len(data):
            return  # torn in the header
        magic, head_size, vector_size, crc = _FIELDS.unpack_from(data, at)
        header = data[at : at + _FIELDS.size]
        if magic != _MAGIC or zlib.crc32(header) != int.from_bytes(data[body - 4 : body], "little"):
            if not any(data[at:]):
                return  # after a power cut: the file had grown, and nothing was in it yet
            raise _damaged(path, at)
        end = body + head_size + vector_size
        if end > len(data):
            return  # torn in the body
        text, vectors = data[body : body + head_size], data[body + head_size : end]
        if zlib.crc32(vectors, zlib.crc32(text)) != crc:
            if end == len(data):
                return  # the last record: its pages had not all reached the disk
            raise _damaged(path, at)
        yield end, json.loads(bytes(text)), vectors
        at = end


def _damaged(path: Path, at: int) -> DamagedError:
    return DamagedError(f"{path} is damaged at byte {at}: something else wrote there")


def sync_folder(folder: Path) -> None:
    """Make a new or renamed file's name durable (a no-op on Windows, which has no such call)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
