"""The durable half of a knowledge base: stores and manifest, changed together or not at all.

One store a searched group, one manifest, one lock. ``apply`` follows the four steps of ``manifest``;
opening undoes or finishes what a crash interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from ragcourse.documents import Hit, Node
from ragcourse.manifest import Change, Manifest
from ragcourse.stores import DamagedError, Store, Vectors, Where, erase_store, make_store
from ragcourse.timing import span


class LibraryError(RuntimeError):
    """The library cannot be opened or written; the message says what to do."""


class LibraryLocked(LibraryError):
    """The library is open already, here or in another process."""


class Library:
    """Committed nodes of the ``searched`` groups in stores, everything else in the manifest.

    ``settings`` (fingerprint and dimension of the embedder) must be those under which the library
    was written; ``rebuild`` deletes it first. ``home`` is None for a library in memory.
    ``recovered`` counts the nodes of an interrupted change that opening cleared away.
    Raises ``LibraryLocked``, and ``LibraryError`` for other settings or a place that cannot be used.
    """

    def __init__(
        self,
        store_conf: Mapping[str, Any] | None,
        home: Path | None,
        searched: Sequence[str],
        settings: Mapping[str, str],
        *,
        rebuild: bool = False,
    ) -> None:
        self.searched = tuple(searched)
        self.stores: dict[str, Store] = {}
        self._store_conf = store_conf
        self._dim = int(settings["dim"])
        # In a store, but not (or no longer) committed. Never changed, but replaced by another object
        # at every step of a change: a search that finds the same one before and after saw one state.
        self._hidden: Set[str] = set()
        self.whole = True  # False once a change was interrupted: opening anew clears up what it left
        with ExitStack() as opened:
            try:
                self._open_manifest(opened, home, settings, rebuild)
                held = self._open_stores(opened)
            except OSError as error:
                raise LibraryError(f"the library at {home} cannot be opened: {error}") from error
            self.recovered = self._recover(held)
            self._opened = opened.pop_all()

    def _open_manifest(
        self, opened: ExitStack, home: Path | None, settings: Mapping[str, str], rebuild: bool
    ) -> None:
        if home:
            opened.callback(acquire(home).release)
        self.manifest = _open_manifest(home and home.with_name(home.name + ".sqlite"), rebuild)
        opened.callback(self.manifest.close)
        if rebuild:
            self._destroy()
        self._check(settings)
        self.manifest.add_stores(self.searched)

    def _open_stores(self, opened: ExitStack) -> dict[str, Future[int]]:
        """Open the stores side by side; returns how many nodes each one holds, if it can tell."""

        made: dict[str, Store] = {}

        def open_store(name: str) -> Future[int]:
            made[name] = make_store(self._store_conf, self._dim, name)
            return pool.submit(made[name].count)

        try:
            with ThreadPoolExecutor(len(self.searched)) as pool:
                opening = pool.map(open_store, self.searched)
                self.manifest.counts()  # which takes a while, too, and is kept
                held = dict(zip(self.searched, opening, strict=True))
        finally:
            for store in made.values():
                opened.callback(store.close)
        self.stores = {name: made[name] for name in self.searched}
        return held

    def close(self) -> None:
        """Release stores, manifest and lock."""
        self._opened.close()

    def _check(self, settings: Mapping[str, str]) -> None:
        written = self.manifest.meta()
        for key, value in settings.items():
            if written.get(key, value) != value:
                raise LibraryError(
                    f"the library was written with {key} {written[key]!r}, this one is {value!r}: "
                    "their vectors cannot be compared. start(rebuild=True) embeds everything again; "
                    "or choose another place in store_conf"
                )
        if any(key not in written for key in settings):
            self.manifest.set_meta(settings)

    def _destroy(self) -> None:
        self.manifest.forget(self.manifest.files())  # a crash from here on leaves an empty library
        for name in {*self.manifest.stores(), *self.searched}:
            erase_store(self._store_conf, name)
        self.manifest.reset()

    def _recover(self, held: Mapping[str, Future[int]]) -> int:
        """Clear away what an interrupted change left, and find what a store has lost.

        Returns the number of nodes cleared away. Documents with lost nodes are forgotten, so that
        the next comparison with the folder brings them back.
        """
        pending = self.manifest.pending()
        counts = self.manifest.counts(stored=True)
        for name, store in self.stores.items():
            if name not in pending.values() and held[name].result() == counts.get(name, 0):
                continue
            known = self.manifest.stored_ids(group=name).keys()
            store.restore(known)
            self.manifest.settle([node_id for node_id, group in pending.items() if group == name])
            self.manifest.forget(self.manifest.documents_of(sorted(known - store.ids())))
        self._purge(self.manifest.pending())
        return len(pending)

    def apply(
        self, changes: Sequence[Change], embed: Callable[[Sequence[Node]], Vectors]
    ) -> tuple[list[Node], Vectors, dict[str, str]]:
        """Make the documents' new state the truth; all of it becomes visible at one moment.

        Only nodes that the stores lack are embedded and added. Returns these, their vectors (n, dim),
        and the superseded nodes as id → group.
        """
        held = {
            node_id for change in changes for node_id in self.manifest.stored_ids(document=change.document)
        }
        nodes = {node.id: node for change in changes for node in change.nodes if node.group in self.searched}
        fresh = [node for node_id, node in nodes.items() if node_id not in held]
        vectors = np.empty((0, self._dim), np.float32)
        if fresh:
            with span("embed"):
                vectors = embed(fresh)
        self.whole = False
        with span("write"):
            if fresh:
                self._hidden = {node.id for node in fresh}
                self.manifest.announce(fresh)
                self._add(fresh, vectors)
            superseded = self.manifest.commit(changes, self.searched)
            self._hidden = superseded.keys()  # one assignment: the new appear as the old vanish
            self._purge(superseded)
            self._hidden = set()
        self.whole = True
        return fresh, vectors, superseded

    def _add(self, nodes: Sequence[Node], vectors: Vectors) -> None:
        for name, store in self.stores.items():
            rows = [row for row, node in enumerate(nodes) if node.group == name]
            if rows:
                store.add([nodes[row] for row in rows], vectors[rows])
                store.flush()

    def _purge(self, ids: Mapping[str, str]) -> None:
        """Delete nodes, id → group, from their stores; then the manifest may forget them."""
        for name in sorted(set(ids.values())):
            with ExitStack() as opened:
                store = self.stores.get(name)
                if store is None:  # a group that is no longer searched
                    store = make_store(self._store_conf, self._dim, name)
                    opened.callback(store.close)
                store.delete([node_id for node_id, group in ids.items() if group == name])
                store.flush()
        if ids:
            self.manifest.settle(ids)

    def search(self, vector: Vectors, k: int, group: str, where: Where | None = None) -> list[Hit]:
        """The ``k`` nearest committed nodes, also while ``apply`` runs in another thread."""
        store = self.stores[group]
        while True:
            hidden = self._hidden
            hits = store.search(vector, k + len(hidden), where)
            if hidden is self._hidden:
                return [hit for hit in hits if hit.node.id not in hidden][:k]


def _open_manifest(path: Path | None, rebuild: bool) -> Manifest:
    try:
        return Manifest(path)
    except DamagedError:
        if not rebuild or path is None:
            raise
    for ending in ("", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    return Manifest(path)


def acquire(home: Path) -> FileLock:
    """Lock the library before its database is opened: two engines in one folder destroy it."""
    home.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home.with_name(home.name + ".lock"), thread_local=False)  # any thread may close it
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise LibraryLocked(
            f"the library in {home.parent} is open already, here or in another process; "
            "close it there, or choose another place in store_conf"
        ) from None
    return lock
