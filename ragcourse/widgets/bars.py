"""Horizontal bars, the picture that several widgets share: as data, and drawn by matplotlib.

`base.js` draws the same data on the canvas, so that a widget that shows bars needs no script of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7")  # Okabe and Ito; as in base.js


@dataclass(frozen=True)
class Bar:
    """One bar from `start`, `length` long; bars with the same label share a row, drawn in order.

    `note` stands to the right of its row, `colour` counts through COLOURS, a `faded` bar lies behind for
    comparison, `indent` shifts the label one level, and a `heading` is a row with a bold label and no bar.
    """

    label: str
    start: float = 0.0
    length: float = 0.0
    note: str = ""
    colour: int = 0
    faded: bool = False
    indent: int = 0
    heading: bool = False


def bars_result(
    bars: Sequence[Bar],
    summary: str,
    *,
    unit: str = "s",
    end: float | None = None,
    duration: float | None = None,
) -> dict[str, Any]:
    """Return what a `run` gives to show bars; `end` of the axis is by default that of the longest bar.

    `unit` "s" is shown as µs, ms or s, any other as it is. `summary` is one sentence under the picture, read
    aloud by screen readers. `duration` (seconds, default `end`) is how far a player runs.
    """
    last = max((bar.start + bar.length for bar in bars), default=0.0)
    end = last if end is None else end
    if not end > 0:
        raise ValueError("bars need an axis: give one bar a length above 0, or end=")
    return {
        "bars": [asdict(bar) for bar in bars],
        "unit": unit,
        "end": float(end),
        "duration": float(end if duration is None else duration),
        "summary": summary,
    }


def format_value(value: float, unit: str = "s") -> str:
    """Return a number with two or three digits and its unit, seconds as µs, ms or s.

    >>> format_value(0.0123), format_value(2.5), format_value(1200, "MB")
    ('12.3 ms', '2.5 s', '1200 MB')
    """
    if unit == "s" and 0 < value < 1:
        return f"{_digits(value * 1e6)} µs" if value < 1e-3 else f"{_digits(value * 1e3)} ms"
    return f"{_digits(value)} {unit}".rstrip()


def format_tick(value: float, end: float, unit: str = "s") -> str:
    """Return the label of an axis mark, without needless zeros, all in the unit that suits the axis's `end`.

    >>> format_tick(0.01, end=0.03), format_tick(0, end=0.03)
    ('10 ms', '0 ms')
    """
    scale, name = (1.0, unit) if unit != "s" or end >= 1 else (1e3, "ms") if end >= 1e-3 else (1e6, "µs")
    return f"{value * scale:.6g} {name}".rstrip()


def _digits(value: float) -> str:
    if value == 0:
        return "0"
    size = abs(value)
    return f"{value:.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2g}"


def draw_bars(figure: Figure, result: dict[str, Any]) -> None:
    """Draw the bars of a `bars_result` into an empty matplotlib figure, all of them at full length."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for bar in result["bars"]:
        rows.setdefault(bar["label"], []).append(bar)
    axes = figure.add_subplot()
    for position, row in enumerate(rows.values()):
        shown = [bar for bar in row if not bar["heading"]]
        for bar in shown:
            axes.barh(
                position,
                max(bar["length"], result["end"] * 0.002),
                left=bar["start"],
                height=0.58,
                color=COLOURS[bar["colour"] % len(COLOURS)],
                alpha=0.3 if bar["faded"] else 1.0,
            )
        note = next((bar["note"] for bar in reversed(shown) if bar["note"]), "")
        tip = max((bar["start"] + bar["length"] for bar in shown), default=0.0)
        axes.annotate(
            note,
            (tip, position),
            (5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color="#555555",
        )
    axes.set_yticks(range(len(rows)), list(rows))
    for label, row in zip(axes.get_yticklabels(), rows.values(), strict=True):
        label.set_fontweight("bold" if row[0]["heading"] else "normal")
    axes.set_xlim(0, result["end"])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: format_tick(float(value), result["end"], result["unit"]))
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
