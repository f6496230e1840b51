"""A pytest plugin beside nbval: a dead kernel is noticed at once, a flood of output ends the run.

nbval waits for a dead kernel until the cell's time limit, and keeps all output in memory.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from queue import Empty
from time import monotonic
from typing import Any

import pytest
from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbCell

CELL_LOG = "RAGCOURSE_CELL_LOG"  # names the file
MAX_OUTPUT = 10 * 2**20  # characters that all cells together may print and display
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_LOOK = 0.5  # seconds between two looks whether the kernel is alive

_get_message = RunningKernel.get_message
_printed = 0


def _watched(kernel: RunningKernel, stream: str, timeout: float | None = None) -> Any:
    global _printed
    deadline = None if timeout is None else monotonic() + timeout
    while True:
        left = _LOOK if deadline is None else min(_LOOK, deadline - monotonic())
        try:
            message = _get_message(kernel, stream, timeout=max(left, 0.0))
            break
        except Empty:
            if not kernel.is_alive():
                raise RuntimeError("the kernel died while this cell ran") from None
            if deadline is not None and monotonic() >= deadline:
                raise
    if stream == "iopub":
        content = message["content"]
        _printed += sum(
            len(str(text)) for text in [content.get("text", ""), *content.get("data", {}).values()]
        )
        if _printed > MAX_OUTPUT:
            kernel.stop()
            pytest.exit(f"the notebook printed more than {MAX_OUTPUT:,} characters", returncode=3)
    return message


RunningKernel.get_message = _watched


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Write down how each cell ended: a line of JSON in the file that the grader named."""
    if call.when == "call" and isinstance(item, IPyNbCell) and (log := os.environ.get(CELL_LOG)):
        error = _last_line(call.excinfo.value) if call.excinfo else ""
        with Path(log).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"cell": item.cell_num, "seconds": call.duration, "error": error}) + "\n")


def _last_line(error: BaseException) -> str:
    """The line of a traceback that names the error, or the error's own words."""
    text = _ANSI.sub("", str(getattr(error, "inner_traceback", "") or error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:500] if lines else type(error).__name__
