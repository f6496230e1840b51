"""A library that is killed, locked, or out of room keeps what it had and loses nothing.

The processes that die are those of ``victim``. Each is forked from one that has imported all engines,
so that a trial costs tenths of a second.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragcourse.documents import Node
from ragcourse.knowledge_base import KnowledgeBase, LibraryLocked
from ragcourse.manifest import Manifest
from ragcourse.stores import make_store, parse_conf
from tests.victim import CONTEXT, Job, WordHashes, hold, run

KINDS = ("file", "chroma", "milvus")
TRIALS = 20
SEARCHED = ("sentence", "CoarseChunk")

Contents = dict[str, dict[str, tuple[Node, np.ndarray | None]]]
"""Group → id → (node, vector). Parents that are not searched have no vector."""


@pytest.fixture(scope="module", autouse=True)
def preloaded() -> None:
    if CONTEXT.get_start_method() == "forkserver":
        root = str(Path(__file__).parent.parent)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        CONTEXT.set_forkserver_preload(["tests.victim"])


# ---- the corpus, before and after an update ----


def write_document(folder: Path, name: str, topic: int) -> None:
    rng = random.Random(topic)
    sentences = (
        f"Sentence {i} has {' '.join(f'word{rng.randrange(500)}' for _ in range(9))}."
        for i in range(3 + topic % 3)
    )
    (folder / name).write_text(f"# Topic {topic}\n\n" + " ".join(sentences))


@dataclass(frozen=True)
class Corpus:
    before: Path
    after: Path
    truth: Mapping[Path, Contents]  # folder → what a clean library over it holds


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    before, after = tmp_path_factory.mktemp("before"), tmp_path_factory.mktemp("after")
    for topic in range(12):
        write_document(before, f"{topic:02}.md", topic)
        write_document(after, f"{topic:02}.md", topic + 100 * (topic in (2, 5, 11)))  # three are edited
    for gone in (0, 7):
        (after / f"{gone:02}.md").unlink()
    (after / "08.md").rename(after / "renamed.md")
    for topic in (20, 21):
        write_document(after, f"{topic}.md", topic)
    truth = {}
    for folder in (before, after):
        with KnowledgeBase(folder, None, WordHashes(), groups=SEARCHED) as kb:
            kb.start()
            truth[folder] = contents(kb)
    return Corpus(before, after, truth)


def contents(kb: KnowledgeBase) -> Contents:
    found: Contents = {}
    for group in SEARCHED:
        found[group] = {
            node.id: (node, vector)
            for nodes, vectors in kb.store(group).items()
            for node, vector in zip(nodes, vectors, strict=True)
        }
    parents = {node.parent for node, _ in found["sentence"].values() if node.parent}
    found["MediumChunk"] = {node.id: (node, None) for node in kb.get(sorted(parents), "MediumChunk")}
    return found


# ---- what must hold ----


def assert_holds(kb: KnowledgeBase, truth: Contents) -> None:
    """Exactly the nodes and vectors of ``truth``, and each is found by its own vector."""
    held = contents(kb)
    assert kb.library.manifest.pending() == {}
    for group, nodes in truth.items():
        assert held[group].keys() == nodes.keys()
        assert kb.count(group) == len(nodes)
        for node_id, (node, vector) in nodes.items():
            assert held[group][node_id][0] == node
            if vector is not None:
                assert held[group][node_id][1] == pytest.approx(vector, abs=1e-5)
                assert is_found(kb.search(vector, 3, group), node), f"{node} is not found by its own vector"
        if group in SEARCHED:
            assert len(kb.search(np.ones(WordHashes.dim, np.float32), 1000, group)) == len(nodes)


def is_found(hits: list[Any], node: Node) -> bool:
    return any(hit.node == node and hit.score > 0.9999 for hit in hits)


def assert_nothing_half(job: Job, versions: list[Contents]) -> int:
    """What the files of a killed library say before anything is repaired.

    Each document has all its nodes in one of its versions, or none; all that is committed is in the
    store; and what the store holds beyond it is known to be pending. Returns the number of documents.
    """
    store_class, kwargs = parse_conf(job.store_conf())
    home = store_class.home(**kwargs)
    assert home is not None
    path = home.with_name(home.name + ".sqlite")
    if not path.exists():
        return 0
    manifest = Manifest(path)
    try:
        committed, pending = manifest.stored_ids(), manifest.pending()
        states: dict[str, list[set[str]]] = {}
        for version in versions:
            of_document: dict[str, set[str]] = {}
            for group in SEARCHED:
                for node, _ in version[group].values():
                    of_document.setdefault(node.document, set()).add(node.id)
            for document, ids in of_document.items():
                states.setdefault(document, [set()]).append(ids)
        for document, allowed in states.items():
            assert set(manifest.stored_ids(document=document)) in allowed, document
        known = {
            node_id: both
            for version in versions
            for group in SEARCHED
            for node_id, both in version[group].items()
        }
        assert committed.keys() <= known.keys()
        for group in manifest.stores():
            store = make_store(job.store_conf(), WordHashes.dim, group)
            try:
                mine = {node_id for node_id, name in committed.items() if name == group}
                held = store.ids()
                assert mine <= held, "a committed node is lost"
                assert held - mine <= pending.keys(), "an uncommitted node would be seen"
                for node_id in mine if job.kind != "chroma" else ():  # its torn index is built anew later
                    node, vector = known[node_id]
                    assert vector is not None
                    found = is_found(store.search(vector, 3 + len(held - mine)), node)
                    assert found, f"{node} is not found by its own vector"
            finally:
                store.close()
        return len(manifest.files())
    finally:
        manifest.close()


# ---- killing ----


def clean_run(job: Job) -> tuple[int, float]:
    """Steps and seconds of an ingest that nobody disturbs."""
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=run, args=(job, theirs))
    process.start()
    theirs.close()
    assert ours.recv() == "ready"
    begin = time.perf_counter()
    steps, problem = ours.recv()
    seconds = time.perf_counter() - begin
    process.join()
    assert problem is None and process.exitcode == 0
    return steps, seconds


def strike(job: Job, delay: float | None) -> bool:
    """Run an ingest and kill it; False if it had ended before.

    ``delay`` counts in seconds from the step ``tell_at`` if the job has one, else from the beginning;
    None leaves the killing to the job.
    """
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=run, args=(job, theirs))
    process.start()
    theirs.close()
    assert ours.recv() == "ready"
    if job.tell_at is not None:
        ours.recv()
    process.join(delay)
    process.kill()
    process.join()
    return process.exitcode != 0


@dataclass(frozen=True)
class Blow:
    """When to strike: fractions of all steps and of the whole time."""

    step: float | None
    after: float | None  # seconds after that step; with no step, the fraction of the time


def blows(rng: random.Random) -> Iterator[Blow]:
    """Spread over the whole ingest: at a step, inside of what follows a step, at any time."""
    for i in range(8):
        yield Blow((i + rng.random()) / 8, None)
    for i in range(6):
        yield Blow((i + rng.random()) / 6, rng.random() / 100)
    for i in range(6):
        yield Blow(None, (i + rng.random()) / 6)


def attack(job: Job, blow: Blow, steps: int, seconds: float) -> bool:
    if blow.step is None:
        assert blow.after is not None
        return strike(job, blow.after * seconds)
    step = 1 + int(blow.step * steps)
    if blow.after is None:
        return strike(replace(job, die_at=step), None)
    return strike(replace(job, tell_at=step), blow.after)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("update", [False, True], ids=["ingest", "update"])
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_any_moment_it_ends_as_if_it_had_not_been(
    kind: str, update: bool, corpus: Corpus, tmp_path: Path
) -> None:
    rng = random.Random(f"{kind} {update}")
    base = tmp_path / "base"
    if update:
        clean_run(Job(kind, corpus.before, base, sync_threshold=5))
    else:
        base.mkdir()
    docs = corpus.after if update else corpus.before
    versions = [corpus.truth[folder] for folder in ([corpus.before] if update else []) + [docs]]

    def fresh(name: str, trial: int = 0) -> Job:
        shutil.copytree(base, tmp_path / name)
        return Job(kind, docs, tmp_path / name, sync_threshold=5 if trial % 2 else None)

    steps, seconds = clean_run(fresh("clean"))

    def trial(number: int, blow: Blow, second: float) -> tuple[Job, int]:
        job = fresh(f"trial-{number}", number)
        killed = attack(job, blow, steps, seconds)
        if number % 4 == 3:  # and once more, while it repairs
            killed += attack(job, Blow(second, None), steps, seconds)
        return job, killed

    kills = recovered = trials = 0
    with ThreadPoolExecutor(1) as pool:  # the next one dies while the last one is looked at
        plans = [(number, blow, rng.random() / 4) for number, blow in enumerate(blows(rng))]
        for job, killed in pool.map(lambda plan: trial(*plan), plans):
            assert_nothing_half(job, versions)
            with job.library() as kb:
                report = kb.start()
                assert_holds(kb, versions[-1])
            with job.library(embedder := WordHashes()) as kb:
                again = kb.start()
                assert again.warm and embedder.texts == []
                assert again.nodes == report.nodes
            kills, recovered, trials = kills + killed, recovered + report.recovered, trials + 1
    assert trials == TRIALS
    assert kills >= TRIALS * 3 // 4, "most ingests had ended before they were killed: nothing was proved"
    print(f"{kind}: {trials} trials, {kills} kills, {2 * trials} restarts, {recovered} pending nodes cleared")


@pytest.mark.parametrize("kind", KINDS)
def test_killed_while_it_throws_the_old_library_away(kind: str, corpus: Corpus, tmp_path: Path) -> None:
    """``start(rebuild=True)``: from its first step on the library is the old one, an empty or the new one."""
    base = tmp_path / "base"
    clean_run(Job(kind, corpus.before, base))
    versions = [corpus.truth[corpus.before], corpus.truth[corpus.after]]
    for step in random.Random(kind).sample(range(5, 60), 6):
        job = Job(kind, corpus.after, tmp_path / f"step-{step}", die_at=step, rebuild=True)
        shutil.copytree(base, job.place)
        assert strike(job, None)
        assert_nothing_half(job, versions)
        with job.library() as kb:
            kb.start()
            assert_holds(kb, versions[-1])


# ---- locks ----


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_on_one_library(kind: str, corpus: Corpus, tmp_path: Path) -> None:
    job = Job(kind, corpus.before, tmp_path / "library")
    ours, theirs = CONTEXT.Pipe()
    holder = CONTEXT.Process(target=hold, args=(job, theirs))
    holder.start()
    theirs.close()  # or a holder that dies would be waited for
    assert ours.recv() == "open"
    with job.library() as kb:
        for rebuild in (False, True):
            with pytest.raises(LibraryLocked, match="open already, here or in another process"):
                kb.start(rebuild=rebuild)
        truth = corpus.truth[corpus.before]
        query = next(vector for _, vector in truth["sentence"].values())
        ours.send(query)  # the first is unharmed
        assert ours.recv() == [len(truth["sentence"]), True]
        holder.kill()
        holder.join()
        assert kb.start().warm  # and its lock died with it
        assert_holds(kb, truth)


def test_two_libraries_in_one_process_and_a_close_in_another_thread(corpus: Corpus, tmp_path: Path) -> None:
    job = Job("file", corpus.before, tmp_path / "library")
    first, second = job.library(), job.library()
    first.start()
    with pytest.raises(LibraryLocked):
        second.start()
    assert first.count() > 0
    with ThreadPoolExecutor(1) as pool:
        pool.submit(first.close).result()
    second.start()
    assert_holds(second, corpus.truth[corpus.before])
    second.close()


# ---- a full disk ----


@pytest.fixture(scope="module")
def grown(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Contents]:
    """A folder with many more documents than ``before``, and what a library over it holds."""
    folder = tmp_path_factory.mktemp("grown")
    shutil.copytree(corpus.before, folder, dirs_exist_ok=True)
    for topic in range(50, 110):
        write_document(folder, f"{topic}.md", topic)
    with KnowledgeBase(folder, None, WordHashes(), groups=SEARCHED) as kb:
        kb.start()
        return folder, contents(kb)


def outcome(job: Job) -> tuple[str, str] | None:
    """Run an ingest to its end; the type and the message of its error."""
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=run, args=(job, theirs))
    process.start()
    theirs.close()
    assert ours.recv() == "ready"
    problem: tuple[str, str] | None = ours.recv()[1]
    process.join()
    assert process.exitcode == 0
    return problem


def assert_says_so(job: Job) -> None:
    problem = outcome(job)
    assert problem is not None, "there was room after all"
    kind, message = problem
    assert kind == "LibraryError" and "a full disk? It has" in message and "MiB left" in message


def assert_lost_nothing(job: Job, corpus: Corpus, truth: Contents) -> int:
    """Returns the number of documents that had been committed before the disk was full."""
    before = assert_nothing_half(job, [corpus.truth[corpus.before], truth])
    with job.library() as kb:
        kb.start()
        assert_holds(kb, truth)
    return before


@pytest.mark.skipif(os.name != "posix", reason="needs RLIMIT_FSIZE")
@pytest.mark.parametrize("kind", KINDS)
def test_no_file_may_grow(kind: str, corpus: Corpus, grown: tuple[Path, Contents], tmp_path: Path) -> None:
    folder, truth = grown
    base = tmp_path / "base"
    clean_run(Job(kind, corpus.before, base))
    largest = max(path.stat().st_size for path in base.rglob("*") if path.is_file())
    progress = []
    for share in (0.2, 1.0, 3.0):
        job = Job(kind, folder, tmp_path / f"limit-{share}", file_size=int(share * largest))
        shutil.copytree(base, job.place)
        assert_says_so(job)
        progress.append(assert_lost_nothing(job, corpus, truth))
    assert 12 <= progress[0] <= progress[-1] < 72 and progress[-1] > 12


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs the right to mount")
@pytest.mark.parametrize("kind", KINDS)
def test_the_disk_is_full(kind: str, corpus: Corpus, grown: tuple[Path, Contents], tmp_path: Path) -> None:
    folder, truth = grown
    base, final = tmp_path / "base", tmp_path / "final"
    clean_run(Job(kind, corpus.before, base))
    clean_run(Job(kind, folder, final))
    small, large = bytes_of(base), bytes_of(final)
    progress = []
    for share in (0.2, 0.6, 0.9):
        job = Job(kind, folder, tmp_path / f"disk-{share}")
        job.place.mkdir()
        with small_disk(job.place, int(small + share * (large - small))):
            shutil.copytree(base, job.place, dirs_exist_ok=True)
            assert_says_so(job)
            mount("-o", "remount,size=500m", str(job.place))
            progress.append(assert_lost_nothing(job, corpus, truth))
    assert 12 <= progress[0] <= progress[-1] < 72 and progress[-1] > 12


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[None]:
    try:
        mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine allows no mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
