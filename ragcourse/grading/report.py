"""Write the report of a class: pages for people, a table for spreadsheets, JSON for programs."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tempfile
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ragcourse.grading.marks import ExerciseMark, SubmissionMark
from ragcourse.grading.report_class import answers_page, class_page
from ragcourse.grading.report_html import GENERATOR, About, learner_page, name_of, of
from ragcourse.grading.report_numbers import LessonNumbers, by_lesson, exercises_of

# A spreadsheet runs a cell that begins with one of these as a formula (the last four as typed in East Asia).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_LONGEST_SLUG = 60
# Letters that Unicode does not take apart into one of a-z and a mark.
_LETTERS = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "ß": "ss", "ł": "l", "đ": "d", "ð": "d", "þ": "th"})
# Names that Windows keeps for devices, whatever the ending.
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)")


def write_report(
    marks: Sequence[SubmissionMark],
    folder: Path,
    *,
    title: str,
    seed: int,
    command: str,
    protections: Sequence[str],
    started: datetime,
) -> list[Path]:
    """Write the report into `folder` (made if need be) and return its files, `index.html` first.

    `index.html` is the class, `learners/` one page a submission, `answers.html` (where a lesson has text
    answers) what is marked by hand, `grades.csv` and `grades.json` the marks. `protections` are those that
    were on. Each file is replaced as a whole; pages of an earlier report that are no longer in this one are
    removed. Raises OSError, with the file and what to do, where one cannot be written.
    """
    about = About(title, seed, command, tuple(protections), started)
    pages = [(mark, f"learners/{slug}.html") for mark, slug in zip(marks, slugs(marks), strict=True)]
    facts = {
        "title": title,
        "seed": seed,
        "command": command,
        "protections": list(protections),
        "started": started.isoformat(),
    }
    texts = {"index.html": class_page(pages, about)}
    if any(mark.by_hand for mark in exercises_of(marks).values()):
        texts["answers.html"] = answers_page(pages, about)
    texts |= {address: learner_page(mark, title) for mark, address in pages}
    texts["grades.csv"] = "\ufeff" + to_csv(marks)
    texts["grades.json"] = to_json(marks, facts)
    files = [_write(folder / name, text) for name, text in texts.items()]
    for old in (folder / "answers.html", *(folder / "learners").glob("*.html")):
        if old not in files and old.exists() and GENERATOR in old.read_text("utf-8", "replace")[:400]:
            old.unlink()
    return files


def to_json(marks: Sequence[SubmissionMark], about: Mapping[str, Any] | None = None) -> str:
    """Return the marks as JSON: {"submissions": [...]} and what `about` adds."""
    data = {"submissions": [mark.to_dict() for mark in marks], **(about or {})}
    return json.dumps(data, ensure_ascii=False, indent=1) + "\n"


def to_csv(marks: Sequence[SubmissionMark]) -> str:
    """Return a row for each submission. Columns of text answers are empty, to be filled in by hand."""
    exercises = exercises_of(marks)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(["learner", "file", "lesson", "points", "max", *map(_column, exercises.values()), "error"])
    for mark in marks:
        own = {exercise.exercise: exercise for exercise in mark.exercises}
        points = [
            f"{own[exercise].points:g}" if exercise in own and not own[exercise].by_hand else ""
            for exercise in exercises
        ]
        numbers = [f"{mark.points:g}", f"{mark.max_points:g}", *points]
        row = [_cell(mark.learner), _cell(mark.file), _cell(mark.lesson), *numbers, _cell(mark.error)]
        table.writerow(row)
    return text.getvalue()


def _column(mark: ExerciseMark) -> str:
    return f"exercise {mark.exercise} by hand" if mark.by_hand else f"exercise {mark.exercise}"


def _cell(text: str) -> str:
    """Return the text so that a spreadsheet shows it and does not run it."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def slugs(marks: Sequence[SubmissionMark]) -> list[str]:
    """Return a file name for each submission: learner and lesson in a-z, 0-9 and hyphens, each one once."""
    used: set[str] = set()
    names = []
    for mark in marks:
        slug = f"{_ascii(mark.learner)[:_LONGEST_SLUG]}-{_ascii(mark.lesson)[:_LONGEST_SLUG]}".strip("-")
        if not re.search("[a-z]", slug) or _DEVICES.fullmatch(slug):
            slug = f"learner-{slug}".strip("-")
        name, number = slug, 1
        while name in used:
            number += 1
            name = f"{slug}-{number}"
        used.add(name)
        names.append(name)
    return names


def _ascii(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.lower().translate(_LETTERS)).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def _write(path: Path, text: str) -> Path:
    """Write beside `path`, then rename over it; half a surrogate pair becomes an escape such as \\ud800."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    part = Path(temporary)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
        part.chmod(0o644)
        part.replace(path)
    except PermissionError as error:
        raise PermissionError(
            f"{path} cannot be replaced ({error.strerror}): close it where it is open, then run this again"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return path


def summary(marks: Sequence[SubmissionMark]) -> Group:
    """Return what a terminal shows of a class: a table for each lesson, and how many were graded."""
    graded = sum(not mark.error for mark in marks)
    suspicious = sum(any(f.kind == "suspicious" for f in mark.findings) for mark in marks)
    last = f"{graded} of {len(marks)} submission{'s' if len(marks) != 1 else ''} graded"
    if suspicious:
        last += f"; {suspicious} with something suspicious, which the report shows"
    return Group(*(_lesson_table(numbers) for numbers in by_lesson(marks)), Text(last))


def _lesson_table(numbers: LessonNumbers) -> Table:
    exercises = exercises_of(numbers.marks)
    table = Table(
        title=_line(f"Lesson {numbers.lesson}" if numbers.lesson else "No lesson"),
        title_justify="left",
        show_footer=bool(numbers.graded),
    )
    table.add_column("learner", Text("mean"), overflow="fold")
    table.add_column("points", Text(f"{numbers.mean:.1f} of {numbers.max_points:g}"), justify="right")
    means = {each.exercise: sum(each.points) / len(each.points) for each in numbers.exercises()}
    for exercise in exercises:
        table.add_column(
            _line(exercise), Text(f"{means[exercise]:.1f}" if exercise in means else ""), justify="right"
        )
    table.add_column("remarks", overflow="fold")
    for mark in numbers.marks:
        own = {each.exercise: each for each in mark.exercises}
        table.add_row(
            _line(name_of(mark), 40),
            Text("–" if mark.error else of(mark.points, mark.max_points)),
            *(_points(own.get(exercise), bool(mark.error)) for exercise in exercises),
            _remark(mark),
        )
    return table


def _points(mark: ExerciseMark | None, failed: bool) -> Text:
    if mark is None or failed:
        return Text("–", style="dim")
    if mark.by_hand:
        return Text("by hand", style="dim")
    style = "green" if mark.points >= mark.max_points else "yellow" if mark.points else "red"
    return Text(f"{mark.points:g}", style=style)


def _remark(mark: SubmissionMark) -> Text:
    if mark.error:
        return _line(mark.error, 80, "red")
    suspicious = [finding for finding in mark.findings if finding.kind == "suspicious"]
    return _line(suspicious[0].text, 80, "yellow") if suspicious else Text("")


def _line(text: str, longest: int = 80, style: str = "") -> Text:
    """Return a learner's text as one short line without markup and codes that steer the terminal."""
    short = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return Text("".join(c if c.isprintable() else " " for c in short), style=style)
