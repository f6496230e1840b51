"""Benchmarks: ``ragcourse bench NAME`` measures, prints a table and keeps the raw samples.

Nothing here is a test: a figure that depends on the machine is reported, not asserted. This module
imports nothing heavy, since the measured processes import it too, in the peers' environments.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from ragcourse.bench.report import Report


def _startup(report: Report, **options: Any) -> None:
    from ragcourse.bench.startup import startup

    startup(report, **options)


def _query(report: Report, *, peers: bool, **options: Any) -> None:
    from ragcourse.bench.query import query

    if peers:
        raise ValueError("bench query has no --peers: their queries are timed by bench startup --peers")
    query(report, **options)


def _grading(report: Report, *, peers: bool, **options: Any) -> None:
    from ragcourse.bench.grading import grading

    if peers:
        raise ValueError("bench grading has no --peers")
    grading(report, **options)


def _indexes(report: Report, *, peers: bool, **options: Any) -> None:
    from ragcourse.bench.indexes import indexes

    if peers:
        raise ValueError("bench indexes has no --peers: its rivals are always there")
    indexes(report, **options)


BENCHES: dict[str, Callable[..., None]] = {
    "startup": _startup, "query": _query, "grading": _grading, "indexes": _indexes,
}  # fmt: skip
"""Name → function that fills a report: ``bench(report, *, rounds, quick, peers, progress)``, and for indexes
``only`` and ``file``, where they are given."""


def run(
    name: str,
    *,
    json_out: bool = False,
    peers: bool = False,
    rounds: int | None = None,
    quick: bool = False,
    only: str | None = None,
    file: Path | None = None,
) -> Report:
    """Run a benchmark, write ``data/results/NAME.json``, print a table or (``json_out``) the same JSON.

    Progress goes to standard error. ``rounds`` overrides the usual number of interleaved rounds.
    ``quick`` measures a few documents once, to see that all parts work, and writes no result.
    ``only`` one part of bench indexes, or on the vectors of a ``file``, writes a result of its own.
    Raises ``ValueError`` for an unknown name or rounds < 1.
    """
    from rich.console import Console

    from ragcourse.bench.report import Report
    from ragcourse.paths import RESULTS

    if name not in BENCHES:
        raise ValueError(f"there is no benchmark {name!r}; have {', '.join(BENCHES)}")
    if rounds is not None and rounds < 1:
        raise ValueError(f"--rounds is {rounds}; measure at least once")
    words = ["ragcourse", "bench", name]
    words += ["--peers"] * peers + ["--rounds", str(rounds)] * (rounds is not None) + ["--quick"] * quick
    chosen: dict[str, Any] = {}
    result = name + "-peers" * peers
    if only is not None:
        chosen["only"] = only
        words += ["--only", only]
        result += f"-{only}"
    if file is not None:
        chosen["file"] = file
        words += ["--file", str(file)]
        result += f"-{file.stem}"
    if chosen and name != "indexes":
        raise ValueError(f"bench {name} has no --only and no --file; bench indexes has")
    report = Report(result, shlex.join(words))
    errors = Console(stderr=True)
    with errors.status(f"{report.command} …") as status:

        def progress(line: str) -> None:
            if errors.is_terminal:
                status.update(line)
            else:
                errors.print(line, highlight=False)

        BENCHES[name](report, rounds=rounds, quick=quick, peers=peers, progress=progress, **chosen)
    if not quick:
        errors.print(f"written: {report.write(RESULTS)}", highlight=False)
    if json_out:
        sys.stdout.write(report.dumps())
    else:
        console = Console()
        if not console.is_terminal:
            console = Console(width=140)
        console.print(report.table())
        for note in report.notes:
            console.print(note, highlight=False, markup=False)
    return report
