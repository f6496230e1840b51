"""Cold start against warm start of our stores, in fresh processes.

What must hold on any machine is checked here too, by counting in the measured process: a warm start
parses no document and embeds no text, three starts leave the same nodes, and what was edited or
deleted is gone. What depends on the machine is only reported.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ragcourse.bench.peer_race import race_peers
from ragcourse.bench.process import ChildFailed, Contestant, Progress, Race, race, run_child, task_for
from ragcourse.bench.questions import sample_questions
from ragcourse.bench.report import Report, our_versions, write_atomically
from ragcourse.paths import HANDBOOK, RESULTS
from ragcourse.readers import scan

STORES = ("map", "file", "chroma", "milvus")
PERSISTENT = STORES[1:]
LIBRARY = "ragcourse.bench.ours"
QUESTIONS_ASKED = 20
ROUNDS = 5

LEAST_NODES = 1600
OPEN_BAR_S = 0.5
INGEST_BAR = 1500.0
MEMORY_BAR_MB = 600.0

EDITED_BEFORE = "The quartz lighthouse keeps its log in green ink."
EDITED_AFTER = "The quartz lighthouse keeps its log in violet ink."
DELETED = "A marmalade telescope was left out in the rain."


def startup(report: Report, *, rounds: int | None, quick: bool, peers: bool, progress: Progress) -> None:
    """``ragcourse bench startup``; with ``peers`` against LangChain, LlamaIndex and LazyLLM."""
    rounds = rounds or (1 if quick else ROUNDS)
    if peers:
        table = race_peers(report, rounds=rounds, quick=quick, progress=progress)
        if not quick:
            write_atomically(RESULTS / f"{report.name}.md", table)
        return
    report.versions = our_versions()
    contestants = [Contestant(store, LIBRARY, store) for store in STORES]
    questions = sample_questions(QUESTIONS_ASKED)
    with TemporaryDirectory(prefix="ragcourse-startup-") as scratch:
        files = Path(scratch) / "files"
        copy_documents(HANDBOOK, files, limit=6 if quick else None)
        outcome = race(
            contestants, files, Path(scratch), questions, rounds=rounds, embedder=None, progress=progress
        )
        for name, error in outcome.errors.items():
            report.require(False, f"{name}: {error}")
        fill(report, outcome, least_nodes=0 if quick else LEAST_NODES)
        for store in PERSISTENT:
            progress(f"edit and delete: {store}")
            edit_and_delete(report, store, files, Path(scratch) / f"edit-{store}", questions[:1])


def copy_documents(folder: Path, into: Path, limit: int | None = None) -> None:
    """Copy the readable files of ``folder``, or the first ``limit`` of them."""
    for entry in [entry for entry in scan(folder) if entry.problem is None][:limit]:
        target = into / entry.id
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(entry.path, target)


def fill(report: Report, outcome: Race, least_nodes: int) -> None:
    """Rows and checks from the raw results."""
    for store in outcome.finished:
        cold = outcome.samples(store, 1, "start_s")
        if store in PERSISTENT:
            warm = outcome.samples(store, 2, "start_s")
            report.add(f"warm start, {store}", f"cold start, {store}", "s", warm, cold)
            opened = outcome.samples(store, 2, "start_s", "first_query_s")
            report.add(f"warm start + first query, {store}", "bar", "s", opened, [OPEN_BAR_S])
            work = [_work(result) for start in outcome.starts[store][1:] for result in start]
            report.add(f"parsed and embedded in a warm start, {store}", "bar", "items", work, [0.0])
            report.require(
                not any(work), f"a warm start with {store} parsed or embedded up to {max(work)} items"
            )
        nodes = outcome.nodes(store)
        report.add(f"nodes after starts 2 and 3, {store}", "after start 1", "nodes", nodes[1:], nodes[:1])
        report.require(len(set(nodes)) == 1, f"node counts after starts 1, 2, 3 with {store} are {nodes}")
        report.require(nodes[0] >= least_nodes, f"only {nodes[0]} nodes: too small a library to measure")
        peak = outcome.samples(store, 1, "peak_mb")
        report.add(f"peak memory of a cold start, {store}", "bar", "MB", peak, [MEMORY_BAR_MB])
    if "map" in outcome.finished:
        speed = [_nodes_per_s(result) for result in outcome.starts["map"][0]]
        report.add("parse, split and embed, map", "bar", "nodes/s", speed, [INGEST_BAR], better="higher")
    report.details["starts"] = {
        store: [[_kept(result) for result in results] for results in starts]
        for store, starts in outcome.starts.items()
    }


def _work(result: dict[str, object]) -> float:
    facts = result["facts"]
    assert isinstance(facts, dict)
    return float(facts["parsed"] + facts["embedded"])


def _nodes_per_s(result: dict[str, object]) -> float:
    """Nodes per second of the whole start, loading the embedder included, less the store's writing."""
    facts, seconds, nodes = result["facts"], result["start_s"], result["nodes"]
    assert isinstance(facts, dict) and isinstance(seconds, float) and isinstance(nodes, int)
    return nodes / (seconds - float(facts["stages"].get("write", 0.0)))


def _kept(result: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in result.items() if key not in ("late_modules", "answers")}


def edit_and_delete(report: Report, store: str, files: Path, home: Path, questions: Sequence[str]) -> None:
    """Start, edit one file and delete another, start again, and look for the old text in the store."""
    folder = home / "files"
    shutil.copytree(files, folder)
    edited, deleted = folder / "edited.md", folder / "deleted.md"
    edited.write_text(f"# Lighthouse\n\n{EDITED_BEFORE}\n", encoding="utf-8")
    deleted.write_text(f"# Telescope\n\n{DELETED}\n", encoding="utf-8")
    options = {"look_for": [EDITED_BEFORE, EDITED_AFTER, DELETED]}
    contestant = Contestant(store, LIBRARY, store, options=options)
    task = task_for(contestant, folder, home / "library", questions, embedder=None)
    try:
        before = run_child(contestant, task)["facts"]["holds"]
        edited.write_text(f"# Lighthouse\n\n{EDITED_AFTER}\n", encoding="utf-8")
        deleted.unlink()
        after = run_child(contestant, task)["facts"]["holds"]
    except ChildFailed as error:
        report.require(False, f"edit and delete with {store}: {error}")
        return
    report.require(set(before) == {EDITED_BEFORE, DELETED}, f"before the edit {store} held {before}")
    report.require(after == [EDITED_AFTER], f"{store} held {after} after an edit, a deletion and a restart")
    stale = [passage for passage in after if passage != EDITED_AFTER]
    report.add(f"stale after an edit and a deletion, {store}", "bar", "passages", [len(stale)], [0.0])
