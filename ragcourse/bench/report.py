"""The result of a benchmark: one shape for all of them, on screen and on disk.

    {"rows": [{"what", "against", "ratio", "recall", "unit", "ours": [...], "theirs": [...]}],
     "host": {...}, "versions": {...}, "command": "ragcourse bench ..."}

``ours`` and ``theirs`` are the raw samples, in ``unit``. A ratio above 1 always means that ours is
better, whether the unit is one to keep low (seconds) or high (nodes/s): `ratio` decides, and
nothing else does. Where there is no rival but a bar to clear, ``theirs`` holds the bar.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

import ragcourse
from ragcourse.bench.host import describe_host

if TYPE_CHECKING:
    from rich.table import Table

Better = Literal["lower", "higher"]


def ratio(ours: Sequence[float], theirs: Sequence[float], better: Better) -> float | None:
    """How many times better ours is: the ratio of the medians, above 1 when ours wins.

    None when there is nothing to divide by: no samples on a side, or a median of 0 on one side
    only. Two medians of 0 are equal: 1.0.
    """
    if not ours or not theirs:
        return None
    mine, other = median(ours), median(theirs)
    worse, good = (other, mine) if better == "lower" else (mine, other)
    if worse == good:
        return 1.0
    return worse / good if good else None


@dataclass(frozen=True)
class Row:
    """One comparison. ``recall`` is set where speed alone would not say enough."""

    what: str
    against: str
    unit: str
    ours: list[float]
    theirs: list[float]
    better: Better = "lower"
    recall: float | None = None

    @property
    def ratio(self) -> float | None:
        """Above 1: ours is better."""
        return ratio(self.ours, self.theirs, self.better)

    def to_json(self) -> dict[str, Any]:
        """The row with its ratio worked out."""
        return {
            "what": self.what,
            "against": self.against,
            "ratio": self.ratio,
            "recall": self.recall,
            "unit": self.unit,
            "ours": self.ours,
            "theirs": self.theirs,
        }


@dataclass
class Report:
    """Rows, and what is needed to judge them: the machine, the versions, the command.

    ``notes`` are remarks and failures in words; ``details`` are samples that belong to no single
    row. Both are in the JSON only when there are any.
    """

    name: str
    command: str
    rows: list[Row] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    host: dict[str, Any] = field(default_factory=describe_host)
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def add(
        self,
        what: str,
        against: str,
        unit: str,
        ours: Sequence[float],
        theirs: Sequence[float],
        *,
        better: Better = "lower",
        recall: float | None = None,
    ) -> Row:
        """Append a row and return it."""
        row = Row(what, against, unit, list(ours), list(theirs), better, recall)
        self.rows.append(row)
        return row

    def require(self, holds: bool, otherwise: str) -> None:
        """Note a broken promise. The samples are kept: they are what one needs to find out why."""
        if not holds:
            self.notes.append(f"FAILED: {otherwise}")

    @property
    def failed(self) -> bool:
        """True if a promise was broken that no slow machine excuses."""
        return any(note.startswith("FAILED: ") for note in self.notes)

    def to_json(self) -> dict[str, Any]:
        """The object that is written and printed."""
        document: dict[str, Any] = {
            "rows": [row.to_json() for row in self.rows],
            "host": self.host,
            "versions": self.versions,
            "command": self.command,
        }
        if self.notes:
            document["notes"] = self.notes
        if self.details:
            document["details"] = self.details
        return document

    def dumps(self) -> str:
        """The JSON text. NaN and infinity are refused: they are not JSON."""
        return json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def write(self, folder: Path) -> Path:
        """Write ``folder/NAME.json`` all at once; a reader sees the old file or the new one."""
        return write_atomically(folder / f"{self.name}.json", self.dumps())

    def table(self) -> Table:
        """The rows as a rich table: medians, not samples."""
        from rich.table import Table

        table = Table(title=self.command, title_justify="left")
        for heading in ("what", "against"):
            table.add_column(heading, overflow="fold")
        for heading in ("ours", "theirs", "ratio", "recall"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("unit", no_wrap=True)
        for row in self.rows:
            better = row.ratio
            style = "" if better is None or better >= 1 else "yellow"
            table.add_row(
                row.what,
                row.against,
                show_median(row.ours),
                show_median(row.theirs),
                "–" if better is None else f"{better:.2f}×",
                "–" if row.recall is None else f"{row.recall:.3f}",
                row.unit,
                style=style,
            )
        return table


def write_atomically(path: Path, text: str) -> Path:
    """Write beside ``path``, then rename over it. The folder is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    part = Path(temporary)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        part.chmod(0o644)
        return part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def show_median(samples: Sequence[float]) -> str:
    """The median with three significant digits; a dash for no samples."""
    if not samples:
        return "–"
    value = median(samples)
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def our_versions() -> dict[str, str]:
    """Versions of Python, of ragcourse and of the installed packages that its speed depends on."""
    versions = {"python": platform.python_version(), "ragcourse": ragcourse.__version__}
    for package in ("numpy", "tokenizers", "chromadb", "pymilvus", "milvus-lite"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
