"""What came of a contract: an `Outcome` for each check, and the `Result` that shows them as text or HTML."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

State = Literal["passed", "failed", "not written", "too slow", "not run"]

_MARKS: dict[str, str] = {"passed": "✓", "failed": "✗", "not written": "…", "too slow": "✗", "not run": "–"}
# Readable on white and on dark grey; JupyterLab's own variables come first where it has one.
_GREEN = "var(--jp-success-color0, #2e7d32)"
_RED = "var(--jp-error-color0, #c62828)"
_GREY = "var(--jp-ui-font-color2, #757575)"
_COLOURS = {"passed": _GREEN, "failed": _RED, "not written": _GREY, "too slow": _RED, "not run": _GREY}


@dataclass(frozen=True)
class Outcome:
    """What came of one check. All texts are made from plain data; an empty one is not shown."""

    name: str
    state: State
    points: float
    seconds: float = 0.0
    message: str = ""
    given: str = ""
    expected: str = ""
    got: str = ""
    cause: str = ""
    printed: str = ""

    @property
    def details(self) -> list[tuple[str, str]]:
        """The lines under a check that did not pass: (label, text)."""
        pairs = [
            ("", self.message),
            ("given", self.given),
            ("expected", self.expected),
            ("got", self.got),
            ("likely cause", self.cause),
            ("your code printed", self.printed.strip()),
        ]
        return [(label, text) for label, text in pairs if text]


@dataclass(frozen=True)
class Result:
    """What came of all checks of one exercise."""

    exercise: str
    task: str
    seed: int
    outcomes: tuple[Outcome, ...]

    @property
    def passed(self) -> bool:
        """True when every check passed."""
        return all(outcome.state == "passed" for outcome in self.outcomes)

    @property
    def points(self) -> float:
        """The points of the checks that passed."""
        return sum(outcome.points for outcome in self.outcomes if outcome.state == "passed")

    @property
    def max_points(self) -> float:
        """The points of all checks."""
        return sum(outcome.points for outcome in self.outcomes)

    @property
    def written(self) -> bool:
        """False when every check met a stub that is still to be written."""
        return any(outcome.state != "not written" for outcome in self.outcomes)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-able data."""
        return dataclasses.asdict(self) | {
            "passed": self.passed,
            "points": self.points,
            "max_points": self.max_points,
        }

    @property
    def _verdict(self) -> str:
        if self.passed:
            return "passed"
        return "not passed yet" if self.written else "not written yet"

    @property
    def _points(self) -> str:
        return f"{self.points:g} of {self.max_points:g} point{'s' if self.max_points != 1 else ''}"

    @property
    def _unwritten(self) -> list[str]:
        """What to do about a stub: its own words, unless they only repeat the task."""
        message = self.outcomes[0].message
        own = [] if message == f"Exercise {self.exercise}: {self.task}" else [message]
        return [*own, "replace the line that begins with “raise” by your code, run that cell, then this one"]

    def __repr__(self) -> str:
        head = f"Exercise {self.exercise}: {self.task}\n{self._verdict}, {self._points}"
        if not self.written:
            return "\n".join([head, *(f"  {line}" for line in self._unwritten)])
        lines = [head]
        for outcome in self.outcomes:
            lines.append(f"  {_MARKS[outcome.state]} {outcome.name}  ({outcome.state})")
            if outcome.state != "passed":
                for label, text in outcome.details:
                    first, *rest = text.splitlines()
                    lines.append(f"      {label + ': ' if label else ''}{first}")
                    lines.extend(f"        {line}" for line in rest)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        colour = _GREEN if self.passed else _RED if self.written else _GREY
        head = (
            f'<div style="margin-bottom:4px"><b>Exercise {self.exercise}</b>: {escape(self.task)}</div>'
            f'<div style="color:{colour};font-weight:600;margin-bottom:4px">'
            f"{self._verdict}, {self._points}</div>"
        )
        body = (
            "".join(outcome_html(outcome) for outcome in self.outcomes)
            if self.written
            else "".join(f'<div style="color:{_GREY}">{escape(line)}</div>' for line in self._unwritten)
        )
        return (
            f'<div style="border-left:4px solid {colour};padding:6px 0 6px 14px;max-width:760px;'
            "font-family:var(--jp-ui-font-family, system-ui, sans-serif);font-size:14px;line-height:1.45;"
            f'color:var(--jp-ui-font-color1, inherit)">{head}{body}</div>'
        )


def outcome_html(outcome: Outcome) -> str:
    """Return one check as a row of HTML: its mark, its name, what went wrong, its points."""
    passed = outcome.state == "passed"
    state = "" if passed else f' <span style="color:{_GREY}">({outcome.state})</span>'
    details = "".join(_detail(label, text, _COLOURS[outcome.state]) for label, text in outcome.details)
    if passed:
        details = ""
    elif details:
        details = f'<div style="margin:2px 0 6px 0">{details}</div>'
    return (
        '<div style="display:flex;gap:10px;padding:2px 0">'
        f'<div style="color:{_COLOURS[outcome.state]};font-weight:700;width:14px;text-align:center">'
        f"{_MARKS[outcome.state]}</div>"
        f'<div style="flex:1;min-width:0">{escape(outcome.name)}{state}{details}</div>'
        f'<div style="color:{_GREY};white-space:nowrap">'
        f"{outcome.points if passed else 0:g} / {outcome.points:g}</div></div>"
    )


def _detail(label: str, text: str, colour: str) -> str:
    if not label:
        return f'<div style="color:{colour}">{escape(text)}</div>'
    font = (
        "" if label == "likely cause" else "font-family:var(--jp-code-font-family, monospace);font-size:13px;"
    )
    return (
        '<div style="display:flex;gap:10px;align-items:baseline">'
        f'<div style="color:{_GREY};width:115px;flex:none">{label}</div>'
        f'<div style="flex:1;min-width:0;white-space:pre-wrap;overflow-wrap:anywhere;{font}">'
        f"{escape(text)}</div></div>"
    )
