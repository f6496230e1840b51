"""Kernels: compiled once for the machine, and again when any source of theirs has changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HELPER = "from ragcourse.compiled import kernel\n\n\n@kernel\ndef one(x):\n    return x + {}\n"
CALLER = """
import sys
from pathlib import Path
import ragcourse.compiled as compiled
compiled.__file__ = str(Path(__file__).with_name("compiled.py"))
from ragcourse.compiled import kernel
from indexes.helper import one

@kernel
def twice(x):
    return one(one(x))

print(twice(10), sum(twice.stats.cache_hits.values()))
"""


@pytest.fixture
def run(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Run the caller in a process of its own; its answer, how often the cache had it, and what it said."""
    (tmp_path / "indexes").mkdir()
    (tmp_path / "indexes" / "__init__.py").touch()
    (tmp_path / "caller.py").write_text(CALLER)

    def run() -> tuple[str, str]:
        # no .pyc files: two edits within a second and of one size would look alike to Python itself
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, str(tmp_path / "caller.py")]
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
        return ended.stdout.strip(), ended.stderr

    return run


def test_the_cache_serves_the_next_process_until_a_called_kernel_in_another_file_changes(
    tmp_path: Path,
    run,  # type: ignore[no-untyped-def]
) -> None:
    helper = tmp_path / "indexes" / "helper.py"
    helper.write_text(HELPER.format(1))
    assert run()[0] == "12 0"
    assert run()[0] == "12 1"
    helper.write_text(HELPER.format(3))
    assert run()[0] == "16 0"


def test_who_waits_for_the_compiler_is_told_so_once(tmp_path: Path) -> None:
    code = (
        "import numpy as np; from numba import njit; njit(lambda x: x)(1)\n"
        "from ragcourse.indexes.vectors.flat import Flat\n"
        "index = Flat(3); index.add(np.eye(3)); index.search(np.eye(3), 2); index.search(np.ones(3), 1)"
    )
    said = []
    for _ in range(2):
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        ended = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=170
        )
        said.append(ended.stderr)
    assert said[0].startswith("compiling the kernels once") and said[0].count("\n") == 1
    assert said[1] == ""
