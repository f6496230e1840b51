"""Stores behind one interface, made from the configuration form of the reference texts.

``{"type": "milvus", "kwargs": {"uri": "lib.db", "index_kwargs": {"index_type": "FLAT"}}}``
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from ragcourse.stores.base import DamagedError, MismatchError, Store, StoreError, Vectors, Where
from ragcourse.stores.chroma import ChromaStore
from ragcourse.stores.file import FileStore
from ragcourse.stores.map import MapStore
from ragcourse.stores.milvus import MilvusStore

__all__ = [
    "STORES",
    "ChromaStore",
    "DamagedError",
    "FileStore",
    "MapStore",
    "MilvusStore",
    "MismatchError",
    "Store",
    "StoreError",
    "Vectors",
    "Where",
    "erase_store",
    "make_store",
    "parse_conf",
]

STORES: dict[str, type[Store]] = {
    store.kind: store for store in (MapStore, FileStore, ChromaStore, MilvusStore)
}


def make_store(store_conf: Mapping[str, Any] | None, dim: int, name: str = "nodes") -> Store:
    """The store that ``store_conf`` describes (None: in memory) for one group of nodes, ``name``.

    Raises ``ValueError`` for an unknown type, an unknown or missing argument.
    """
    if not re.fullmatch(r"[A-Za-z0-9_]{1,64}", name):
        raise ValueError(f"{name!r} cannot name a group: use letters, digits and underscores")
    store, kwargs = parse_conf(store_conf)
    return store(dim, **kwargs, name=name)


def erase_store(store_conf: Mapping[str, Any] | None, name: str) -> None:
    """Delete what the store that ``store_conf`` describes has on disk for the group ``name``."""
    store, kwargs = parse_conf(store_conf)
    store.erase(**kwargs, name=name)


def parse_conf(store_conf: Mapping[str, Any] | None) -> tuple[type[Store], dict[str, Any]]:
    """The class and the arguments that ``store_conf`` names, checked but not yet used."""
    if store_conf is not None and not isinstance(store_conf, Mapping):
        raise ValueError(f'store_conf is {store_conf!r}; it takes {{"type": …, "kwargs": {{…}}}}')
    conf = dict(store_conf or {"type": "map"})
    kind, kwargs = conf.pop("type", None), dict(conf.pop("kwargs", None) or {})
    conf.pop("indices", None)  # the reference form's place for vector indexes beside the store
    if kind not in STORES:
        raise ValueError(f'store_conf["type"] is {kind!r}; it is one of {", ".join(STORES)}')
    if conf:
        raise ValueError(f"store_conf has no field {sorted(conf)[0]!r}; it takes type, kwargs, indices")
    try:
        inspect.signature(STORES[kind]).bind(1, **kwargs, name="nodes")
    except TypeError as error:
        raise ValueError(f'store_conf["kwargs"] does not fit the {kind} store: {error}') from error
    return STORES[kind], kwargs
