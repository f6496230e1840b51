"""Our starts and queries against LangChain, LlamaIndex and LazyLLM, in environments of their own.

All get the same texts (the handbook, extracted once by our readers to ``.txt``, so that no peer's
PDF parser is on trial), the same sentences, the same embedder, and a fresh process a start. The
embedder is loaded and every module imported before the clock starts, for all alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from ragcourse.bench.peers.environments import PEERS, InstallFailed, environment, prepare, versions
from ragcourse.bench.process import Contestant, Progress, Race, race
from ragcourse.bench.questions import sample_questions
from ragcourse.bench.report import Report, our_versions
from ragcourse.paths import HANDBOOK
from ragcourse.readers import ReadError, read, scan

OURS = {store: f"ragcourse, {store}" for store in ("map", "file", "chroma", "milvus")}


@dataclass(frozen=True)
class Entry:
    """A peer's way of keeping a library, and the store of ours to compare it with."""

    name: str
    peer: str
    store: str
    sync: bool = False


ENTRIES = (
    Entry("LazyLLM, map", "lazyllm", "map"),
    Entry("LazyLLM, Chroma", "lazyllm", "chroma"),
    Entry("LazyLLM, Milvus Lite", "lazyllm", "milvus"),
    Entry("LlamaIndex + Chroma (guard count == 0)", "llama_index", "chroma"),
    Entry("LlamaIndex + Chroma (document sync)", "llama_index", "chroma", sync=True),
    Entry("LangChain + Chroma (guard count == 0)", "langchain", "chroma"),
    Entry("LangChain + Chroma (indexing API)", "langchain", "chroma", sync=True),
)


def race_peers(report: Report, *, rounds: int, quick: bool, progress: Progress) -> str:
    """Run everyone, fill ``report``, and return the table as Markdown."""
    report.versions = our_versions()
    contestants, failures = assemble(report, progress)
    with TemporaryDirectory(prefix="ragcourse-peers-") as scratch:
        texts = Path(scratch) / "texts"
        count = write_texts(HANDBOOK, texts, limit=6 if quick else None)
        questions = sample_questions(20)
        outcome = race(contestants, texts, Path(scratch), questions, rounds=rounds, progress=progress)
    outcome.errors = {**failures, **outcome.errors}
    fill(report, outcome)
    report.notes.append(
        f"{count} documents of the handbook as .txt files, {len(questions)} questions, {rounds} interleaved "
        "rounds; embedder loaded and modules imported before the clock starts"
    )
    return markdown(outcome)


def assemble(report: Report, progress: Progress) -> tuple[list[Contestant], dict[str, str]]:
    """Ours and the peers that could be installed, and the failures of the others by entry."""
    contestants = [
        Contestant(name, "ragcourse.bench.ours", store, options={"peers": True})
        for store, name in OURS.items()
    ]
    failures: dict[str, str] = {}
    for peer in PEERS:
        progress(f"environment of {peer.name}")
        try:
            python, variables = prepare(peer), environment(peer)
            report.versions |= versions(peer, python)
        except InstallFailed as error:
            mine = [entry.name for entry in ENTRIES if entry.peer == peer.name]
            failures |= dict.fromkeys(mine, f"not installed: {error}")
            continue
        for entry in (entry for entry in ENTRIES if entry.peer == peer.name):
            module, options = f"ragcourse.bench.peers.{peer.name}", {"sync": entry.sync}
            contestants.append(Contestant(entry.name, module, entry.store, python, options, variables))
    return contestants, failures


def write_texts(folder: Path, into: Path, limit: int | None = None) -> int:
    """Extract the documents of ``folder`` to ``.txt`` files; returns how many."""
    written = 0
    for entry in scan(folder):
        if written == limit:
            break
        if entry.problem is None:
            try:
                document = read(entry.path, folder)
            except ReadError:
                continue
            target = into / f"{document.id}.txt"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(document.text, encoding="utf-8")
            written += 1
    return written


def fill(report: Report, outcome: Race) -> None:
    """Rows of ours against each peer with the same store, raw samples, and failures."""
    for entry in ENTRIES:
        ours, theirs = OURS[entry.store], entry.name
        if not {ours, theirs} <= set(outcome.finished):
            continue
        for what, start, fields in (
            ("start 1", 1, ["start_s"]),
            ("start 2", 2, ["start_s"]),
            ("start 2 + first query", 2, ["start_s", "first_query_s"]),
        ):
            mine, other = (outcome.samples(name, start, *fields) for name in (ours, theirs))
            report.add(f"{what}, {entry.store}", theirs, "s", mine, other)
        mine, other = (outcome.samples(name, 2, "warm_query_ms") for name in (ours, theirs))
        report.add(f"warm query, {entry.store}", theirs, "ms", mine, other)
    report.details["starts"] = {
        name: [[_kept(result) for result in results] for results in starts]
        for name, starts in outcome.starts.items()
    }
    report.notes += [f"{name} failed: {error}" for name, error in outcome.errors.items()]


def _kept(result: dict[str, object]) -> dict[str, object]:
    left_out = ("late_modules", "warm_samples_ms", "answers")
    return {key: value for key, value in result.items() if key not in left_out}


def markdown(outcome: Race) -> str:
    """The table: medians by contestant, ours first."""
    headings = (
        "imports",
        "start 1",
        "start 2",
        "start 2 + first query",
        "first / warm query",
        "nodes after 1, 2, 3",
    )
    lines = ["| | " + " | ".join(headings) + " |", "|---" * (len(headings) + 1) + "|"]
    for name in [*OURS.values(), *(entry.name for entry in ENTRIES)]:
        if name in outcome.errors:
            lines.append(f"| {name} | failed: {outcome.errors[name].replace('|', '/')} | | | | | |")
            continue
        if name not in outcome.finished:
            lines.append(f"| {name} | not run | | | | | |")
            continue

        def middle(start: int, *fields: str, name: str = name) -> float:
            return median(outcome.samples(name, start, *fields))

        cells = [
            name,
            f"{middle(2, 'import_s'):.2f} s",
            f"{middle(1, 'start_s'):.3f} s",
            f"{middle(2, 'start_s'):.3f} s",
            f"{middle(2, 'start_s', 'first_query_s'):.3f} s",
            f"{middle(2, 'first_query_ms'):.1f} / {middle(2, 'warm_query_ms'):.2f} ms",
            _nodes(outcome.nodes(name)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _nodes(counts: Sequence[int]) -> str:
    if len(set(counts)) == 1:
        return f"{counts[0]:,} each"
    return " → ".join(f"{count:,}" for count in counts)
