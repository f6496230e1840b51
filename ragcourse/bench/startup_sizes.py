"""Cold and warm starts of every store with libraries of several sizes: what the start-up race replays.

One fresh process a store and start does all sizes one after the other, since importing a database
takes longer than starting it. In each process a small library is started first and does not count:
it pays for imports and for everything else that happens once.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from ragcourse.bench import ours
from ragcourse.bench.child import Library, Task
from ragcourse.bench.process import Contestant, Progress, run_child, task_for
from ragcourse.bench.questions import sample_questions
from ragcourse.paths import HANDBOOK
from ragcourse.readers import scan
from ragcourse.timing import format_seconds, text_table

SIZES = (15, 40, 75)
STORES = ("map", "file", "chroma", "milvus")
STAGES = ("open", "compare", "read", "split", "embed", "write")
REPEATS = 3  # of a warm start, which is short; a cold one would need a new library each time
_REHEARSAL = 3  # documents


@dataclass(frozen=True)
class StartRun:
    """One measured start; the one of median length where it was repeated. All times in seconds.

    ``stages`` holds the time in each of `STAGES` and what is left as "other"; the first question's
    time is apart. ``samples`` are start and first answer together, of all repeats.
    """

    store: str
    documents: int
    warm: bool
    nodes: int
    parsed: int
    embedded: int
    stages: dict[str, float]
    first_query_s: float
    samples: list[float]

    @property
    def start_s(self) -> float:
        """Until the library is open."""
        return sum(self.stages.values())

    @property
    def answer_s(self) -> float:
        """Until the first answer."""
        return self.start_s + self.first_query_s


def measure_sizes(
    folder: Path = HANDBOOK,
    stores: Sequence[str] = STORES,
    sizes: Sequence[int] = SIZES,
    *,
    progress: Progress = lambda line: None,
) -> list[StartRun]:
    """Start each store cold and then warm, in fresh processes; the libraries are thrown away."""
    with TemporaryDirectory(prefix="ragcourse-race-") as name:
        home = Path(name)
        cold = measure_starts(home, folder, stores, sizes, warm=False, progress=progress)
        return cold + measure_starts(home, folder, stores, sizes, warm=True, progress=progress)


def measure_starts(
    home: Path,
    folder: Path = HANDBOOK,
    stores: Sequence[str] = STORES,
    sizes: Sequence[int] = SIZES,
    *,
    warm: bool,
    progress: Progress = lambda line: None,
) -> list[StartRun]:
    """Start each store over ``sizes`` documents of ``folder``, in one fresh process a store.

    The libraries are in ``home/STORE/SIZE``, and ``warm`` says that a first pass has left them there.
    ``progress`` is told what runs. Raises ``ChildFailed`` with the last words of a process that failed.
    """
    runs: list[StartRun] = []
    for size in {_REHEARSAL, *sizes}:
        if not (home / "documents" / str(size)).exists():
            copy_spread(folder, home / "documents" / str(size), size)
    for number, store in enumerate(stores):
        progress(f"{'warm' if warm else 'cold'} starts, process {number + 1} of {len(stores)}: {store}")
        options = {"sizes": list(sizes), "repeats": REPEATS if warm and store != "map" else 1}
        contestant = Contestant(store, __name__, store, options=options)
        task = task_for(contestant, home / "documents", home / store, sample_questions(1), embedder=None)
        facts = run_child(contestant, task)["facts"]
        runs += [StartRun(store, warm=warm, **row) for row in facts["starts"]]
    return runs


def copy_spread(folder: Path, into: Path, count: int) -> None:
    """Copy ``count`` readable files of ``folder``, spread evenly over their sorted names."""
    entries = [entry for entry in scan(folder) if entry.problem is None]
    for i in range(min(count, len(entries))):
        entry = entries[i * len(entries) // min(count, len(entries))]
        target = into / entry.id
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(entry.path, target)


def open_library(task: Task, embedder: object) -> Library:
    """In the child: a rehearsal, then every size; ``facts["starts"]`` says what each took."""
    with TemporaryDirectory(prefix="ragcourse-rehearsal-") as scratch:
        library, _ = _start(task, _REHEARSAL, Path(scratch))
        library.close()
    rows = []
    for size in task.options["sizes"]:
        tries = []
        for _ in range(task.options["repeats"]):
            library.close()
            library, row = _start(task, size, Path(task.home) / str(size))
            tries.append(row)
        rows.append(_typical(tries) | {"documents": size})
    library.note(starts=rows)
    return library


def _start(task: Task, size: int, home: Path) -> tuple[ours.OurLibrary, dict[str, Any]]:
    home.mkdir(parents=True, exist_ok=True)
    part = replace(task, files=str(Path(task.files) / str(size)), home=str(home), options={})
    started = perf_counter()
    library = ours.open_library(part, None)
    opened = perf_counter()
    library.ask(task.questions[0], task.k)
    answered = perf_counter()
    facts = library.facts()
    stages = {name: facts["stages"].get(name, 0.0) for name in STAGES}
    stages["other"] = max(0.0, opened - started - sum(stages.values()))
    return library, {
        "nodes": library.count(),
        "parsed": facts["parsed"],
        "embedded": facts["embedded"],
        "stages": stages,
        "first_query_s": answered - opened,
        "samples": answered - started,
    }


def _typical(tries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    samples = [row["samples"] for row in tries]
    middle = min(tries, key=lambda row: abs(row["samples"] - median(samples)))
    return middle | {"samples": samples}


def find(runs: Iterable[StartRun], store: str, documents: int, *, warm: bool) -> StartRun:
    """The run of one store at one size. Raises ``KeyError`` if it was not measured."""
    for run in runs:
        if (run.store, run.documents, run.warm) == (store, documents, warm):
            return run
    raise KeyError(f"{store} was not started {'warm' if warm else 'cold'} with {documents} documents")


def start_table(runs: Sequence[StartRun], documents: int) -> str:
    """First against second start at one size, as text."""
    headings = ("", "first start", "second", "to 1st answer", "spared", "parsed / embedded", "nodes")
    rows = []
    for store in dict.fromkeys(run.store for run in runs):
        cold, warm = (find(runs, store, documents, warm=warm) for warm in (False, True))
        times = [format_seconds(seconds) for seconds in (cold.start_s, warm.start_s, warm.answer_s)]
        work, nodes = f"{warm.parsed:,} / {warm.embedded:,}", f"{cold.nodes:,} → {warm.nodes:,}"
        rows.append([store, *times, f"{1 - warm.start_s / cold.start_s:.1%}", work, nodes])
    return text_table(headings, rows)


def stage_table(runs: Sequence[StartRun], documents: int) -> str:
    """The stages of every start at one size, as text."""
    rows = []
    for store in dict.fromkeys(run.store for run in runs):
        for warm in (False, True):
            run = find(runs, store, documents, warm=warm)
            times = [format_seconds(run.stages[stage]) if run.stages[stage] > 0 else "–" for stage in STAGES]
            name = f"{store}, {'second' if warm else 'first'}"
            rows.append([name, *times, format_seconds(run.first_query_s)])
    return text_table(["", *STAGES, "first query"], rows)


def to_json(runs: Iterable[StartRun]) -> list[dict[str, Any]]:
    """The runs as JSON values."""
    return [asdict(run) for run in runs]
