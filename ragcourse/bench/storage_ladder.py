"""What it costs to fetch 4 KiB from memory, page cache and device, and to write it for good.

The page cache is emptied for one file with ``posix_fadvise(DONTNEED)``; where that call does not exist
(macOS, Windows) there is no figure for the device. In a virtual machine or on tmpfs the "device" may
itself be memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from statistics import median
from time import perf_counter_ns

import numpy as np

from ragcourse.timing import format_seconds

PAGE = 4096  # bytes


@dataclass
class Ladder:
    """Median seconds of each rung, by name; ``evicted`` says whether the page cache could be emptied."""

    seconds: dict[str, float] = field(default_factory=dict)
    evicted: bool = False

    def __str__(self) -> str:
        memory = self.seconds["memory"]
        lines = [
            f"{name:14}{format_seconds(s):>9}{s / memory:9,.0f} × memory" for name, s in self.seconds.items()
        ]
        if not self.evicted:
            lines.append("This system cannot empty the page cache for one file, so the device was not timed.")
        elif self.seconds["device"] < 3 * self.seconds["page cache"]:
            lines.append(
                "The device was as fast as the page cache: this folder lies in memory, or a cache answered."
            )
        return "\n".join(lines)


def measure_ladder(folder: Path, size: int = 32 << 20, reads: int = 400, writes: int = 40) -> Ladder:
    """Time random reads of 4 KiB from a file of ``size`` bytes in ``folder``, and synced writes to it."""
    rng, path, ladder = np.random.default_rng(1), folder / "pages.bin", Ladder()
    path.write_bytes(data := rng.bytes(size))
    with path.open("r+b", buffering=0) as file:

        def fetch(at: int) -> None:
            file.seek(at)
            file.read(PAGE)

        def write_and_sync(at: int) -> None:
            file.seek(at)
            file.write(data[:PAGE])
            os.fsync(file.fileno())

        def seconds(rung: Callable[[int], object], count: int) -> float:
            return _median_seconds(rung, (rng.integers(size // PAGE, size=count) * PAGE).tolist())

        ladder.seconds["memory"] = seconds(lambda at: data[at : at + PAGE], reads)
        ladder.seconds["page cache"] = seconds(fetch, reads)
        ladder.evicted = evict(file)
        if ladder.evicted:
            ladder.seconds["device"] = seconds(fetch, reads)
        ladder.seconds["write + fsync"] = seconds(write_and_sync, writes)
    path.unlink()
    return ladder


def evict(file: FileIO) -> bool:
    """Ask the kernel to drop the file's pages from the page cache; False where it cannot be asked."""
    if not hasattr(os, "posix_fadvise"):
        return False
    os.fsync(file.fileno())  # only clean pages can be dropped
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # and none are to be read ahead
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def _median_seconds(rung: Callable[[int], object], places: list[int]) -> float:
    samples = []
    for at in places:
        start = perf_counter_ns()
        rung(at)
        samples.append(perf_counter_ns() - start)
    return median(samples) / 1e9
