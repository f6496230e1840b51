"""Replace the answers in a cell's source by stubs.

In a code cell, inside a function or method::

    ### BEGIN SOLUTION  Exercise 1.2: write the commit
    os.replace(temporary, path)
    ### END SOLUTION

becomes `raise NotImplementedError("Exercise 1.2: write the commit")` at the indentation of the BEGIN line. In
a Markdown cell the markers stand in comments, so that they do not show, and may give the points of the answer
(default 1)::

    <!-- ### BEGIN SOLUTION  Exercise 1.3 [2 points]: why is the second run faster? -->
    Because the pages are already in memory.
    <!-- ### END SOLUTION -->
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass

_BEGIN = re.compile(r"^(?P<indent>[ \t]*)(?:<!--\s*)?### BEGIN SOLUTION\b[:\s]*(?P<text>.*?)\s*(?:-->)?\s*$")
_END = re.compile(r"^[ \t]*(?:<!--\s*)?### END SOLUTION\s*(?:-->)?\s*$")
_TASK = re.compile(r"Exercise (?P<exercise>\d+\.\d+)(?: \[(?P<points>\d+) points?\])?: (?P<task>\S.*)")
_ANY_MARKER = re.compile(r"#+\s*(?:BEGIN|END)\s+SOLUTION", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """One answer found in a cell: the exercise it belongs to, its task, its points (for text answers)."""

    exercise: str
    task: str
    points: int


def remove_answers(source: str, markdown: bool = False) -> tuple[str, list[Answer]]:
    """Return the source with each answer replaced by its stub, and the answers found, in order.

    Raises ValueError when the markers are unbalanced, nested, misspelt or lack the exercise and its task, or
    when a stub would run as soon as the cell runs (outside of any function), which would stop Run All.
    """
    lines: list[str] = []
    answers: list[Answer] = []
    opened = 0  # line number of the BEGIN that is open
    for number, line in enumerate(source.splitlines(), start=1):
        if begin := _BEGIN.match(line):
            if opened:
                raise ValueError(
                    f"line {number}: BEGIN SOLUTION inside the answer that begins on line {opened}"
                )
            opened = number
            answers.append(_answer(begin["text"], number))
            lines.extend(_stub(answers[-1], begin["indent"], markdown))
        elif _END.match(line):
            if not opened:
                raise ValueError(f"line {number}: END SOLUTION without a BEGIN SOLUTION before it")
            opened = 0
        elif _ANY_MARKER.search(line):
            raise ValueError(
                f"line {number}: a marker is written exactly '### BEGIN SOLUTION' or '### END SOLUTION'"
            )
        elif not opened:
            lines.append(line)
    if opened:
        raise ValueError(f"line {opened}: BEGIN SOLUTION without an END SOLUTION after it")
    stubbed = "\n".join(lines)
    if answers and not markdown:
        _refuse_stub_that_runs_at_once(stubbed)
    return stubbed, answers


def _answer(text: str, number: int) -> Answer:
    task = _TASK.fullmatch(text)
    if not task:
        raise ValueError(
            f"line {number}: after BEGIN SOLUTION the exercise and its task are missing, "
            "such as '### BEGIN SOLUTION  Exercise 1.2: write the commit'"
        )
    return Answer(task["exercise"], task["task"], int(task["points"] or 1))


def _stub(answer: Answer, indent: str, markdown: bool) -> list[str]:
    text = f"Exercise {answer.exercise}: {answer.task}"
    if markdown:
        return [f"**{text}**", "", "*Write your answer here.*"]
    return [f"{indent}raise NotImplementedError({json.dumps(text, ensure_ascii=False)})"]


def _refuse_stub_that_runs_at_once(source: str) -> None:
    """Raise when the cell without its answers is not Python, or has a stub outside of a function."""
    code = re.sub(r"(?m)^([ \t]*)[%!].*$", r"\1pass", source)  # lines of IPython magic
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        raise ValueError(
            f"without its answers the cell is not valid Python: {error.msg}, line {error.lineno}"
        ) from error
    inside: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inside.update(ast.walk(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and node not in inside:
            raise ValueError(
                "the stub would run as soon as the cell runs and stop Run All: "
                "put the answer inside a function or method"
            )
