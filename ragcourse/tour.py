"""The main job without a notebook: ingest the handbook, restart, ask, print what it took.

Each store is filled by one process and opened again by another, since only a new process shows what
a restart costs. Imports are paid before the clock starts, for every store alike.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ragcourse.bench.process import Contestant, run_child, task_for
from ragcourse.evaluate import Question, contains_quote, load_questions
from ragcourse.knowledge_base import KnowledgeBase
from ragcourse.paths import HANDBOOK
from ragcourse.rag import RAG
from ragcourse.recall import Retriever
from ragcourse.stores import STORES
from ragcourse.timing import format_seconds, percentile

TOUR = ("map", "chroma", "milvus")
QUESTIONS = (
    "Why is the p99 a better guide than the mean?",
    "What happens to my data after kill -9 if I never called fsync?",
    "How does HNSW choose which neighbours to keep?",
    "Why can a cache of answers be wrong although every entry was right once?",
    "What fills the GPU memory when vLLM starts?",
)
_IN_COLD_START = ("pyexpat", "tokenizers", "safetensors.numpy")  # imported by readers and embedder


def run(*, json_out: bool = False) -> None:
    """Print the tour's table, or with ``json_out`` one JSON object and nothing else.

    Raises ``ChildFailed`` if a store cannot be used here.
    """
    questions = [question for question in load_questions() if question.answerable]
    results = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=2 * len(TOUR))
        with TemporaryDirectory(prefix="ragcourse-tour-") as scratch:
            for store in TOUR:
                contestant = Contestant(store, "ragcourse.bench.ours", store, options={"answers": True})
                asked = [question.question for question in (questions[0], *questions)]
                task = task_for(contestant, HANDBOOK, Path(scratch) / store, asked, embedder=None)
                task = replace(task, preload=[*STORES[store].modules, *_IN_COLD_START])
                progress.update(bar, description=f"{store}: cold start")
                cold = run_child(contestant, replace(task, questions=task.questions[:1]))
                progress.update(bar, advance=1, description=f"{store}: restart, {len(questions)} questions")
                warm = run_child(contestant, replace(task, preload=[*task.preload, *cold["late_modules"]]))
                progress.advance(bar)
                results[store] = _summary(cold, warm, questions)
    if json_out:
        print(json.dumps({"stores": results}))
    else:
        _print(results)


def _summary(cold: dict[str, Any], warm: dict[str, Any], questions: list[Question]) -> dict[str, float]:
    found = [
        contains_quote(texts, question.quote or "")
        for question, texts in zip(questions, warm["answers"], strict=True)
    ]
    return {
        "cold_s": round(cold["start_s"], 4),
        "warm_s": round(warm["start_s"], 4),
        "nodes": warm["nodes"],
        "query_ms_p50": round(percentile(warm["warm_samples_ms"], 50), 3),
        "query_ms_p99": round(percentile(warm["warm_samples_ms"], 99), 3),
        "recall_at_5": round(sum(found) / len(found), 4),
    }


def _print(results: dict[str, dict[str, float]]) -> None:
    console = Console()
    with KnowledgeBase(HANDBOOK) as kb:
        report = kb.start(progress=True)
        rag = RAG(Retriever(kb))
        for question in QUESTIONS:
            answer = rag.answer(question)
            console.print(f"[bold]{question}[/bold]\n  {answer.text}")
            if answer.source:
                console.print(f"  [dim]{answer.source.node.document}[/dim]")
    table = Table(
        title=f"\nThe handbook, {len(report.added)} documents: cold and warm start, a query",
        title_justify="left",
    )
    for heading in ("store", "cold", "warm", "saved", "nodes", "query p50", "p99", "recall@5"):
        table.add_column(heading, justify="left" if heading == "store" else "right", no_wrap=True)
    for store, row in results.items():
        table.add_row(
            store,
            format_seconds(row["cold_s"]),
            format_seconds(row["warm_s"]),
            f"{1 - row['warm_s'] / row['cold_s']:.1%}" if STORES[store].persistent else "–",
            f"{row['nodes']:,}",
            format_seconds(row["query_ms_p50"] / 1e3),
            format_seconds(row["query_ms_p99"] / 1e3),
            f"{row['recall_at_5']:.3f}",
        )
    console.print(table)
