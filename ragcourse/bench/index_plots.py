"""The pictures of ``ragcourse bench indexes``: recall against speed, and cost as the data grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

COLOURS = {"ours": "#0072b2", "hnswlib": "#d55e00", "faiss": "#009e73"}
_LINES = {
    "HNSW at recall 0.95": ("#0072b2", "-"),
    "HNSW at ef=64": ("#0072b2", ":"),
    "scan": ("#7f7f7f", "-"),
}
_TICKS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
_BEST = 0.9995  # a recall of 1 has no place on a logarithmic scale of what is missed
_SAME = {"HNSW": "M and ef_construction", "IVF": "cells"}

Curves = Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]


def draw(details: Mapping[str, Any], folder: Path, name: str = "indexes") -> list[Path]:
    """Write ``NAME-hnsw.svg``, ``NAME-ivf.svg``, ``NAME-growth.svg``, as far as there is data."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for kind in ("HNSW", "IVF"):
        curves = {what: found for what, found in details["curves"].items() if what.startswith(f"{kind}, ")}
        if curves:
            written.append(_save(_recall_and_speed(curves, kind), folder / f"{name}-{kind.lower()}.svg"))
    if details["growth"]:
        written.append(_save(_growth(details["growth"]), folder / f"{name}-growth.svg"))
    return written


def _save(figure: Figure, path: Path) -> Path:
    with matplotlib.rc_context({"svg.hashsalt": "ragcourse"}):  # the same picture from the same results
        figure.savefig(path, format="svg", metadata={"Date": None})
    return path


def _recall_and_speed(curves: Curves, kind: str) -> Figure:
    """A panel a set of vectors; up and to the right is better."""
    figure = Figure(figsize=(4.2 * len(curves) + 0.6, 3.9), layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for axes, (what, found) in zip(panels, curves.items(), strict=True):
        for name, every in found.items():
            points = [point for point in every if point["recall"] <= _BEST]
            solid = "float32" not in name
            axes.plot(
                [1 - point["recall"] for point in points],
                [1e6 / median(point["us"]) for point in points],
                "o-" if solid else "o--", color=COLOURS[name.partition(",")[0]], label=name,
                markersize=3.5, linewidth=1.6, markerfacecolor=None if solid else "white",
            )  # fmt: skip
        axes.set_title(what.partition(", ")[2], loc="left", fontsize=10)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.invert_xaxis()
        worst, best = max(axes.get_xlim()), min(axes.get_xlim())
        axes.xaxis.set_major_locator(FixedLocator([1 - t for t in _TICKS if best <= 1 - t <= worst]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda missed, _: f"{1 - missed:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        _thousands(axes)
        axes.set_xlabel("recall@10", fontsize=9)
        _plain(axes)
    panels[0].set_ylabel("queries per second, one thread", fontsize=9)
    panels[0].legend(fontsize=8, frameon=False, loc="lower left")
    figure.suptitle(f"{kind}: recall against speed, the same {_SAME[kind]}", x=0.01, ha="left", fontsize=11)
    return figure


def _growth(growth: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(5.8, 3.8), layout="constrained", facecolor="white")
    axes = figure.subplots()
    sizes = growth["sizes"]
    for name, samples in growth["us"].items():
        colour, dash = _LINES[name]
        times = [median(taken) for taken in samples]
        axes.plot(sizes, times, f"o{dash}", color=colour, markersize=4, linewidth=1.6)
        axes.annotate(
            f"{name}: {times[-1] / times[0]:.1f}×", (sizes[-1], times[-1]), (7, 0),
            textcoords="offset points", va="center", color=colour, fontsize=9,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    _thousands(axes)
    axes.set_xlabel("vectors", fontsize=9)
    axes.set_ylabel("µs a query, one thread", fontsize=9)
    axes.set_title(f"Time of a query as the data grows ({growth['data']})", loc="left", fontsize=10)
    axes.set_xlim(right=sizes[-1] * 4)
    _plain(axes)
    return figure


def _thousands(axes: Axes) -> None:
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _plain(axes: Axes) -> None:
    axes.tick_params(labelsize=8)
    axes.grid(True, which="major", color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
