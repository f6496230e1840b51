"""The indexes that a knowledge base keeps beside its stores: registered, filled, up to date, saved.

An index of vectors is written to a file beside the manifest. The next start takes it from there and
adds or removes only what has changed in the library since; a file that is damaged, or that was made
with other settings, is built anew. All other indexes are filled anew at each start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from glob import escape
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import numpy as np

from ragcourse.documents import Node
from ragcourse.embedders import Embedder
from ragcourse.indexes import Index, VectorFed
from ragcourse.indexes.keys.base import KeyIndex
from ragcourse.indexes.kinds import index_of_nodes, structure
from ragcourse.indexes.vector_nodes import VectorNodeIndex
from ragcourse.indexes.vectors.base import VectorIndex
from ragcourse.library import Library, LibraryError, acquire
from ragcourse.stores import Store, Vectors, erase_store, make_store, parse_conf
from ragcourse.stores.as_index import StoreIndex
from ragcourse.timing import span

Made = Index | VectorFed
Make = str | type[KeyIndex[Any, Any]] | type[VectorIndex] | Callable[..., Made]


class RegisteredIndexes:
    """Name → index. ``home`` is where the library's manifest lies, None for a library in memory."""

    def __init__(self, embedder: Embedder, home: Path | None) -> None:
        self._embedder, self._home = embedder, home
        self._groups: dict[str, str | None] = {}
        self._make: dict[str, Callable[[Store], Made]] = {}
        self._live: dict[str, tuple[str, Made]] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._make)

    def __getitem__(self, name: str) -> Made:
        if name not in self._live:
            raise LibraryError(f"the index {name!r} is not filled yet: wait until start() has returned")
        return self._live[name][1]

    def group(self, name: str) -> str | None:
        """The group that an index was registered for. ``ValueError`` for an unknown name."""
        if name not in self._groups:
            raise ValueError(f"there is no index {name!r}; have {', '.join(['default', *self._groups])}")
        return self._groups[name]

    def register(
        self, name: str, make: Make, args: Sequence[Any], group: str | None, settings: Mapping[str, Any]
    ) -> None:
        """``make``: the name of a kind, the class of a structure, or what returns an ``Index``."""
        if name == "default" or name in self._make:
            raise ValueError(f"the name {name!r} is taken; choose another one for this index")
        if isinstance(make, str):
            make = structure(make)
        if isinstance(make, type) and issubclass(make, (KeyIndex, VectorIndex)):
            if args:
                raise TypeError(f"index {name!r}: give the settings of {make.__name__} by name")
            index_of_nodes(make, self._embedder, **settings)  # wrong settings are told here, not at start
            made = make
            self._make[name] = lambda store: index_of_nodes(made, self._embedder, store.get, **settings)
        else:
            build = cast("Callable[..., Made]", make)
            self._make[name] = lambda _: build(*args, **settings)
        self._groups[name] = group

    def register_store(self, name: str, index: Any) -> None:
        """A store in the role of an index: ``store_conf["indices"]`` of the reference texts."""
        where = f'store_conf["indices"][{name!r}]'
        if not isinstance(index, Mapping) or "backend" not in index:
            raise ValueError(f'{where} is {index!r}; it takes {{"backend": …, "kwargs": {{…}}}}')
        conf = {"type" if key == "backend" else key: value for key, value in index.items()}
        try:
            parse_conf(conf)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        self.register(name, partial(_store_index, name, conf, self._embedder), (), None, {})

    def fill(self, library: Library, first_group: str, made_from: Mapping[str, str]) -> None:
        """Make those that are not there yet, with all nodes of their groups; save those that changed.

        ``LibraryError`` if one cannot be saved; what it is made from is safe.
        """
        for name, make in self._make.items():
            if name not in self._live:
                group = self._groups[name] or first_group
                with span(f"index {name}"):
                    store = library.stores[group]
                    index = make(store)
                    if isinstance(index, VectorNodeIndex):
                        self._bring_up_to_date(index, self._file(name), store, {"group": group, **made_from})
                    else:
                        for nodes, vectors in store.items():
                            _feed(index, nodes, vectors)
                    self._live[name] = (group, index)
        for name, (group, index) in self._live.items():
            file = self._file(name)
            if isinstance(index, VectorNodeIndex) and index.changed and file:
                with span(f"save index {name}"):
                    try:
                        index.save(file, {"group": group, **made_from})
                    except OSError as error:
                        raise LibraryError(
                            f"the index {name!r} could not be saved: {error}. The library itself is whole; "
                            "mend the cause (a full disk?) and start again"
                        ) from error

    def forget(self) -> None:
        """Delete the files, so that the next ``fill`` builds every index anew."""
        if self._home is not None:
            for file in self._home.parent.glob(f"{escape(self._home.name)}.*.index"):
                file.unlink()

    def apply(self, fresh: Sequence[Node], vectors: Vectors, superseded: Mapping[str, str]) -> None:
        """Carry a change of the library over: new nodes with their vectors, gone ones as id → group."""
        for group, index in self._live.values():
            index.remove([node_id for node_id, name in superseded.items() if name == group])
            if rows := [row for row, node in enumerate(fresh) if node.group == group]:
                _feed(index, [fresh[row] for row in rows], vectors[rows])

    def close(self) -> None:
        """Release what they hold; they must be filled again."""
        with ExitStack() as closing:
            for _, index in self._live.values():
                if isinstance(index, VectorFed):
                    closing.callback(index.close)
            self._live = {}

    def _file(self, name: str) -> Path | None:
        return self._home and self._home.with_name(f"{self._home.name}.{quote(name, safe='')}.index")

    def _bring_up_to_date(
        self, index: VectorNodeIndex, file: Path | None, store: Store, made_from: Mapping[str, str]
    ) -> None:
        if file is not None:
            index.load(file, made_from)
        stored = store.ids()
        index.remove(index.node_ids - stored)
        if missing := stored - index.node_ids:
            nodes: list[Node] = []
            parts: list[Vectors] = []
            for batch, vectors in store.items():
                rows = [row for row, node in enumerate(batch) if node.id in missing]
                nodes += [batch[row] for row in rows]
                parts.append(vectors[rows])
            index.add(nodes, np.concatenate(parts))  # in one go: what is trained, is trained on all


def _store_index(name: str, conf: Mapping[str, Any], embedder: Embedder) -> StoreIndex:
    store_class, kwargs = parse_conf(conf)
    with ExitStack() as opened:
        if home := store_class.home(**kwargs):
            opened.callback(acquire(home.with_name(f"{home.name}.{name}")).release)
        erase_store(conf, f"index_{name}")
        store = make_store(conf, embedder.dim, f"index_{name}")
        opened.callback(store.close)
        return StoreIndex(store, embedder, opened.pop_all())


def _feed(index: Made, nodes: Sequence[Node], vectors: Vectors) -> None:
    if isinstance(index, VectorFed):
        index.add(nodes, vectors)
    else:
        index.update(nodes)
