"""Widget of lesson 05: codebooks in the plane, their cells, and what a search over the codes misses.

A point of two numbers is compressed to a few bits, in one of two ways: each number by a codebook of its
own (product quantization with two sub-spaces of one dimension), or both together by one codebook of the
plane. Every point of a cell gets the same distance from the query, the one of its codeword: the shades show
these distances. The clock plays the iterations of k-means.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ragcourse.widgets.base import CourseWidget, Player
from ragcourse.widgets.controls import choice, slider

DATA = ("clusters", "diagonal band", "evenly spread")
BOOKS = ("two, one for each number", "one for the plane")
MAX_BITS, POINTS, QUERIES, K, ITERATIONS = 8, 900, 100, 10, 12
SECONDS = 0.5  # that the clock gives to an iteration
TRUE, RETURNED, SHORTLIST = 1, 2, 4  # flags of a point
BLUE, ORANGE = "#0072b2", "#d55e00"

Floats = NDArray[np.float32]
Books = tuple[Floats, ...]  # one (iterations + 1, codewords, width) for each sub-space


class Trained(NamedTuple):
    """Codebooks at every iteration, the codes that belong to them, and the error that they leave."""

    books: Books
    codes: NDArray[np.uint8]  # (iterations + 1, points, sub-spaces)
    errors: list[float]  # mean squared distance of a point to its codeword, by iteration


class CodebookPlane(CourseWidget):
    """Points, codewords and cells in the plane, with a query to drag; beside them recall against bits."""

    title = "Codebooks: bits, cells, and what they miss"
    script = Path(__file__).with_suffix(".js")
    player = Player(steps=ITERATIONS)
    data = choice("Points", DATA)
    books = choice("Codebooks", BOOKS)
    bits = slider("Bits a point", 1, MAX_BITS, 6)
    rerank = slider("Re-rank", 0, 60, 0, step=10)
    x = slider("Query →", -1.0, 1.0, 0.28, step=0.02)
    y = slider("Query ↑", -1.0, 1.0, 0.12, step=0.02)

    @staticmethod
    def run(params: Mapping[str, Any]) -> dict[str, Any]:
        """The plane at every iteration, with flags for the ten true neighbours and the ten returned."""
        data, bits, rerank = params["data"], params["bits"], params["rerank"]
        grid = params["books"] == BOOKS[0]
        points, _ = plane(data)
        trained = train(data, grid, bits)
        query = np.array([[params["x"], params["y"]]], np.float32)
        true = nearest(query, points)[0]
        flags = np.zeros((ITERATIONS + 1, POINTS), np.uint8)
        flags[:, true] |= TRUE
        for step in range(ITERATIONS + 1):
            order = by_codes(query, trained, step)[0]
            short = order[: max(K, rerank)]
            exact = ((points[short] - query) ** 2).sum(axis=1)
            returned = short[np.argsort(exact, kind="stable")] if rerank else short
            flags[step, returned[:K]] |= RETURNED
            flags[step, short] |= SHORTLIST
        each = range(1, MAX_BITS + 1)
        curves = [[recall_at(data, kind, b, rerank) for b in each] for kind in (True, False)]
        mean = curves[0 if grid else 1][bits - 1]
        hits = int(((flags[-1] & 3) == 3).sum())
        codewords = sum(book.shape[1] for book in trained.books)
        memory = POINTS * bits / 8 + sum(4 * book[0].size for book in trained.books)
        return {
            "points": points,
            "books": [book.ravel() for book in trained.books],
            "sizes": [book.shape[1] for book in trained.books],
            "grid": grid,
            "flags": flags,
            "errors": trained.errors,
            "query": query[0],
            "curves": curves,
            "bits": bits,
            "iterations": ITERATIONS,
            "seconds": SECONDS,
            "duration": ITERATIONS * SECONDS,
            "facts": _facts(trained, grid, bits, memory),
            "summary": f"{bits} bits a point, 1/{64 / bits:.3g} of float32; {codewords} codewords in "
            f"{'two codebooks' if grid else 'one codebook'}. For this query {hits} of the {K} true "
            f"neighbours are returned; over {QUERIES} queries recall@{K} is {mean:.2f}"
            f"{f', with {rerank} ranked again exactly' if rerank else ''}.",
        }

    def paint(self, figure: Figure, result: dict[str, Any]) -> None:
        """The picture of ``pq_codebooks.js`` at the end of the training."""
        figure.set_size_inches(7.6, 4.2)
        axes, chart = figure.subplots(1, 2, width_ratios=(1.25, 1))
        _paint_plane(axes, result)
        for curve, colour, name in zip(result["curves"], (ORANGE, BLUE), BOOKS, strict=True):
            chart.plot(range(1, MAX_BITS + 1), curve, "-o", color=colour, ms=3, lw=1.5)
            height = 0.95 if colour == BLUE else 0.89
            chart.text(1, height, f"— {name}", size=8.5, color=colour)
        now = result["curves"][0 if result["grid"] else 1][result["bits"] - 1]
        chart.plot(result["bits"], now, "o", ms=9, color=ORANGE if result["grid"] else BLUE)
        chart.set_ylim(0, 1.05)
        chart.set_xlabel("bits a point", fontsize=9)
        chart.set_ylabel(f"recall@{K}", fontsize=9)
        chart.tick_params(labelsize=8)
        chart.spines[["top", "right"]].set_visible(False)


def _facts(trained: Trained, grid: bool, bits: int, memory: float) -> list[list[str]]:
    sizes = [book.shape[1] for book in trained.books]
    stored = " + ".join(map(str, sizes)) + (f" = {sum(sizes)}" if grid else "")
    occupied = len(np.unique(trained.codes[-1], axis=0))
    return [
        ["cells that have points", f"{occupied} of {2**bits}"],
        ["codewords, and table entries a query", stored],
        ["bytes: codes + codebooks", f"{memory:,.0f} of {8 * POINTS:,}"],
    ]


@lru_cache
def plane(data: str) -> tuple[Floats, Floats]:
    """Points (900, 2) of one kind within -1 … 1, and queries (100, 2) drawn in the same way."""
    rng = np.random.default_rng(5)
    count = POINTS + QUERIES
    if data == DATA[0]:
        centres = np.array(
            [[-0.55, 0.5], [0.1, 0.62], [0.62, 0.1], [-0.2, -0.15], [-0.65, -0.6], [0.45, -0.55]]
        )
        spread = np.array([0.10, 0.07, 0.13, 0.10, 0.09, 0.12])
        which = rng.integers(0, len(centres), count)
        drawn = centres[which] + spread[which, None] * rng.standard_normal((count, 2))
    elif data == DATA[1]:
        along, across = rng.uniform(-0.9, 0.9, count), 0.09 * rng.standard_normal(count)
        drawn = np.column_stack([along - across, along + across])
    else:
        drawn = rng.uniform(-0.95, 0.95, (count, 2))
    within: Floats = np.clip(drawn, -0.98, 0.98).astype(np.float32)
    return within[:POINTS], within[POINTS:]


@lru_cache(maxsize=64)
def train(data: str, grid: bool, bits: int) -> Trained:
    """k-means on each sub-space, every iteration kept; of two sub-spaces the first has the odd bit."""
    points, _ = plane(data)
    pieces = [points[:, :1], points[:, 1:]] if grid else [points]
    shares = [(bits + 1) // 2, bits // 2] if grid else [bits]
    trained = [_kmeans(piece, 2**share) for piece, share in zip(pieces, shares, strict=True)]
    books: Books = tuple(book for book, _ in trained)
    codes = np.stack([mine for _, mine in trained], axis=2)
    steps = np.arange(ITERATIONS + 1)[:, None]
    decoded = np.concatenate([book[steps, codes[:, :, j]] for j, book in enumerate(books)], axis=2)
    errors = ((decoded - points) ** 2).sum(axis=2).mean(axis=1)
    return Trained(books, codes, errors.tolist())


def _kmeans(points: Floats, count: int) -> tuple[Floats, NDArray[np.uint8]]:
    """Centres before and after each iteration, (iterations + 1, count, width), and the one of each point."""
    rng = np.random.default_rng(count)
    centres = points[rng.choice(len(points), count, replace=False)]
    centres = centres[np.lexsort(centres.T[::-1])]
    history, codes = [], []
    for _ in range(ITERATIONS + 1):
        mine = _squared(points, centres).argmin(axis=1)
        history.append(centres)
        codes.append(mine)
        members = np.bincount(mine, minlength=count)
        sums = np.stack([np.bincount(mine, column, count) for column in points.T], axis=1)
        means = sums / np.maximum(members, 1)[:, None]
        centres = np.where(members[:, None] > 0, means, centres).astype(np.float32)
    return np.stack(history).astype(np.float32), np.stack(codes).astype(np.uint8)


def _squared(rows: Floats, others: Floats) -> NDArray[Any]:
    """Squared distances (rows, others)."""
    lengths = (rows**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)
    result: NDArray[Any] = np.maximum(lengths - 2 * rows @ others.T, 0)
    return result


def nearest(queries: Floats, points: Floats) -> NDArray[np.int64]:
    """The true K nearest of each query, (queries, K)."""
    return np.argsort(_squared(queries, points), axis=1, kind="stable")[:, :K]


def by_codes(queries: Floats, trained: Trained, step: int) -> NDArray[np.int64]:
    """All points in the order of their table sums at one iteration, (queries, points)."""
    pieces = [queries[:, :1], queries[:, 1:]] if len(trained.books) == 2 else [queries]
    tables = [_squared(piece, book[step]) for piece, book in zip(pieces, trained.books, strict=True)]
    sums = sum(table[:, trained.codes[step, :, j]] for j, table in enumerate(tables))
    return np.argsort(sums, axis=1, kind="stable")


@lru_cache(maxsize=64)
def _ranks(data: str, grid: bool, bits: int) -> NDArray[np.int64]:
    """The place of each true neighbour in the order of the codes, (queries, K)."""
    points, queries = plane(data)
    order = by_codes(queries, train(data, grid, bits), ITERATIONS)
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.arange(POINTS)[None], axis=1)
    return np.take_along_axis(places, nearest(queries, points), axis=1)


def recall_at(data: str, grid: bool, bits: int, rerank: int) -> float:
    """Mean recall@10: a true neighbour is returned when it is among the first ``max(10, rerank)``."""
    return float((_ranks(data, grid, bits) < max(K, rerank)).mean())


def _paint_plane(axes: Any, result: Mapping[str, Any]) -> None:
    books = [
        book.reshape(ITERATIONS + 1, size, -1)[-1]
        for book, size in zip(result["books"], result["sizes"], strict=True)
    ]
    side = np.linspace(-1, 1, 240, dtype=np.float32)
    pixels = np.stack(np.meshgrid(side, side), axis=2).reshape(-1, 2)
    query = result["query"]
    if result["grid"]:
        cells = [_squared(pixels[:, j : j + 1], book).argmin(axis=1) for j, book in enumerate(books)]
        tables = [((book[:, 0] - query[j]) ** 2) for j, book in enumerate(books)]
        distance = tables[0][cells[0]] + tables[1][cells[1]]
        owner = cells[0] * len(books[1]) + cells[1]
        words = np.stack(np.meshgrid(books[0][:, 0], books[1][:, 0]), axis=2).reshape(-1, 2)
    else:
        owner = _squared(pixels, books[0]).argmin(axis=1)
        distance, words = ((books[0] - query) ** 2).sum(axis=1)[owner], books[0]
    shade = np.clip(1 - np.sqrt(distance) / 1.5, 0, 1) ** 1.5
    owner, shade = owner.reshape(240, 240), shade.reshape(240, 240)
    edges = np.zeros((240, 240), bool)  # pixels whose right or upper neighbour belongs to another cell
    edges[:, :-1] |= owner[:, 1:] != owner[:, :-1]
    edges[:-1] |= owner[1:] != owner[:-1]
    image = np.where(edges[:, :, None], (0.62, 0.66, 0.72), 1 - shade[:, :, None] * (0.75, 0.42, 0.22))
    axes.imshow(image, extent=(-1, 1, -1, 1), origin="lower", aspect="equal")
    flags, points = result["flags"][-1], result["points"]
    axes.plot(*points.T, ".", ms=2, color="#666666")
    axes.plot(*words.T, "s", ms=2.5, color="black")
    for mask, style in (
        ((flags & 3) == 3, {"marker": "o", "color": BLUE, "ms": 5}),
        ((flags & 3) == 1, {"marker": "o", "mec": ORANGE, "mfc": "white", "mew": 1.5, "ms": 6}),
        ((flags & 3) == 2, {"marker": "x", "color": "#444444", "ms": 5}),
    ):
        axes.plot(*points[mask].T, ls="", **style)
    axes.plot(*query, "*", ms=12, color="black", mec="white")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("blue: found, orange: missed, ×: returned instead, ★: query", fontsize=8)
