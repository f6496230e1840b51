"""Documents, nodes and hits: stable ids, and metadata that a store can keep."""

from __future__ import annotations

import dataclasses
import math
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragcourse.documents import Document, Hit, Node, check_metadata, content_hash

PART = st.one_of(st.text(max_size=5), st.binary(max_size=5))


def node(text: str = "text", **changes: object) -> Node:
    fields = {"document": "a.md", "group": "g", "start": 3, "end": 7, "metadata": {"b": 1, "a": "x"}}
    fields |= changes
    return Node.make(text, **fields)  # type: ignore[arg-type]


@given(st.lists(PART, max_size=4), st.lists(PART, max_size=4))
def test_hashes_are_equal_only_for_equal_parts(one: list[str | bytes], other: list[str | bytes]) -> None:
    def encoded(parts: list[str | bytes]) -> list[bytes]:
        return [part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part for part in parts]

    assert (content_hash(*one) == content_hash(*other)) == (encoded(one) == encoded(other))


def test_a_hash_does_not_depend_on_where_parts_are_cut() -> None:
    assert content_hash("ab", "c") != content_hash("a", "bc") != content_hash("abc")
    assert len(content_hash("x")) == 32


def test_hashes_and_node_ids_are_the_same_in_another_process() -> None:
    script = (
        "from ragcourse.documents import Node, content_hash;"
        "print(content_hash('ä', b'1'), Node.make('text', document='a.md', group='g', start=3, end=7,"
        " metadata={'a': 'x', 'b': 1}).id)"
    )
    for seed in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        output = subprocess.check_output([sys.executable, "-c", script], env=env, text=True)
        assert output.split() == [content_hash("ä", b"1"), node().id]


def test_a_node_id_depends_on_everything_that_is_stored() -> None:
    same = node(metadata={"a": "x", "b": 1})  # another order
    assert same.id == node().id
    others = [
        node("other"),
        node(document="b.md"),
        node(group="h"),
        node(start=2),
        node(end=8),
        node(parent="p"),
        node(metadata={"a": "x"}),
        node(metadata={"a": "x", "b": 2}),
        node(metadata={"a": "x", "b": "1"}),
        node(occurrence=1),
    ]
    assert len({node().id, *(other.id for other in others)}) == 1 + len(others)


def test_the_title_of_a_document_falls_back_to_its_file_name() -> None:
    assert Document("guide/intro.v2.md", "…").title == "intro.v2"
    assert Document("README", "…").title == "README"
    assert Document("a.md", "…", {"title": "Introduction"}).title == "Introduction"
    assert Document("a.md", "…", {"title": ""}).title == "a"


def test_documents_nodes_and_hits_do_not_change() -> None:
    for frozen, field in ((Document("a", "b"), "text"), (node(), "text"), (Hit(node(), 0.5), "score")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(frozen, field, "changed")


def test_metadata_that_a_store_can_keep_is_accepted() -> None:
    check_metadata({"year": 2024, "score": -0.5, "draft": False, "title": "", "file type": "md"}, "a.md")


@pytest.mark.parametrize(
    ("metadata", "complaint"),
    [
        ({"tags": ["a", "b"]}, "a.md: metadata field 'tags' holds a list"),
        ({"author": None}, "a.md: metadata field 'author' holds a NoneType"),
        ({"score": math.nan}, "a.md: metadata field 'score' holds nan"),
        ({"score": -math.inf}, "a.md: metadata field 'score' holds -inf"),
        ({"count": 2**63}, "a.md: metadata field 'count'"),
        ({"a'b": "x"}, "cannot name a metadata field"),
        ({"": "x"}, "cannot name a metadata field"),
    ],
)
def test_metadata_that_no_store_keeps_is_refused_by_name(metadata: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_metadata(metadata, "a.md")
    assert complaint in str(caught.value)
