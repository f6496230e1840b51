"""The widget of lesson 04: what it says of a query must be what a search by hand finds."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from ragcourse.widgets.base import pack
from ragcourse.widgets.ivf_cells import (
    DATA,
    ITERATIONS,
    QUERIES,
    IvfCells,
    K,
    N,
    scatter,
    train,
    voronoi_cell,
)


def show(**params: Any) -> dict[str, Any]:
    defaults = {"nprobe": 2, "nlist": 36, "data": DATA[0], "query": (0.52, 0.56)}
    return IvfCells.run(defaults | params)


@pytest.mark.parametrize("data", DATA)
def test_k_means_only_gets_better_and_ends_in_cells(data: str) -> None:
    result = show(data=data)
    errors, owners = result["errors"], result["owners"]
    assert len(errors) == len(owners) == len(result["centroids"]) == ITERATIONS + 1
    assert (np.diff(errors) <= 0).all()
    assert errors[-1] < 0.8 * errors[0]
    distances = ((result["points"][:, None] - result["centroids"][-1]) ** 2).sum(axis=2)
    assert np.array_equal(owners[-1], distances.argmin(axis=1))


@pytest.mark.parametrize("query", [(0.52, 0.56), (0.1, 0.9), (0.0, 0.0)])
@pytest.mark.parametrize("nprobe", [1, 3])
def test_a_query_finds_what_a_search_by_hand_finds(query: tuple[float, float], nprobe: int) -> None:
    result = show(query=query, nprobe=nprobe)
    points, centroids = result["points"], result["centroids"][-1]
    far = ((points - query) ** 2).sum(axis=1)
    nearest = np.argsort(far)[:K]
    assert set(result["neighbours"]) == set(nearest)
    assert result["radius"] == pytest.approx(np.sqrt(far[nearest[-1]]), rel=1e-4)
    opened = np.argsort(((centroids - query) ** 2).sum(axis=1))[:nprobe]
    inside = np.isin(result["owners"][-1], opened)
    assert result["found"].tolist() == inside[result["neighbours"]].astype(int).tolist()
    assert result["own_recall"][nprobe - 1] == pytest.approx(inside[nearest].mean())
    assert result["own_work"][nprobe - 1] == pytest.approx((36 + inside.sum()) / N)


def test_more_cells_find_more_and_all_cells_find_all() -> None:
    result = show()
    assert (np.diff(result["recall"]) >= 0).all() and (np.diff(result["work"]) > 0).all()
    assert result["recall"][-1] == 1 and result["work"][-1] == pytest.approx(1 + 36 / N)
    assert train(DATA[0], 36).recall.shape == (QUERIES, 36)
    everywhere = show(nlist=5, nprobe=24)  # nprobe is cut to the number of cells
    assert everywhere["nprobe"] == 5 and everywhere["found"].all()


def test_the_cells_share_out_the_square() -> None:
    centroids = show(nlist=20)["centroids"][-1]
    areas = []
    for number in range(20):
        corners = np.array(voronoi_cell(centroids, number))
        x, y = corners.T
        areas.append(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)  # the shoelace formula
        middle = corners.mean(axis=0)
        assert ((centroids - middle) ** 2).sum(axis=1).argmin() == number
    assert sum(areas) == pytest.approx(1)


def test_points_lie_in_the_square_and_are_as_many_as_asked() -> None:
    for data in DATA:
        cloud = scatter(data, 1_000, np.random.default_rng(0))
        assert cloud.shape == (1_000, 2) and cloud.min() > 0 and cloud.max() < 1


def test_a_view_of_it_answers_to_its_controls_and_keeps_a_picture() -> None:
    widget = IvfCells()
    assert repr(widget) == "IvfCells(nprobe=2, nlist=36, data='clusters')"
    picture, summary = widget.png(), widget.result["summary"]
    widget.set_state({"query": [0.2, 0.3]})  # what the pointer sends
    assert widget.result["query"].tolist() == pytest.approx([0.2, 0.3])
    assert widget.result["summary"] != summary and widget.png() != picture
    widget.set_state({"query": [7, -1]})  # outside
    assert widget.result["query"].tolist() == [1, 0]
    widget.set_state({"nprobe": 24})
    assert "10 of its 10 nearest" in widget.result["summary"]
    json.dumps(pack(widget.result), default=len)  # plain data and bytes
