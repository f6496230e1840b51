"""Widget of lesson 00: one request through the real pipeline, with a switch for each thing that can be saved.

``request_stages.measure_stages`` runs the pipeline and keeps the median time of every stage; the widget only
puts these measured times together. The request begins in a process whose modules are imported, and ends with
the answer:

=====================  ===========================================================================
library kept           the store still holds it from an earlier start: nothing is read, cut or embedded
library open           the process has answered before: no start at all
model loaded           the embedding model's files are in memory before the question comes
question asked before  a dictionary in the process has the answer
=====================  ===========================================================================
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ragcourse.timing import format_seconds
from ragcourse.widgets.base import CourseWidget
from ragcourse.widgets.controls import checkbox, choice, fixed
from ragcourse.widgets.request_stages import STAGES, STORES, Seconds, measure_stages

__all__ = ["AXES", "RequestWaterfall", "measure_stages", "request_stages"]

AXES = ("linear", "linear, from start to answer", "logarithmic")
BEFORE, AFTER, WORST = "#bbbbbb", "#0072b2", "#d55e00"


def request_stages(params: Mapping[str, Any]) -> Seconds:
    """Stage → seconds of one request under these switches, in the order in which the stages run."""
    measured, store = params["measured"], params["store"]
    times = measured["stores"][store]
    if params["asked"]:
        return {"look up answer": measured["look up answer"]}
    kept = params["kept"] and store != "memory"
    stages: Seconds = {}
    if not params["opened"]:
        stages |= times["warm"] if kept else times["cold"]
    if not params["loaded"]:
        stages["load model"] = measured["load model"]
    stages |= times["ask"]
    return {name: stages[name] for name in STAGES if name in stages}


class RequestWaterfall(CourseWidget):
    """The stages of one request before and after; the one that now costs most is marked."""

    title = "One request, stage by stage"
    script = Path(__file__).with_suffix(".js")
    store = choice("Store", STORES)
    axis = choice("Time axis", AXES)
    kept = checkbox("Library kept")
    opened = checkbox("Library open")
    loaded = checkbox("Model loaded")
    asked = checkbox("Question asked before")
    measured = fixed()

    def __init__(self, **params: Any) -> None:
        if params.get("measured") is None:
            params["measured"] = measure_stages()
        super().__init__(**params)

    @staticmethod
    def run(params: Mapping[str, Any]) -> dict[str, Any]:
        """Rows of stages, each with start and length (seconds) before and after, and a sentence."""
        off = dict.fromkeys(("kept", "opened", "loaded", "asked"), False)
        before, after = request_stages({**params, **off}), request_stages(params)
        total_before, total = sum(before.values()), sum(after.values())
        worst = max(after, key=after.__getitem__)
        rows = [_row("whole request", total_before, 0.0, total, 0.0, total)]
        began_before = began = 0.0
        for stage in STAGES:
            rows.append(_row(stage, before.get(stage), began_before, after.get(stage), began, total))
            rows[-1]["worst"] = stage == worst
            began_before += before.get(stage, 0.0)
            began += after.get(stage, 0.0)
        shortest = min(*before.values(), *after.values())
        return {
            "rows": rows,
            "axis": params["axis"],
            "end": total if params["axis"] == AXES[1] else total_before,
            "decades": [math.floor(math.log10(shortest)), math.ceil(math.log10(total_before))],
            "total_before": total_before,
            "total": total,
            "worst": worst,
            "summary": _summary(params, total_before, after),
        }

    def paint(self, figure: Figure, result: dict[str, Any]) -> None:
        """The picture of ``request_waterfall.js``, drawn by matplotlib."""
        rows = result["rows"]
        figure.set_size_inches(7.6, 0.9 + 0.25 * len(rows))
        axes = figure.add_subplot()
        log = result["axis"] == "logarithmic"
        draw = partial(_dumbbell, axes) if log else partial(_bars, axes, result["end"])
        for position, row in enumerate(rows):
            draw(position, row, WORST if row["worst"] else AFTER)
            axes.annotate(
                row["note"],
                (1.19, position),
                xycoords=("axes fraction", "data"),
                ha="right",
                va="center",
                fontsize=9,
                color="#333333",
            )
        axes.set_yticks(range(len(rows)), [row["stage"] for row in rows])
        axes.get_yticklabels()[0].set_fontweight("bold")
        axes.set_ylim(len(rows) - 0.4, -0.6)
        if log:
            axes.set_xscale("log")
            axes.set_xlim(10.0 ** result["decades"][0], 10.0 ** result["decades"][1])
        else:
            axes.set_xlim(0, result["end"])
        axes.xaxis.set_major_formatter(lambda value, _: format_seconds(value) if value else "0")
        axes.set_xlabel("time that the stage takes" if log else "time since the request came", fontsize=9)
        axes.grid(axis="x", color="#dddddd")
        axes.set_axisbelow(True)
        axes.tick_params(length=0, labelsize=9)
        axes.minorticks_off()
        axes.spines[:].set_visible(False)


def _row(
    stage: str, before: float | None, began_before: float, after: float | None, began: float, total: float
) -> dict[str, Any]:
    note = "" if after is None else f"{format_seconds(after)}  {after / total:4.0%}"
    return {
        "stage": stage,
        "before": before,
        "began_before": began_before,
        "after": after,
        "began": began,
        "note": note,
        "worst": False,
    }


def _summary(params: Mapping[str, Any], before: float, after: Seconds) -> str:
    total = sum(after.values())
    worst = max(after, key=after.__getitem__)
    rest = total - after[worst]
    text = f"Before {format_seconds(before)}, now {format_seconds(total)}: {_times(before / total)}. "
    text += f"The bottleneck is “{worst}” with {after[worst] / total:.0%}. "
    if rest > 0:
        half = total / (rest + after[worst] / 2)
        text += f"Twice as fast, it would make the request {_times(half)}; gone, {_times(total / rest)}."
    if params["kept"] and params["store"] == "memory" and not params["opened"] and not params["asked"]:
        text += " A store in memory keeps nothing: that switch does nothing here."
    return text


def _times(factor: float) -> str:
    if abs(factor - 1) < 0.005:
        return "no faster"
    return f"{float(f'{factor:.3g}'):,.12g} times faster"


def _bars(axes: Any, end: float, position: int, row: Mapping[str, Any], colour: str) -> None:
    thin = 0.002 * end
    if row["before"] is not None:
        axes.barh(position, max(row["before"], thin), left=row["began_before"], height=0.72, color=BEFORE)
    if row["after"] is not None:
        axes.barh(position, max(row["after"], thin), left=row["began"], height=0.4, color=colour)


def _dumbbell(axes: Any, position: int, row: Mapping[str, Any], colour: str) -> None:
    if row["before"] is not None and row["after"] is not None:
        axes.plot([row["before"], row["after"]], [position, position], color=BEFORE, lw=2, zorder=1)
    for seconds, shade, size in ((row["before"], BEFORE, 70), (row["after"], colour, 36)):
        if seconds is not None:
            axes.scatter(seconds, position, s=size, color=shade, zorder=2)
