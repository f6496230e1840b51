"""The saved picture of `HnswWalk`: the end of its search, drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ragcourse.widgets.hnsw_pictures import BLUE, GREEN, GREY, ORANGE, Points, bare, lines


def paint_walk(figure: Figure, result: Mapping[str, Any]) -> None:
    """The PNG of `HnswWalk`: the end of its search."""
    figure.set_size_inches(7.6, 4.1)
    layers, points, hops = result["layers"], result["points"], result["hops"]
    grid = figure.add_gridspec(max(2, len(layers) - 1), 3, width_ratios=[1, 2.8, 1.15])
    for row, layer in enumerate(reversed(range(1, len(layers)))):
        axes = figure.add_subplot(grid[row, 0])
        _layer(axes, points, layers[layer], [hop for hop in hops if hop["layer"] == layer][-1], 3)
        axes.plot(*result["query"], "P", ms=6, color=ORANGE, mec="white", zorder=6)
        bare(axes, f"layer {layer}: {len(layers[layer]['nodes'])} nodes", 8)
        axes.invert_yaxis()
    axes, last = figure.add_subplot(grid[:, 1]), hops[-1]
    _layer(axes, points, layers[0], last, 4)
    axes.plot(*points[last["pool"]].T, "o", ms=5.5, color=BLUE, zorder=4)
    for node in result["truth"]:
        axes.plot(
            *points[node], "o", ms=10, mfc="none", mec=GREEN if node in last["pool"] else ORANGE, zorder=5
        )
    axes.plot(*result["query"], "P", ms=10, color=ORANGE, mec="white", zorder=6)
    axes.set(xlim=(0, 1), ylim=(1, 0))
    bare(axes, f"layer 0: {len(layers[0]['nodes'])} nodes, {last['distances']} distances computed")
    _pool(figure.add_subplot(grid[:, 2]), result, last)
    figure.supxlabel(result["summary"], fontsize=9)


def _layer(axes: Axes, points: Points, layer: Mapping[str, Any], hop: Mapping[str, Any], size: float) -> None:
    parents = dict(hop["parents"])
    lines(axes, points, layer["edges"], "#e4e4e4", 0.5, smooth=False)
    axes.plot(*points[layer["nodes"]].T, "o", ms=size * 0.6, color="#aaaaaa", zorder=2)
    lines(axes, points, [(a, b) for a, b in parents.items() if a != b], "#8fc1de", 1.0)
    axes.plot(*points[list(parents)].T, "o", ms=size, color="white", mec=GREY, mew=0.9, zorder=3)
    node, way = hop["pool"][0], []
    while parents[node] != node:
        way.append((node, parents[node]))
        node = parents[node]
    lines(axes, points, way, BLUE, 2.5)


def _pool(axes: Axes, result: Mapping[str, Any], hop: Mapping[str, Any]) -> None:
    away = [float(result["away"][node]) for node in hop["pool"]]
    places = range(len(away))
    axes.barh(places, away, color="#b3d4e8", height=0.7)
    axes.set_yticks(places, [str(node) for node in hop["pool"]])
    axes.set_ylim(max(15.5, len(away) - 0.5), -0.5)
    axes.set_xticks([])
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)
    axes.set_title(f"pool of {result['ef']}", fontsize=9, loc="left")
