"""Exercise 3.2: insert into a B-tree, splitting what becomes too full.

Where an even number of keys is split there are two middle ones, and either may go up. So the contract
compares with one tree only where there is but one, and elsewhere asks for what Bayer and McCreight (1972)
demand of every B-tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ragcourse.grading.cases import for_each
from ragcourse.grading.contract import Contract
from ragcourse.grading.expect import Mismatch, expect_equal, expect_true
from ragcourse.grading.plain import plain

contract = Contract(
    "3.2", task="insert into a B-tree; a node that is too full splits, and its middle key goes up"
)

CHAPTER = [3, 8, 31, 11, 23]
MOST_NODES = 400

Case = tuple[int, list[Any]]  # the order, and what is inserted


class _Seen(NamedTuple):
    """A node as it was read, with those below it."""

    keys: list[Any]
    children: list[_Seen]


def _grown(implementation: Any, order: int, keys: Sequence[Any]) -> Any:
    tree = implementation(order)
    for key in keys:
        tree.add(key)
    return tree


def _read(tree: Any) -> _Seen:
    left = [MOST_NODES]

    def visit(node: Any, depth: int) -> _Seen:
        left[0] -= 1
        if depth > 20 or left[0] < 0:
            raise Mismatch("the tree does not end", cause="is a node among its own children, or below them?")
        return _Seen(list(plain(node.keys)), [visit(child, depth + 1) for child in node.children])

    return visit(tree.root, 1)


def _levels(root: _Seen) -> list[list[list[Any]]]:
    levels, row = [], [root]
    while row:
        levels.append([node.keys for node in row])
        row = [child for node in row for child in node.children]
    return levels


def _in_order(node: _Seen) -> list[Any]:
    if not node.children:
        return list(node.keys)
    found = _in_order(node.children[0])
    for key, child in zip(node.keys, node.children[1:], strict=False):
        found += [key, *_in_order(child)]
    return found


def _nodes(root: _Seen) -> list[_Seen]:
    return [root, *(below for child in root.children for below in _nodes(child))]


def _depths(node: _Seen, depth: int = 1) -> set[int]:
    return set().union(*(_depths(child, depth + 1) for child in node.children)) if node.children else {depth}


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _expect_btree(root: _Seen, order: int, keys: Sequence[Any], given: object) -> None:
    """Every property of a B-tree of this order that holds these keys."""
    shown = _levels(root)
    for node in _nodes(root):
        count = len(node.children)
        has = f"a node has {_counted(len(node.keys), 'key', 'keys')}"
        fits = not count or count == len(node.keys) + 1
        cause = (
            "a node is split with its children: those left of the middle key to the left, the others right"
        )
        expect_true(
            fits,
            f"{has} and {_counted(count, 'child', 'children')}",
            given=given,
            got=shown,
            cause=cause,
        )
    cause = "which keys are lost, or twice? the middle key leaves its node when it goes up"
    expect_equal(sorted(_in_order(root)), sorted(set(keys)), given=given, cause=cause)
    cause = "the new right half stands behind the left one, with the middle key between them"
    expect_equal(_in_order(root), sorted(set(keys)), given=given, cause=cause)
    for node in _nodes(root):
        has = f"a node has {_counted(len(node.keys), 'key', 'keys')}"
        most = f"{has}, and order {order} allows {order - 1}"
        cause = (
            "after a split the parent has a key more: is it too full now?"
            if node.children
            else "a leaf is too full as soon as it has `order` keys, whatever the order: is it split then?"
        )
        expect_true(len(node.keys) < order, most, given=given, got=shown, cause=cause)
        fewest = 1 if node is root else (order + 1) // 2 - 1
        few = f"{has}, and order {order} asks for {fewest}"
        cause = "split in the middle, and only what has `order` keys"
        expect_true(len(node.keys) >= fewest, few, given=given, got=shown, cause=cause)
    level = "the leaves are on different levels"
    cause = "a tree grows at its root: a new root goes above the old one, a new half beside the old one"
    expect_true(len(_depths(root)) == 1, level, given=given, got=shown, cause=cause)


def _check_all(implementation: Any, cases: Sequence[Case]) -> None:
    def test(case: Case) -> None:
        order, keys = case
        _expect_btree(_read(_grown(implementation, order, keys)), order, keys, f"order {order}, keys {keys}")

    for_each(cases, test, valid=lambda case: len(case[1]) > 0)


@contract.check("up to order − 1 keys stay in one sorted leaf", points=1)
def one_leaf(BTree: Any, rng: np.random.Generator) -> None:
    for order in (3, 5, 6):
        keys = rng.permutation(50)[: order - 1].tolist()
        seen = _read(_grown(BTree, order, keys))
        cause = "insert into the leaf where the key belongs; split only when it has `order` keys"
        expect_equal(_levels(seen), [[sorted(keys)]], given=f"order {order}, keys {keys}", cause=cause)


@contract.check("the fifth key splits a node of order 5, and the middle one goes up", points=2)
def first_split(BTree: Any, rng: np.random.Generator) -> None:
    for keys in (CHAPTER, rng.permutation(50)[:5].tolist()):
        ordered = sorted(keys)
        expected = [[[ordered[2]]], [ordered[:2], ordered[3:]]]
        cause = "five keys: two stay, the third goes up, two move to a new node; above both stands a new root"
        levels = _levels(_read(_grown(BTree, 5, keys)))
        expect_equal(levels, expected, given=f"order 5, keys {keys}; the levels of the tree", cause=cause)


@contract.check("a leaf that splits hands its middle key to its parent", points=2)
def second_split(BTree: Any, rng: np.random.Generator) -> None:
    low, high = [1, 2, 3, 4, 5, 6, 7, 8], [8, 7, 6, 5, 4, 3, 2, 1]
    for keys, expected in (
        (low, [[[3, 6]], [[1, 2], [4, 5], [7, 8]]]),
        (high, [[[3, 6]], [[1, 2], [4, 5], [7, 8]]]),
        ([10, 20, 30, 40, 50, 21, 22, 23][:7], [[[30]], [[10, 20, 21, 22], [40, 50]]]),
        ([10, 20, 30, 40, 50, 21, 22, 23], [[[21, 30]], [[10, 20], [22, 23], [40, 50]]]),
    ):
        cause = "the parent gets the middle key and the new half, each at the place behind the old node's"
        levels = _levels(_read(_grown(BTree, 5, keys)))
        expect_equal(levels, expected, given=f"order 5, keys {keys}; the levels of the tree", cause=cause)


@contract.check("an inner node splits with its children", points=3)
def inner_split(BTree: Any, rng: np.random.Generator) -> None:
    cases: list[Case] = [(3, list(range(n))) for n in (7, 8, 15)] + [(5, list(range(n))) for n in (17, 20)]
    cases += [(3, list(reversed(range(9)))), (3, rng.permutation(16).tolist())]
    _check_all(BTree, cases)


@contract.check("any order, any keys: still a B-tree", points=3)
def any_keys(BTree: Any, rng: np.random.Generator) -> None:
    cases: list[Case] = [
        (order, rng.permutation(99)[:count].tolist())
        for order, count in ((3, 24), (4, 4), (4, 9), (4, 24), (5, 30), (6, 6), (6, 30), (7, 30))
    ]
    words = ["trie", "hash", "tree", "list", "scan", "skip", "leaf", "root", "node", "key"]
    _check_all(BTree, [*cases, (4, rng.permutation(words).tolist())])


@contract.check("a key that is there already changes nothing", points=1)
def twice(BTree: Any, rng: np.random.Generator) -> None:
    keys = rng.permutation(20)[:12].tolist()
    tree = _grown(BTree, 5, keys)
    before = _levels(_read(tree))
    for key in sorted(keys):
        tree.add(key)
        given = f"order 5, keys {keys}; then add({key}) again"
        cause = "on the way down, look whether the key is in the node, inner nodes too"
        expect_equal(_levels(_read(tree)), before, given=given, cause=cause)
