"""The four stores behind one interface, each on a real disk, held against brute force."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from chromadb.api.models.Collection import Collection

from ragcourse.documents import Node, check_metadata
from ragcourse.stores import MilvusStore, Store, StoreError, make_store, parse_conf
from ragcourse.stores.base import NODE_FIELDS

DIM = 16
KINDS = ("map", "file", "chroma", "milvus")
PERSISTENT = KINDS[1:]

Open = Callable[..., Store]


def conf(kind: str, folder: Path, **index_kwargs: Any) -> dict[str, Any]:
    """A store configuration whose files are in ``folder``."""
    place: dict[str, dict[str, Any]] = {
        "map": {},
        "file": {"dir": folder},
        "chroma": {"dir": folder},
        "milvus": {"uri": str(folder / "store.db"), "index_kwargs": index_kwargs},
    }
    return {"type": kind, "kwargs": place[kind]}


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens stores in ``tmp_path`` and closes them in the end."""
    stores: list[Store] = []

    def open_store(kind: str, dim: int = DIM, name: str = "nodes", **index_kwargs: Any) -> Store:
        stores.append(make_store(conf(kind, tmp_path, **index_kwargs), dim, name))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


def make_nodes(count: int, seed: int = 0, first: int = 0) -> list[Node]:
    rng = random.Random(seed)
    return [
        Node(
            id=f"id-{first + i:04}",
            text=f"text {i} of seed {seed}",
            document=f"folder/{rng.choice('abc')}.md",
            group="nodes",
            start=10 * i,
            end=10 * i + rng.randrange(1, 9),
            parent=rng.choice([None, "p1", "p2"]),
            metadata={"year": rng.randrange(2020, 2025), "title": rng.choice(["One", "Two"])},
        )
        for i in range(count)
    ]


def make_vectors(count: int, seed: int = 0, dim: int = DIM) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


class Oracle:
    """What a store should answer: every vector compared with the query, one by one."""

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.held: dict[str, tuple[Node, np.ndarray]] = {}

    def add(self, nodes: Sequence[Node], vectors: np.ndarray) -> None:
        for node, vector in zip(nodes, vectors, strict=True):
            self.held[node.id] = (node, vector)

    def score(self, a: np.ndarray, b: np.ndarray) -> float:
        a, b = a.astype(float), b.astype(float)
        if self.metric == "cosine":
            return float(a @ b / math.sqrt((a @ a) * (b @ b)))
        return float(a @ b) if self.metric == "inner product" else -float((a - b) @ (a - b))

    def scores(self, query: np.ndarray, where: Mapping[str, Any] | None = None) -> dict[str, float]:
        """Id → score of all nodes that pass the filter, best first."""
        found = {
            node.id: self.score(vector, query)
            for node, vector in self.held.values()
            if all(self._passes(node, field, wanted) for field, wanted in (where or {}).items())
        }
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def _passes(self, node: Node, field: str, wanted: Any) -> bool:
        values = wanted if isinstance(wanted, list) else [wanted]
        value = getattr(node, field) if field in NODE_FIELDS else node.metadata.get(field)
        return value is not None and any(value == allowed for allowed in values)


def assert_same_search(
    store: Store, oracle: Oracle, query: np.ndarray, k: int, where: Mapping[str, Any] | None = None
) -> None:
    hits = store.search(query, k, where)
    expected = oracle.scores(query, where)
    assert [hit.node.id for hit in hits] == list(expected)[:k]
    for hit in hits:
        assert hit.score == pytest.approx(expected[hit.node.id], rel=1e-4, abs=1e-4)
        assert hit.node == oracle.held[hit.node.id][0]


def snapshot(store: Store) -> dict[str, tuple[Node, np.ndarray]]:
    """All that ``items`` gives, by id; no node comes twice."""
    found: dict[str, tuple[Node, np.ndarray]] = {}
    for nodes, vectors in store.items(batch=7):
        assert vectors.shape == (len(nodes), store.dim) and vectors.dtype == np.float32
        for node, vector in zip(nodes, vectors, strict=True):
            assert node.id not in found
            found[node.id] = (node, vector)
    return found


# ---- against brute force ----


@pytest.mark.parametrize("kind", KINDS)
def test_random_operations_agree_with_brute_force(kind: str, opened: Open) -> None:
    store, oracle = opened(kind), Oracle("cosine")
    rng = random.Random(kind)
    for step in range(40):
        ids = sorted(oracle.held)
        match rng.choice(["add", "replace", "delete", "flush", "reopen"]):
            case "add":
                size = rng.randrange(1, 12)
                nodes, vectors = make_nodes(size, step, first=100 * step), make_vectors(size, step)
                store.add(nodes, vectors)
                oracle.add(nodes, vectors)
            case "replace" if ids:
                some = [make_nodes(1, 1000 + step)[0] for _ in range(3)]
                some = [replace(node, id=rng.choice(ids)) for node in some]
                vectors = make_vectors(3, 1000 + step)
                store.add(some, vectors)
                oracle.add(some, vectors)
            case "delete" if ids:
                gone = rng.sample(ids, min(3, len(ids)))
                store.delete([*gone, gone[0], "never-there"])
                for node_id in gone:
                    del oracle.held[node_id]
            case "flush":
                store.flush()
            case "reopen" if store.persistent:
                store.close()
                store = opened(kind)
        query = make_vectors(1, 2000 + step)[0]
        assert_same_search(store, oracle, query, rng.randrange(1, 20))
        assert_same_search(
            store, oracle, query, 5, {"title": "One", "document": ["folder/a.md", "folder/b.md"]}
        )
        assert store.count() == len(oracle.held)
    assert store.ids() == set(oracle.held)
    assert {node_id: node for node_id, (node, _) in snapshot(store).items()} == {
        node_id: node for node_id, (node, _) in oracle.held.items()
    }


@pytest.mark.parametrize("metric", ["COSINE", "IP", "L2"])
@pytest.mark.parametrize(
    ("index_type", "params"),
    [("FLAT", {}), ("HNSW", {"M": 16, "efConstruction": 200}), ("IVF_FLAT", {"nlist": 4})],
)
def test_milvus_indexes_and_metrics(
    index_type: str, params: dict[str, int], metric: str, opened: Open
) -> None:
    store = opened("milvus", index_type=index_type, metric_type=metric, params=params)
    oracle = Oracle(store.metric)
    nodes, vectors = make_nodes(300), make_vectors(300)
    vectors *= np.random.default_rng(1).uniform(0.5, 2, size=(300, 1)).astype(np.float32)  # metrics differ
    store.add(nodes, vectors)
    oracle.add(nodes, vectors)
    queries = make_vectors(20, 5)
    before = [store.search(query, 10) for query in queries]  # rows not yet sealed: scanned
    store.flush()
    sealed = [store.search(query, 10) for query in queries]
    store.close()
    store = opened("milvus", index_type=index_type, metric_type=metric, params=params)
    reopened = [store.search(query, 10) for query in queries]
    for query, *answers in zip(queries, before, sealed, reopened, strict=True):
        expected = oracle.scores(query)
        for hits in answers:
            assert [hit.node.id for hit in hits] == list(expected)[:10]
            assert [hit.score for hit in hits] == pytest.approx(
                list(expected.values())[:10], rel=1e-4, abs=1e-4
            )
    assert_same_search(store, oracle, queries[0], 10, {"year": [2021, 2022]})


def test_the_metrics_do_differ() -> None:
    """Or the test above would pass with a store that ignores its metric."""
    vectors = make_vectors(300) * np.random.default_rng(1).uniform(0.5, 2, size=(300, 1)).astype(np.float32)
    orders = []
    for metric in ("cosine", "inner product", "l2"):
        oracle = Oracle(metric)
        oracle.add(make_nodes(300), vectors)
        orders.append(list(oracle.scores(make_vectors(20, 5)[0]))[:10])
    assert all(a != b for a, b in itertools.combinations(orders, 2))


# ---- filters ----

VALUES: list[Any] = [
    1, 1.0, True, "1", 0, False, "", 2.5, -3, 2**40, 1e300, "true",
    "it's \"quoted\" \\ and\nbroken\r\n\tup", "Ünï 漢字 😀", "100%_[a]*",
    "x' or 'a' == 'a", 'x" or "a" == "a',
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_filters_by_any_scalar(kind: str, opened: Open) -> None:
    store, oracle = opened(kind), Oracle("cosine")
    nodes = [
        Node(f"id-{i:04}", f"text {i}", "a.md", "nodes", metadata={"field": value})
        for i, value in enumerate(VALUES)
    ]
    nodes += [Node("none", "has no such field", "a.md", "nodes", metadata={"other": 1})]
    vectors = make_vectors(len(nodes))
    store.add(nodes, vectors)
    oracle.add(nodes, vectors)
    query = make_vectors(1, 9)[0]
    for wanted in [*VALUES, 7, "absent", [1, "a", 2.5], [True, "x"], ["1", "true", ""], [2.5, -3, False], []]:
        assert_same_search(store, oracle, query, 50, {"field": wanted})
        assert_same_search(store, oracle, query, 2, {"field": wanted})
    assert_same_search(store, oracle, query, 5, {"field": 1, "other": 1})
    assert_same_search(store, oracle, query, 5, {"no_document_has_it": 1})


@pytest.mark.parametrize("kind", KINDS)
def test_filters_by_fields_of_a_node(kind: str, opened: Open) -> None:
    store, oracle = opened(kind), Oracle("cosine")
    nodes = [*make_nodes(20), Node("x", "odd", 'a "b" \\ü\'.md', "nodes", parent="p'3")]
    nodes += [
        Node("y", "a document's own field", "z.md", "nodes", metadata={"document": "folder/a.md", "start": 4})
    ]
    vectors = make_vectors(len(nodes))
    store.add(nodes, vectors)
    oracle.add(nodes, vectors)
    query = make_vectors(1, 9)[0]
    for where in (
        {"document": "folder/a.md"},
        {"document": 'a "b" \\ü\'.md'},
        {"parent": ["p1", "p'3"]},
        {"document": ["folder/a.md", "folder/c.md"], "parent": "p2", "year": [2021, 2022, 2023]},
        {"document": 5},
        {"start": 4},
    ):
        assert_same_search(store, oracle, query, 50, where)


@pytest.mark.parametrize("kind", KINDS)
def test_a_filter_that_holds_no_value_is_refused(kind: str, opened: Open) -> None:
    store = opened(kind)
    store.add(make_nodes(2), make_vectors(2))
    for wanted in (None, [None], {"$gt": 3}, [[1]], b"bytes"):
        with pytest.raises(ValueError, match="filter of 'year'"):
            store.search(make_vectors(1)[0], 1, {"year": wanted})


# ---- what comes back ----

ODD_NODES = [
    Node(
        "full",
        "text",
        "a/b.md",
        "nodes",
        3,
        7,
        "parent-id",
        {"s": "x", "i": -5, "f": 0.25, "b": True, "n": False},
    ),
    Node("bare", "text", "b.md", "nodes"),
    Node(
        "odd", 'quo"te \\ \n\r\t\x0b 漢字 😀 ', "ü ñ.md", "nodes", 0, 10**9, "p", {"naïve-key_2 x": "'\"\\\n"}
    ),
    Node("empty", "", "c.md", "nodes", 0, 0, None, {"e": "", "zero": 0, "big": 2**53 + 1, "tiny": 5e-324}),
    Node("long", "word " * 12_000, "d.md", "nodes", 0, 60_000),
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_node_comes_back(kind: str, opened: Open) -> None:
    vectors = make_vectors(len(ODD_NODES))
    for node in ODD_NODES:
        check_metadata(node.metadata, node.id)
    store = opened(kind)
    store.add(ODD_NODES, vectors)
    store.flush()
    if store.persistent:
        store.close()
        store = opened(kind)
    found = snapshot(store)
    by_search = {hit.node.id: hit.node for hit in store.search(vectors[0], 10)}
    for node, vector in zip(ODD_NODES, vectors, strict=True):
        for back in (*store.get([node.id]), found[node.id][0], by_search[node.id]):
            assert back == node
            types = {key: type(value) for key, value in node.metadata.items()}
            assert {key: type(value) for key, value in back.metadata.items()} == types
        kept = found[node.id][1]
        assert kept / np.linalg.norm(kept) == pytest.approx(vector / np.linalg.norm(vector), abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_adding_again_replaces_all_of_a_node(kind: str, opened: Open) -> None:
    store = opened(kind)
    old = Node("x", "old", "old.md", "nodes", 1, 2, "old-parent", {"stays": 1, "goes": "old"})
    new = Node("x", "new", "new.md", "nodes", metadata={"stays": 2})
    vectors = make_vectors(2)
    store.add([old], vectors[:1])
    store.add([new], vectors[1:])
    assert store.get(["x"]) == [new] and store.count() == 1
    assert store.search(vectors[0], 5, {"goes": "old"}) == []
    assert store.search(vectors[0], 5, {"parent": "old-parent"}) == []
    hit = store.search(vectors[1], 1)[0]
    assert hit.node == new and hit.score == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_of_one_id_twice_in_a_batch_the_last_counts(kind: str, opened: Open) -> None:
    store = opened(kind)
    first, second = Node("x", "first", "a.md", "nodes"), Node("x", "second", "a.md", "nodes")
    vectors = make_vectors(3)
    store.add([first, Node("y", "other", "a.md", "nodes"), second], vectors)
    assert store.count() == 2 and store.get(["x"]) == [second]
    assert store.search(vectors[2], 1)[0].node == second


@pytest.mark.parametrize("kind", KINDS)
def test_get_keeps_the_order_asked_for(kind: str, opened: Open) -> None:
    store = opened(kind)
    nodes = make_nodes(2500)  # more than one batch of any engine's
    store.add(nodes, make_vectors(2500))
    wanted = [node.id for node in nodes]
    random.Random(3).shuffle(wanted)
    assert [node.id for node in store.get(wanted)] == wanted
    assert [node.id for node in store.get(["id-0007", "nobody", "id-0003", "id-0007"])] == [
        "id-0007",
        "id-0003",
        "id-0007",
    ]
    assert store.get([]) == [] and store.get(["nobody"]) == []
    assert store.count() == 2500 and store.ids() == set(wanted)
    assert len(snapshot(store)) == 2500
    store.delete(wanted[10:])
    assert store.ids() == set(wanted[:10]) and store.count() == 10


# ---- edges ----


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_store(kind: str, opened: Open) -> None:
    store = opened(kind)
    for _ in range(2):
        assert store.count() == 0 and store.ids() == set() and list(store.items()) == []
        assert store.search(make_vectors(1)[0], 3) == []
        assert store.search(make_vectors(1)[0], 3, {"year": 2020}) == []
        assert store.get(["x"]) == []
        store.delete(["x"])
        store.delete([])
        store.add([], np.empty((0, DIM), np.float32))
        store.flush()
        store.add(make_nodes(3), make_vectors(3))
        store.flush()
        store.delete([node.id for node in make_nodes(3)])
        store.flush()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 10, 11, 1000, 20_000, 10**9])
def test_k_up_to_far_more_than_there_are(kind: str, k: int, opened: Open) -> None:
    store, oracle = opened(kind), Oracle("cosine")
    nodes, vectors = make_nodes(10), make_vectors(10)
    store.add(nodes, vectors)
    oracle.add(nodes, vectors)
    assert_same_search(store, oracle, vectors[0], k)


@pytest.mark.parametrize("kind", KINDS)
def test_bad_arguments_are_refused_and_change_nothing(kind: str, opened: Open) -> None:
    store = opened(kind)
    nodes, vectors = make_nodes(3), make_vectors(3)
    store.add(nodes, vectors)
    wrong = np.where(np.arange(DIM) == 4, np.nan, vectors[0]).astype(np.float32)
    for bad in (wrong, np.full(DIM, np.inf, np.float32)):
        with pytest.raises(ValueError, match=r"id-0001 of .* holds NaN or infinity"):
            store.add(nodes, np.stack([vectors[0], bad, vectors[2]]))
        with pytest.raises(ValueError, match="NaN or infinity"):
            store.search(bad, 3)
    for shape in ((3, DIM + 1), (2, DIM), (3,)):
        with pytest.raises(ValueError, match=rf"\(3, {DIM}\)"):
            store.add(nodes, np.zeros(shape, np.float32))
    for query in (np.zeros(DIM + 1, np.float32), np.zeros((1, DIM), np.float32)):
        with pytest.raises(ValueError, match=rf"\({DIM},\)"):
            store.search(query, 3)
    for k in (0, -1):
        with pytest.raises(ValueError, match="at least one"):
            store.search(vectors[0], k)
    assert store.ids() == {node.id for node in nodes}
    assert [hit.node.id for hit in store.search(vectors[1], 1)] == ["id-0001"]


@pytest.mark.parametrize("kind", KINDS)
def test_other_number_types_are_taken(kind: str, opened: Open) -> None:
    store = opened(kind)
    vectors = make_vectors(3)
    store.add(make_nodes(3), np.asfortranarray(vectors.astype(np.float64)))
    assert store.search(vectors[2].astype(np.float64), 1)[0].node.id == "id-0002"


@pytest.mark.parametrize("kind", PERSISTENT)
def test_another_dimension_is_refused_and_harms_nothing(kind: str, opened: Open) -> None:
    store = opened(kind)
    vectors = make_vectors(3)
    store.add(make_nodes(3), vectors)
    store.close()
    with pytest.raises(ValueError, match=rf"{DIM} dimensions, not {DIM + 4}"):
        opened(kind, DIM + 4)
    store = opened(kind)
    assert [hit.node.id for hit in store.search(vectors[1], 1)] == ["id-0001"]
    for dim in (0, -3):
        with pytest.raises(ValueError, match="at least one dimension"):
            opened(kind, dim)


@pytest.mark.parametrize("kind", KINDS)
def test_closing_twice(kind: str, opened: Open) -> None:
    store = opened(kind)
    store.add(make_nodes(1), make_vectors(1))
    store.close()
    store.close()


@pytest.mark.parametrize("kind", PERSISTENT)
def test_groups_in_one_place_do_not_mix(kind: str, opened: Open) -> None:
    first, second = opened(kind, name="first"), opened(kind, dim=8, name="second")
    first.add(make_nodes(3), make_vectors(3))
    second.add(make_nodes(5), make_vectors(5, dim=8))
    assert (first.count(), second.count()) == (3, 5)
    first.close()  # the other one stays open
    assert second.count() == 5
    second.delete(["id-0000"])
    second.flush()
    assert len(second.search(make_vectors(1, dim=8)[0], 9)) == 4
    again = opened(kind, name="first")
    assert again.count() == 3 and second.count() == 4


@pytest.mark.parametrize("kind", KINDS)
def test_drop_forgets_one_group(kind: str, opened: Open) -> None:
    kept, dropped = opened(kind, name="kept"), opened(kind, name="dropped")
    for store in (kept, dropped):
        store.add(make_nodes(3), make_vectors(3))
        store.flush()
    dropped.drop()
    assert kept.count() == 3
    assert opened(kind, dim=8, name="dropped").count() == 0  # also with another dimension


@pytest.mark.parametrize("left", ["a folder", "a collection without an index"])
def test_a_milvus_collection_whose_making_was_cut_short(left: str, opened: Open, tmp_path: Path) -> None:
    """What ``kill -9`` leaves between the steps in which Milvus Lite makes a collection."""
    store = opened("milvus")
    client: Any = store._client  # type: ignore[attr-defined]
    if left == "a folder":
        client.drop_collection("ragcourse_nodes")
        (tmp_path / "store.db" / "collections" / "ragcourse_nodes").mkdir()
    else:
        client.release_collection("ragcourse_nodes")
        client.drop_index("ragcourse_nodes", "vector")
    store.close()
    store = opened("milvus")
    vectors = make_vectors(3)
    store.add(make_nodes(3), vectors)
    assert [hit.node.id for hit in store.search(vectors[1], 1)] == ["id-0001"]


@pytest.mark.parametrize("other", [{"metric_type": "L2"}, {"index_type": "HNSW"}])
def test_milvus_refuses_another_index_than_the_collection_has(other: dict[str, str], opened: Open) -> None:
    opened("milvus").close()
    with pytest.raises(ValueError, match=f"has the .*, not {next(iter(other.values()))}"):
        opened("milvus", **other)
    assert opened("milvus").count() == 0


def test_milvus_builds_its_index_with_the_parameters_given(opened: Open) -> None:
    """What the engine says of its own index, since a young collection is searched without one."""
    index: dict[str, Any] = {"index_type": "IVF_FLAT", "params": {"nlist": 37}}
    opened("milvus", **index).close()
    store = opened("milvus", **index)
    assert isinstance(store, MilvusStore)
    described = store._client.describe_index("ragcourse_nodes", "vector")
    assert (described["index_type"], described["params"]) == ("IVF_FLAT", {"nlist": 37})


@pytest.mark.parametrize("kind", ["chroma", "milvus"])
def test_a_place_that_cannot_be_a_store_is_named(kind: str, tmp_path: Path) -> None:
    taken = tmp_path / "file.db"
    taken.write_text("not a database")
    place = {"dir": taken} if kind == "chroma" else {"uri": str(taken)}
    with pytest.raises((StoreError, OSError), match=r"file\.db"):
        make_store({"type": kind, "kwargs": place}, DIM)


# ---- the configuration form ----


@pytest.mark.parametrize(
    ("store_conf", "message"),
    [
        ({"type": "redis"}, "it is one of map, file, chroma, milvus"),
        ({"kwargs": {}}, r'store_conf\["type"\] is None'),
        ({"type": "map", "kwarg": {}}, "no field 'kwarg'"),
        ({"type": "chroma"}, "missing a required argument: 'dir'"),
        ({"type": "chroma", "kwargs": {"dir": "x", "uri": "y"}}, "'uri'"),
        ({"type": "milvus", "kwargs": {"uri": "lib"}}, "ends in .db"),
        ({"type": "milvus", "kwargs": {"uri": "x.db", "index_kwargs": {"nlist": 4}}}, "no field 'nlist'"),
        (
            {"type": "milvus", "kwargs": {"uri": "x.db", "index_kwargs": {"metric_type": "HAMMING"}}},
            "COSINE, IP, L2",
        ),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(store_conf: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_store(store_conf, DIM)


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "x" * 65, "ü"])
def test_a_group_name_never_becomes_a_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot name a group"):
        make_store(conf("file", tmp_path), DIM, name)
    assert not list(tmp_path.iterdir())


def test_no_configuration_means_memory() -> None:
    assert parse_conf(None)[0].kind == "map"
    assert make_store(None, DIM).count() == 0


@pytest.mark.parametrize("keep", [0, 100])
def test_milvus_builds_a_torn_index_again(tmp_path: Path, keep: int) -> None:
    uri = tmp_path / "torn.db"
    vectors = np.eye(DIM, dtype=np.float32)
    nodes = [Node.make(f"text {row}", document="a.md", group="sentence") for row in range(DIM)]
    with closing(MilvusStore(DIM, uri)) as store:
        store.add(nodes, vectors)
        store.flush()
    index_files = list(uri.glob("collections/*/partitions/*/indexes/*"))
    assert index_files
    for file in index_files:
        file.write_bytes(file.read_bytes()[:keep])
    with closing(MilvusStore(DIM, uri)) as store:
        assert store.ids() == {node.id for node in nodes}
        assert [store.search(vector, 1)[0].node for vector in vectors] == nodes


# ---- after a crash ----


@pytest.mark.parametrize("kind", KINDS)
def test_restore_keeps_these_and_no_others(kind: str, opened: Open) -> None:
    store = opened(kind)
    nodes, vectors = make_nodes(40), make_vectors(40)
    store.add(nodes, vectors)
    keep = {node.id for node in nodes[10:20]}
    store.restore(keep | {"never there"})
    assert store.ids() == keep and store.count() == 10
    store.add(nodes, vectors)  # what the crash interrupted is done again
    for node, vector in zip(nodes, vectors, strict=True):
        assert store.search(vector, 1)[0].node == node


@pytest.mark.parametrize("at", ["upsert", "modify"])
def test_chroma_killed_in_a_restore(at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At its beginning the old collection is there, at its end the new one, under its passing name."""
    nodes, vectors = make_nodes(40), make_vectors(40)

    def kill(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with closing(make_store(conf("chroma", tmp_path), DIM)) as store:
        store.add(nodes, vectors)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Collection, at, kill)
            store.restore({node.id for node in nodes[:30]})
    with closing(make_store(conf("chroma", tmp_path), DIM)) as store:
        assert store.count() == (40 if at == "upsert" else 30)
        store.restore({node.id for node in nodes[:20]})
        assert sorted(store.get(sorted(store.ids())), key=lambda node: node.id) == nodes[:20]
    with closing(chromadb.PersistentClient(str(tmp_path))) as client:
        assert [found.name for found in client.list_collections()] == ["ragcourse-nodes"]
