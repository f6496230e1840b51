"""Lesson 06: its steps, its widget and its pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ragcourse.bench import hnsw_steps
from ragcourse.indexes.vectors.hnsw import HNSW
from ragcourse.widgets.base import pack
from ragcourse.widgets.hnsw_pictures import choose, draw_reach, seconds_at
from ragcourse.widgets.hnsw_walk import LINKS, HnswWalk, example_graphs, layers_of, towns
from tests.wrong_answers import exercise_6_1, exercise_6_2

Floats = NDArray[np.float32]


# ---- the steps between a search that is compiled and the library's ----


@pytest.fixture(scope="module")
def graph() -> tuple[HNSW, Floats, Floats]:
    """A library index over unit vectors (600, 24) in clusters, its vectors, and queries (20, 24)."""
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(12, 24))[rng.integers(12, size=620)] + 0.5 * rng.normal(size=(620, 24))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    index = HNSW(24, "cosine", M=6, ef_construction=60)
    index.add(vectors[:600])
    return index, vectors[:600].copy(), vectors[600:].copy()


def test_every_step_finds_the_same(graph: tuple[HNSW, Floats, Floats]) -> None:
    index, vectors, queries = graph
    exact = hnsw_steps.scan(vectors, queries, 5)
    assert exact.tolist() == (-queries @ vectors.T).argsort(axis=1)[:, :5].tolist()
    steps = hnsw_steps.runs(vectors, index._graph.links[:600], index._entry, queries, k=5, ef=40)
    found = {name: search().tolist() for name, search in steps.items()}
    assert len(found) == len(hnsw_steps.STEPS)
    first = next(iter(found.values()))
    assert all(other == first for other in found.values())
    assert np.mean([len(set(a) & set(b)) for a, b in zip(first, exact.tolist(), strict=True)]) > 4.5


def test_a_step_agrees_with_the_exercise(graph: tuple[HNSW, Floats, Floats]) -> None:
    index, vectors, queries = graph
    links = layers_of(index)[0]
    step = hnsw_steps.STEPS[-1]
    found = hnsw_steps.search(step, vectors, index._graph.links[:600].copy(), index._entry, queries, 5, 12)
    for query, got in zip(queries, found.tolist(), strict=True):
        walked = exercise_6_1.right(
            lambda node, q=query: float(-(vectors[node] @ q)), links, [index._entry], 12
        )
        assert got == [node for _, node in walked[:5]]


# ---- the widget ----


def hops(**params: Any) -> dict[str, Any]:
    graphs = example_graphs()
    return HnswWalk.run({"links": LINKS[0], "ef": 5, "x": 0.8, "y": 0.34, "graphs": graphs} | params)


@pytest.mark.parametrize("ef", [1, 5, 16])
def test_the_walk_in_layer_0_is_that_of_the_exercise(ef: int) -> None:
    plane = example_graphs()[LINKS[0]]
    for x, y in ((0.8, 0.34), (0.1, 0.1), (0.5, 0.95)):
        result = hops(ef=ef, x=x, y=y)
        away = np.linalg.norm(plane.points - np.array([x, y]), axis=1)
        start = next(hop for hop in result["hops"] if hop["layer"] == 0)["pool"]
        walked = exercise_6_1.right(away.item, plane.layers[0], start, ef)
        assert result["hops"][-1]["pool"] == [node for _, node in walked]


def test_a_walk_starts_at_the_top_and_goes_down_layer_by_layer() -> None:
    result = hops()
    layers = [hop["layer"] for hop in result["hops"]]
    assert layers == sorted(layers, reverse=True) and set(layers) == {2, 1, 0}
    assert [hop["node"] for hop in result["hops"]].count(-1) == 3
    assert result["hops"][-1]["node"] == -2 and result["hops"][-1]["waiting"] == []
    assert all(len(hop["pool"]) <= (1 if hop["layer"] else 5) for hop in result["hops"])
    counted = 1 + sum(len(hop["entered"]) + len(hop["refused"]) for hop in result["hops"] if hop["node"] >= 0)
    assert counted == result["hops"][-1]["distances"]
    assert result["summary"].endswith("Found 3 of the 3 nearest.")


def test_with_simple_links_a_town_is_lost_and_the_sentence_says_so() -> None:
    assert hops(x=0.2, y=0.2)["summary"].endswith("Found 3 of the 3 nearest.")
    lost = hops(links=LINKS[1], ef=16, x=0.2, y=0.2)
    assert lost["summary"].endswith("Found 0 of the 3 nearest.")
    assert not set(lost["truth"]) & set(lost["hops"][-1]["pool"])


def test_a_pool_smaller_than_what_is_wanted_is_not_called_a_miss() -> None:
    assert "the pool holds only 1 of the 3 nearest" in hops(ef=1)["summary"]


def test_the_widget_draws_and_answers_fast_enough() -> None:
    widget = HnswWalk()
    assert widget.png().startswith(b"\x89PNG")
    before = widget.result["hops"][-1]["pool"]
    widget.x, widget.y = 0.1, 0.9
    assert widget.result["hops"][-1]["pool"] != before
    assert len(pack(widget.result)["layers"]) == 3


# ---- the pictures ----


def test_the_curve_is_read_between_its_points() -> None:
    curve = [(0.9, 1e-5), (1.0, 4e-5)]
    assert seconds_at(curve, 0.95) == pytest.approx(2e-5)
    assert np.isnan(seconds_at(curve, 0.5))


def test_the_choice_shown_is_algorithm_4() -> None:
    points = towns()
    for base in (0, 14, 99):
        away = np.linalg.norm(points - points[base], axis=1)
        candidates = [(float(away[node]), int(node)) for node in away.argsort()[1:41]]
        kept, dropped = choose(points, base, among=40, most=8)
        assert kept == exercise_6_2.right(
            candidates, lambda a, b: float(np.linalg.norm(points[a] - points[b])), 8, keep_pruned=False
        )
        assert len(kept) + len(dropped) == 40 or len(kept) == 8


def test_a_picture_is_a_small_png() -> None:
    plane = example_graphs()[LINKS[0]]
    picture = draw_reach(
        {"one": (plane.points, plane.layers[0], range(100)), "two": (plane.points, {0: []}, [])}
    )
    assert repr(picture).startswith("<Picture, 7.4 by")
    assert picture._repr_png_().startswith(b"\x89PNG") and len(picture._repr_png_()) < 60_000
