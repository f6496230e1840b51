"""What a teacher wants to know of a class: how the points are spread, and which exercises and checks failed.

A submission that could not be graded counts in none of these numbers.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ragcourse.grading.marks import ExerciseMark, SubmissionMark

_MOST_BARS = 12  # and one more where the full points fall into a bar of their own


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram: the points it stands for, and the submissions that have them."""

    label: str
    count: int


@dataclass
class ExerciseNumbers:
    """One exercise over a class."""

    exercise: str
    task: str
    max_points: float
    full: int = 0  # submissions with all points
    part: int = 0
    none: int = 0
    unwritten: int = 0  # the stub is still there; not in `none`
    points: list[float] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)  # name of a check → submissions that failed it

    def add(self, mark: ExerciseMark) -> None:
        """Count one submission's mark."""
        self.points.append(mark.points)
        if is_unwritten(mark):
            self.unwritten += 1
            return
        if mark.points >= mark.max_points:
            self.full += 1
        elif mark.points > 0:
            self.part += 1
        else:
            self.none += 1
        self.failed.update(o.name for o in mark.outcomes if o.state in ("failed", "too slow"))


@dataclass(frozen=True)
class LessonNumbers:
    """All submissions of one lesson. `points` and `max_points` leave out what is marked by hand."""

    lesson: str
    marks: tuple[SubmissionMark, ...]

    @property
    def graded(self) -> list[SubmissionMark]:
        """The submissions that could be graded."""
        return [mark for mark in self.marks if not mark.error]

    @property
    def max_points(self) -> float:
        """The most points that a submission of this lesson can have."""
        return max((mark.max_points for mark in self.marks), default=0)

    @property
    def mean(self) -> float:
        """The mean of the points; 0 where nothing was graded."""
        return statistics.fmean(points) if (points := [mark.points for mark in self.graded]) else 0

    @property
    def median(self) -> float:
        """The median of the points; 0 where nothing was graded."""
        return statistics.median(points) if (points := [mark.points for mark in self.graded]) else 0

    def bars(self) -> list[Bar]:
        """The histogram of the points, in at most 13 bars of equal width."""
        points = [mark.points for mark in self.graded]
        top = self.max_points
        step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 10**9) if top / s <= _MOST_BARS)
        whole = all(float(value).is_integer() for value in [*points, top])
        bars = []
        for low in range(0, int(top) + 1, step):
            high = low + step
            label = f"{low}–<{high}"
            if whole or low == top:
                last = min(high - 1, int(top))
                label = f"{low}" if low == last else f"{low}–{last}"
            bars.append(Bar(label, sum(low <= value < high for value in points)))
        return bars

    def exercises(self) -> list[ExerciseNumbers]:
        """The exercises that are checked by code, in the order of the course."""
        found: dict[str, ExerciseNumbers] = {}
        for submission in self.graded:
            for mark in submission.exercises:
                if not mark.by_hand:
                    found.setdefault(
                        mark.exercise, ExerciseNumbers(mark.exercise, mark.task, mark.max_points)
                    ).add(mark)
        return [found[exercise] for exercise in in_order(found)]

    def worst_checks(self, count: int = 8) -> list[tuple[str, str, int]]:
        """The checks that most submissions failed: (exercise, name of the check, submissions)."""
        every = [(e.exercise, name, n) for e in self.exercises() for name, n in e.failed.items()]
        return sorted(every, key=lambda row: -row[2])[:count]


def by_lesson(marks: Sequence[SubmissionMark]) -> list[LessonNumbers]:
    """Group the submissions by lesson, lessons in order; those of no lesson come last."""
    lessons = sorted({mark.lesson for mark in marks}, key=lambda lesson: (not lesson, lesson))
    return [LessonNumbers(lesson, tuple(m for m in marks if m.lesson == lesson)) for lesson in lessons]


def in_order(exercises: Iterable[str]) -> list[str]:
    """Sort exercise ids as numbers: "1.10" comes after "1.2"."""
    return sorted(exercises, key=lambda e: ([int(part) for part in e.split(".") if part.isdecimal()], e))


def is_unwritten(mark: ExerciseMark) -> bool:
    """True where every check met the stub."""
    return bool(mark.outcomes) and all(outcome.state == "not written" for outcome in mark.outcomes)


def exercises_of(marks: Sequence[SubmissionMark]) -> dict[str, ExerciseMark]:
    """Return a mark of each exercise that occurs, by id, in the order of the course."""
    found: dict[str, ExerciseMark] = {}
    for submission in marks:
        for mark in submission.exercises:
            found.setdefault(mark.exercise, mark)
    return {exercise: found[exercise] for exercise in in_order(found)}
