"""The marks of a submission: the points of each exercise, and what was noticed in the notebook."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from ragcourse.grading.result import Outcome

FindingKind = Literal["note", "restored", "suspicious"]


@dataclass(frozen=True)
class Finding:
    """Something that was noticed in a submission; `suspicious`: a person should look."""

    kind: FindingKind
    where: str  # "cell 12 (id …)" or ""
    text: str


@dataclass(frozen=True)
class ExerciseMark:
    """The points of one exercise; `by_hand`: a person gives them later, they are 0 now."""

    exercise: str
    task: str
    points: float
    max_points: float
    message: str  # "" if full points; else the first failing case in one line
    outcomes: tuple[Outcome, ...] = ()
    answer: str = ""  # the text answer of an exercise that is marked by hand
    by_hand: bool = False


@dataclass(frozen=True)
class SubmissionMark:
    """The marks of one submitted notebook."""

    file: str
    learner: str
    lesson: str  # "01"
    exercises: tuple[ExerciseMark, ...]
    findings: tuple[Finding, ...] = ()
    error: str = ""  # why it could not be graded at all; then every exercise has 0 points
    seconds: float = 0.0  # the whole grading
    notebook_seconds: float = 0.0  # of it the notebook's own run

    @property
    def points(self) -> float:
        """The points of the exercises that are not marked by hand."""
        return sum(mark.points for mark in self.exercises if not mark.by_hand)

    @property
    def max_points(self) -> float:
        """The most that `points` can be."""
        return sum(mark.max_points for mark in self.exercises if not mark.by_hand)

    def to_dict(self) -> dict[str, Any]:
        """Return the marks as JSON-able data, without the single checks."""
        return {
            "file": self.file,
            "learner": self.learner,
            "lesson": self.lesson,
            "points": self.points,
            "max_points": self.max_points,
            "exercises": {
                mark.exercise: {
                    "points": mark.points,
                    "max_points": mark.max_points,
                    "message": mark.message,
                    "by_hand": mark.by_hand,
                    "answer": mark.answer,
                }
                for mark in self.exercises
            },
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
            "error": self.error or None,
            "seconds": self.seconds,
            "notebook_seconds": self.notebook_seconds,
        }
