"""Widget of lesson 04: an inverted file in the plane. Its cells, a query among them, and what nprobe buys.

Everything is calculated: the points lie in the unit square, k-means cuts it into cells (every iteration
is kept and can be played), and a search compares the query with the centroids and with the points of the
nearest cells. Work is counted in distances, which a plane and 256 dimensions have in common; time is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import traitlets
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ragcourse.widgets.base import CourseWidget, Player
from ragcourse.widgets.controls import choice, slider

Floats = NDArray[np.float32]

N, K, QUERIES, ITERATIONS = 1_200, 10, 400, 12
DATA = ("clusters", "one cloud", "evenly spread")
BLUE, GREEN, ORANGE, GREY = "#0072b2", "#009e73", "#d55e00", "#8c8c8c"


class IvfCells(CourseWidget):
    """Move the query with the mouse or the arrow keys; nprobe lights the cells that are searched."""

    title = "An inverted file in the plane: cells, a query, and what nprobe buys"
    script = Path(__file__).with_suffix(".js")
    player = Player(steps=2 * ITERATIONS)
    nprobe = slider("nprobe", 1, 24, 2)
    nlist = slider("nlist", 2, 80, 36)
    data = choice("Points", DATA)
    query = traitlets.Tuple(traitlets.Float(), traitlets.Float(), default_value=(0.52, 0.56)).tag(
        sync=True, fixed=True
    )

    @staticmethod
    def run(params: Mapping[str, Any]) -> dict[str, Any]:
        """The picture for one query; ``query`` is (x, y) from 0 to 1, and moves to the border if outside."""
        trained = train(params["data"], params["nlist"])
        nprobe = min(params["nprobe"], params["nlist"])
        query = np.clip(np.array(params["query"], np.float32), 0, 1)
        ranks, neighbours, radius = _look_up(trained, query[None])
        recall, work = _curve(trained, ranks, neighbours)
        mean_recall, mean_work = trained.recall.mean(axis=0), trained.work.mean(axis=0)
        found = ranks[0, trained.owners[-1][neighbours[0]]] < nprobe
        return {
            "points": trained.points,
            "centroids": trained.centroids,  # (iterations + 1, nlist, 2)
            "owners": trained.owners,  # (iterations + 1, n)
            "errors": trained.errors,
            "query": query,
            "ranks": ranks[0].astype(np.int32),  # of each list: 0 is the nearest
            "neighbours": neighbours[0].astype(np.int32),
            "found": found.astype(np.uint8),
            "radius": float(radius[0]),
            "nprobe": nprobe,
            "recall": mean_recall.astype(np.float32),  # (nlist,), at nprobe 1, 2, …
            "work": mean_work.astype(np.float32),
            "own_recall": recall[0].astype(np.float32),
            "own_work": work[0].astype(np.float32),
            "duration": float(ITERATIONS),
            "summary": _summary(int(found.sum()), work[0], mean_recall, mean_work, nprobe),
        }

    def paint(self, figure: Figure, result: dict[str, Any]) -> None:
        """The picture of ``ivf_cells.js`` after the training."""
        figure.set_size_inches(7.8, 3.9)
        plane, curve = figure.subplots(1, 2, width_ratios=(1.15, 1))
        _paint_plane(plane, result)
        _paint_curve(curve, result)


class Trained(NamedTuple):
    """What k-means and 400 other queries give for one set of points and one nlist."""

    points: Floats  # (n, 2)
    centroids: Floats  # (iterations + 1, nlist, 2)
    owners: NDArray[np.uint8]  # (iterations + 1, n), by the centroids of the same row
    errors: list[float]  # mean squared distance to the nearest centroid
    recall: NDArray[np.float64]  # (queries, nlist), at nprobe 1, 2, …
    work: NDArray[np.float64]  # (queries, nlist): distances computed, as a share of an exact search


@lru_cache(maxsize=64)
def train(data: str, nlist: int) -> Trained:
    """Points, the iterations of k-means over them, and the mean curve of other queries."""
    rng = np.random.default_rng(10)
    cloud = scatter(data, N + QUERIES, rng)
    points, queries = cloud[:N], cloud[N:]
    centroids = [points[rng.choice(N, nlist, replace=False)]]
    owners, errors = [], []
    for iteration in range(ITERATIONS + 1):
        distances = _squared(points, centroids[-1])
        owners.append(distances.argmin(axis=1))
        errors.append(float(distances.min(axis=1).mean()))
        if iteration < ITERATIONS:
            sizes = np.bincount(owners[-1], minlength=nlist)[:, None]
            sums = np.stack([np.bincount(owners[-1], axis, nlist) for axis in points.T], axis=1)
            means = sums / np.maximum(sizes, 1)
            centroids.append(np.where(sizes > 0, means, centroids[-1]).astype(np.float32))
    nothing = np.zeros((0, nlist))
    trained = Trained(
        points, np.stack(centroids), np.stack(owners).astype(np.uint8), errors, nothing, nothing
    )
    ranks, neighbours, _ = _look_up(trained, queries)
    recall, work = _curve(trained, ranks, neighbours)
    return trained._replace(recall=recall, work=work)


def scatter(data: str, n: int, rng: np.random.Generator) -> Floats:
    """``n`` points of the unit square (n, 2), in random order."""
    if data == "evenly spread":
        return rng.uniform(0.01, 0.99, size=(n, 2)).astype(np.float32)
    if data == "one cloud":
        cloud = rng.normal(0.5, 0.17, size=(2 * n, 2))
    else:
        middles, weights = rng.uniform(0.06, 0.94, size=(16, 2)), rng.dirichlet(np.full(16, 3.0))
        widths = rng.uniform(0.03, 0.09, size=(16, 1))
        of = rng.choice(16, size=2 * n, p=weights)
        cloud = middles[of] + widths[of] * rng.normal(size=(2 * n, 2))
    inside = np.all((cloud > 0.01) & (cloud < 0.99), axis=1)
    return cloud[inside][:n].astype(np.float32)


def _squared(a: Floats, b: Floats) -> Floats:
    return np.asarray(((a[:, None] - b[None]) ** 2).sum(axis=2))


def _look_up(trained: Trained, queries: Floats) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Of each query the rank of every list (q, nlist), its neighbours (q, K), the distance of the last."""
    ranks = _squared(queries, trained.centroids[-1]).argsort(axis=1, kind="stable").argsort(axis=1)
    distances = _squared(queries, trained.points)
    neighbours = np.argpartition(distances, K, axis=1)[:, :K]
    radius = np.sqrt(np.take_along_axis(distances, neighbours, axis=1).max(axis=1))
    return ranks, neighbours, radius


def _curve(trained: Trained, ranks: NDArray[Any], neighbours: NDArray[Any]) -> tuple[Any, Any]:
    """Recall and work (q, nlist) at every nprobe: a neighbour is found when its list is opened."""
    nlist, owners = ranks.shape[1], trained.owners[-1]
    at = np.take_along_axis(ranks, owners[neighbours].astype(np.int64), axis=1)  # (q, K)
    recall = (at[:, :, None] < np.arange(1, nlist + 1)).mean(axis=1)
    sizes = np.bincount(owners, minlength=nlist)[ranks.argsort(axis=1)]  # nearest list first
    return recall, (nlist + sizes.cumsum(axis=1)) / len(owners)


def _summary(found: int, own_work: Any, recall: Any, work: Any, nprobe: int) -> str:
    distances = round(float(own_work[nprobe - 1]) * N)
    text = f"This query: {found} of its {K} nearest found with {distances:,} distances instead of {N:,}. "
    text += f"{QUERIES} other queries, nprobe {nprobe}: recall@{K} {recall[nprobe - 1]:.3f} "
    return text + f"for {work[nprobe - 1]:.1%} of the distances."


def voronoi_cell(centroids: Floats, number: int) -> list[tuple[float, float]]:
    """The corners of the cell of one centroid inside the unit square.

    The square is cut along the bisector towards every other centroid in turn (Sutherland and Hodgman, 1974).
    """
    cell = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
    own = centroids[number].astype(float)
    for other in np.delete(centroids, number, axis=0).astype(float):
        normal, middle = other - own, (other + own) / 2
        sides = [float(normal @ (np.array(corner) - middle)) for corner in cell]  # > 0: nearer to the other
        cut = []
        for i, (corner, side) in enumerate(zip(cell, sides, strict=True)):
            last, last_side = cell[i - 1], sides[i - 1]
            if (side > 0) != (last_side > 0):
                t = last_side / (last_side - side)
                cut.append((last[0] + t * (corner[0] - last[0]), last[1] + t * (corner[1] - last[1])))
            if side <= 0:
                cut.append(corner)
        cell = cut
    return cell


def _paint_plane(axes: Axes, result: dict[str, Any]) -> None:
    points, centroids, nprobe = result["points"], result["centroids"][-1], result["nprobe"]
    lit = result["ranks"] < nprobe
    cells = [voronoi_cell(centroids, number) for number in range(len(centroids))]
    faces = ["#dcebf5" if one else "#ffffff" for one in lit]
    axes.add_collection(PolyCollection(cells, facecolors=faces, edgecolors="#b0b0b0", linewidths=0.8))
    visited = lit[result["owners"][-1]]
    axes.plot(*points[~visited].T, ".", ms=2.2, color="#a6a6a6", mew=0)
    axes.plot(*points[visited].T, ".", ms=3, color=BLUE, mew=0)
    axes.plot(*centroids[~lit].T, "+", ms=5, color="#909090")
    for number in np.flatnonzero(lit):
        axes.annotate(str(result["ranks"][number] + 1), centroids[number], weight="bold", color="#003e61")
    found = result["found"].astype(bool)
    axes.plot(*points[result["neighbours"][found]].T, "o", ms=5, color=GREEN, mec="white", mew=0.6)
    axes.plot(*points[result["neighbours"][~found]].T, "o", ms=7, mfc="none", color=ORANGE, mew=1.8)
    x, y = result["query"]
    turn = np.linspace(0, 2 * np.pi, 90)
    circle = x + result["radius"] * np.cos(turn), y + result["radius"] * np.sin(turn)
    axes.plot(*circle, ":", color="#333333", lw=1)
    axes.plot(x, y, "X", ms=9, color="black", mec="white")
    axes.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[], aspect="equal")
    axes.spines[:].set_visible(True)
    axes.set_title(f"searched: the {nprobe} nearest of {len(centroids)} cells", fontsize=9, loc="left")


def _paint_curve(axes: Axes, result: dict[str, Any]) -> None:
    at = result["nprobe"] - 1
    axes.plot(100 * result["own_work"], result["own_recall"], color=GREY, lw=1)
    axes.plot(100 * result["work"], result["recall"], ".-", color=BLUE, lw=1.5, ms=5)
    axes.plot(100 * result["work"][at], result["recall"][at], "o", ms=9, color=BLUE)
    axes.plot(100 * result["own_work"][at], result["own_recall"][at], "X", ms=9, color="black", mec="white")
    axes.annotate("mean of 400 queries", (100 * result["work"][at], result["recall"][at]), (8, -14),
                  textcoords="offset points", size=8, color=BLUE)  # fmt: skip
    axes.set(xlim=(0, 104), ylim=(0, 1.04), xlabel="distances computed, % of an exact search")
    axes.set_title(f"recall@{K}; each dot is one more cell, × this query", fontsize=9, loc="left")
    axes.grid(color="#e5e5e5")
    axes.spines[["top", "right"]].set_visible(False)
