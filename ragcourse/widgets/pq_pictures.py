"""The still pictures of lesson 05: codewords of two halves, variance by piece, recall against its costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

GREY, BLUE, ORANGE = "#999999", "#0072B2", "#D55E00"
_INK = "#444444"


def _axes(width: float, height: float) -> Any:
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def draw_halves(
    vectors: NDArray[Any], query: NDArray[Any], books: NDArray[Any], codes: NDArray[Any]
) -> None:
    """Four vectors X1 … X4 of two halves: each half-space with two codewords, and what a code forgets.

    ``vectors`` (4, 4), ``query`` (4,), ``books`` (2, 2, 2), ``codes`` (4, 2).
    """
    panels = plt.subplots(1, 2, figsize=(8, 3.5), layout="constrained")[1]
    for half, axes in enumerate(panels):
        book, points = books[half], vectors[:, 2 * half : 2 * half + 2]
        (dx, dy), middle = book[1] - book[0], book.mean(axis=0)
        axes.axline(middle, middle + np.array([-dy, dx]), color=GREY, lw=1, ls=(0, (4, 3)))
        for number, (point, code) in enumerate(zip(points, codes[:, half], strict=True), start=1):
            colour = ORANGE if number == 4 else BLUE
            axes.plot(*zip(point, book[code], strict=True), "-", color=colour, lw=1.5)
            axes.plot(*point, "o", ms=7, color=colour)
            axes.annotate(
                f"X{number}", point, (10, -12), textcoords="offset points", color=colour, weight="bold"
            )
        axes.plot(*book.T, "s", ms=15, mfc="none", mec="black", mew=1.3, ls="")
        for number, word in enumerate(book):
            at: dict[str, Any] = {"xytext": (12, 5), "textcoords": "offset points"}
            axes.annotate(f"word {number}", word, color=_INK, **at)
        axes.plot(*query[2 * half : 2 * half + 2], "*", ms=13, mfc="white", mec="black", mew=1.2)
        first, second = ("first", "second") if half == 0 else ("third", "fourth")
        axes.set(
            title=f"sub-space {half}", aspect="equal", xlabel=f"{first} number", ylabel=f"{second} number"
        )
        axes.margins(0.3)
    plt.show()


def draw_shares(before: NDArray[Any], after: NDArray[Any]) -> None:
    """The share of the variance that each piece has, (m,), before and after a shuffle of the dimensions."""
    axes = _axes(8, 2.1)
    places = np.arange(len(before))
    axes.bar(places, 100 * before, color="#cccccc")
    edges, heights = np.r_[places, len(before)] - 0.5, 100 * np.r_[after, after[-1]]
    axes.step(edges, heights, where="post", color=BLUE, lw=1.5)
    axes.annotate("as they come", (0.6, 100 * before[0]), (4, -9), textcoords="offset points", color=_INK)
    top = 100 * after[len(after) // 2 :].max()
    axes.annotate("shuffled", (0.75 * len(after), top), (0, 5), textcoords="offset points", color=BLUE)
    axes.set(xlabel="piece", ylabel="% of the variance", xlim=(-0.7, len(before) - 0.3))
    plt.show()


def draw_shortlists(ranks: Mapping[int, NDArray[Any]]) -> None:
    """Recall against the length of the short list; ``ranks``: bytes → places of true neighbours by code."""
    axes = _axes(7.5, 2.8)
    lengths = np.unique(np.geomspace(10, 1000, 40).astype(int))
    for (size, places), colour in zip(sorted(ranks.items()), (GREY, ORANGE, BLUE), strict=True):
        curve = [float((places < length).mean()) for length in lengths]
        axes.plot(lengths, curve, color=colour, lw=1.8)
        at: dict[str, Any] = {"xytext": (-5, 0), "textcoords": "offset points", "ha": "right", "va": "center"}
        axes.annotate(f"{size} bytes", (lengths[0], curve[0]), color=colour, **at)
    axes.set(xscale="log", xlabel="candidates measured exactly", ylabel="recall@10", ylim=(0, 1.03))
    axes.set_xlim(6.2, 1000)
    axes.set_xticks([10, 20, 50, 100, 200, 500, 1000], ["10", "20", "50", "100", "200", "500", "1,000"])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    plt.show()


def draw_race(micros: Mapping[str, float], recall: Mapping[str, float], theirs: Sequence[str]) -> None:
    """Recall against the time of a query, a dot an index: ``theirs`` in orange, exact and int8 in grey."""
    axes = _axes(8, 3.4)
    for name, x in micros.items():
        colour = ORANGE if name in theirs else _INK if name in ("Flat", "SQ8") else BLUE
        axes.plot(x, recall[name], "o", color=colour, ms=7)
        below = name in ("PQ", "IVF-PQ", "PQ, 100 again", "IVF-PQ, 100 again")
        axes.annotate(
            name, (x, recall[name]), (-3, -15 if below else 8), textcoords="offset points", color=colour
        )
    axes.set(xscale="log", xlabel="µs a query, one thread, one query after the other", ylabel="recall@10")
    axes.set_ylim(min(recall.values()) - 0.08, 1.09)
    low, high = min(micros.values()) * 0.75, max(micros.values()) * 1.8
    axes.set_xlim(low, high)
    ticks = [mark for mark in (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if low < mark < high]
    axes.set_xticks(ticks, [f"{mark:,}" for mark in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    plt.show()


def draw_sizes(sizes: Mapping[int, tuple[float, float]], plain: int) -> None:
    """Recall against bytes a vector, by codes alone and with a second look; ``plain`` bytes are float32."""
    axes = _axes(8, 2.9)
    xs = sorted(sizes)
    for place, (name, colour) in enumerate({"codes alone": ORANGE, "100 measured again": BLUE}.items()):
        curve = [sizes[x][place] for x in xs]
        axes.plot(xs, curve, "o-", color=colour, ms=5, lw=1.8)
        axes.annotate(name, (xs[1], curve[1]), (9, -11), textcoords="offset points", color=colour)
    axes.set(xscale="log", xlabel="bytes a vector, and their share of float32", ylabel="recall@10")
    axes.set_ylim(0, 1.06)
    axes.set_xticks(xs, [f"{x:,}\n1/{plain // x}" if x < plain else f"{x:,}\n1" for x in xs])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    plt.show()
