"""A picture that moves: frames of named things, drawn between two frames by JavaScript, still by matplotlib.

A thing that has the same name in two frames is one thing, and glides from its old place to its new one; a
new thing starts where the one named in ``since`` was, or fades in. Lengths are in cells: a key is one wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

INK, PAPER = "#1a1a1a", "#ffffff"
LOOKS: dict[str, dict[str, Any]] = {  # of boxes; the canvas has the same, see tree_growth.js
    "plain": {"facecolor": PAPER, "edgecolor": "#9a9a9a", "linewidth": 1.1},
    "path": {"facecolor": "#d9eaf5", "edgecolor": "#0072b2", "linewidth": 1.8},
    "new": {"facecolor": "#fbe8c3", "edgecolor": "#e69f00", "linewidth": 1.8},
    "full": {"facecolor": "#f8ddd0", "edgecolor": "#d55e00", "linewidth": 2.0},
    "word": {"facecolor": "#d5efe6", "edgecolor": "#009e73", "linewidth": 1.8},
    "none": {"facecolor": "none", "edgecolor": "none", "linewidth": 0.0},
}
LINE_LOOKS: dict[str, dict[str, Any]] = {
    "plain": {"color": "#9a9a9a", "linewidth": 1.2},
    "path": {"color": "#0072b2", "linewidth": 2.4},
    "link": {"color": "#009e73", "linewidth": 1.6},
    "wait": {"color": "#c4c4c4", "linewidth": 1.0},
}


@dataclass(frozen=True)
class Box:
    """A rectangle around (x, y) with a text; ``round_`` makes it a pill or a disc."""

    name: str
    x: float
    y: float
    text: str = ""
    width: float = 1.0
    height: float = 0.9
    look: str = "plain"
    bold: bool = False
    round_: bool = False
    since: str = ""


@dataclass(frozen=True)
class Line:
    """A straight line from (x, y) to (to_x, to_y); with ``head`` an arrow."""

    name: str
    x: float
    y: float
    to_x: float
    to_y: float
    look: str = "plain"
    head: bool = False
    since: str = ""


@dataclass
class Frame:
    """What is to be seen at one moment: lines lie below boxes, later boxes above earlier ones."""

    caption: str
    key: str = ""  # whose insertion this is a moment of
    boxes: list[Box] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    def packed(self) -> dict[str, Any]:
        """For the front end: lists in place of names of fields, numbers rounded."""
        return {
            "caption": self.caption,
            "key": self.key,
            "boxes": [
                [
                    b.name,
                    _r(b.x),
                    _r(b.y),
                    _r(b.width),
                    _r(b.height),
                    b.text,
                    b.look,
                    b.bold,
                    b.round_,
                    b.since,
                ]
                for b in self.boxes
            ],
            "lines": [
                [n.name, _r(n.x), _r(n.y), _r(n.to_x), _r(n.to_y), n.look, n.head, n.since]
                for n in self.lines
            ],
        }


def _r(value: float) -> float:
    return round(float(value), 3)


def extent(frames: Sequence[Frame]) -> tuple[float, float]:
    """Width and height in cells that hold every frame, which begin at (0, 0)."""
    width = max((b.x + b.width / 2 for frame in frames for b in frame.boxes), default=1.0)
    height = max((b.y + b.height / 2 for frame in frames for b in frame.boxes), default=1.0)
    return width, height


def paint_frame(axes: Axes, frame: Frame, width: float, height: float, cell: float = 30.0) -> None:
    """Draw one frame; ``cell`` is the width of a key in points, for the size of the letters."""
    axes.set(xlim=(-0.15, width + 0.15), ylim=(height + 0.15, -0.15), aspect="equal")
    axes.set_axis_off()
    for line in frame.lines:
        style = LINE_LOOKS[line.look]
        ends = ((line.to_x, line.to_y), (line.x, line.y))
        if line.head:
            arrow = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 9, **style}
            axes.annotate("", *ends, arrowprops=arrow, zorder=1)
        else:
            axes.plot([line.x, line.to_x], [line.y, line.to_y], zorder=1, **style)
    for box in frame.boxes:
        corner = (box.x - box.width / 2, box.y - box.height / 2)
        rounding = min(box.width, box.height) / 2 if box.round_ else 0.14
        shape = f"round,pad=0,rounding_size={rounding}"
        patch = FancyBboxPatch(corner, box.width, box.height, boxstyle=shape, zorder=2, **LOOKS[box.look])
        axes.add_patch(patch)
        size = cell * 0.4 * min(1.0, 2.6 / max(1, len(box.text)))
        style = {"ha": "center", "va": "center_baseline", "zorder": 3, "color": INK}
        axes.text(box.x, box.y, box.text, size=size, weight="bold" if box.bold else "normal", **style)
