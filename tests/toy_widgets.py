"""Two toy widgets for the tests of the base: one that shows bars in time, one with a script of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ragcourse.widgets.bars import Bar, bars_result, format_value
from ragcourse.widgets.base import CourseWidget, Player
from ragcourse.widgets.controls import checkbox, choice, fixed, slider


class Waiting(CourseWidget):
    """How long a request waits: bars, a player, every kind of control, and no script."""

    title = "How long a request waits"
    player = Player(speeds=(0.1, 1.0))
    cached = checkbox("Query cache")
    hits = slider("Hits", 1, 20, 5)
    route = choice("Route", ["dense", "sparse"])
    embed_s = fixed(0.012)

    @staticmethod
    def run(params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the spans of the request before and after, in seconds."""
        embed = params["embed_s"]
        full = 0.004 * params["hits"] * (2 if params["route"] == "sparse" else 1)
        search = 0.0007 if params["cached"] else full
        bars = [
            Bar("Before", heading=True),
            Bar("embed, before", 0, embed, format_value(embed), faded=True, indent=1),
            Bar("search, before", embed, full, format_value(full), colour=1, faded=True, indent=1),
            Bar("Now", heading=True),
            Bar("embed", 0, embed, format_value(embed), indent=1),
            Bar("search", embed, search, format_value(search), colour=1, indent=1),
        ]
        total, before = embed + search, embed + full
        return bars_result(
            bars, f"{format_value(before)} before, {format_value(total)} now", duration=2.0 * before
        )


class Disc(CourseWidget):
    """A disc made of points: an array as the result, a script, a picture of its own."""

    title = "A disc"
    script = Path(__file__).with_name("toy_disc.js")
    radius = slider("Radius", 0.0, 100.0, 50.0, unit="px")

    @staticmethod
    def run(params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the points of the circle, an (60, 2) array in pixels."""
        if params["radius"] == 13:
            raise ValueError("13 is not drawn here")
        angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        points = params["radius"] * np.column_stack([np.cos(angle), np.sin(angle)])
        return {"points": points.astype(np.float32), "summary": f"a disc of radius {params['radius']:.0f} px"}

    def paint(self, figure: Figure, result: dict[str, Any]) -> None:
        """Draw the points with matplotlib."""
        axes = figure.add_subplot(aspect="equal", xlim=(-110, 110), ylim=(-110, 110))
        axes.fill(*result["points"].T)
