"""What is another in a submission than in its lesson, in words for the learner and the teacher."""

from __future__ import annotations

import ast
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence

from nbformat import NotebookNode

from ragcourse.grading.marks import Finding, FindingKind
from ragcourse.grading.matching import (
    How,
    Match,
    exercise_of,
    grade_id,
    grading_of,
    is_answer,
    is_check,
    plain_text,
)

FEW = 5  # more findings of one sort are put into one
MANY = 10  # cells that are named in one finding
MAX_SOURCE = 200_000  # characters that are parsed
_CELL_MAGIC = re.compile(r"\s*%%(?!(?:time|capture|prun)\b)(\S+)")
_ID = re.compile(r"[\w-]{1,64}")
_BY: dict[How, str] = {
    "grade id": "its grade id",
    "text": "its text",
    "name": "the name that it defines or checks",
    "likeness": "its likeness to the lesson's",
}


def changes(
    submitted: Sequence[NotebookNode], lesson: Sequence[NotebookNode], matches: Mapping[int, Match]
) -> list[Finding]:
    """Return what was edited, deleted, duplicated, moved, renamed or added, in the order of the notebook."""
    copies: dict[int, list[int]] = {}
    for number, found in sorted(matches.items()):
        copies.setdefault(found.lesson, []).append(number)
    findings: list[Finding] = []
    for at, numbers in sorted(copies.items(), key=lambda item: item[1]):
        for number in numbers:
            findings += _edited(place(number, submitted[number]), submitted[number], lesson[at], at)
        findings += _duplicated(numbers, submitted, lesson[at], at)
    findings += _renamed(submitted, lesson, matches)
    findings += _deleted(lesson, copies)
    findings += _moved(submitted, lesson, copies)
    findings += _unknown(submitted, matches)
    return findings


def place(number: int, cell: NotebookNode) -> str:
    """Return how a finding names a submitted cell: its number from 1, and its id."""
    name = cell.get("id")
    return f"cell {number + 1}" + (f" (id {name})" if isinstance(name, str) and _ID.fullmatch(name) else "")


def parsed(source: str) -> ast.Module | None:
    """Return the syntax tree, lines of IPython's magic left out; None for what is not Python."""
    if len(source) > MAX_SOURCE:
        return None
    for text in (source, "\n".join(map(_without_magic, source.split("\n")))):
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def _without_magic(line: str) -> str:
    text = line.strip()
    if text.startswith(("%", "!", "?")) or text.endswith("?"):
        return line[: len(line) - len(line.lstrip())] + "pass"
    return line


def added_definitions(source: str, original: str) -> str:
    """Return the imports, functions and classes that the source has at its left margin and the original has
    not.
    """
    if plain_text(source) == plain_text(original):
        return ""
    mine, theirs = parsed(source), parsed(original)
    if mine is None or theirs is None:
        return ""
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    try:
        known = {ast.unparse(node) for node in theirs.body}
        texts = [ast.unparse(node) for node in mine.body if isinstance(node, kinds)]
    except RecursionError:
        return ""
    return "\n\n".join(text for text in texts if text not in known)


def _title(cell: NotebookNode, at: int) -> str:
    exercise = exercise_of(cell)
    if exercise:
        return f"the {'check' if is_check(cell) else 'answer'} of exercise {exercise}"
    first = next((line.strip() for line in cell.source.splitlines() if line.strip()), "")
    return f"cell {at + 1} of the lesson ({first[:40]!r})"


def _edited(where: str, cell: NotebookNode, original: NotebookNode, at: int) -> list[Finding]:
    findings: list[Finding] = []
    title = _title(original, at)

    def add(kind: FindingKind, text: str) -> None:
        findings.append(Finding(kind, where, text))

    if cell.cell_type != original.cell_type:
        used = f"it was read as {original.cell_type}" if is_answer(original) else "the original was used"
        add("restored", f"{title} had been turned into a {cell.cell_type} cell; {used}")
    elif is_check(original):
        if plain_text(cell.source) != plain_text(original.source):
            how = "changed" if cell.source.strip() else "emptied"
            add("restored", f"{title} had been {how}; the original was run")
    elif not is_answer(original) and _differs(cell, original):
        added = added_definitions(cell.source, original.source) if cell.cell_type == "code" else ""
        kept = "; the imports, functions and classes added to it were run after it" if added else ""
        add("note", f"{title} had been changed; the original was used{kept}")
    if is_answer(original) and cell.cell_type == "code" and (magic := _CELL_MAGIC.match(cell.source)):
        add("note", f"{title} begins with %%{magic[1][:20]}, so the notebook does not know what it defines")
    before, now = grading_of(original), grading_of(cell)
    keys = [key for key in ("points", "grade", "locked", "solution") if key in now and key in before]
    other = {key: now[key] for key in keys if now[key] != before[key]}
    if other:
        told = ", ".join(f"{key} {str(other[key])[:20]} instead of {before[key]}" for key in other)
        add("suspicious", f"the grading metadata of {title} had been changed ({told}); the original was used")
    tags = [tag for tag in cell.get("metadata", {}).get("tags", []) if _steers(tag)]
    if tags:
        add("suspicious", f"the tag {tags[0][:40]!r} steers how nbval checks the cell; it was removed")
    return findings


def _steers(tag: object) -> bool:
    return isinstance(tag, str) and (tag == "raises-exception" or tag.lower().startswith(("nbval", "pytest")))


def _differs(cell: NotebookNode, original: NotebookNode) -> bool:
    """Tell whether more was changed than the values in a cell, such as the guesses of a prediction."""
    if plain_text(cell.source) == plain_text(original.source):
        return False
    if cell.cell_type != "code":
        return True
    shapes = []
    for source in (cell.source, original.source):
        tree = parsed(source)
        if tree is None:
            return True
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant):
                node.value, node.kind = 0, None
        try:
            shapes.append(ast.dump(tree))
        except RecursionError:
            return True
    return shapes[0] != shapes[1]


def _duplicated(
    numbers: Sequence[int], submitted: Sequence[NotebookNode], original: NotebookNode, at: int
) -> list[Finding]:
    if len(numbers) < 2:
        return []
    cells = " and ".join(str(number + 1) for number in numbers[:FEW])
    if not is_answer(original):
        counts = "it was used once, as the lesson has it"
    elif original.cell_type == "markdown":
        counts = "the last that is not the stub counts"
    else:
        counts = "those that are not the stub were run in their order, so that the last counts"
    text = f"{_title(original, at)} is there {len(numbers)} times (cells {cells}); {counts}"
    return [Finding("restored", place(numbers[-1], submitted[numbers[-1]]), text)]


def _renamed(
    submitted: Sequence[NotebookNode], lesson: Sequence[NotebookNode], matches: Mapping[int, Match]
) -> list[Finding]:
    by_id = {found.lesson for found in matches.values() if found.how == "id"}
    renamed = {
        number: found
        for number, found in sorted(matches.items())
        if found.how != "id" and found.lesson not in by_id
    }
    told = {
        number: f"{_title(lesson[found.lesson], found.lesson)} had lost its id {lesson[found.lesson].id}; "
        f"it was recognised by {_BY[found.how]}"
        for number, found in renamed.items()
    }
    if len(renamed) <= FEW:
        return [Finding("restored", place(number, submitted[number]), text) for number, text in told.items()]
    sure = [number for number, found in renamed.items() if found.how in ("grade id", "text")]
    text = (
        f"{len(renamed)} cells had lost their ids, as after Colab or an old Jupyter; "
        f"{len(sure)} were recognised by their grade id or their unchanged text"
    )
    return [
        Finding("restored", "", text),
        *(Finding("restored", place(n, submitted[n]), told[n]) for n in renamed if n not in sure),
    ]


def _deleted(lesson: Sequence[NotebookNode], copies: Mapping[int, Sequence[int]]) -> list[Finding]:
    missing = [at for at in range(len(lesson)) if at not in copies]
    findings = []
    for at in missing:
        if exercise_of(lesson[at]):
            back = "its stub" if is_answer(lesson[at]) else "the original"
            text = f"{_title(lesson[at], at)} had been deleted; {back} was put back"
            findings.append(Finding("restored", "", text))
    others = [at for at in missing if not exercise_of(lesson[at])]
    if others:
        some = ", ".join(_title(lesson[at], at) for at in others[:FEW]) + (", …" if len(others) > FEW else "")
        text = f"{len(others)} of the lesson's cells had been deleted and were put back: {some}"
        findings.append(Finding("restored", "", text))
    return findings


def _moved(
    submitted: Sequence[NotebookNode], lesson: Sequence[NotebookNode], copies: Mapping[int, Sequence[int]]
) -> list[Finding]:
    order = sorted(copies, key=lambda at: copies[at][0])
    in_order = _longest_rising(order)
    moved = [at for at in order if at not in in_order]
    if len(moved) <= FEW:
        return [
            Finding(
                "restored",
                place(copies[at][0], submitted[copies[at][0]]),
                f"{_title(lesson[at], at)} had been moved; it was run at its own place",
            )
            for at in moved
        ]
    return [Finding("restored", "", f"{len(moved)} cells had been moved; the lesson's order was used")]


def _longest_rising(numbers: Sequence[int]) -> set[int]:
    """Return the longest subsequence that rises: the cells that need not be called moved."""
    tails: list[int] = []
    before: dict[int, int | None] = {}
    for number in numbers:
        at = bisect_left(tails, number)
        before[number] = tails[at - 1] if at else None
        tails[at : at + 1] = [number]
    kept: set[int] = set()
    number_or_none: int | None = tails[-1] if tails else None
    while number_or_none is not None:
        kept.add(number_or_none)
        number_or_none = before[number_or_none]
    return kept


def _unknown(submitted: Sequence[NotebookNode], matches: Mapping[int, Match]) -> list[Finding]:
    own = [
        number
        for number, cell in enumerate(submitted)
        if number not in matches and cell.source.strip() and cell.cell_type == "code"
    ]
    findings = [
        Finding(
            "suspicious",
            place(number, cell),
            f"it has the grade id {grade_id(cell)[:40]!r}, which the lesson does not have; "
            "it was taken for the learner's own cell",
        )
        for number, cell in enumerate(submitted)
        if number not in matches and grade_id(cell)
    ]
    if own:
        cells = ", ".join(str(number + 1) for number in own[:MANY]) + (", …" if len(own) > MANY else "")
        findings.append(
            Finding("note", "", f"code cells of the learner's own, run where they stand: {cells}")
        )
    return findings
