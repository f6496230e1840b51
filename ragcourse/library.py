"""The durable half of a knowledge base: stores and manifest, changed together or not at all.

One store a searched group, one manifest, one lock. ``apply`` follows the four steps of ``manifest``;
``recover`` undoes or finishes what a crash interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ragcourse.documents import Hit, Node
from ragcourse.manifest import Change, Manifest
from ragcourse.stores import Store, Vectors, Where, make_store
from ragcourse.timing import span


class LibraryError(RuntimeError):
    """The library cannot be opened or written; the message says what to do."""


class LibraryLocked(LibraryError):
    """The library is open already, here or in another process."""


class Library:
    """Committed nodes of the ``searched`` groups in stores, everything else in the manifest.

    ``settings`` (fingerprint and dimension of the embedder) must be those under which the library
    was written; ``rebuild`` deletes it first. ``home`` is None for a library in memory.
    Raises ``LibraryLocked``, and ``LibraryError`` for other settings.
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
        self._hidden: frozenset[str] = frozenset()  # in a store, but not (or no longer) committed
        self._lock = _acquire(home) if home else None
        try:
            self.manifest = Manifest(home and home.with_name(home.name + ".sqlite"))
            if rebuild:
                self._destroy()
            self._check(settings)
            for name in searched:
                self.stores[name] = make_store(store_conf, self._dim, name)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release stores, manifest and lock."""
        for store in self.stores.values():
            store.close()
        if hasattr(self, "manifest"):
            self.manifest.close()
        if self._lock is not None:
            self._lock.release()

    def _check(self, settings: Mapping[str, str]) -> None:
        written = self.manifest.meta()
        for key, value in settings.items():
            if written.get(key, value) != value:
                raise LibraryError(
                    f"the library was written with {key} {written[key]!r}, this one is {value!r}: their vectors cannot be "
                    "compared. start(rebuild=True) embeds everything again; or choose another place in store_conf"
                )
        if any(key not in written for key in settings):
            self.manifest.set_meta(settings)

    def _destroy(self) -> None:
        written = self.manifest.meta()
        for name in self.manifest.stored_groups():
            make_store(self._store_conf, int(written["dim"]), name).drop()
        self.manifest.reset()

    def recover(self) -> int:
        """Clear away what an interrupted change left, and find what a store has lost.

        Returns the number of nodes cleared away. Documents with lost nodes are forgotten, so that
        the next comparison with the folder brings them back.
        """
        pending = self.manifest.pending()
        counts = self.manifest.counts(stored=True)
        self._purge(pending)
        for name, store in self.stores.items():
            if store.count() == counts.get(name, 0):
                continue
            held, known = store.ids(), self.manifest.stored_ids(group=name)
            store.delete(held - known.keys())
            store.flush()
            self.manifest.forget(self.manifest.documents_of(sorted(known.keys() - held)))
            self._purge(self.manifest.pending())
        return len(pending)

    def apply(
        self, changes: Sequence[Change], embed: Callable[[Sequence[Node]], Vectors]
    ) -> tuple[list[Node], dict[str, str]]:
        """Make the documents' new state the truth; all of it becomes visible at one moment.

        Only nodes that the stores lack are embedded and added. Returns these, and the superseded
        ones as id → group.
        """
        held = {node_id for change in changes for node_id in self.manifest.stored_ids(document=change.document)}
        nodes = {node.id: node for change in changes for node in change.nodes if node.group in self.searched}
        fresh = [node for node_id, node in nodes.items() if node_id not in held]
        if fresh:
            with span("embed"):
                vectors = embed(fresh)
        with span("write"):
            if fresh:
                self._hidden = frozenset(node.id for node in fresh)
                self.manifest.announce(fresh)
                self._add(fresh, vectors)
            superseded = self.manifest.commit(changes, self.searched)
            self._hidden = frozenset(superseded)  # one assignment: the new appear as the old vanish
            self._purge(superseded)
            self._hidden = frozenset()
        return fresh, superseded

    def _add(self, nodes: Sequence[Node], vectors: Vectors) -> None:
        for name, store in self.stores.items():
            rows = [row for row, node in enumerate(nodes) if node.group == name]
            if rows:
                store.add([nodes[row] for row in rows], vectors[rows])
                store.flush()

    def _purge(self, ids: Mapping[str, str]) -> None:
        """Delete nodes, id → group, from their stores; then the manifest may forget them."""
        for name in sorted(set(ids.values())):
            open_store = self.stores.get(name)
            store = open_store or make_store(self._store_conf, self._dim, name)
            store.delete([node_id for node_id, group in ids.items() if group == name])
            store.flush()
            if open_store is None:  # a group that is no longer searched
                store.close()
        if ids:
            self.manifest.settle(ids)

    def search(self, vector: Vectors, k: int, group: str, where: Where | None = None) -> list[Hit]:
        """The ``k`` nearest committed nodes, also while ``apply`` runs in another thread."""
        store = self.stores[group]
        hidden = self._hidden
        hits = store.search(vector, k, where)
        if hidden or self._hidden:
            hidden |= self._hidden
            hits = [hit for hit in store.search(vector, k + len(hidden), where) if hit.node.id not in hidden][:k]
        return hits


def _acquire(home: Path) -> FileLock:
    """Lock the library before its database is opened: two engines in one folder destroy it."""
    home.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home.with_name(home.name + ".lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise LibraryLocked(
            f"the library in {home.parent} is open already, here or in another process; "
            "close it there, or choose another place in store_conf"
        ) from None
    return lock
