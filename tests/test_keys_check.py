"""``check()`` finds damage: each of these breaks one invariant of a healthy index, and must be named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ragcourse.indexes.keys import (
    BPlusTree,
    BTree,
    HashTable,
    KeyIndex,
    LinearScan,
    SkipList,
    StaticTrie,
    Trie,
)
from ragcourse.indexes.keys.bplus_nodes import Inner


def filled(index: KeyIndex[Any, Any]) -> Any:
    index.add_all((number, number) for number in (3, 8, 31, 11, 23, 40, 5, 9, 17, 26, 2, 50))
    return index


def trie() -> Any:
    index: Trie[int] = Trie()
    index.add_all([("car", 1), ("cart", 2), ("dog", 3)])
    return index


def static() -> Any:
    return StaticTrie(["car", "cart", "cat", "dog", "dot"])


def grow(index: Any) -> None:
    index._size += 1


def first_leaf(tree: Any) -> Any:
    return tree._levels()[-1][0]


def spoil_a_key(scan: Any) -> None:
    scan._keys[0] = float("nan")


def spoil_the_end(tree: Any) -> None:
    first_leaf(tree).keys[-1] = 1_000


def too_deep(tree: Any) -> None:
    tree._root.children[0].children[0] = Inner([2], [first_leaf(tree)] * 2)


def lose_a_leaf(tree: Any) -> None:
    first_leaf(tree).next = first_leaf(tree).next.next


def swap_skip_values(skips: Any) -> None:
    one = skips._head.next[0]
    one.key, one.next[0].key = one.next[0].key, one.key


def skip_entry(skips: Any) -> None:
    skips._head.next[0] = skips._head.next[0].next[0]


def empty_level(skips: Any) -> None:
    skips._head.next.append(None)
    skips._head.width.append(len(skips) + 1)


def circle(skips: Any) -> None:
    skips._head.next[0].next[0] = skips._head.next[0]


def rehang(table: Any) -> None:
    chains = table._buckets
    full = next(place for place, chain in enumerate(chains) if chain)
    chains[full - 1].append(chains[full].pop())


DAMAGE: list[tuple[Callable[[], Any], Callable[[Any], object], str]] = [
    (lambda: filled(LinearScan()), grow, "keys, values and len differ"),
    (lambda: filled(LinearScan()), lambda scan: scan._values.pop(), "keys, values and len differ"),
    (lambda: filled(LinearScan()), spoil_a_key, "the key nan is not equal to itself"),
    (trie, grow, "there are 3 values, len says 4"),
    (trie, lambda t: t._root.children["d"].children.clear(), "no key is at or below 'd'"),
    (trie, lambda t: t._root.children.update(xy=t._root.children["d"]), "'xy' below '' is not one letter"),
    (trie, lambda t: setattr(t._root, "values", []), "'' has an empty list of values"),
    (lambda: filled(HashTable()), grow, "len says 13"),
    (lambda: filled(HashTable()), rehang, "in a bucket that is not its own"),
    (lambda: filled(HashTable()), lambda t: t._chain(8).append((8, [1])), "the key 8 is there twice"),
    (lambda: filled(HashTable()), lambda t: t._chain(8).append((8.0, [])), "the key 8.0 is there twice"),
    (lambda: filled(HashTable()), lambda t: [held.clear() for _, held in t._chain(8)], "has no values"),
    (lambda: filled(HashTable()), lambda t: setattr(t, "load_factor", 0.01), "than the load factor allows"),
    (lambda: filled(HashTable()), lambda t: setattr(t, "_keys", 3), "there are 12 keys, 3 were counted"),
    (lambda: filled(BTree()), grow, "len says 13"),
    (lambda: filled(BTree()), lambda t: first_leaf(t).keys.reverse(), "comes before"),
    (lambda: filled(BTree()), lambda t: first_leaf(t).keys.__setitem__(0, 1_000), "1000 comes before"),
    (lambda: filled(BTree()), lambda t: first_leaf(t).keys.clear(), "has too few keys"),
    (lambda: filled(BTree()), lambda t: first_leaf(t).keys.extend([4, 4, 4, 4]), "has more than 4 keys"),
    (lambda: filled(BTree()), lambda t: first_leaf(t).values.pop(), "more or fewer values than keys"),
    (lambda: filled(BTree()), lambda t: first_leaf(t).values[0].clear(), "has a key without values"),
    (lambda: filled(BTree()), lambda t: t._root.children.pop(), "children"),
    (lambda: filled(BPlusTree(4)), grow, "len says 13"),
    (lambda: filled(BPlusTree(4)), lambda t: first_leaf(t).keys.reverse(), "is not in order"),
    (lambda: filled(BPlusTree(4)), lambda t: first_leaf(t).values.pop(), "values or children"),
    (lambda: filled(BPlusTree(4)), lambda t: first_leaf(t).keys.append(1_000), "has 2 values or children"),
    (lambda: filled(BPlusTree(4)), lambda t: t._levels()[-1][1].keys.__setitem__(0, 0), "wrong side"),
    (lambda: filled(BPlusTree(4)), spoil_the_end, "wrong side of a separator"),
    (lambda: filled(BPlusTree(4)), lose_a_leaf, "not linked to the next"),
    (lambda: filled(BPlusTree(4)), lambda t: setattr(t._levels()[-1][-1], "next", t._root), "not linked"),
    (lambda: filled(BPlusTree(4)), lambda t: setattr(t, "fanout", 10), "entries or children"),
    (lambda: filled(BPlusTree(4)), too_deep, "on level 2"),
    (lambda: filled(SkipList(0.5)), grow, "len says 13"),
    (lambda: filled(SkipList(0.5)), circle, "there are 1 values, len says 12"),
    (lambda: filled(SkipList(0.5)), swap_skip_values, "3 comes before 2"),
    (lambda: filled(SkipList(0.5)), skip_entry, "there are 11 values, len says 12"),
    (lambda: filled(SkipList(0.5)), lambda s: s._head.width.__setitem__(0, 2), "width 2, truly 1"),
    (lambda: filled(SkipList(0.5)), empty_level, "nothing is on level 3"),
    (lambda: filled(SkipList(0.5)), lambda s: s._head.next[0].width.append(1), "links and widths differ"),
    (static, lambda t: t._first.__setitem__(0, 900), "reaches to slot 900, which is outside"),
    (static, lambda t: t._first.__setitem__(0, 0), "slot 0 is in two groups"),
    (static, lambda t: t._label.__setitem__(0, 200), "are not sorted"),
    (static, lambda t: t._first.__setitem__(2, 5), "end of a group at slot 2 leads to 5"),
    (static, lambda t: t._label.__setitem__(0, 0), "the end of a word at slot 0 is no leaf"),
    (static, lambda t: t._first.__setitem__(1, -1), "is in no group"),
    (static, lambda t: t._first.__setitem__(t._first == -2, -1), "not every word has one leaf"),
    (static, lambda t: t._tail_start.__setitem__(-1, 99), "the tails do not lie"),
    (static, lambda t: t._label.__setitem__(1, 0xF0), "a word is not UTF-8"),
    (static, lambda t: np.put(t._first, np.flatnonzero(t._label == 0), 3), "the end of a word"),
]


@pytest.mark.parametrize(("make", "damage", "message"), DAMAGE)
def test_damage_is_found_and_shown(
    make: Callable[[], Any], damage: Callable[[Any], object], message: str
) -> None:
    index = make()
    index.check()
    damage(index)
    with pytest.raises(AssertionError) as caught:
        index.check()
    assert message in str(caught.value)
    assert "\n" in str(caught.value), "the index is not shown"


def test_a_large_dump_is_cut_short() -> None:
    index: LinearScan[int, int] = LinearScan()
    index.add_all((number, number) for number in range(1_000))
    index._size = 0
    with pytest.raises(AssertionError, match="… and 940 lines more"):
        index.check()
