"""The manifest: what a library holds, of which files, cut and embedded how.

A vector database can add and delete nodes, but it has no transaction over a document, and it does
not know that a file has changed. One SQLite file beside it knows both. The protocol that makes a
change atomic over two stores without a common transaction has four steps:

1. ``announce`` the nodes that will be added: they may now appear in the store at any time.
2. The store adds them and flushes.
3. ``commit``: in one SQLite transaction the document gets its new nodes, and the nodes that it no
   longer has take the place of the announced ones.
4. The store deletes those; ``settle`` forgets them.

At every moment the table ``pending`` names each node that the store may hold and the library must
not show. After ``kill -9`` the next start deletes them, and the library is as if the change had
never begun (before step 3) or as if it had ended (after it).
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ragcourse.documents import Metadata, Node
from ragcourse.stores.base import DamagedError

_SCHEMA = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE files(
    id TEXT PRIMARY KEY, stamp TEXT NOT NULL, seen_ns INTEGER NOT NULL, hash TEXT NOT NULL,
    problem TEXT, metadata TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE nodes(
    id TEXT PRIMARY KEY, document TEXT NOT NULL, grp TEXT NOT NULL, body TEXT
) WITHOUT ROWID;
CREATE INDEX nodes_of_document ON nodes(document);
CREATE TABLE pending(id TEXT PRIMARY KEY, grp TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE stores(grp TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_VERSION = 2


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What was known of a file when it was last looked at.

    ``seen_ns`` is the wall-clock time just before that look, ``hash`` that of its bytes,
    ``problem`` the reason why it was skipped, if it was, ``metadata`` that of its document.
    """

    id: str
    stamp: tuple[int, int, int, int]
    seen_ns: int
    hash: str
    problem: str | None = None
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """One document's new state: its file and all its nodes. No file and no nodes: it is gone."""

    document: str
    file: FileRecord | None
    nodes: Sequence[Node]


class Manifest:
    """One SQLite file, or memory for a library that does not outlive its process (``path=None``).

    Nodes of searched groups are in a store and only named here; of the others, the parents that are
    fetched by id, the text is here. Every method is atomic and may be called from any thread.
    Raises ``DamagedError`` for a file that is no manifest, or one of another version.
    """

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._mutex = threading.RLock()
        self._fields: frozenset[str] | None = None  # these two until the next change
        self._counts: list[tuple[str, int, int]] | None = None
        self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        try:
            self._prepare(path)
        except sqlite3.OperationalError:  # the disk, or rights: not the content is at fault
            self._db.close()
            raise
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise DamagedError(f"the manifest {path} is damaged: {error}") from error
        except DamagedError:
            self._db.close()
            raise

    def _prepare(self, path: Path | None) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={_VERSION}; COMMIT;")
        elif version != _VERSION:
            raise DamagedError(f"the manifest {path} has version {version}, this ragcourse knows {_VERSION}")

    def close(self) -> None:
        """Release the database file, after whatever another thread is doing with it."""
        with self._mutex:
            self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._mutex:
            self._fields = self._counts = None
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.commit()
            except BaseException:
                self._db.rollback()
                raise

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._mutex:
            return self._db.execute(query, values).fetchall()

    def meta(self) -> dict[str, str]:
        """Fingerprints and settings under which the library was written."""
        return dict(self._rows("SELECT key, value FROM meta"))

    def set_meta(self, values: Mapping[str, str]) -> None:
        """Write some settings; the others stay."""
        with self._transaction() as db:
            db.executemany("INSERT OR REPLACE INTO meta VALUES(?, ?)", values.items())

    def files(self) -> dict[str, FileRecord]:
        """What was known of each file, by id."""
        rows = self._rows("SELECT id, stamp, seen_ns, hash, problem, metadata FROM files")
        return {
            name: FileRecord(name, tuple(json.loads(stamp)), seen_ns, hash_, problem, json.loads(metadata))
            for name, stamp, seen_ns, hash_, problem, metadata in rows
        }

    def record_files(self, records: Iterable[FileRecord]) -> None:
        """Remember files that were touched and not changed."""
        with self._transaction() as db:
            _put_files(db, records)

    def fields(self) -> Set[str]:
        """The metadata fields that any document has."""
        with self._mutex:
            if self._fields is None:
                rows = self._db.execute("SELECT DISTINCT key FROM files, json_each(files.metadata)")
                self._fields = frozenset(row[0] for row in rows)
            return self._fields

    def counts(self, *, stored: bool = False) -> dict[str, int]:
        """Group → number of committed nodes; ``stored``: only of groups that are in a store."""
        with self._mutex:
            if self._counts is None:
                query = "SELECT grp, COUNT(*), SUM(body IS NULL) FROM nodes GROUP BY grp"
                self._counts = self._rows(query)
            return {
                group: (held if stored else all_) for group, all_, held in self._counts if held or not stored
            }

    def stored_ids(self, *, document: str | None = None, group: str | None = None) -> dict[str, str]:
        """Committed nodes that are in a store, id → group, of one document, of one group or of all."""
        return dict(
            self._rows(
                "SELECT id, grp FROM nodes WHERE body IS NULL"
                " AND (?1 IS NULL OR document = ?1) AND (?2 IS NULL OR grp = ?2)",
                (document, group),
            )
        )

    def stores(self) -> set[str]:
        """All groups that ever had a store."""
        return {row[0] for row in self._rows("SELECT grp FROM stores")}

    def add_stores(self, groups: Iterable[str]) -> None:
        """These groups are about to get a store."""
        with self._transaction() as db:
            db.executemany("INSERT OR IGNORE INTO stores VALUES(?)", ((group,) for group in groups))

    def documents_of(self, ids: Sequence[str]) -> set[str]:
        """The documents to which these nodes belong."""
        return {row[0] for row in self._select("SELECT document FROM nodes WHERE id IN", ids)}

    def get(self, ids: Sequence[str]) -> list[Node]:
        """Nodes whose text is here, in the order of ``ids``; unknown ids are left out."""
        rows = self._select("SELECT id, body FROM nodes WHERE body IS NOT NULL AND id IN", ids)
        found = {node_id: Node(**json.loads(body)) for node_id, body in rows}
        return [found[node_id] for node_id in ids if node_id in found]

    def pending(self) -> dict[str, str]:
        """Nodes, id → group, that a store may hold and the library must not show."""
        return dict(self._rows("SELECT id, grp FROM pending"))

    def announce(self, nodes: Iterable[Node]) -> None:
        """Step 1: these nodes are about to be added to a store."""
        with self._transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO pending VALUES(?, ?)", ((node.id, node.group) for node in nodes)
            )

    def commit(self, changes: Sequence[Change], searched: Collection[str]) -> dict[str, str]:
        """Step 3, after the store's flush: the changes become the truth, all at once.

        ``searched`` names the groups whose nodes are in a store. Returns the superseded nodes
        (id → group); they are pending until ``settle``.
        """
        superseded: dict[str, str] = {}
        with self._transaction() as db:
            for change in changes:
                superseded |= self.stored_ids(document=change.document)
                db.execute("DELETE FROM nodes WHERE document = ?", (change.document,))
                db.execute("DELETE FROM files WHERE id = ?", (change.document,))
                db.executemany(
                    "INSERT INTO nodes VALUES(?, ?, ?, ?)",
                    (
                        (n.id, n.document, n.group, None if n.group in searched else _body(n))
                        for n in change.nodes
                    ),
                )
            _put_files(db, (change.file for change in changes if change.file))
            kept = [node.id for change in changes for node in change.nodes if node.group in searched]
            for node_id in kept:
                superseded.pop(node_id, None)
            db.executemany("DELETE FROM pending WHERE id = ?", ((node_id,) for node_id in kept))
            db.executemany("INSERT OR REPLACE INTO pending VALUES(?, ?)", superseded.items())
        return superseded

    def settle(self, ids: Iterable[str]) -> None:
        """Step 4, after the store deleted these nodes: nothing is left to do about them."""
        with self._transaction() as db:
            db.executemany("DELETE FROM pending WHERE id = ?", ((node_id,) for node_id in ids))

    def forget(self, documents: Iterable[str]) -> None:
        """Drop documents so that the next comparison with the folder ingests them again.

        Their nodes that a store still holds become pending, as after any interrupted change.
        """
        with self._transaction() as db:
            for document in documents:
                db.execute(
                    "INSERT OR REPLACE INTO pending"
                    " SELECT id, grp FROM nodes WHERE document = ? AND body IS NULL",
                    (document,),
                )
                db.execute("DELETE FROM nodes WHERE document = ?", (document,))
                db.execute("DELETE FROM files WHERE id = ?", (document,))

    def reset(self) -> None:
        """Forget everything."""
        with self._transaction() as db:
            for table in ("meta", "files", "nodes", "pending", "stores"):
                db.execute(f"DELETE FROM {table}")

    def _select(self, query: str, ids: Sequence[str]) -> list[Any]:
        rows: list[Any] = []
        for start in range(0, len(ids), 500):  # SQLite bounds the variables of one statement
            part = ids[start : start + 500]
            rows += self._rows(f"{query} ({','.join('?' * len(part))})", part)
        return rows


def _body(node: Node) -> str:
    return json.dumps(asdict(node), ensure_ascii=False)


def _put_files(db: sqlite3.Connection, records: Iterable[FileRecord]) -> None:
    db.executemany(
        "INSERT OR REPLACE INTO files VALUES(?, ?, ?, ?, ?, ?)",
        (
            (
                r.id,
                json.dumps(r.stamp),
                r.seen_ns,
                r.hash,
                r.problem,
                json.dumps(dict(r.metadata), ensure_ascii=False),
            )
            for r in records
        ),
    )
