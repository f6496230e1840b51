"""The ``ragcourse`` command. A command imports what it needs when it runs, so that ``--help`` is quick."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

import ragcourse

app = typer.Typer(
    name="ragcourse",
    help="Make your RAG fast: a course, and the library it teaches with.",
    epilog="Start with: ragcourse lab",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")]


def main() -> None:
    """The console script."""
    app()


@contextmanager
def plain_errors() -> Iterator[None]:
    """An error meant for a person is one line on standard error and exit code 1, not a traceback.

    ``RAGCOURSE_TRACEBACK=1`` in the environment shows where it came from.
    """
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        if os.environ.get("RAGCOURSE_TRACEBACK"):
            raise
        moved = os.environ.get("RAGCOURSE_DATA")
        hint = f" (RAGCOURSE_DATA says that the course's data is in {moved})" if moved else ""
        print(f"ragcourse: {error}{hint}", file=sys.stderr)
        raise typer.Exit(1) from error


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"ragcourse {ragcourse.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Make your RAG fast: a course, and the library it teaches with."""


@app.command()
def lab(
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="This port; by default the first free one from 8888."),
    ] = None,
    browser: Annotated[
        bool | None,
        typer.Option("--browser/--no-browser", help="Open the page; by default where there is a desktop."),
    ] = None,
) -> None:
    """Open JupyterLab on the first lesson, for this machine only (127.0.0.1). Ctrl-C stops it."""
    from ragcourse.lab import open_lab

    with plain_errors():
        open_lab(port, browser)


@app.command()
def tour(as_json: AsJson = False) -> None:
    """The main job without a notebook: ingest the handbook cold, restart warm, ask, print a table."""
    from ragcourse.tour import run

    with plain_errors():
        run(json_out=as_json)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what is installed, what runs here, and how to get the rest.

    Stores, kernel and Redis are started for real. The exit code is 1 if something the course needs is
    missing or broken, else 0.
    """
    from rich.console import Console

    from ragcourse.doctor import examine, is_fit, parts, render, to_json

    findings = []
    with Console(stderr=True).status("") as progress:
        for part in parts():
            progress.update(f"trying {part.name} …")
            findings.append(examine(part))
    if as_json:
        import json

        print(json.dumps(to_json(findings), indent=1, ensure_ascii=False))
    else:
        Console().print(render(findings))
    raise typer.Exit(0 if is_fit(findings) else 1)


@app.command()
def demo(
    name: Annotated[str | None, typer.Argument(help="A demo's name; by default they are listed.")] = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="This port; by default the first free one from 8890."),
    ] = None,
    browser: Annotated[
        bool | None,
        typer.Option("--browser/--no-browser", help="Open the page; by default where there is a desktop."),
    ] = None,
) -> None:
    """Show a widget of a lesson alone and large, for this machine only (127.0.0.1). Ctrl-C stops it."""
    from ragcourse.demo import demo_table, open_demo

    with plain_errors():
        if name is None:
            print(demo_table())
        else:
            open_demo(name, port, browser)


@app.command()
def release(
    numbers: Annotated[
        list[str] | None, typer.Argument(metavar="[NN]...", help="Lessons such as 00 01; by default all.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if something would change.")
    ] = False,
) -> None:
    """Write lessons/ from their masters in solutions/: the same, with the answers taken out."""
    from ragcourse.grading.release import release as write

    with plain_errors():
        changes = write(numbers or [], check=check)
    for line in changes or ["every lesson matches its master"]:
        print(line)
    raise typer.Exit(1 if check and changes else 0)


@app.command()
def grade(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Notebooks, folders or zips.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the report.")] = Path("grades"),
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the marks to this file, too.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the hidden cases; by default another one each time.")
    ] = None,
    workers: Annotated[int, typer.Option("-j", "--jobs", min=1, help="Notebooks graded at a time.")] = 2,
) -> None:
    """Grade submissions: points for each exercise, a page for each learner and one for the class.

    The exit code is 1 if some could not be graded, else 0, whatever the points.
    """
    with plain_errors():
        try:
            from ragcourse.grading.command import grade_paths
        except ModuleNotFoundError as error:
            from ragcourse.remedies import install_command

            get = install_command("lab,teacher")
            raise RuntimeError(f"grading needs {error.name}, which is not installed here: {get}") from error
        marks = grade_paths(paths, out, json_file, seed, workers)
    raise typer.Exit(1 if any(mark.error for mark in marks) else 0)


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="startup, query, grading or indexes.")],
    as_json: AsJson = False,
    peers: Annotated[
        bool, typer.Option("--peers", help="Race other frameworks, each in an environment of its own.")
    ] = False,
    rounds: Annotated[int | None, typer.Option(min=1, help="How often each is measured, in turn.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A small run that keeps no result.")] = False,
    only: Annotated[
        str | None,
        typer.Option(metavar="PART", help="Of indexes: flat, kmeans, ivf, pq, hnsw, growth or keys alone."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="For indexes: vectors of your own, in .npy, .fvecs or .hdf5.")
    ] = None,
) -> None:
    """Measure, print a table, keep the raw samples in data/results/NAME.json.

    The exit code is 1 if a promise was broken that no slow machine excuses, such as a warm start that parsed.
    """
    from ragcourse.bench import run

    with plain_errors():
        report = run(name, json_out=as_json, peers=peers, rounds=rounds, quick=quick, only=only, file=file)
    raise typer.Exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
