"""A folder of files becomes a searchable library, and stays one after a restart.

``start`` compares the folder with the manifest and does only what changed; a warm start of an
unchanged folder opens the store and looks at every file's stamp, and parses and embeds nothing.
The order of the writes that makes a change atomic is described in ``manifest``.
"""

from __future__ import annotations

import inspect
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ragcourse import __version__
from ragcourse.documents import ROOT_GROUP, Hit, Node, content_hash
from ragcourse.embedders import Embedder, StaticEmbedder
from ragcourse.folder_diff import compare
from ragcourse.indexes import Index, VectorFed
from ragcourse.ingest import Cutter, NodeEmbedder, with_title
from ragcourse.library import Library, LibraryError, LibraryLocked
from ragcourse.manifest import Change
from ragcourse.readers import READERS, FileEntry, scan
from ragcourse.registered_indexes import Make, RegisteredIndexes
from ragcourse.splitters import GroupTree, Splitter, fingerprint
from ragcourse.start_report import StartReport
from ragcourse.stores import (
    DamagedError,
    MismatchError,
    Store,
    StoreError,
    Vectors,
    Where,
    parse_conf,
)
from ragcourse.stores.base import NODE_FIELDS
from ragcourse.timing import span

__all__ = ["KnowledgeBase", "LibraryError", "LibraryLocked", "StartReport", "with_title"]


class KnowledgeBase:
    """A library over ``folder``.

    ``store_conf`` is the form of the reference texts (``stores.make_store``; None: in memory),
    ``embedder`` defaults to the static one. ``groups`` names the groups that are searched: presets
    (CoarseChunk, MediumChunk, FineChunk, sentence), or others made with ``create_node_group``. Only
    these are embedded; of the rest only their parents are built. A node's vector is mixed with that
    of its parent, ``context`` to (1 - ``context``): a sentence alone often does not say what it is
    about. ``home`` is where the manifest goes if the store is a server; otherwise it lies beside
    the store's own files.
    """

    def __init__(
        self,
        folder: str | Path,
        store_conf: Mapping[str, Any] | None = None,
        embedder: Embedder | None = None,
        *,
        groups: Sequence[str] = (),
        embed_text: Callable[[Node], str] = with_title,
        context: float = 0.5,
        home: str | Path | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.embedder: Embedder = embedder if embedder is not None else StaticEmbedder()
        self._store_conf = store_conf
        self._store_class, store_kwargs = parse_conf(store_conf)
        self._home = Path(home) if home is not None else self._store_class.home(**store_kwargs)
        if self._store_class.persistent and self._home is None:
            raise ValueError(
                "the store is a server: say with home=… where the library's manifest is to be kept"
            )
        if self._home is not None and _would_be_scanned(self._home, self.folder):
            raise ValueError(
                f"the store's place {self._home.parent} lies in the folder of documents {self.folder}, "
                "where its files would be taken for documents: choose one outside, or a folder .name"
            )
        if not 0 <= context < 1:
            raise ValueError(
                f"context is {context}; the parent's share in a vector is at least 0 and below 1"
            )
        self._embed_text, self._context = embed_text, context
        self._groups = GroupTree()
        self._searched: list[str] = []
        self._indexes = RegisteredIndexes(self.embedder, self._home)
        self._library: Library | None = None
        self._starting = threading.Lock()
        self._in_step = True  # do the indexes hold what the library holds?
        for name in groups:
            self.search_group(name)
        for name, index in dict((store_conf or {}).get("indices") or {}).items():
            self._indexes.register_store(name, index)

    # ---- what the library is made of: said before start() ----

    def create_node_group(self, name: str, transform: Splitter, parent: str = ROOT_GROUP) -> None:
        """Define a group and have it searched. ``transform``: text → spans ``(start, end)`` or strings."""
        self._before_start("create_node_group")
        self._groups.define(name, transform, parent)
        self.search_group(name)

    def search_group(self, name: str) -> None:
        """Have the nodes of a group embedded and searched."""
        group = self._groups[name]
        if name not in self._searched:
            self._before_start(f"search_group({name!r})")
            self._searched.append(group.name)

    def register_index(
        self, name: str, make: Make | None = None, *args: Any, group: str | None = None, **settings: Any
    ) -> None:
        """Keep an index of the nodes of ``group`` up to date; ``Retriever(kb, index=name)`` queries it.

        ``make`` is the name of one of the course's own kinds (``indexes.kinds``; by default that of
        the index), the class of such a structure, or anything that, called with ``args`` and
        ``settings``, returns an ``Index``. ``group`` defaults to the first searched one.

            kb.register_index("trie")
            kb.register_index("fast", "hnsw", M=32, ef=100)
            kb.register_index("mine", MyIndex, kb.embedder, group="sentence")
        """
        self._before_start("register_index")
        self._indexes.register(name, name if make is None else make, args, group, settings)
        if group is not None:
            self.search_group(group)

    def _before_start(self, what: str) -> None:
        if self._library is not None:
            raise LibraryError(f"{what} changes what the library is made of: call it before start()")

    @property
    def group(self) -> str:
        """The group that is searched unless another one is named."""
        return self._searched[0] if self._searched else "sentence"

    def parent_group(self, group: str) -> str | None:
        """The group whose nodes those of ``group`` are cut from; None if it cuts whole documents."""
        parent = self._groups[group].parent
        return None if parent == ROOT_GROUP else parent

    # ---- opening, bringing up to date, closing ----

    def start(self, *, progress: bool = False, rebuild: bool = False) -> StartReport:
        """Bring the library up to date with the folder and open it for search.

        Files that cannot be read are reported and skipped. ``rebuild`` throws the library away
        first. Raises ``FileNotFoundError`` for a missing folder, ``LibraryLocked`` if it is open
        elsewhere, ``LibraryError`` if it was written with another embedder (nothing is changed
        then), the folder holds none of its documents any more, or the store fails (nothing that was
        committed is lost). A library that is open already is brought up to date and answers
        meanwhile; of two threads that start it one waits.
        """
        with self._starting:
            return self._start(progress, rebuild)

    def _start(self, progress: bool, rebuild: bool) -> StartReport:
        begin = time.perf_counter()
        report = StartReport()
        files = scan(self.folder)
        if not self._searched:
            self._searched.append("sentence")
        serving = self._library is not None and not rebuild
        try:
            with span("open"), ThreadPoolExecutor(1) as pool:
                scanning = pool.submit(list[FileEntry], files)  # while a database opens, as the next
                cutting = pool.submit(self._recipe)
                if rebuild:
                    self._close()
                    self._indexes.forget()
                if self._library is None:
                    self._library = self._open(rebuild)
                    report.recovered = self._library.recovered
                library = self._library
            self._update(library, scanning.result(), cutting.result(), report, progress)
            self._indexes.fill(library, self.group, self._settings())
        except (DamagedError, MismatchError) as error:
            self._close()
            raise LibraryError(f"{error}. start(rebuild=True) builds the library again") from error
        except (StoreError, sqlite3.Error) as error:
            self._close()
            raise LibraryError(
                f"the library could not be written: {error}. All that was committed before is safe; mend "
                f"the cause (a full disk? {_free(self._home)}) and start again"
            ) from error
        except BaseException:
            if not (serving and self._in_step and self._library and self._library.whole):
                self._close()
            raise
        report.nodes = library.manifest.counts()
        report.seconds = time.perf_counter() - begin
        return report

    def close(self) -> None:
        """Release stores, manifest and lock; ``start`` opens them again. Waits for a start that runs."""
        with self._starting:
            self._close()

    def _close(self) -> None:
        with ExitStack() as closing:
            if self._library is not None:
                closing.callback(self._library.close)
            closing.callback(self._indexes.close)
            self._library = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def _settings(self) -> dict[str, str]:
        """What the vectors depend on."""
        return {
            "embedder": self.embedder.fingerprint,
            "dim": str(self.embedder.dim),
            "context": str(self._context),
            "embed_text": fingerprint(self._embed_text),
        }

    def _open(self, rebuild: bool) -> Library:
        return Library(self._store_conf, self._home, self._searched, self._settings(), rebuild=rebuild)

    def _update(
        self,
        library: Library,
        entries: Sequence[FileEntry],
        recipe: str,
        report: StartReport,
        progress: bool,
    ) -> None:
        manifest = library.manifest
        recut = manifest.meta().get("groups") != recipe
        with span("compare"):
            diff = compare(entries, manifest.files(), recheck=recut)
        report.unchanged = [record.id for record in diff.unchanged if not record.problem]
        report.removed, report.skipped = list(diff.removed), diff.skipped
        if diff.removed and not (diff.unchanged or diff.added or diff.changed):
            raise LibraryError(
                f"the folder {self.folder} holds none of the {len(diff.removed)} documents of this library: "
                "is it the right one, and is its drive there? start(rebuild=True) empties the library"
            )
        if recut:  # until every document is cut anew, the library has no one recipe
            manifest.set_meta({"groups": ""})
        if diff.touched:
            manifest.record_files(diff.touched)
        cutter = Cutter(self.folder, self._groups.chain(self._searched), self._searched, self._store_class)
        for batch in cutter.batches(diff, report, progress):
            self._apply(library, batch)
        if diff.removed:
            self._apply(library, [Change(name, None, ()) for name in diff.removed])
        if recut and not diff.unchanged and not diff.unread:  # else some were not within reach to be cut
            manifest.set_meta({"groups": recipe})

    def _recipe(self) -> str:
        """Changes when the same files would give other nodes: another reader, splitter or release."""
        readers = [(ending, fingerprint(inspect.unwrap(made))) for ending, made in sorted(READERS.items())]
        groups = [
            (group.name, group.parent, fingerprint(group.transform))
            for group in self._groups.chain(self._searched)
        ]
        return content_hash(__version__, repr(readers), repr(groups), repr(sorted(self._searched)))

    def _apply(self, library: Library, changes: Sequence[Change]) -> None:
        by_id = {node.id: node for change in changes for node in change.nodes}
        embedder = NodeEmbedder(self.embedder, self._embed_text, self._context)
        fresh, vectors, superseded = library.apply(changes, lambda nodes: embedder.embed(nodes, by_id))
        self._in_step = False
        self._indexes.apply(fresh, vectors, superseded)
        self._in_step = True

    # ---- what an open library answers ----

    @property
    def library(self) -> Library:
        """The open library. Raises ``LibraryError`` before ``start``."""
        if self._library is None:
            raise LibraryError("the library is not open: call start() first")
        return self._library

    def search(
        self, vector: Vectors, k: int, group: str | None = None, where: Where | None = None
    ) -> list[Hit]:
        """The ``k`` committed nodes of ``group`` nearest to ``vector`` (dim,), best first.

        Raises ``ValueError`` for k < 1, a wrong dimension, a group that is not searched, a filter
        field that no document has.
        """
        if where:
            self._check_filter(where)
        self.store(group)
        return self.library.search(vector, k, group or self.group, where)

    def store(self, group: str | None = None) -> Store:
        """The open store of a searched group."""
        stores = self.library.stores
        if (name := group or self.group) not in stores:
            raise ValueError(f"group {name!r} is not searched in this library; it has {', '.join(stores)}")
        return stores[name]

    def index(self, name: str) -> Index | VectorFed:
        """A registered index, filled and up to date. Raises ``LibraryError`` before ``start``."""
        if self._library is None:
            raise LibraryError("the library is not open: call start() first")
        self.index_group(name)
        return self._indexes[name]

    def index_group(self, name: str) -> str:
        """The group whose nodes a registered index holds; that of ``"default"`` is ``group``."""
        return self.group if name == "default" else self._indexes.group(name) or self.group

    def get(self, ids: Sequence[str], group: str) -> list[Node]:
        """Nodes of any group by id, in order; unknown ids are left out."""
        stores = self.library.stores
        return stores[group].get(ids) if group in stores else self.library.manifest.get(ids)

    def count(self, group: str | None = None) -> int:
        """Committed nodes of a group (default: the first searched one)."""
        return self.library.manifest.counts().get(group or self.group, 0)

    def documents(self) -> list[str]:
        """Ids of the documents in the library."""
        return sorted(record.id for record in self.library.manifest.files().values() if not record.problem)

    def _check_filter(self, where: Where) -> None:
        fields = {*NODE_FIELDS, "title", *self.library.manifest.fields()}
        for name in where:
            if name not in fields:
                raise ValueError(
                    f"no document has a field {name!r} to filter by; have {', '.join(sorted(fields))}"
                )


def _would_be_scanned(home: Path, folder: Path) -> bool:
    place, root = home.resolve(), folder.resolve()
    return place.is_relative_to(root) and not any(
        part.startswith(".") for part in place.relative_to(root).parts
    )


def _free(home: Path | None) -> str:
    if home is None:
        return "It is in memory"
    return f"It has {shutil.disk_usage(home.parent).free / 2**20:,.1f} MiB left"
