"""Fresh processes, taken in turns: the outside of a measured start.

One round gives every contestant a library of its own and starts it three times. Within a round the
contestants alternate, and the order rotates from round to round, so that a machine that is busy
for a minute is busy for all of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ragcourse.bench.child import Task

REPOSITORY = Path(__file__).resolve().parents[2]
TIMEOUT_S = 300.0
STARTS = 3
SHARED_EMBEDDER = "ragcourse.embedders:StaticEmbedder"

Progress = Callable[[str], None]


class ChildFailed(RuntimeError):
    """A measured process died or took too long; the message is the end of what it said."""


@dataclass(frozen=True)
class Contestant:
    """Who is measured: the ``module`` of its ``open_library``, its store, its Python."""

    name: str
    module: str
    store: str
    python: Path = Path(sys.executable)
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Race:
    """Samples by contestant: ``starts[name][i]`` are the results of start ``i + 1``, one a round."""

    starts: dict[str, list[list[dict[str, Any]]]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def samples(self, name: str, start: int, *fields: str) -> list[float]:
        """The sum of ``fields`` in each round of a start (1, 2, 3); empty for one that failed."""
        results = self.starts.get(name, [[]] * STARTS)[start - 1]
        return [sum(float(result[field]) for field in fields) for result in results]

    @property
    def finished(self) -> list[str]:
        """Names of those who never failed."""
        return [name for name in self.starts if name not in self.errors]

    def nodes(self, name: str) -> list[int]:
        """Nodes after each start, of the last round."""
        return [results[-1]["nodes"] for results in self.starts.get(name, []) if results]


def run_child(contestant: Contestant, task: Task, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """Run one task in a fresh process. Raises `ChildFailed`."""
    command = [str(contestant.python), "-P", "-m", "ragcourse.bench.child"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONUTF8": "1",
        "ANONYMIZED_TELEMETRY": "False",
        **contestant.environment,
    }
    try:
        done = subprocess.run(
            command,
            input=task.to_json(),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env=environment,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ChildFailed(f"no answer after {timeout_s:.0f} s") from error
    except OSError as error:
        raise ChildFailed(f"{contestant.python} could not be started: {error}") from error
    if done.returncode != 0 or not done.stdout.strip():
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise ChildFailed(f"exit status {done.returncode}: {said[-1] if said else 'no message'}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def task_for(
    contestant: Contestant,
    files: Path,
    home: Path,
    questions: Sequence[str],
    *,
    k: int = 5,
    embedder: str | None = SHARED_EMBEDDER,
) -> Task:
    """The task that a contestant gets for one start."""
    return Task(
        module=contestant.module,
        files=str(files),
        home=str(home),
        questions=list(questions),
        store=contestant.store,
        k=k,
        embedder=embedder,
        options=dict(contestant.options),
    )


def rehearse(contestant: Contestant, task: Task) -> list[str]:
    """Two starts that do not count: compile what is compiled once, learn the modules loaded late."""
    late: dict[str, None] = {}
    for _ in range(2):
        result = run_child(contestant, replace(task, preload=list(late)))
        late.update(dict.fromkeys(result["late_modules"]))
    return list(late)


def race(
    contestants: Sequence[Contestant],
    files: Path,
    homes: Path,
    questions: Sequence[str],
    *,
    rounds: int,
    k: int = 5,
    embedder: str | None = SHARED_EMBEDDER,
    progress: Progress = lambda line: None,
) -> Race:
    """Measure everyone in turns. Who fails is reported in ``errors`` and runs no more.

    ``embedder`` (``module:class``) is loaded before the clock starts; with None, who is measured
    loads its own while the clock runs.
    """
    outcome = Race()

    def task(contestant: Contestant, home: Path) -> Task:
        return task_for(contestant, files, home, questions, k=k, embedder=embedder)

    preloads: dict[str, list[str]] = {}
    for number, contestant in enumerate(contestants):
        progress(f"rehearsal: {contestant.name}")
        try:
            preloads[contestant.name] = rehearse(contestant, task(contestant, homes / f"rehearsal-{number}"))
            outcome.starts[contestant.name] = [[] for _ in range(STARTS)]
        except ChildFailed as error:
            outcome.errors[contestant.name] = str(error)
    for turn in range(rounds):
        order = list(contestants[turn % len(contestants) :]) + list(contestants[: turn % len(contestants)])
        for start in range(STARTS):
            for contestant in order:
                name = contestant.name
                if name in outcome.errors:
                    continue
                progress(f"round {turn + 1} of {rounds}, start {start + 1}: {name}")
                home = homes / f"{turn}-{contestants.index(contestant)}"
                try:
                    result = run_child(contestant, replace(task(contestant, home), preload=preloads[name]))
                except ChildFailed as error:
                    outcome.errors[name] = f"round {turn + 1}, start {start + 1}: {error}"
                else:
                    outcome.starts[name][start].append(result)
    return outcome
