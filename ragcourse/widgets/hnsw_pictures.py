"""The still pictures of lesson 06: graphs on a plane, and curves of recall against time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray
from PIL import Image

from ragcourse.timing import format_seconds

BLUE, ORANGE, GREEN, YELLOW, GREY, LIGHT = "#0072b2", "#d55e00", "#009e73", "#e69f00", "#7f7f7f", "#cccccc"
COLOURS = {"ragcourse": BLUE, "hnswlib": ORANGE, "faiss": GREEN}

Points = NDArray[Any]
Layer = Mapping[int, Sequence[int]]
Curve = Sequence[tuple[float, float]]  # (recall, seconds a query)


class Picture:
    """A figure as a notebook shows it: a PNG of few colours, a third of the size."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure

    def __repr__(self) -> str:
        width, height = self.figure.get_size_inches()
        return f"<Picture, {width:g} by {height:g} inches>"

    def _repr_png_(self) -> bytes:
        full, small = BytesIO(), BytesIO()
        self.figure.savefig(full, format="png", metadata={"Software": None})
        Image.open(full).convert("RGB").quantize(64).save(small, "PNG", optimize=True)
        return small.getvalue()


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), dpi=110, layout="constrained", facecolor="white")


def bare(axes: Axes, title: str = "", size: int = 9) -> None:
    """Make it a map: no ticks, a faint frame, equal scales."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal")
    axes.spines[:].set_color("#dddddd")
    axes.set_title(title, fontsize=size, loc="left")


def lines(
    axes: Axes,
    points: Points,
    pairs: Collection[tuple[int, int]],
    colour: str,
    width: float,
    smooth: bool = True,
) -> None:
    """Draw each pair of points as a line. Many ``smooth`` ones make a large PNG."""
    segments = [(points[a], points[b]) for a, b in pairs]
    axes.add_collection(
        LineCollection(segments, colors=colour, linewidths=width, antialiaseds=smooth, zorder=1)
    )


def draw_six(
    places: Mapping[str, Any], links: Mapping[str, str], query: Any, walks: Sequence[str]
) -> Picture:
    """Six places with arrows to whom they know, one panel a walk."""
    figure = _figure(7.4, 2.5)
    for axes, walked in zip(figure.subplots(1, len(walks)), walks, strict=True):
        for a, known in links.items():
            for b in known:
                on_way = a + b in walked
                style = {"arrowstyle": "-|>", "shrinkA": 9, "shrinkB": 9, "lw": 2.2 if on_way else 0.8}
                style["color"] = BLUE if on_way else LIGHT
                axes.annotate("", places[b], places[a], arrowprops=style, zorder=3 if on_way else 1)
        for name, place in places.items():
            colour = BLUE if name in walked else GREY
            axes.plot(*place, "o", ms=15, color="white", mec=colour, mew=1.5, zorder=4)
            axes.text(*place, name, ha="center", va="center", fontsize=9, color=colour, zorder=5)
        axes.plot(*query, "P", ms=10, color=ORANGE, mec="white", zorder=6)
        axes.margins(0.14)
        bare(axes, f"from {walked[0]}: {' → '.join(walked)}")
    return Picture(figure)


def draw_reach(graphs: Mapping[str, tuple[Points, Layer, Collection[int]]]) -> Picture:
    """Layer 0 of several graphs: blue what a walk from the entry point can reach, orange what it cannot."""
    figure = _figure(7.4, 3.7)
    for axes, (name, (points, links, reached)) in zip(
        figure.subplots(1, len(graphs)), graphs.items(), strict=True
    ):
        lines(axes, points, {(a, b) for a, others in links.items() for b in others}, "#c8c8c8", 0.6)
        for nodes, colour in ((reached, BLUE), (set(links) - set(reached), ORANGE)):
            axes.plot(*points[sorted(nodes)].T, "o", ms=3.2, color=colour, zorder=2)
        axes.invert_yaxis()
        bare(axes, f"{name}: {len(reached)} of {len(links)} within reach")
    return Picture(figure)


def draw_choice(points: Points, base: int, kept: Sequence[int], dropped: Mapping[int, int]) -> Picture:
    """The neighbours that one node keeps, and for each that it drops the kept one that lies nearer."""
    figure = _figure(4.6, 3.4)
    axes = figure.subplots()
    nodes = [base, *kept, *dropped]
    span = points[nodes]
    axes.plot(*points.T, "o", ms=3, color=LIGHT, zorder=1)
    for node in kept:
        axes.plot(*points[[base, node]].T, color=BLUE, lw=2.2, zorder=3)
    for node, nearer in dropped.items():
        axes.plot(*points[[node, nearer]].T, ":", color=ORANGE, lw=1.4, zorder=2)
    axes.plot(*points[list(dropped)].T, "o", ms=5.5, color="white", mec=ORANGE, mew=1.4, zorder=4)
    axes.plot(*points[list(kept)].T, "o", ms=6, color=BLUE, zorder=4)
    axes.plot(*points[base], "s", ms=8, color="black", zorder=5)
    margin = 0.12 * np.ptp(span, axis=0).max()
    (left, low), (right, high) = span.min(axis=0) - margin, span.max(axis=0) + margin
    axes.set(xlim=(left, right), ylim=(high, low))
    bare(axes, "kept (blue) and dropped (orange, dotted: nearer to that one)")
    return Picture(figure)


def choose(points: Points, base: int, among: int, most: int) -> tuple[list[int], dict[int, int]]:
    """Algorithm 4 on the ``among`` nearest of ``base``: who is kept, and who is dropped because of whom."""
    away = np.linalg.norm(points - points[base], axis=1)
    kept: list[int] = []
    dropped: dict[int, int] = {}
    for node in away.argsort()[1 : among + 1].tolist():
        apart = np.linalg.norm(points[kept] - points[node], axis=1)
        if len(kept) < most and (apart > away[node]).all():
            kept.append(node)
        elif len(kept) < most:
            dropped[node] = kept[int(apart.argmin())]
    return kept, dropped


def draw_growth(sizes: Sequence[int], hops: Mapping[str, Sequence[float]]) -> Picture:
    """Hops against the number of points, on logarithmic axes, each line named at its end."""
    figure = _figure(4.8, 2.6)
    axes = figure.subplots()
    for (name, values), colour in zip(hops.items(), (GREY, ORANGE, BLUE), strict=False):
        axes.plot(sizes, values, "o-", ms=4, color=colour)
        axes.annotate(
            name,
            (sizes[-1], values[-1]),
            (7, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            size=9,
        )
    axes.set(xscale="log", yscale="log", xlabel="points", ylabel="hops of a greedy walk")
    _plain_ticks(axes, sizes, (3, 5, 10, 20))
    axes.set_xlim(sizes[0] * 0.85, sizes[-1] * 3.4)
    return Picture(figure)


def _plain_ticks(axes: Axes, x: Sequence[float], y: Sequence[float] = ()) -> None:
    for axis, marks in ((axes.xaxis, x), (axes.yaxis, y)):
        if marks:
            axis.set_major_locator(FixedLocator(list(marks)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
            axis.set_minor_locator(NullLocator())
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)


def seconds_at(curve: Curve, recall: float) -> float:
    """Seconds a query at this recall, between two points of the curve on a logarithmic scale; NaN outside."""
    recalls, seconds = np.array(sorted(curve)).T
    return float(np.exp(np.interp(recall, recalls, np.log(seconds), left=np.nan, right=np.nan)))


def draw_curves(curves: Mapping[str, Curve], scan: float | None = None) -> Picture:
    """Queries a second against recall: one line an index, its knob moves along the line; up is better."""
    figure = _figure(6.2, 3.2)
    axes = figure.subplots()
    for name, curve in curves.items():
        recall, seconds = np.array(sorted(curve)).T
        colour = next((c for word, c in COLOURS.items() if name.startswith(word)), GREY)
        dashed = "--" if "float32" in name else "-"
        axes.plot(recall, 1 / seconds, "o" + dashed, ms=3.5, color=colour, label=name)
    if scan:
        axes.axhline(1 / scan, color=GREY, lw=1, ls=":")
        axes.text(axes.get_xlim()[0], 1.08 / scan, " exact scan", color=GREY, fontsize=9, va="bottom")
    axes.set(yscale="log", xlabel="recall@10", ylabel="queries a second, one thread")
    axes.legend(frameon=False, fontsize=9, loc="lower left" if not scan else "center left")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2f}"))
    _plain_ticks(axes, (), [digit * 10**power for power in range(2, 7) for digit in (1, 2, 5)])
    return Picture(figure)


def draw_ladder(seconds: Mapping[str, float]) -> Picture:
    """One bar a step, on a logarithmic axis, with the time and the factor against the step before."""
    figure = _figure(7.0, 0.6 + 0.33 * len(seconds))
    axes = figure.subplots()
    names, times = list(seconds), list(seconds.values())
    axes.barh(names, times, color=[GREY, *[BLUE] * (len(names) - 1)], height=0.6)
    for place, (now, before) in enumerate(zip(times, [times[0], *times], strict=False)):
        factor = f"   {before / now:.2f} ×" if place else ""
        axes.text(now, place, f" {format_seconds(now)}{factor}", va="center", fontsize=9)
    axes.invert_yaxis()
    axes.set(xscale="log", xlim=(min(times) / 2.5, max(times) * 4))
    axes.set_xticks([])
    axes.minorticks_off()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title("one query, and how many times faster than the line above", fontsize=9, loc="left")
    return Picture(figure)


def draw_cost(
    sizes: Sequence[int], seconds: Mapping[str, Sequence[float]], recalls: Sequence[float]
) -> Picture:
    """Time of a query against the number of vectors; beside it the recall at the same settings."""
    figure = _figure(7.4, 2.7)
    left, right = figure.subplots(1, 2)
    for (name, values), colour in zip(seconds.items(), (GREY, BLUE), strict=True):
        left.plot(sizes, 1e6 * np.array(values), "o-", ms=4, color=colour)
        place = (sizes[-1], 1e6 * values[-1])
        left.annotate(name, place, (7, 0), textcoords="offset points", va="center", color=colour, size=9)
    left.set(xscale="log", yscale="log", xlabel="vectors", ylabel="µs a query")
    left.set_xlim(sizes[0] * 0.8, sizes[-1] * 4)
    _plain_ticks(left, sizes, (10, 30, 100, 300, 1000, 3000))
    right.plot(sizes, recalls, "o-", ms=4, color=BLUE)
    right.set(
        xscale="log",
        xlabel="vectors",
        ylabel="recall@10 of HNSW",
        ylim=(min(0.8, min(recalls) - 0.03), 1.005),
    )
    _plain_ticks(right, sizes)
    return Picture(figure)
