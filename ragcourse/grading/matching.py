"""Which cell of a lesson does each submitted cell stand for? By its id, its grade id, or its text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from nbformat import NotebookNode

How = Literal["id", "grade id", "text", "name", "likeness"]

ALIKE = 0.5  # of the lines, by difflib
MAX_COMPARED = 5_000  # pairs of cells compared line by line
_DEFINED = re.compile(r"^(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)", re.MULTILINE)
_CHECKED = re.compile(r"^(?:\w+\s*=\s*)?check\(\s*[\"']([^\"']+)[\"']", re.MULTILINE)
_ASKED = re.compile(r"^\*\*Exercise (\d+\.\d+):", re.MULTILINE)
_GRADE_ID = re.compile(r"(?:exercise|check)-(\d+)-(\d+)(?:-part-\d+)?")


@dataclass(frozen=True)
class Match:
    """The index of the lesson's cell, and what it was recognised by."""

    lesson: int
    how: How


def grading_of(cell: NotebookNode) -> Mapping[str, Any]:
    """Return the cell's nbgrader metadata, {} where it has none."""
    found = cell.get("metadata", {}).get("nbgrader")
    return found if isinstance(found, Mapping) else {}


def grade_id(cell: NotebookNode) -> str:
    """Return the cell's grade id, "" where it has none."""
    found = grading_of(cell).get("grade_id")
    return found if isinstance(found, str) else ""


def exercise_of(cell: NotebookNode) -> str:
    """Return the exercise, such as "1.2", that a cell of a lesson belongs to, or ""."""
    found = _GRADE_ID.fullmatch(grade_id(cell))
    return f"{found[1]}.{found[2]}" if found else ""


def is_answer(cell: NotebookNode) -> bool:
    """Tell whether a cell of a lesson is to be answered."""
    return bool(grading_of(cell).get("solution"))


def is_check(cell: NotebookNode) -> bool:
    """Tell whether a cell of a lesson is the locked check of an exercise."""
    return bool(grading_of(cell).get("locked"))


def plain_text(source: str) -> str:
    """Return the text without white space at the ends of its lines and blank lines around it."""
    return "\n".join(line.rstrip() for line in source.splitlines()).strip("\n")


def defined_names(source: str) -> set[str]:
    """Return the functions and classes defined at the left margin, also of what is not valid Python."""
    return set(_DEFINED.findall(source))


def checked_exercise(source: str) -> str:
    """Return the exercise that a check cell checks, or ""."""
    found = _CHECKED.search(source)
    return found[1] if found else ""


def match(submitted: Sequence[NotebookNode], lesson: Sequence[NotebookNode]) -> dict[int, Match]:
    """Return the `Match` of each submitted cell that stands for one of the lesson; a copy has the same one.

    Ids come first, then grade ids; what is left is recognised by its text, whole or nearly so, an answer also
    by the function or class that it defines.
    """
    found: dict[int, Match] = {}
    keys: list[tuple[How, Callable[[NotebookNode], str]]] = [("id", _id), ("grade id", grade_id)]
    for how, key in keys:
        places = {key(cell): at for at, cell in enumerate(lesson) if key(cell)}
        for number, cell in enumerate(submitted):
            if number not in found and key(cell) in places:
                found[number] = Match(places[key(cell)], how)
    _by_text(submitted, lesson, found)
    _by_name(submitted, lesson, found)
    _by_likeness(submitted, lesson, found)
    return found


def _id(cell: NotebookNode) -> str:
    return str(cell.get("id") or "")


def _missing(lesson: Sequence[NotebookNode], found: Mapping[int, Match]) -> list[int]:
    taken = {match.lesson for match in found.values()}
    return [at for at in range(len(lesson)) if at not in taken]


def _left(submitted: Sequence[NotebookNode], found: Mapping[int, Match]) -> list[int]:
    return [number for number in range(len(submitted)) if number not in found]


def _by_text(
    submitted: Sequence[NotebookNode], lesson: Sequence[NotebookNode], found: dict[int, Match]
) -> None:
    places: dict[tuple[str, str], list[int]] = {}
    for at, cell in enumerate(lesson):
        places.setdefault((cell.cell_type, plain_text(cell.source)), []).append(at)
    missing = set(_missing(lesson, found))
    for number in _left(submitted, found):
        cell = submitted[number]
        same = places.get((cell.cell_type, plain_text(cell.source)), [])
        if same:
            at = next((at for at in same if at in missing), same[-1])  # or one more copy of the last
            missing.discard(at)
            found[number] = Match(at, "text")


def _by_name(
    submitted: Sequence[NotebookNode], lesson: Sequence[NotebookNode], found: dict[int, Match]
) -> None:
    names = {number: _names(submitted[number]) for number in _left(submitted, found)}
    for at in _missing(lesson, found):
        wanted = _names(lesson[at]) if is_answer(lesson[at]) or is_check(lesson[at]) else set()
        for number in _left(submitted, found):
            if submitted[number].cell_type == lesson[at].cell_type and wanted & names[number]:
                found[number] = Match(at, "name")


def _names(cell: NotebookNode) -> set[str]:
    if cell.cell_type != "code":
        return {f"text {exercise}" for exercise in _ASKED.findall(cell.source)}
    checked = checked_exercise(cell.source)
    return {f"check {checked}"} if checked else defined_names(cell.source)


def _by_likeness(
    submitted: Sequence[NotebookNode], lesson: Sequence[NotebookNode], found: dict[int, Match]
) -> None:
    missing = [(at, _lines(lesson[at].source)) for at in _missing(lesson, found)]
    pairs: list[tuple[float, int, int]] = []
    compared = 0
    for number in _left(submitted, found):
        lines = _lines(submitted[number].source)
        counted = Counter(lines)
        for at, wanted in missing:
            if submitted[number].cell_type != lesson[at].cell_type or compared >= MAX_COMPARED:
                continue
            shared = sum((counted & Counter(wanted)).values())
            if 2 * shared < ALIKE * (len(lines) + len(wanted)) or not shared:
                continue
            compared += 1
            alike = SequenceMatcher(None, lines, wanted, autojunk=False).ratio()
            if alike >= ALIKE:
                pairs.append((-alike, number, at))
    taken: set[int] = set()
    for _, number, at in sorted(pairs):
        if number not in found and at not in taken:
            found[number] = Match(at, "likeness")
            taken.add(at)


def _lines(source: str) -> list[str]:
    return [line.strip() for line in source.splitlines() if line.strip()]
