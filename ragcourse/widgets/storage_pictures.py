"""Two still pictures of lesson 01: the rungs of storage, and first and second starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from ragcourse.bench.startup_sizes import StartRun, find
from ragcourse.timing import format_seconds
from ragcourse.widgets.startup_race import COLOURS, NAMES

_HERE, _BOOK = "#0072b2", "#bbbbbb"


def draw_ladder(measured: Mapping[str, float], textbook: Mapping[str, float]) -> Figure:
    """Seconds of each rung on a logarithmic axis: blue measured here, grey from the textbook."""
    rungs = [(seconds, name, _HERE) for name, seconds in measured.items()]
    rungs += [(seconds, f"{name} (textbook)", _BOOK) for name, seconds in textbook.items()]
    rungs.sort()
    figure, axes = _figure(0.5 + 0.28 * len(rungs))
    for row, (seconds, _, colour) in enumerate(rungs):
        axes.barh(row, seconds, color=colour, height=0.62)
        _note(axes, seconds, row, format_seconds(seconds))
    axes.set_yticks(range(len(rungs)), [name for _, name, _ in rungs])
    axes.set(xscale="log", xlim=(rungs[0][0] / 3, 12 * rungs[-1][0]), ylim=(len(rungs) - 0.4, -0.6))
    axes.set_xlabel("time for 4 KiB at a random place (logarithmic); blue: measured here", fontsize=9)
    axes.xaxis.set_major_formatter(lambda seconds, _: format_seconds(seconds))
    axes.minorticks_off()
    return figure


def draw_starts(
    runs: Sequence[StartRun], documents: int, reference: Mapping[str, tuple[float, float]]
) -> Figure:
    """Left: seconds of both starts. Right: the second in % of the first, beside a reference."""
    figure = Figure(figsize=(8.4, 3.0), dpi=110, layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2, width_ratios=[1.15, 1], gridspec_kw={"wspace": 0.14})
    stores = [store for store in COLOURS if any(run.store == store for run in runs)]
    for row, store in enumerate(stores):
        cold, warm = (find(runs, store, documents, warm=warm).start_s for warm in (False, True))
        colour = COLOURS[store]
        left.plot([cold, warm], [row, row], color=colour, linewidth=1.5, zorder=1)
        left.scatter([cold, warm], [row, row], s=40, color=["white", colour], edgecolor=colour, zorder=2)
        for seconds, rise in ((cold, 7), (warm, -14)):
            text, place = (
                format_seconds(seconds),
                {"textcoords": "offset points", "ha": "center", "fontsize": 8},
            )
            left.annotate(text, (seconds, row), (0, rise), **place)
        right.barh(row - 0.17, 100 * warm / cold, 0.3, color=colour)
        _note(right, 100 * warm / cold, row - 0.17, f"{warm / cold:.1%}")
        if store in reference:
            share = reference[store][1] / reference[store][0]
            right.barh(row + 0.17, 100 * share, 0.3, color=_BOOK)
            _note(right, 100 * share, row + 0.17, f"{share:.0%}")
    for axes in (left, right):
        _plain(axes)
        axes.set_yticks(range(len(stores)), [NAMES[store] for store in stores])
        axes.set_ylim(len(stores) - 0.5, -0.6)
    right.set(xlim=(0, max(122, right.get_xlim()[1] * 1.15)), xticks=range(0, 101, 20), yticklabels=[])
    left.set_xscale("log")
    left.margins(x=0.15)
    left.xaxis.set_major_formatter(lambda seconds, _: format_seconds(seconds))
    left.minorticks_off()
    left.set_xlabel("○ first start   ● second start (logarithmic)", fontsize=9)
    right.set_xlabel("second start, % of the first; grey: reference run", fontsize=9)
    return figure


def _figure(height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(7.6, height), dpi=110, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    _plain(axes)
    return figure, axes


def _plain(axes: Any) -> None:
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=9)
    axes.grid(axis="x", color="#e5e5e5")
    axes.set_axisbelow(True)


def _note(axes: Any, x: float, y: float, text: str) -> None:
    axes.annotate(text, (x, y), (4, 0), textcoords="offset points", va="center", fontsize=8.5)
