"""The demos: cells of the master notebooks that are tagged ``demo``.

A cell becomes a demo by three tags: ``demo``, ``demo-name:startup-race``, and ``demo-about:`` with one line
that says what is to be seen. What it needs from the cells above is found by `needed_cells`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragcourse.lab import REPOSITORY
from ragcourse.needed_cells import needed_cells

MASTERS = REPOSITORY / "solutions"
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class DemoError(RuntimeError):
    """A demo cannot be listed or opened; the message says what to do."""


@dataclass(frozen=True)
class Demo:
    """One demo: the ``cell``-th code cell (from 0) of a master ``notebook``."""

    name: str
    about: str
    notebook: Path
    cell: int

    @property
    def lesson(self) -> str:
        """The lesson's number, such as "01"."""
        return self.notebook.name[:2]


def find_demos(folder: Path = MASTERS) -> list[Demo]:
    """The demos of all masters, in the order of the lessons. Raises `DemoError`."""
    masters = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not masters:
        raise DemoError(
            f"there is no master notebook in {folder}. Run ragcourse from a copy of the repository"
        )
    demos: dict[str, Demo] = {}
    for notebook in masters:
        for number, cell in enumerate(_code_cells(notebook)):
            tags = cell.get("metadata", {}).get("tags", [])
            if "demo" not in tags:
                continue
            where = f"{notebook.name}, cell {cell.get('id', '?')}"
            name, about = (_value(tags, key, where) for key in ("demo-name", "demo-about"))
            if not _NAME.fullmatch(name):
                raise DemoError(f"{where}: the name {name!r} is not of the form startup-race")
            if name in demos:
                raise DemoError(f"{where}: {demos[name].notebook.name} has a demo called {name} already")
            demos[name] = Demo(name, about, notebook, number)
    return list(demos.values())


def find_demo(name: str, folder: Path = MASTERS) -> Demo:
    """The demo called ``name``. Raises `DemoError`, which names those that are there."""
    demos = {demo.name: demo for demo in find_demos(folder)}
    if name not in demos:
        known = ", ".join(demos) or "none yet: tag a cell of a master `demo`"
        raise DemoError(f"there is no demo {name!r}; there are: {known}")
    return demos[name]


def sources(demo: Demo) -> list[str]:
    """The cells to run for a demo, in order, its own as the last. Raises `DemoError`."""
    cells = ["".join(cell["source"]) for cell in _code_cells(demo.notebook)]
    try:
        return [cells[position] for position in needed_cells(cells, demo.cell)]
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise DemoError(
            f"{demo.notebook.name}: {line!r}, in or above the demo {demo.name}, is no Python"
        ) from error


def _value(tags: list[str], key: str, where: str) -> str:
    values = [tag.removeprefix(f"{key}:").strip() for tag in tags if tag.startswith(f"{key}:")]
    if len(values) != 1 or not values[0]:
        raise DemoError(f"{where}: a cell tagged demo has one tag {key}:…, not {len(values)}")
    return values[0]


def _code_cells(notebook: Path) -> list[dict[str, Any]]:
    try:
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
        return [cell for cell in cells if cell["cell_type"] == "code"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise DemoError(f"{notebook.name} is not a notebook: {error}") from error
