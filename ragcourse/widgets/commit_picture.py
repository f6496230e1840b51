"""The picture of a commit over two stores: who holds which node at each step, and what a crash there leaves.

`CommitWatch` drives the real manifest and notes its state at each moment; `draw_commit` draws the moments.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from ragcourse.documents import Node
from ragcourse.manifest import Manifest

_BLUE, _ORANGE, _GREY = "#0072b2", "#e69f00", "#777777"


@dataclass(frozen=True)
class Moment:
    """Node ids in the store, committed in the manifest, and pending there, after one step."""

    step: str
    stored: frozenset[str]
    committed: frozenset[str]
    pending: frozenset[str]

    @property
    def next_start_deletes(self) -> frozenset[str]:
        """What a start after a crash at this moment clears out of the store."""
        return self.stored & self.pending

    @property
    def after_crash(self) -> frozenset[str]:
        """What the store holds once that start is done."""
        return self.stored - self.next_start_deletes


@dataclass
class CommitWatch:
    """A manifest in memory, a set of ids that plays the vector store, and the moments looked at so far."""

    manifest: Manifest = field(default_factory=lambda: Manifest(None))
    store: set[str] = field(default_factory=set)
    moments: list[Moment] = field(default_factory=list)

    def look(self, step: str) -> None:
        """Note the present state under the name of the step that led to it."""
        committed, pending = self.manifest.stored_ids(), self.manifest.pending()
        self.moments.append(Moment(step, frozenset(self.store), frozenset(committed), frozenset(pending)))


def node(name: str, document: str = "a.md") -> Node:
    """A node whose id is its name, so that a picture can show it."""
    return Node(name, f"text of {name}", document, "sentence")


def draw_commit(moments: list[Moment]) -> Figure:
    """One column a moment; blue nodes are committed, orange ones pending."""
    figure = Figure(figsize=(8.4, 2.9), dpi=110, layout="constrained", facecolor="white")
    axes = figure.add_subplot(xlim=(-1.15, len(moments) - 0.45), ylim=(4.5, -0.6))
    axes.set_axis_off()
    after = "killed here, the next\nstart deletes"
    for row, label in enumerate(("the store holds", "readers see", "pending", after, "… and leaves")):
        axes.text(-1.12, row + 0.1, label, va="center", fontsize=9, color="#333333")
    axes.axhline(2.52, color="#cccccc", linewidth=1)
    for column, moment in enumerate(moments):
        axes.text(column, -0.5, moment.step, ha="center", va="center", fontsize=9, fontweight="bold")
        deleted, left = moment.next_start_deletes, moment.after_crash
        for row, names in enumerate((moment.stored, moment.committed, moment.pending, deleted, left)):
            _draw_set(axes, column, row + 0.1, sorted(names), moment)
    return figure


def _draw_set(axes: Any, x: float, y: float, names: list[str], moment: Moment) -> None:
    if not names:
        axes.text(x, y, "–", ha="center", va="center", color=_GREY)
    for i, name in enumerate(names):
        left = x + (i - len(names) / 2) * 0.29
        colour = _ORANGE if name in moment.pending else _BLUE if name in moment.committed else _GREY
        style = "round,pad=0,rounding_size=0.06"
        axes.add_patch(
            FancyBboxPatch((left + 0.03, y - 0.22), 0.23, 0.44, boxstyle=style, color=colour, linewidth=0)
        )
        axes.text(left + 0.145, y, name, ha="center", va="center", fontsize=8.5, color="white")
