"""All key indexes against one sorted list: random operations, duplicates, keys of many types, bad input."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragcourse.indexes.keys import ALL, BPlusTree, BTree, HashTable, KeyIndex, LinearScan, SkipList, Trie
from tests.key_oracle import SortedList

Make = Callable[[], KeyIndex[Any, Any]]

ANY_KEY: dict[str, Make] = {
    "linear": LinearScan,
    "hash table": HashTable,
    "hash table, long chains": lambda: HashTable(load_factor=5),
    "B-tree 3": lambda: BTree(order=3),
    "B-tree 4": lambda: BTree(order=4),
    "B-tree 5": BTree,
    "B+ tree 3": lambda: BPlusTree(fanout=3),
    "B+ tree 4": lambda: BPlusTree(fanout=4),
    "B+ tree 5": lambda: BPlusTree(fanout=5),
    "skip list 1/4": SkipList,
    "skip list 1/2": lambda: SkipList(p=0.5, seed=3),
}
ALL_KINDS = ANY_KEY | {"trie": Trie}
ORDERED = {name: make for name, make in ALL_KINDS.items() if name != "linear" and "hash" not in name}
RANGED = {name: make for name, make in ORDERED.items() if name != "trie"}

# Few keys, so that they meet; many are prefixes of each other, or alike but for the last letter.
LETTERS = "ab\x00é\ud83d\U0001f600"
WORDS = st.text(alphabet=LETTERS, max_size=3)
NUMBERS = st.integers(0, 30)
VALUES = st.integers(0, 2)


def operations(keys: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[str, Any, Any]]]:
    step = st.tuples(st.sampled_from(["add", "add", "add", "remove", "remove value"]), keys, VALUES)
    return st.lists(step, max_size=60)


def apply(index: KeyIndex[Any, Any], step: tuple[str, Any, Any]) -> Any:
    what, key, value = step
    try:
        if what == "add":
            return index.add(key, value)
        return index.remove(key, value if what == "remove value" else ALL)
    except KeyError:
        return "KeyError"


def agree(index: KeyIndex[Any, Any], oracle: SortedList, ordered: bool) -> None:
    index.check()
    assert len(index) == len(oracle)
    for key, _ in oracle.pairs:
        assert index.get(key) == oracle.get(key)
        assert key in index
    items = list(index)
    assert items == oracle.pairs if ordered else sorted(items, key=lambda pair: pair[0]) == oracle.pairs


@pytest.mark.parametrize("kind", ANY_KEY)
@given(steps=operations(NUMBERS), absent=NUMBERS)
def test_agrees_with_a_sorted_list(kind: str, steps: list[tuple[str, Any, Any]], absent: int) -> None:
    index, oracle = ALL_KINDS[kind](), SortedList()
    for step in steps:
        assert apply(index, step) == apply(oracle, step)
        index.check()
    agree(index, oracle, kind in ORDERED)
    assert index.get(absent) == oracle.get(absent)
    assert (absent in index) is bool(oracle.get(absent))


@pytest.mark.parametrize("kind", ALL_KINDS)
@given(steps=operations(WORDS), absent=WORDS)
def test_agrees_on_any_text(kind: str, steps: list[tuple[str, Any, Any]], absent: str) -> None:
    index, oracle = ALL_KINDS[kind](), SortedList()
    for step in steps:
        assert apply(index, step) == apply(oracle, step)
    agree(index, oracle, kind in ORDERED)
    assert index.get(absent) == oracle.get(absent)


@pytest.mark.parametrize("kind", RANGED)
@given(steps=operations(NUMBERS), low=st.integers(-1, 31), high=st.integers(-1, 31))
def test_ranges(kind: str, steps: list[tuple[str, Any, Any]], low: int, high: int) -> None:
    index: Any = RANGED[kind]()
    oracle = SortedList()
    for step in steps:
        apply(index, step)
        apply(oracle, step)
    assert list(index.range(low, high)) == oracle.range(low, high)
    assert list(index.range(low, low)) == []


@given(steps=operations(NUMBERS), key=st.integers(-1, 31))
def test_ranks(steps: list[tuple[str, Any, Any]], key: int) -> None:
    index: SkipList[int, int] = SkipList()
    oracle = SortedList()
    for step in steps:
        apply(index, step)
        apply(oracle, step)
    assert index.rank(key) == oracle.rank(key)
    assert [index.at(rank) for rank in range(len(index))] == oracle.pairs
    for outside in (-1, len(index)):
        with pytest.raises(IndexError, match=f"no rank {outside}"):
            index.at(outside)


@given(steps=operations(WORDS), prefix=WORDS, limit=st.none() | st.integers(0, 4))
def test_prefixes(steps: list[tuple[str, Any, Any]], prefix: str, limit: int | None) -> None:
    trie: Trie[int] = Trie()
    oracle = SortedList()
    for step in steps:
        apply(trie, step)
        apply(oracle, step)
    assert list(trie.prefix(prefix, limit)) == oracle.prefix(prefix, limit)
    assert list(trie.prefix("")) == oracle.pairs


@pytest.mark.parametrize("kind", ANY_KEY)
def test_many_keys_come_and_go(kind: str) -> None:
    """Enough for trees of several levels, and for tables that grow and shrink again."""
    numbers = random.Random(kind).sample(range(10_000), 400)
    index, gone = ANY_KEY[kind](), set(numbers[::2])
    index.add_all((number, -number) for number in numbers)
    index.check()
    for number in gone:
        assert index.remove(number) == 1
    index.check()
    assert {key for key, _ in index} == set(numbers) - gone
    for number in numbers[1::2]:
        index.remove(number, -number)
    index.check()
    assert len(index) == 0
    assert list(index) == []


@pytest.mark.parametrize("order", ["rising", "falling", "all the same"])
@pytest.mark.parametrize("kind", RANGED)
def test_sorted_and_equal_keys(kind: str, order: str) -> None:
    keys = {"rising": range(200), "falling": range(200, 0, -1), "all the same": [7] * 200}[order]
    index: Any = RANGED[kind]()
    oracle = SortedList()
    for value, key in enumerate(keys):
        index.add(key, value)
        oracle.add(key, value)
    agree(index, oracle, ordered=True)
    assert list(index.range(7, 8)) == oracle.range(7, 8)
    assert index.remove(7, oracle.get(7)[-1]) == 1
    assert len(index.get(7)) == len(oracle.get(7)) - 1
    index.check()


@pytest.mark.parametrize("kind", ANY_KEY)
@pytest.mark.parametrize(
    "keys",
    [
        [2.5, -0.0, 1e308, float("inf"), -1.5],
        [(1, "b"), (1, "a"), (0, "z"), ()],
        [Fraction(1, 3), Fraction(1, 2), 0, 1.5, True],
        [b"b", b"", b"\xff", b"ab"],
        [frozenset({1, 2}), frozenset({1}), frozenset({1, 2, 3})],
    ],
    ids=lambda keys: type(keys[0]).__name__,
)
def test_keys_of_any_type(kind: str, keys: list[Any]) -> None:
    index = ANY_KEY[kind]()
    for value, key in enumerate(keys):
        index.add(key, value)
    index.check()
    assert [index.get(key) for key in keys] == [[value] for value in range(len(keys))]
    assert [key for key, _ in index] == sorted(keys) or kind not in RANGED


@pytest.mark.parametrize("kind", RANGED)
def test_keys_without_a_common_order_are_refused(kind: str) -> None:
    index: Any = RANGED[kind]()
    for key in range(20):
        index.add(key, str(key))
    refused: list[Callable[[], object]] = [
        lambda: index.add("four", 4),
        lambda: index.get("four"),
        lambda: index.remove("four"),
    ]
    for call in refused:
        with pytest.raises(TypeError, match=r"the key 'four' \(str\) cannot be ordered among the keys"):
            call()
    with pytest.raises(TypeError):
        index.range(0, "four")
    index.check()
    assert list(index) == [(key, str(key)) for key in range(20)]


@pytest.mark.parametrize("kind", ANY_KEY)
def test_nan_is_refused(kind: str) -> None:
    index = ANY_KEY[kind]()
    with pytest.raises(ValueError, match="the key nan is not equal to itself"):
        index.add(float("nan"), 1)
    assert len(index) == 0
    index.check()


@pytest.mark.parametrize("key", [3, b"word", None, ("a",)])
def test_a_trie_wants_text(key: Any) -> None:
    trie: Trie[int] = Trie()
    refused: list[Callable[[], object]] = [
        lambda: trie.add(key, 1),
        lambda: trie.get(key),
        lambda: trie.remove(key),
        lambda: trie.prefix(key),
    ]
    for call in refused:
        with pytest.raises(TypeError, match="a trie wants str"):
            call()
    assert len(trie) == 0


def test_a_hash_table_wants_hashable_keys() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        HashTable[Any, int]().add([1], 1)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_unknown_keys_and_values(kind: str) -> None:
    index = ALL_KINDS[kind]()
    with pytest.raises(KeyError, match="'cat'"):
        index.remove("cat")
    index.add("cat", 1)
    index.add("cat", 1)
    with pytest.raises(KeyError, match="'cart'"):
        index.remove("cart")
    with pytest.raises(KeyError, match="'cat' has no value 2"):
        index.remove("cat", 2)
    assert index.get("cat") == [1, 1]
    index.get("cat").clear()
    assert index.remove("cat", 1) == 1
    assert index.get("cat") == [1]
    assert index.remove("cat") == 1
    assert "cat" not in index
    index.check()


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_none_and_false_are_values(kind: str) -> None:
    index = ALL_KINDS[kind]()
    index.add_all([("a", None), ("a", False), ("b", None)])
    assert index.get("a") == [None, False]
    assert index.remove("a", None) == 1
    assert list(index.get("a")) == [False]
    assert len(index) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BTree(order=2), "order is 2; a node needs room for at least 3 children"),
        (lambda: BPlusTree(fanout=2), "fanout is 2"),
        (lambda: SkipList(p=1.0), "p is 1.0"),
        (lambda: SkipList(p=0.0), "p is 0.0"),
        (lambda: HashTable(load_factor=0), "load_factor is 0"),
        (lambda: HashTable(load_factor=float("nan")), "load_factor is nan"),
        (lambda: Trie[int]().prefix("a", limit=-1), "limit is -1"),
    ],
)
def test_settings_are_checked(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_an_empty_index(kind: str) -> None:
    index: Any = ALL_KINDS[kind]()
    index.check()
    assert len(index) == 0
    assert index.get("a") == []
    assert "a" not in index
    assert list(index) == []
    if kind in RANGED:
        assert list(index.range("a", "b")) == []


def test_words_longer_than_the_recursion_limit() -> None:
    trie: Trie[int] = Trie()
    trie.add("a" * 5_000, 1)
    trie.add("a" * 5_000 + "b", 2)
    trie.check()
    assert [value for _, value in trie.prefix("a" * 4_999)] == [1, 2]
    assert trie.remove("a" * 5_000 + "b") == 1
    assert trie.remove("a" * 5_000) == 1
    assert trie.dump() == "(root)"


def test_a_removed_word_leaves_no_nodes_behind() -> None:
    trie: Trie[int] = Trie()
    trie.add_all([("car", 1), ("cart", 2), ("dog", 3)])
    before = trie.dump()
    trie.add("carton", 4)
    trie.remove("carton")
    assert trie.dump() == before
    trie.remove("car")
    assert trie.dump() == before.replace("r → [1]", "r")


def test_the_same_seed_builds_the_same_skip_list() -> None:
    def build(seed: int) -> list[list[int]]:
        index: SkipList[int, int] = SkipList(seed=seed)
        index.add_all((number, number) for number in range(200))
        return index.levels()

    assert build(1) == build(1) != build(2)
    assert build(1)[0] == list(range(200))


def test_add_all_gives_the_collector_back() -> None:
    with pytest.raises(TypeError):
        BTree[Any, int]().add_all([(1, 1), ("a", 2)])
    assert gc.isenabled()
    gc.disable()
    try:
        Trie[int]().add_all([("a", 1)])
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_small_load_factor_is_kept_from_the_first_key_on() -> None:
    table: HashTable[int, int] = HashTable(load_factor=0.05)
    for key in range(20):
        table.add(key, key)
        table.check()


@pytest.mark.parametrize("make", [BTree, BPlusTree, SkipList])
def test_a_first_key_without_an_order_is_refused_as_any_later_one(make: Any) -> None:
    index = make()
    with pytest.raises(TypeError, match=r"the key None \(NoneType\) cannot be ordered"):
        index.add(None, 1)
    assert len(index) == 0
    index.add(3, 1)
    index.check()


@pytest.mark.parametrize("size", [5.5, 5.0, True])
def test_a_node_holds_a_whole_number_of_keys(size: Any) -> None:
    for make in (BTree, BPlusTree):
        with pytest.raises(ValueError, match=f"is {size}"):
            make(size)
