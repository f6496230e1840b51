"""The pages of a report: plain HTML that works offline, from a folder, without a server.

Everything in them that a learner wrote is escaped; the Content-Security-Policy allows no request at all and
no script but the one whose hash it names. Styles may stand in attributes: that is how `Result` is drawn.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from html import escape
from pathlib import Path

from ragcourse.grading.marks import ExerciseMark, Finding, SubmissionMark
from ragcourse.grading.report_numbers import is_unwritten
from ragcourse.grading.result import Outcome, outcome_html

GENERATOR = '<meta name="generator" content="ragcourse grade">'
_LONGEST = 3000  # characters of one text; a learner's code may have printed a book


@dataclass(frozen=True)
class About:
    """How the class was graded: what stands at the foot of the class page."""

    title: str
    seed: int
    command: str
    protections: tuple[str, ...]  # those that were on
    started: datetime


def page(title: str, body: str, *, script: bool = False) -> str:
    """Return a whole page; `script`: with the one script that sorts and filters the class's table."""
    code = _file("report.js") if script else ""
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    if script:
        policy += f"; script-src 'sha256-{digest}'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'{GENERATOR}\n<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_file('report.css')}</style>\n</head>\n"
        f"<body>\n{body}\n{f'<script>{code}</script>' if script else ''}</body>\n</html>\n"
    )


def _file(name: str) -> str:
    return (Path(__file__).parent / name).read_text("utf-8")


def name_of(mark: SubmissionMark) -> str:
    """Return the learner's name in one line, or the file's where there is none."""
    return " ".join(mark.learner.split()) or " ".join(mark.file.split()) or "nameless"


def isolated(text: str) -> str:
    """Return a learner's text as HTML whose writing direction does not reach the text around it."""
    return f"<bdi>{escape(clipped(text))}</bdi>"


def path_html(path: str) -> str:
    """Return a path as HTML, each part with a writing direction of its own."""
    return "/".join(isolated(part) for part in path.split("/"))


def clipped(text: str, longest: int = _LONGEST) -> str:
    """Return the text, or its beginning and how much is left out."""
    more = len(text) - longest
    return text if more <= 0 else f"{text[:longest]} … ({more:,} characters more)"


def of(points: float, max_points: float) -> str:
    """Return "7 of 9"."""
    return f"{points:g} of {max_points:g}"


def grade_class(mark: ExerciseMark) -> str:
    """Return the CSS class that colours an exercise."""
    if mark.by_hand:
        return "by-hand"
    if is_unwritten(mark):
        return "unwritten"
    return "full" if mark.points >= mark.max_points else "part" if mark.points > 0 else "none"


def learner_page(mark: SubmissionMark, title: str) -> str:
    """Return the page of one submission: each exercise with its checks, text answers, what was noticed."""
    by_hand = sum(exercise.max_points for exercise in mark.exercises if exercise.by_hand)
    score = f'<p class="score">{of(mark.points, mark.max_points)} points</p>'
    if by_hand:
        score += f'<p class="soft">Up to {by_hand:g} more for text answers, which a person marks.</p>'
    exercises = "\n".join(exercise_html(exercise) for exercise in mark.exercises)
    lesson = f"lesson {escape(mark.lesson)} · " if mark.lesson else ""
    return page(
        f"{name_of(mark)}: {title}",
        '<p class="screen small"><a href="../index.html">← the class</a></p>\n'
        f"<h1>{isolated(name_of(mark))}</h1>\n"
        f'<p class="soft">{escape(title)} · {lesson}{path_html(mark.file)}</p>\n'
        f"{_error(mark.error) or score}{_findings(mark.findings)}\n"
        f"{'' if mark.error else exercises}",
    )


def _error(error: str) -> str:
    if not error:
        return ""
    return (
        '<div class="panel look error"><h3>This notebook could not be graded</h3>'
        f'<p class="text">{isolated(error)}</p></div>'
    )


def _findings(findings: Iterable[Finding]) -> str:
    items = "".join(
        f"<li>{'A person will look at this: ' if finding.kind == 'suspicious' else ''}"
        f"{finding_html(finding)}</li>"
        for finding in findings
    )
    if not items:
        return ""
    return f'<div class="panel look"><h3>What was noticed in the notebook</h3><ul>{items}</ul></div>'


def finding_html(finding: Finding) -> str:
    """Return a finding: its text, then its place."""
    where = f' <span class="soft">{isolated(finding.where)}</span>' if finding.where else ""
    return f"{isolated(finding.text)}{where}"


def exercise_html(mark: ExerciseMark) -> str:
    """Return one exercise of one learner, or the text answer with a box for its points."""
    if mark.by_hand:
        points, body = "marked by hand", answer_html(mark)
    else:
        points, body = of(mark.points, mark.max_points), _checks(mark)
    return (
        f'<section class="exercise {grade_class(mark)}"><header>'
        f"<h3>Exercise {escape(mark.exercise)}: {escape(mark.task)}</h3><p>{points}</p></header>"
        f"{body}</section>"
    )


def answer_html(mark: ExerciseMark) -> str:
    """Return a text answer as the learner wrote it, and the box that a person fills in."""
    answer = clipped(mark.answer.strip(), 20 * _LONGEST)
    shown = (
        f'<div class="answer text" dir="auto">{escape(answer)}</div>'
        if answer
        else '<p class="soft">No answer was written.</p>'
    )
    return f'{shown}<p>Points: <span class="box"></span> of {mark.max_points:g}</p>'


def _checks(mark: ExerciseMark) -> str:
    if is_unwritten(mark):
        return '<p class="soft">Not written yet: the stub is still in its place.</p>'
    rows = "".join(outcome_html(_clip_outcome(outcome)) for outcome in mark.outcomes)
    failed = any(outcome.state != "passed" for outcome in mark.outcomes)
    said = "" if failed or not mark.message else f'<p class="text">{isolated(mark.message)}</p>'
    return said + rows


def _clip_outcome(outcome: Outcome) -> Outcome:
    return replace(
        outcome,
        message=clipped(outcome.message),
        given=clipped(outcome.given),
        expected=clipped(outcome.expected),
        got=clipped(outcome.got),
        cause=clipped(outcome.cause),
        printed=clipped(outcome.printed),
    )
