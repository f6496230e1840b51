"""Start a script in a process of its own and kill it, as `kill -9` does: no clean-up, no last words."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import perf_counter

from ragcourse.bench.process import REPOSITORY, ChildFailed

_TIMEOUT_S = 60.0


def start(script: str, *arguments: str | Path) -> subprocess.Popen[str]:
    """Run Python source in a fresh process; returns when it has printed its first line.

    The script finds ``arguments`` in ``sys.argv[1:]`` and can import ragcourse. Raises `ChildFailed`
    if it ends without a word.
    """
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]))
    child = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1"},
    )
    assert child.stdout is not None
    if not child.stdout.readline():
        kill(child)
        raise ChildFailed(f"the script ended with status {child.returncode} before its first line")
    return child


def kill(child: subprocess.Popen[str]) -> None:
    """Kill it now (SIGKILL; on Windows TerminateProcess) and wait until it is gone."""
    child.kill()
    child.communicate()


def kill_after(child: subprocess.Popen[str], seconds: float) -> None:
    """Let it run for this long at most, then kill it."""
    with suppress(subprocess.TimeoutExpired):
        child.wait(seconds)
    kill(child)


def kill_when(child: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Kill it as soon as ``condition()`` holds, or when it has ended. Raises `ChildFailed` after a minute."""
    deadline = perf_counter() + _TIMEOUT_S
    while not condition() and child.poll() is None:
        if perf_counter() > deadline:
            kill(child)
            raise ChildFailed(f"what was waited for did not happen within {_TIMEOUT_S:.0f} s")
    kill(child)
