"""The still pictures of lesson 03: steps of a growth side by side, comparisons against size, times."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ragcourse.timing import format_seconds
from ragcourse.widgets.growth_trees import tree_frames
from ragcourse.widgets.moving_picture import extent, paint_frame

COLOURS = {
    "linear scan": "#7f7f7f",
    "skip list": "#cc79a7",
    "B-tree": "#0072b2",
    "B+ tree": "#56b4e9",
    "trie": "#d55e00",
    "hash table": "#009e73",
}
_OTHER = "#0072b2"


def draw_steps(keys: Sequence[int], order: int = 5, *, plus: bool = False, last: int = 3) -> Figure:
    """The last steps of the growth of a B-tree or B+ tree (``plus``) side by side, with their captions."""
    frames = tree_frames(keys, order, plus=plus)[-last:]
    width, height = extent(frames)
    inches = 8.4 / last
    cell = min(0.36, inches / (width + 1))
    figure = Figure(figsize=(8.4, cell * (height + 0.6) + 0.75), dpi=110, facecolor="white")
    for place, frame in enumerate(frames):
        axes = figure.add_axes((place / last, 0.0, 1 / last, 1 - 0.75 / figure.get_figheight()))
        paint_frame(axes, frame, width, height, cell=72 * cell)
        caption = textwrap.fill(f"{place + 1}. {frame.caption}", 44)
        figure.text((place + 0.04) / last, 0.99, caption, size=7.6, va="top", color="#333333")
    return figure


def draw_counts(sizes: Sequence[int], counts: Mapping[str, Sequence[float]]) -> Figure:
    """Comparisons of one look-up against the number of keys, both on log axes; each curve has its name."""
    figure = Figure(figsize=(8.4, 3.7), dpi=110, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    ends = sorted((values[-1], name) for name, values in counts.items())
    at = 0.0
    for end, name in ends:
        at = max(end, at * 1.75)  # names must not lie on each other
        colour = COLOURS.get(name, _OTHER)
        axes.plot(sizes, counts[name], "o-", ms=3.5, lw=1.6, color=colour)
        label = f"{name}  {end:,.1f}" if end < 1000 else f"{name}  {end:,.0f}"
        _note(axes, label, (sizes[-1], at), (9, 0), size=9, color=colour)
    axes.set(xscale="log", yscale="log", xlabel="keys", ylabel="comparisons a look-up")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    ticks = [value for value in (1, 3, 10, 30, 100, 1_000, 10_000, 100_000) if value <= 2 * ends[-1][0]]
    axes.set_yticks(ticks, [f"{value:,}" for value in ticks])
    axes.minorticks_off()
    axes.set_xlim(sizes[0] * 0.8, sizes[-1] * 7)
    axes.grid(axis="y", color="#e4e4e4")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return figure


def draw_times(seconds: Mapping[str, float], reference: Mapping[str, float]) -> Figure:
    """Seconds of one look-up on a log axis; diamonds are the reference run's, on another machine."""
    height = 0.75 + 0.29 * len(seconds)
    figure = Figure(figsize=(8.4, height), dpi=110, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    for row, (name, value) in enumerate(seconds.items()):
        axes.plot([1e-9, value], [row, row], color="#dddddd", lw=1)
        axes.plot(value, row, "o", ms=7, color=next((c for n, c in COLOURS.items() if n in name), _OTHER))
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        _note(axes, format_seconds(value), (value, row), (-9, 0), size=9, ha="right", bbox=box)
        if name in reference:
            axes.plot(reference[name], row, "D", ms=6, mfc="none", color="#333333")
            text = f"reference run: {format_seconds(reference[name])}"
            _note(axes, text, (reference[name], row), (0, 11), size=7.5, ha="center")
    axes.set_yticks(range(len(seconds)), list(seconds))
    axes.set(xscale="log", xlim=(1e-8, 1), ylim=(len(seconds) - 0.4, -0.9), xlabel="seconds a look-up")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(labelsize=9)
    return figure


def _note(axes: Axes, text: str, place: tuple[float, float], shift: tuple[int, int], **style: Any) -> None:
    """A text beside a point; ``shift`` in points."""
    axes.annotate(text, place, shift, textcoords="offset points", va="center", **style)
