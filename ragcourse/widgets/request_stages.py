"""The stages of a request, measured: what the widget of lesson 00 puts together.

Every stage is timed by its own span in real starts and real answers; the results are medians.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import clear_output

from ragcourse.embedders import StaticEmbedder
from ragcourse.knowledge_base import KnowledgeBase
from ragcourse.paths import HANDBOOK
from ragcourse.progress import Progress
from ragcourse.rag import RAG
from ragcourse.recall import Retriever
from ragcourse.timing import Trace, measure, span, tracing

Seconds = dict[str, float]

STORES = ("memory", "file", "Milvus")
STAGES = (
    "scan folder",
    "open store",
    "compare files",
    "read",
    "split",
    "load model",
    "embed passages",
    "write",
    "embed question",
    "search",
    "fetch passages",
    "generate",
    "look up answer",
)
_STAGE_OF = {  # the names of spans; what a stage does around the stages inside it is small
    "start": "scan folder",
    "open": "open store",
    "compare": "compare files",
    "read": "read",
    "split": "split",
    "embed": "embed passages",
    "write": "write",
    "request": "generate",
    "recall": "search",
    "embed query": "embed question",
    "search": "search",
    "parents": "fetch passages",
    "generate": "generate",
}
_SAME_IN_ALL_STORES = ("scan folder", "compare files", "read", "split", "embed passages")


def store_conf(store: str, home: Path) -> dict[str, Any]:
    """The configuration of one of ``STORES`` with its files below ``home``."""
    if store == "Milvus":
        index = {"index_type": "FLAT", "metric_type": "COSINE"}
        return {"type": "milvus", "kwargs": {"uri": str(home / "milvus.db"), "index_kwargs": index}}
    if store == "file":
        return {"type": "file", "kwargs": {"dir": str(home / "file")}}
    return {"type": "map"}


def stage_seconds(trace: Trace) -> Seconds:
    """Own time of each of ``STAGES`` in a trace; a span that is none of them counts to the one around it."""
    spans, stages = trace.spans, Seconds()
    own = [one.seconds for one in spans]
    for one in spans:
        if one.parent is not None:
            own[one.parent] -= one.seconds
    for one, seconds in zip(spans, own, strict=True):
        while one.name not in _STAGE_OF and one.parent is not None:
            one = spans[one.parent]
        name = _STAGE_OF[one.name]
        stages[name] = stages.get(name, 0.0) + seconds
    return stages


def measure_stages(
    folder: Path = HANDBOOK,
    question: str = "What does a warm start skip?",
    *,
    stores: Sequence[str] = STORES,
    warm: int = 3,
    asked: int = 30,
    progress: bool = True,
) -> dict[str, Any]:
    """Median seconds of every stage: one cold start a store, ``warm`` warm ones, ``asked`` questions.

    Returns ``{"stores": {store: {"cold", "warm", "ask"}}, "load model", "look up answer"}``, each of
    the three a dictionary of stage → seconds. The stores take turns in everything but the cold starts.
    """
    embedder = StaticEmbedder()
    embedder.embed([question])
    runs: dict[str, dict[str, list[Seconds]]] = {
        store: {"cold": [], "warm": [], "ask": []} for store in stores
    }
    with tempfile.TemporaryDirectory(prefix="ragcourse-") as home, Progress(progress) as bar:
        bar.begin("starting each store, cold and warm", total=len(stores) * (2 + warm) + 1)
        for store in stores:  # a first start with one small file imports what the store needs: not a stage
            _start(_one_file(Path(home)), store_conf(store, Path(home) / "imports"), embedder)
            bar.advance()
        for turn in range(1 + warm):
            for store in stores:
                kind = "warm" if turn else "cold"
                if kind == "cold" or store != "memory":
                    runs[store][kind].append(_start(folder, store_conf(store, Path(home)), embedder))
                bar.advance()
        with ExitStack() as stack:
            rags = {}
            for store in stores:
                kb = stack.enter_context(KnowledgeBase(folder, store_conf(store, Path(home)), embedder))
                kb.start()
                rags[store] = RAG(Retriever(kb))
                rags[store].answer(question)
            for _ in range(asked):
                for store, rag in rags.items():
                    runs[store]["ask"].append(stage_seconds(rag.answer(question).trace))
            bar.advance()
            answers = {question: next(iter(rags.values())).answer(question)}
    if progress and getattr(get_ipython(), "kernel", None) is not None:
        clear_output(wait=True)  # type: ignore[no-untyped-call]  # or an empty box of the bar is saved with the notebook
    once = measure(
        {
            "load model": lambda: StaticEmbedder().embed([question]),
            "look up answer": lambda: answers[question],
        },
        repeats=7,
        warmup=1,
    )
    measured = {store: {kind: _medians(taken) for kind, taken in runs[store].items()} for store in stores}
    for kind in ("cold", "warm"):
        shared = _medians([run for store in stores for run in runs[store][kind]])
        for store in stores:
            measured[store][kind] |= {name: shared[name] for name in _SAME_IN_ALL_STORES if name in shared}
    return {"stores": measured, **{row.name: row.median for row in once.rows}}


def _one_file(home: Path) -> Path:
    folder = home / "one"
    folder.mkdir(exist_ok=True)
    (folder / "one.txt").write_text("One sentence.", "utf-8")
    return folder


def _start(folder: Path, conf: Mapping[str, Any], embedder: StaticEmbedder) -> Seconds:
    with KnowledgeBase(folder, conf, embedder) as kb, tracing() as trace, span("start"):
        kb.start()
    return stage_seconds(trace)


def _medians(runs: Sequence[Seconds]) -> Seconds:
    names = {name for run in runs for name in run}
    return {name: median(run[name] for run in runs if name in run) for name in STAGES if name in names}
