"""A folder of files becomes a searchable library, and stays one after a restart.

``start`` compares the folder with the manifest and does only what changed; a warm start of an
unchanged folder opens the store and looks at every file's stamp, and parses and embeds nothing.
The order of the writes that makes a change atomic is described in ``manifest``.
"""

from __future__ import annotations

import inspect
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from ragcourse import __version__
from ragcourse.documents import ROOT_GROUP, Hit, Metadata, Node, check_metadata, content_hash
from ragcourse.embedders import Embedder, StaticEmbedder
from ragcourse.folder_diff import FolderDiff, compare
from ragcourse.indexes import Index
from ragcourse.library import Library, LibraryError, LibraryLocked, acquire
from ragcourse.manifest import Change, FileRecord
from ragcourse.progress import Progress
from ragcourse.readers import READERS, FileEntry, ReadError, read, scan
from ragcourse.splitters import NodeGroup, Splitter, cut, default_groups, fingerprint
from ragcourse.stores import (
    DamagedError,
    MismatchError,
    Store,
    StoreError,
    Vectors,
    Where,
    erase_store,
    make_store,
    parse_conf,
)
from ragcourse.stores.as_index import StoreIndex
from ragcourse.stores.base import NODE_FIELDS
from ragcourse.timing import format_seconds, span

__all__ = ["KnowledgeBase", "LibraryError", "LibraryLocked", "StartReport", "with_title"]

_SHOWN = 10  # skipped files that a report prints by name
_BATCH = 1000  # nodes written to the store and committed at a time


@dataclass(slots=True)
class StartReport:
    """What a start did. Lists hold document ids; ``skipped`` pairs of file and reason."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    recovered: int = 0  # nodes of an interrupted change that were cleared away
    nodes: dict[str, int] = field(default_factory=dict)  # group → nodes after the start
    seconds: float = 0.0

    @property
    def warm(self) -> bool:
        """True if nothing had to be read, cut or embedded."""
        return not (self.added or self.changed or self.removed)

    def __str__(self) -> str:
        nodes = ", ".join(f"{count:,} {group}" for group, count in self.nodes.items())
        text = (
            f"{'warm' if self.warm else 'cold'} start in {format_seconds(self.seconds)}: "
            f"{len(self.added)} added, "
            f"{len(self.changed)} changed, {len(self.removed)} removed, {len(self.unchanged)} unchanged; "
            f"{nodes or 'no'} nodes"
        )
        shown = [f"{name}: {reason}" for name, reason in self.skipped[:_SHOWN]]
        more = (
            [f"{len(self.skipped) - _SHOWN} more: see report.skipped"] if len(self.skipped) > _SHOWN else []
        )
        return "\n  skipped ".join([text, *shown, *more])


def with_title(node: Node) -> str:
    """What is embedded of a node by default: the document's title and the text."""
    title = node.metadata.get("title")
    return f"{title}: {node.text}" if title else node.text


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
        if not 0 <= context < 1:
            raise ValueError(
                f"context is {context}; the parent's share in a vector is at least 0 and below 1"
            )
        self._embed_text, self._context = embed_text, context
        self._groups = default_groups()
        self._searched: list[str] = []
        self._indexes: dict[str, tuple[str | None, Callable[[], Index | StoreIndex]]] = {}
        self._live: dict[str, tuple[str, Index | StoreIndex]] = {}
        self._library: Library | None = None
        self._starting = threading.Lock()
        self._in_step = True  # do the indexes hold what the library holds?
        for name in groups:
            self.search_group(name)
        for name, index in dict((store_conf or {}).get("indices") or {}).items():
            self._register_store_index(name, index)

    # ---- what the library is made of: said before start() ----

    def create_node_group(self, name: str, transform: Splitter, parent: str = ROOT_GROUP) -> None:
        """Define a group and have it searched. ``transform``: text → spans ``(start, end)`` or strings."""
        self._before_start("create_node_group")
        if parent != ROOT_GROUP and parent not in self._groups:
            raise ValueError(
                f"group {name!r}: there is no parent group {parent!r}; have {', '.join(self._groups)}"
            )
        if not callable(transform):
            raise ValueError(
                f"group {name!r}: transform is a {type(transform).__name__}, not a function of a text"
            )
        if not re.fullmatch(r"[A-Za-z0-9_]{0,63}[A-Za-z0-9]", name) or name == ROOT_GROUP:
            raise ValueError(
                f"{name!r} cannot name a group: use letters, digits and underscores, at most 64, a letter "
                f"or digit at the end, and not {ROOT_GROUP!r}, which is the whole text"
            )
        ancestor: str | None = parent
        while ancestor in self._groups:
            if ancestor == name:
                raise ValueError(
                    f"group {name!r} would be cut from its own nodes: its parent {parent!r} comes from it"
                )
            ancestor = self._groups[ancestor].parent
        self._groups[name] = NodeGroup(name, transform, parent)
        self.search_group(name)

    def search_group(self, name: str) -> None:
        """Have the nodes of a group embedded and searched."""
        if name not in self._groups:
            raise ValueError(f"there is no group {name!r}; have {', '.join(self._groups)}")
        if name not in self._searched:
            self._before_start(f"search_group({name!r})")
            self._searched.append(name)

    def register_index(
        self, name: str, make: Callable[..., Index | StoreIndex], *args: Any, group: str | None = None
    ) -> None:
        """Have ``make(*args)`` called at start, filled with the nodes of ``group`` and kept up to date.

        ``Retriever(kb, index=name)`` queries it. ``group`` defaults to the first searched one.
        """
        self._before_start("register_index")
        if name == "default" or name in self._indexes:
            raise ValueError(f"the name {name!r} is taken; choose another one for this index")
        self._indexes[name] = (group, lambda: make(*args))
        if group is not None:
            self.search_group(group)

    def _before_start(self, what: str) -> None:
        if self._library is not None:
            raise LibraryError(f"{what} changes what the library is made of: call it before start()")

    def _register_store_index(self, name: str, index: Any) -> None:
        where = f'store_conf["indices"][{name!r}]'
        if not isinstance(index, Mapping) or "backend" not in index:
            raise ValueError(f'{where} is {index!r}; it takes {{"backend": …, "kwargs": {{…}}}}')
        conf = {"type" if key == "backend" else key: value for key, value in index.items()}
        try:
            parse_conf(conf)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        self.register_index(name, self._store_index, name, conf)

    def _store_index(self, name: str, conf: Mapping[str, Any]) -> StoreIndex:
        store_class, kwargs = parse_conf(conf)
        with ExitStack() as opened:
            if home := store_class.home(**kwargs):
                opened.callback(acquire(home.with_name(f"{home.name}.{name}")).release)
            erase_store(conf, f"index_{name}")
            store = make_store(conf, self.embedder.dim, f"index_{name}")
            opened.callback(store.close)
            return StoreIndex(store, self.embedder, opened.pop_all())

    @property
    def group(self) -> str:
        """The group that is searched unless another one is named."""
        return self._searched[0] if self._searched else "sentence"

    def parent_group(self, group: str) -> str | None:
        """The group whose nodes those of ``group`` are cut from; None if it cuts whole documents."""
        if group not in self._groups:
            raise ValueError(f"there is no group {group!r}; have {', '.join(self._groups)}")
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
        entries = list(scan(self.folder))
        serving = self._library is not None and not rebuild
        try:
            with span("open"):
                if rebuild:
                    self._close()
                if self._library is None:
                    self._library = self._open(rebuild)
                    report.recovered = self._library.recovered
                library = self._library
            self._update(library, entries, report, progress)
            self._fill_indexes(library)
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
            for _, index in self._live.values():
                if isinstance(index, StoreIndex):
                    closing.callback(index.close)
            self._live, self._library = {}, None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, rebuild: bool) -> Library:
        if not self._searched:
            self._searched.append("sentence")
        settings = {
            "embedder": self.embedder.fingerprint,
            "dim": str(self.embedder.dim),
            "context": str(self._context),
            "embed_text": fingerprint(self._embed_text),
        }
        return Library(self._store_conf, self._home, self._searched, settings, rebuild=rebuild)

    def _update(
        self, library: Library, entries: Sequence[FileEntry], report: StartReport, progress: bool
    ) -> None:
        manifest = library.manifest
        recipe = self._recipe()
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
        for batch in self._batches(diff, report, progress):
            self._apply(library, batch)
        if diff.removed:
            self._apply(library, [Change(name, None, ()) for name in diff.removed])
        if recut and not diff.unchanged and not diff.unread:  # else some were not within reach to be cut
            manifest.set_meta({"groups": recipe})

    def _recipe(self) -> str:
        """Changes when the same files would give other nodes: another reader, splitter or release."""
        readers = [(ending, fingerprint(inspect.unwrap(made))) for ending, made in sorted(READERS.items())]
        groups = [(group.name, group.parent, fingerprint(group.transform)) for group in self._chain()]
        return content_hash(__version__, repr(readers), repr(groups), repr(sorted(self._searched)))

    def _apply(self, library: Library, changes: Sequence[Change]) -> None:
        by_id = {node.id: node for change in changes for node in change.nodes}
        fresh, vectors, superseded = library.apply(changes, lambda nodes: self._embed(nodes, by_id))
        self._in_step = False
        for group, index in self._live.values():
            index.remove([node_id for node_id, name in superseded.items() if name == group])
            if rows := [row for row, node in enumerate(fresh) if node.group == group]:
                _feed(index, [fresh[row] for row in rows], vectors[rows])
        self._in_step = True

    def _embed(self, nodes: Sequence[Node], by_id: Mapping[str, Node]) -> Vectors:
        vectors = self.embedder.embed([self._embed_text(node) for node in nodes])  # (n, dim)
        rows = [row for row, node in enumerate(nodes) if node.parent]
        if self._context and rows:
            place = {
                parent: i for i, parent in enumerate(dict.fromkeys(nodes[row].parent or "" for row in rows))
            }
            parents = self.embedder.embed([self._embed_text(by_id[parent]) for parent in place])
            mixed = (1 - self._context) * vectors[rows]
            mixed += self._context * parents[[place[nodes[row].parent or ""] for row in rows]]
            vectors[rows] = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
        return vectors

    def _chain(self) -> list[NodeGroup]:
        """The searched groups and all that they are cut from, parents first."""
        chain: dict[str, NodeGroup] = {}

        def visit(name: str) -> None:
            if name != ROOT_GROUP and name not in chain:
                visit(self._groups[name].parent)
                chain[name] = self._groups[name]

        for name in self._searched:
            visit(name)
        return list(chain.values())

    def _batches(self, diff: FolderDiff, report: StartReport, progress: bool) -> Iterator[list[Change]]:
        """Read and cut the new and changed files; hand them on in batches of about a thousand nodes."""
        chain, batch, size = self._chain(), list[Change](), 0
        added = {entry.id for entry in diff.added}
        work = [*diff.added, *diff.changed]
        with Progress(progress and bool(work)) as bar:
            bar.begin("reading, splitting, embedding", total=len(work))
            for entry in work:
                bar.advance()
                seen_ns = time.time_ns()
                try:
                    data = entry.path.read_bytes()
                except OSError as error:  # not its content is at fault: keep what we have of it
                    report.skipped.append((entry.id, f"cannot open the file: {error.strerror}"))
                    diff.unread.append(entry.id)
                    continue
                change = self._change(entry, data, seen_ns, chain)
                if change.file and change.file.problem:
                    report.skipped.append((entry.id, change.file.problem))
                    if entry.id not in added:
                        report.removed.append(entry.id)  # what it held before is no longer in the folder
                else:
                    (report.added if entry.id in added else report.changed).append(entry.id)
                batch.append(change)
                size += len(change.nodes)
                if size >= _BATCH:
                    yield batch
                    batch, size = [], 0
            if batch:
                yield batch

    def _change(self, entry: FileEntry, data: bytes, seen_ns: int, chain: Sequence[NodeGroup]) -> Change:
        def record(problem: str | None, metadata: Metadata) -> FileRecord:
            return FileRecord(entry.id, entry.stamp, seen_ns, content_hash(data), problem, metadata)

        try:
            with span("read"):
                document = read(entry.path, self.folder, data)
                check_metadata(document.metadata, document.id)
        except ReadError as error:
            return Change(entry.id, record(str(error), {}), ())
        with span("split"):
            nodes = cut(document, chain)
        longest = max((len(node.text.encode()) for node in nodes if node.group in self._searched), default=0)
        if (limit := self._store_class.max_text) is not None and longest > limit:
            problem = f"a passage of {longest:,} bytes: the {self._store_class.kind} store keeps {limit:,}"
            return Change(entry.id, record(problem, {}), ())
        return Change(entry.id, record(None, document.metadata), nodes)

    def _fill_indexes(self, library: Library) -> None:
        for name, (group, make) in self._indexes.items():
            if name not in self._live:
                with span(f"index {name}"):
                    index = make()
                    for nodes, vectors in library.stores[group or self.group].items():
                        _feed(index, nodes, vectors)
                    self._live[name] = (group or self.group, index)

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

    def index(self, name: str) -> Index | StoreIndex:
        """A registered index, filled and up to date. Raises ``LibraryError`` before ``start``."""
        if self._library is None:
            raise LibraryError("the library is not open: call start() first")
        if name not in self._live:
            raise ValueError(f"there is no index {name!r}; have {', '.join(['default', *self._indexes])}")
        return self._live[name][1]

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


def _feed(index: Index | StoreIndex, nodes: Sequence[Node], vectors: Vectors) -> None:
    if isinstance(index, StoreIndex):
        index.add(nodes, vectors)
    else:
        index.update(nodes)


def _free(home: Path | None) -> str:
    if home is None:
        return "It is in memory"
    return f"It has {shutil.disk_usage(home.parent).free / 2**20:,.1f} MiB left"
