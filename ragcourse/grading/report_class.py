"""The pages of a report that show a whole class: points, histogram, what failed most, all text answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import ragcourse
from ragcourse.grading.marks import ExerciseMark, SubmissionMark
from ragcourse.grading.report_html import (
    About,
    answer_html,
    clipped,
    finding_html,
    grade_class,
    isolated,
    name_of,
    of,
    page,
    path_html,
)
from ragcourse.grading.report_numbers import Bar, ExerciseNumbers, LessonNumbers, by_lesson, exercises_of

Pages = Sequence[tuple[SubmissionMark, str]]  # each submission and the address of its page
_WIDTH, _HEIGHT, _BASE = 480, 190, 26  # of the histogram; the labels stand below the base


def class_page(pages: Pages, about: About) -> str:
    """Return the class page: what to look at, then each lesson in figures, then a row for each submission."""
    marks = [mark for mark, _ in pages]
    lessons = by_lesson(marks)
    several = len(lessons) > 1
    answers = any(mark.by_hand for mark in exercises_of(marks).values())
    link = '<p class="screen"><a href="answers.html">All text answers, to be marked by hand</a></p>'
    body = [
        f"<h1>{escape(about.title)}</h1>",
        f'<p class="soft">{_counted(len(marks), "submission")}, graded {_when(about)}</p>',
        link if answers else "",
        _look_at_these(pages),
        *(_lesson(numbers, several) for numbers in lessons if numbers.graded),
        _table(pages, several),
        _how(about),
    ]
    return page(about.title, "\n".join(body), script=bool(marks))


def answers_page(pages: Pages, about: About) -> str:
    """Return the text answers of the class, exercise by exercise, each with a box for its points."""
    body = [
        '<p class="screen small"><a href="index.html">← the class</a></p>',
        f"<h1>{escape(about.title)}: text answers</h1>",
        '<p class="soft">Points written here go into the column of the exercise in grades.csv.</p>',
    ]
    for exercise, first in exercises_of([mark for mark, _ in pages]).items():
        if first.by_hand:
            body.append(f"<h2>Exercise {escape(exercise)}: {escape(first.task)}</h2>")
            body += [
                f'<section class="exercise"><header><h3>{_link(mark, address)}</h3></header>'
                f"{answer_html(own)}</section>"
                for mark, address in pages
                for own in mark.exercises
                if own.exercise == exercise and not mark.error
            ]
    return page(f"{about.title}: text answers", "\n".join(body))


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _when(about: About) -> str:
    return f"{about.started:%Y-%m-%d %H:%M}"


def _link(mark: SubmissionMark, address: str) -> str:
    return f'<a href="{escape(address)}">{isolated(name_of(mark))}</a>'


def _look_at_these(pages: Pages) -> str:
    errors = [
        f"<li>{_link(mark, address)} could not be graded: {isolated(clipped(mark.error, 400))}</li>"
        for mark, address in pages
        if mark.error
    ]
    suspicious = [
        f"<li>{_link(mark, address)}: {finding_html(finding)}</li>"
        for mark, address in pages
        for finding in mark.findings
        if finding.kind == "suspicious"
    ]
    if not errors and not suspicious:
        return '<p class="fine">Every submission could be graded, and nothing in them looks suspicious.</p>'
    kind = " error" if errors else ""
    items = "".join(errors + suspicious)
    return f'<div class="panel look{kind}"><h3>Look at these</h3><ul>{items}</ul></div>'


def _lesson(numbers: LessonNumbers, several: bool) -> str:
    left_out = len(numbers.marks) - len(numbers.graded)
    without = f" Without {left_out} that could not be graded." if left_out else ""
    heading = f"Lesson {escape(numbers.lesson)}" if several else "The points"
    return (
        f"<h2>{heading}</h2>\n"
        f'<div class="columns"><div><div class="panel"><h3>How many have how many points</h3>'
        f'<p class="soft small">Median {numbers.median:g}, mean {numbers.mean:.1f} '
        f"of {numbers.max_points:g} points.{without}</p>{_histogram(numbers.bars())}</div>\n"
        f'<div class="panel"><h3>The exercises</h3>'
        f"{''.join(_exercise(exercise) for exercise in numbers.exercises())}{_LEGEND}</div></div>\n"
        f'<div class="panel"><h3>The checks that failed most</h3>{_worst(numbers)}</div></div>'
    )


def _histogram(bars: Sequence[Bar]) -> str:
    """Draw the bars as SVG; who cannot see them hears them as one sentence."""
    slot, top = _WIDTH / len(bars), max(1, *(bar.count for bar in bars))
    spoken = "; ".join(f"{bar.label} points: {_counted(bar.count, 'submission')}" for bar in bars)
    drawn = []
    for number, bar in enumerate(bars):
        height = (_HEIGHT - _BASE - 22) * bar.count / top
        left, y = number * slot, _HEIGHT - _BASE - height
        drawn.append(
            f"<g><title>{escape(bar.label)} points: {_counted(bar.count, 'submission')}</title>"
            f'<rect x="{left + slot * 0.1:.1f}" y="{y:.1f}" width="{slot * 0.8:.1f}" '
            f'height="{height:.1f}" rx="2"/>'
            f'<text x="{left + slot / 2:.1f}" y="{_HEIGHT - 8}">{escape(bar.label)}</text>'
        )
        if bar.count:
            drawn.append(f'<text class="count" x="{left + slot / 2:.1f}" y="{y - 6:.1f}">{bar.count}</text>')
        drawn.append("</g>")
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="Histogram of the points. {escape(spoken)}.">{"".join(drawn)}'
        f'<line x1="0" y1="{_HEIGHT - _BASE}" x2="{_WIDTH}" y2="{_HEIGHT - _BASE}"/></svg>'
    )


def _worst(numbers: LessonNumbers) -> str:
    rows = "".join(
        f'<tr><td class="number">{count}</td><td>{escape(exercise)}</td><td>{escape(name)}</td></tr>'
        for exercise, name, count in numbers.worst_checks()
    )
    if not rows:
        return '<p class="fine">No check failed.</p>'
    return (
        '<table class="small"><thead><tr><th class="number">failed by</th><th>exercise</th>'
        f"<th>check</th></tr></thead><tbody>{rows}</tbody></table>"
    )


_LEGEND = (
    '<div class="legend small soft"><span><i class="full"></i>full points</span>'
    '<span><i class="part"></i>some</span><span><i class="none"></i>none</span>'
    "<span><i></i>not written</span></div>"
)


def _exercise(numbers: ExerciseNumbers) -> str:
    everyone = len(numbers.points)
    mean = sum(numbers.points) / everyone
    parts = [("full", numbers.full), ("part", numbers.part), ("none", numbers.none)]
    bar = "".join(
        f'<span class="{kind}" style="width:{100 * n / everyone:.2f}%"></span>' for kind, n in parts
    )
    unwritten = f", not written by {numbers.unwritten}" if numbers.unwritten else ""
    return (
        f'<div style="margin-top:10px"><b>{escape(numbers.exercise)}</b> {escape(numbers.task)}'
        f'<div class="small soft">{numbers.full} of {everyone} have full points; '
        f"mean {mean:.1f} of {numbers.max_points:g}{unwritten}</div>"
        f'<div class="bar" aria-hidden="true">{bar}</div></div>'
    )


def _table(pages: Pages, several: bool) -> str:
    exercises = exercises_of([mark for mark, _ in pages])
    head = _heading("Learner") + (_heading("Lesson") if several else "") + _heading("Points", numeric=True)
    for exercise, mark in exercises.items():
        below = "by hand" if mark.by_hand else f"of {mark.max_points:g}"
        head += _heading(exercise, below, numeric=True)
    rows = "\n".join(_learner(mark, address, exercises, several) for mark, address in pages)
    return (
        '<h2>The submissions</h2>\n<div class="tools" id="tools" hidden><label>Filter '
        '<input type="search" id="filter" placeholder="name, file or remark"></label>'
        '<span class="soft small" id="state" role="status"></span></div>\n'
        f'<div class="wide"><table class="class"><thead><tr>{head}<th scope="col">Remarks</th></tr></thead>\n'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _heading(text: str, below: str = "", *, numeric: bool = False) -> str:
    small = f'<span class="small soft">{escape(below)}</span>' if below else ""
    return (
        f'<th scope="col" aria-sort="none"{" class=number" if numeric else ""}>'
        f"<button type=button>{escape(text)}</button>{small}</th>"
    )


def _learner(mark: SubmissionMark, address: str, exercises: Mapping[str, ExerciseMark], several: bool) -> str:
    own = {exercise.exercise: exercise for exercise in mark.exercises}
    cells = [
        f'<td class="name" data-key="{escape(name_of(mark))}">{_link(mark, address)}'
        f'<div class="small soft file" title="{escape(mark.file)}">{path_html(mark.file)}</div></td>',
        f'<td data-key="{escape(mark.lesson)}">{escape(mark.lesson)}</td>' if several else "",
        _NOTHING if mark.error else _points(mark),
        *(_NOTHING if mark.error else _cell(own.get(exercise)) for exercise in exercises),
        f'<td class="note small">{_remarks(mark)}</td>',
    ]
    return f"<tr>{''.join(cells)}</tr>"


_NOTHING = '<td class="number soft" data-key="">–</td>'


def _points(mark: SubmissionMark) -> str:
    share = 100 * min(1, mark.points / mark.max_points) if mark.max_points else 0
    return (
        f'<td class="number" data-key="{mark.points:g}">{of(mark.points, mark.max_points)}'
        '<div class="bar" aria-hidden="true">'
        f'<span class="points" style="width:{share:.2f}%"></span></div></td>'
    )


def _cell(mark: ExerciseMark | None) -> str:
    if mark is None:
        return _NOTHING
    if mark.by_hand:
        key, word = ("1", "answered") if mark.answer.strip() else ("0", "empty")
        return f'<td class="number soft" data-key="{key}">{word}</td>'
    kind = grade_class(mark)
    title = ' title="not written yet"' if kind == "unwritten" else ""
    return f'<td class="number {kind}" data-key="{mark.points:g}"{title}>{mark.points:g}</td>'


def _remarks(mark: SubmissionMark) -> str:
    if mark.error:
        return f"could not be graded: {isolated(clipped(mark.error, 120))}"
    return "<br>".join(finding_html(f) for f in mark.findings if f.kind == "suspicious")


def _how(about: About) -> str:
    on = ", ".join(about.protections)
    return (
        f"<footer><p>Graded with seed {about.seed} by ragcourse {ragcourse.__version__}: "
        f"<code>{escape(about.command)}</code></p>"
        f"<p>Protections that were on: {escape(on or 'none')}.</p></footer>"
    )
