"""The inside of a measured process: import, open a library, ask it, print one line of JSON.

A fresh process for each measurement is the only honest way to time a start. It runs as
``python -P -m ragcourse.bench.child`` with a `Task` as JSON on standard input, in the environment
of whoever is measured, and so uses nothing but the standard library. What it measures:

    imports │ embedder │ start ............ │ first query │ warm queries │ close
            │          │ open, read, split, │             │ (median)     │
            │          │ embed, store       │

Imports are paid before the clock starts, for everyone alike: a rehearsal run tells which modules a
library loads lazily (``late_modules``), and the measured runs get them as ``preload``.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Protocol

from ragcourse.bench.memory import peak_memory_mb


@dataclass(frozen=True)
class Task:
    """What a child has to do. ``module`` has an ``open_library(task, embedder)`` to be measured."""

    module: str
    files: str
    home: str
    questions: list[str]
    store: str = "map"
    k: int = 5
    preload: list[str] = field(default_factory=list)
    embedder: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """The form in which a child reads it."""
        return json.dumps(asdict(self))


class Library(Protocol):
    """An open library, ours or a peer's."""

    def ask(self, question: str, k: int) -> list[str]:
        """The texts of the k best passages."""
        ...

    def count(self) -> int:
        """How many nodes the library holds now."""
        ...

    def facts(self) -> Mapping[str, Any]:
        """Whatever else it can tell about its start; JSON values."""
        ...

    def close(self) -> None:
        """Release what is open."""
        ...


class Stages:
    """Seconds of the named parts of a start."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time the body of a ``with`` block."""
        started = perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - started


def load(name: str) -> Any:
    """``package.module:attribute`` → the attribute."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def preload(modules: list[str]) -> None:
    """Import what a rehearsal saw. Names that only exist at run time are passed over."""
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError:
            continue


def run(task: Task) -> dict[str, Any]:
    """Do the task; all seconds are wall-clock."""
    started = perf_counter()
    open_library: Callable[[Task, Any], Library] = load(f"{task.module}:open_library")
    preload(task.preload)
    imported = perf_counter()
    embedder = None
    if task.embedder:
        embedder = load(task.embedder)()
        embedder.embed(task.questions[:1])
    before = set(sys.modules)

    ready = perf_counter()
    library = open_library(task, embedder)
    opened = perf_counter()
    library.ask(task.questions[0], task.k)
    first = perf_counter()

    peak = peak_memory_mb()
    late = [name for name in sys.modules if name not in before]
    warm, answers = [], []
    for question in task.questions[1:]:
        asked = perf_counter()
        answers.append(library.ask(question, task.k))
        warm.append(perf_counter() - asked)
    result = {
        "import_s": imported - started,
        "embedder_s": ready - imported,
        "start_s": opened - ready,
        "first_query_s": first - opened,
        "first_query_ms": (first - opened) * 1e3,
        "warm_query_ms": median(warm) * 1e3 if warm else None,
        "warm_samples_ms": [seconds * 1e3 for seconds in warm],
        "nodes": library.count(),
        "peak_mb": peak,
        "late_modules": late,
        "facts": dict(library.facts()),
        "answers": answers if task.options.get("answers") else None,
    }
    closing = perf_counter()
    library.close()
    result["close_s"] = perf_counter() - closing
    return result


def main() -> None:
    """Read the task, keep standard output for the result alone, whatever a library prints."""
    result_stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    task = Task(**json.load(sys.stdin))
    Path(task.home).mkdir(parents=True, exist_ok=True)
    result_stream.write(json.dumps(run(task)) + "\n")
    result_stream.close()


if __name__ == "__main__":
    main()
