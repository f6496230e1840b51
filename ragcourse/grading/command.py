"""What `ragcourse grade` does: find the submissions, grade them, write the report, sum it up."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console

from ragcourse.grading import sandbox
from ragcourse.grading.grade import grade
from ragcourse.grading.marks import SubmissionMark
from ragcourse.grading.report import summary, to_json, write_report
from ragcourse.grading.submissions import find
from ragcourse.progress import Progress


def grade_paths(
    paths: Sequence[Path], folder: Path, json_file: Path | None, seed: int | None, workers: int
) -> list[SubmissionMark]:
    """Grade the notebooks in `paths`, write the report to `folder`, print a summary; return the marks.

    Without a `seed` one is drawn, and named in the report. Raises FileNotFoundError for a path that is not
    there, and ValueError when the paths hold no notebook.
    """
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist: name a notebook, a folder or a zip")
    submissions = find(paths)
    if not submissions:
        raise ValueError(f"no notebook in {', '.join(map(str, paths))}: name .ipynb files, folders or zips")
    started = datetime.now().astimezone()
    seed = secrets.randbits(31) if seed is None else seed
    protections = sandbox.available()
    console = Console()
    for missing in [protection for protection in protections if protection.missing]:
        console.print(f"[bold]no protection of the {missing.name}[/]: {missing.missing}")
    with Progress(True) as bar:
        bar.begin("grading", total=len(submissions))
        marks = grade(submissions, seed=seed, workers=workers, hidden=paths, done=lambda mark: bar.advance())
    command = shlex.join(["ragcourse", "grade", *map(str, paths), "--seed", str(seed)])
    written = write_report(
        marks,
        folder,
        title=paths[0].resolve().stem,
        seed=seed,
        command=command,
        protections=[protection.name for protection in protections if not protection.missing],
        started=started,
    )
    if json_file is not None:
        json_file.write_text(to_json(marks, {"seed": seed}), "utf-8")
    console.print(summary(marks))
    console.print(f"report: {written[0]}", soft_wrap=True)
    return marks
