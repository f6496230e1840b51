"""The `ragcourse` command: help, exit codes, and what goes to which stream."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ragcourse.cli import app


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--help"], "ragcourse lab"),
        (["lab", "--help"], "127.0.0.1"),
        (["tour", "--help"], "--json"),
        (["doctor", "--help"], "exit code"),
        (["release", "--help"], "--check"),
        (["bench", "--help"], "--peers"),
        (["--version"], "ragcourse 0."),
    ],
)
def test_help_reads_well(arguments, says) -> None:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "100", "NO_COLOR": "1"})
    assert result.exit_code == 0
    assert says in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["frobnicate"], 2, "frobnicate"),
        (["lab", "--port", "70000"], 2, "65535"),
        (["bench", "nonsense"], 1, "ragcourse: there is no benchmark 'nonsense'"),
        (["release", "77"], 1, "ragcourse: there is no"),
    ],
)
def test_errors_go_to_standard_error(arguments, code, says) -> None:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "100", "NO_COLOR": "1"})
    assert result.exit_code == code
    assert says in result.stderr
    assert result.stdout == ""


def test_grading_without_nbval_says_how_to_get_it(tmp_path: Path) -> None:
    code = "import sys; sys.modules['nbval'] = None; from ragcourse.cli import app; app(['grade', 'x.ipynb'])"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "nbval" in done.stderr and "lab,teacher" in done.stderr and "Traceback" not in done.stderr
