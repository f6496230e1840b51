"""Widget of lesson 01: four stores race from the start of the process to the first answer.

Every time comes from a real start in a process of its own (`ragcourse.bench.startup_sizes`), replayed
here on one clock. A store works in batches; the race shows each stage once, with the time of all batches.
Between two measured sizes each stage is interpolated linearly, and the picture says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ragcourse.bench.startup_sizes import SIZES, STAGES, STORES, StartRun, measure_sizes
from ragcourse.timing import format_seconds
from ragcourse.widgets.base import CourseWidget, Player
from ragcourse.widgets.controls import choice, fixed, slider

STARTS = ("first start (cold)", "second start (warm)")
NAMES = {"map": "map", "file": "file", "chroma": "Chroma", "milvus": "Milvus Lite"}
COLOURS = {"map": "#7f7f7f", "file": "#0072b2", "chroma": "#d55e00", "milvus": "#009e73"}
STAGE_COLOURS = {  # Okabe and Ito's palette: told apart by colour-blind readers, too
    "open": "#777777",
    "compare": "#000000",
    "read": "#56b4e9",
    "split": "#0072b2",
    "embed": "#e69f00",
    "write": "#d55e00",
    "other": "#cccccc",
    "first query": "#009e73",
}
_DARK_INK = ("read", "embed", "other")  # light colours


class StartupRace(CourseWidget):
    """Bars that grow with the clock, one a store, a colour a stage; a warm one stands before the cold one."""

    title = "Start-up race: from an empty process to the first answer"
    script = Path(__file__).with_suffix(".js")
    player = Player(steps=20, speeds=(0.1, 0.25, 1.0))
    documents = slider("Documents", SIZES[0], SIZES[-1], SIZES[-1], step=1)
    start = choice("Race", STARTS)
    runs = fixed()

    def __init__(self, **params: Any) -> None:
        if params.get("runs") is None:
            params["runs"] = measure_sizes()
        super().__init__(**params)

    @staticmethod
    def run(params: Mapping[str, Any]) -> dict[str, Any]:
        """One row a store with its stages (start and length in seconds), its first answer and its place."""
        runs, documents, warm = params["runs"], params["documents"], params["start"] == STARTS[1]
        stores = [store for store in STORES if any(run.store == store for run in runs)]
        rows = [_row(runs, store, documents, warm) for store in stores]
        for place, row in enumerate(sorted(rows, key=lambda row: row["answer_s"]), start=1):
            row["place"] = place
            row["note"] = f"{format_seconds(row['answer_s'])} · {_ordinal(place)}"
        measured = documents in {run.documents for run in runs}
        cold = [_interpolate(runs, store, documents, warm=False) for store in stores]
        return {
            "rows": rows,
            "legend": _legend(rows),
            "measured": measured,
            "end": 1.02 * max(sum(stages.values()) for stages in cold),
            "duration": max(row["answer_s"] for row in rows),
            "summary": _summary(rows, documents, warm, measured),
        }

    def paint(self, figure: Figure, result: dict[str, Any]) -> None:
        """The picture of ``startup_race.js`` at the end of the race."""
        figure.set_size_inches(7.6, 1.2 + 0.5 * len(result["rows"]))
        axes = figure.add_subplot()
        for position, row in enumerate(result["rows"]):
            if row["cold_s"] is not None:
                axes.barh(position, row["cold_s"], height=0.62, fill=False, edgecolor="#bbbbbb", linewidth=1)
            for stage in row["stages"]:
                axes.barh(
                    position,
                    stage["length"],
                    left=stage["start"],
                    height=0.62,
                    color=stage["colour"],
                )
                if stage["length"] > 0.09 * result["end"]:
                    middle = stage["start"] + stage["length"] / 2
                    style = {"color": stage["ink"], "size": 8, "ha": "center", "va": "center"}
                    axes.text(middle, position, stage["name"], **style)
            tip = max(row["answer_s"], row["cold_s"] or 0.0)
            axes.annotate(
                row["note"], (tip, position), (5, 0), textcoords="offset points", va="center", size=9
            )
        axes.set_yticks(range(len(result["rows"])), [row["name"] for row in result["rows"]])
        axes.set_ylim(len(result["rows"]) - 0.5, -0.5)
        axes.set_xlim(0, 1.16 * result["end"])
        unsure = "" if result["measured"] else " (interpolated between measured sizes)"
        axes.set_xlabel("seconds from the start to the first answer" + unsure, fontsize=9)
        patches = [Patch(color=stage["colour"], label=stage["name"]) for stage in result["legend"]]
        figure.legend(
            handles=patches,
            loc="outside upper center",
            ncols=len(patches),
            frameon=False,
            fontsize=8,
            handlelength=1,
            columnspacing=1.2,
        )
        axes.grid(axis="x", color="#dddddd")
        axes.set_axisbelow(True)
        axes.tick_params(length=0, labelsize=9)
        axes.spines[:].set_visible(False)


def _row(runs: Sequence[StartRun], store: str, documents: int, warm: bool) -> dict[str, Any]:
    stages, began = [], 0.0
    for name, seconds in _interpolate(runs, store, documents, warm=warm).items():
        if seconds > 0:
            stages.append(_coloured(name) | {"start": began, "length": seconds})
        began += seconds
    cold = sum(_interpolate(runs, store, documents, warm=False).values())
    return {
        "store": store,
        "name": NAMES[store],
        "colour": COLOURS[store],
        "stages": stages,
        "answer_s": began,
        "cold_s": cold if warm else None,
    }


def _interpolate(runs: Sequence[StartRun], store: str, documents: int, *, warm: bool) -> dict[str, float]:
    """Stage → seconds at this size, in the order in which the stages run."""
    mine = [run for run in runs if (run.store, run.warm) == (store, warm)]
    if not mine:
        raise ValueError(f"no {'warm' if warm else 'cold'} start of the {store} store was measured")
    mine.sort(key=lambda run: run.documents)
    sizes = [run.documents for run in mine]
    if not sizes[0] <= documents <= sizes[-1]:
        raise ValueError(f"{documents} documents are outside of what was measured, {sizes[0]} to {sizes[-1]}")
    stages = {name: [run.stages[name] for run in mine] for name in (*STAGES, "other")}
    stages["first query"] = [run.first_query_s for run in mine]
    return {name: float(np.interp(documents, sizes, seconds)) for name, seconds in stages.items()}


def _coloured(stage: str) -> dict[str, Any]:
    ink = "#1a1a1a" if stage in _DARK_INK else "#ffffff"
    return {"name": stage, "colour": STAGE_COLOURS[stage], "ink": ink}


def _legend(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The stages that some row has, in the order in which they run."""
    shown = {stage["name"] for row in rows for stage in row["stages"]}
    return [_coloured(name) for name in STAGE_COLOURS if name in shown]


def _ordinal(place: int) -> str:
    return {1: "1st", 2: "2nd", 3: "3rd"}.get(place, f"{place}th")


def _summary(rows: Sequence[Mapping[str, Any]], documents: int, warm: bool, measured: bool) -> str:
    winner, last = min(rows, key=lambda row: row["place"]), max(rows, key=lambda row: row["place"])
    text = f"{documents} documents, {'warm' if warm else 'cold'}: {winner['name']} answers first, after "
    text += f"{format_seconds(winner['answer_s'])}; {last['name']} last, "
    text += f"after {format_seconds(last['answer_s'])}."
    if warm:
        spared = [f"{row['name']} {1 - row['answer_s'] / row['cold_s']:.0%}" for row in rows]
        text += f" Spared against the first start: {', '.join(spared)}."
    if not measured:
        text += " This size lies between two measured ones: its times are interpolated."
    return text
