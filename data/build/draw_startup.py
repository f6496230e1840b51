"""Draw data/results/startup.svg, the picture of the README, from data/results/startup-peers.json.

    python data/build/draw_startup.py

A bar a library: what its second start took, in a fresh process, on the very same files; a tick where
the first start ended. Medians; the thin line spans all samples.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "ragcourse"  # the same picture from the same results, to the byte

from matplotlib import pyplot as plt  # noqa: E402 - the backend is chosen first

from ragcourse.paths import RESULTS  # noqa: E402

OURS, THEIRS = "#0072B2", "#bbbbbb"


def draw(results: dict[str, Any], target: Path) -> None:
    """One row a contestant, the fastest restart at the top."""
    starts = {name: runs for name, runs in results["details"]["starts"].items() if runs[1]}
    seconds = {name: [[run["start_s"] for run in start] for start in runs] for name, runs in starts.items()}
    order = sorted(seconds, key=lambda name: median(seconds[name][1]), reverse=True)
    figure, axes = plt.subplots(figsize=(8.4, 0.42 * len(order) + 1.1), layout="constrained")
    for row, name in enumerate(order):
        first, second = seconds[name][0], seconds[name][1]
        nodes = starts[name][1][0]["nodes"]
        axes.barh(row, median(second), color=OURS if name.startswith("ragcourse") else THEIRS, height=0.62)
        axes.plot([min(second), max(second)], [row, row], color="#333333", linewidth=1)
        axes.plot(median(first), row, "|", color="#333333", markersize=13, markeredgewidth=2)
        label = f" {median(second) * 1000:,.0f} ms"
        if nodes != starts[name][0][0]["nodes"]:
            label += f", {starts[name][0][0]['nodes']:,} → {nodes:,} nodes"
        axes.annotate(
            label, (max(median(second), median(first), *second), row), xytext=(6, 0),
            textcoords="offset points", va="center", fontsize=8.5,
        )  # fmt: skip
    axes.set_yticks(range(len(order)), order, fontsize=9)
    axes.set_xscale("log")
    axes.set_xlim(right=axes.get_xlim()[1] * 12)
    axes.set_xlabel("seconds of the second start (bar) and of the first (tick), log scale", fontsize=9)
    nodes = starts[order[-1]][0][0]["nodes"]
    title = f"Opening the same library again: {nodes:,} sentences of the handbook"
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    draw(json.loads((RESULTS / "startup-peers.json").read_text("utf-8")), RESULTS / "startup.svg")
    print(RESULTS / "startup.svg")
