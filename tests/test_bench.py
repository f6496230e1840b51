"""The benchmarks' arithmetic and shape, and one real race on a few files. No timing is asserted."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ragcourse import bench
from ragcourse.bench.child import Task
from ragcourse.bench.grading import answers
from ragcourse.bench.memory import peak_memory_mb
from ragcourse.bench.peer_race import ENTRIES, OURS, assemble, markdown, write_texts
from ragcourse.bench.peers.common import sentences, texts
from ragcourse.bench.process import ChildFailed, Contestant, Race, race, run_child, task_for
from ragcourse.bench.query import Samples, ask
from ragcourse.bench.report import Report, ratio, write_atomically
from ragcourse.bench.startup import LIBRARY, edit_and_delete, fill
from ragcourse.documents import Hit, Node
from ragcourse.evaluate import Question, load_questions, recall_at_k
from ragcourse.grading.contract import run
from ragcourse.grading.contracts import contract_of, contracts
from ragcourse.grading.workcopy import load_masters
from ragcourse.knowledge_base import KnowledgeBase
from ragcourse.recall import Retriever

TEXTS = {
    "warm.md": "# Warm starts\n\nA warm start parses no document. It compares each file with the manifest.",
    "cold.txt": "A cold start reads every file. It splits each text and embeds each passage of it.",
    "deep/query.html": "<h1>Queries</h1><p>A query is embedded first. Then passages are looked up.</p>",
}
QUESTIONS = ["What does a warm start parse?", "What does a cold start read?", "What is embedded first?"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in TEXTS.items():
        path = tmp_path / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "files"


@pytest.mark.parametrize(
    ("ours", "theirs", "better", "expected"),
    [
        ([1.0, 1.0, 9.0], [2.0], "lower", 2.0),
        ([4.0], [2.0], "lower", 0.5),
        ([3000.0], [1500.0], "higher", 2.0),
        ([0.4], [0.8], "higher", 0.5),
        ([0.0], [0.0], "lower", 1.0),
        ([0.0], [2.0], "lower", None),
        ([2.0], [0.0], "lower", 0.0),
        ([], [1.0], "lower", None),
        ([1.0], [], "higher", None),
    ],
)
def test_ratio_is_above_1_when_ours_is_better(ours, theirs, better, expected):
    assert ratio(ours, theirs, better) == expected


def test_report_has_the_shape_that_every_benchmark_shares(tmp_path):
    report = Report("sample", "ragcourse bench sample", versions={"numpy": "2"})
    report.add("warm start, chroma", "cold start, chroma", "s", [0.1, 0.3, 0.2], [2.0], recall=0.9)
    written = json.loads(report.write(tmp_path / "results").read_text("utf-8"))
    assert set(written) == {"rows", "host", "versions", "command"}
    assert written["rows"] == [
        {
            "what": "warm start, chroma",
            "against": "cold start, chroma",
            "ratio": 10.0,
            "recall": 0.9,
            "unit": "s",
            "ours": [0.1, 0.3, 0.2],
            "theirs": [2.0],
        }
    ]
    assert {"cpu", "cores", "memory_gb", "os", "python"} == set(written["host"])
    assert written["host"]["cores"] >= 1
    report.require(True, "never said")
    assert not report.failed and "notes" not in report.to_json()
    report.require(False, "nodes differ")
    assert report.failed and report.to_json()["notes"] == ["FAILED: nodes differ"]


def test_report_refuses_what_is_no_json():
    report = Report("sample", "ragcourse bench sample")
    report.add("a", "b", "s", [math.nan], [1.0])
    with pytest.raises(ValueError, match="JSON"):
        report.dumps()


def test_a_failed_write_leaves_the_old_result_and_no_litter(tmp_path):
    path = write_atomically(tmp_path / "r.json", "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \ud800")
    assert path.read_text("utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_goes_alone_to_standard_output(tmp_path):
    script = (
        "from ragcourse import bench\n"
        "def fake(report, *, rounds, quick, peers, progress):\n"
        "    progress('working [1/2]')\n"
        "    report.add('a', 'b', 's', [1.0] * rounds, [2.0])\n"
        "bench.BENCHES['fake'] = fake\n"
        "bench.run('fake', json_out=True, rounds=3)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        encoding="utf-8",
        env=_environment(RAGCOURSE_DATA=str(tmp_path)),
        check=True,
    )
    printed = json.loads(done.stdout)
    assert printed["command"] == "ragcourse bench fake --rounds 3"
    assert printed["rows"][0]["ratio"] == 2.0 and len(printed["rows"][0]["ours"]) == 3
    assert "working [1/2]" in done.stderr
    assert json.loads((tmp_path / "results" / "fake.json").read_text("utf-8")) == printed


def test_run_refuses_unknown_names_and_rounds():
    with pytest.raises(ValueError, match="startup"):
        bench.run("sartup")
    with pytest.raises(ValueError, match="--rounds is 0"):
        bench.run("startup", rounds=0)


def test_a_race_in_fresh_processes(folder, tmp_path):
    contestants = [Contestant(store, LIBRARY, store) for store in ("map", "file")]
    contestants.append(Contestant("broken", LIBRARY, "no-such-store"))
    outcome = race(contestants, folder, tmp_path, QUESTIONS, rounds=2)
    assert outcome.finished == ["map", "file"]
    assert "no-such-store" in outcome.errors["broken"]
    report = Report("startup", "ragcourse bench startup")
    fill(report, outcome, least_nodes=3)
    assert not report.failed, report.notes
    rows = {row.what: row for row in report.rows}
    assert len(rows["warm start, file"].ours) == len(rows["warm start, file"].theirs) == 2
    assert rows["nodes after starts 2 and 3, file"].ratio == 1.0
    assert rows["parsed and embedded in a warm start, file"].ours == [0, 0, 0, 0]
    assert rows["parse, split and embed, map"].ours[0] > 0
    assert outcome.starts["map"][1][0]["facts"]["parsed"] == 3, "the memory store starts cold every time"
    assert json.loads(report.dumps())["details"]["starts"]["file"]


def test_too_few_nodes_or_a_growing_store_is_a_failure(folder, tmp_path):
    outcome = Race({"file": [[_result(nodes)] for nodes in (3, 6, 9)]})
    report = Report("startup", "ragcourse bench startup")
    fill(report, outcome, least_nodes=4)
    assert len(report.notes) == 2 and "[3, 6, 9]" in report.notes[0] and "only 3 nodes" in report.notes[1]
    assert {row.what: row.ratio for row in report.rows}["nodes after starts 2 and 3, file"] == 3 / 7.5


@pytest.mark.parametrize("store", ["chroma", "milvus"])
def test_a_warm_start_in_another_process_with_all_imports_paid(folder, tmp_path, store):
    contestant = Contestant(store, LIBRARY, store)
    task = task_for(contestant, folder, tmp_path / "home", QUESTIONS)
    cold = run_child(contestant, task)
    warm = run_child(contestant, replace(task, preload=cold["late_modules"]))
    assert cold["facts"]["parsed"] == 3 and cold["facts"]["embedded"] >= cold["nodes"] == warm["nodes"]
    assert warm["facts"]["parsed"] == warm["facts"]["embedded"] == 0
    assert len(warm["late_modules"]) < len(cold["late_modules"]) / 20


def test_a_warm_start_that_works_is_reported_as_a_failure(folder, tmp_path):
    """The counters are real: hand the second start another folder and they must move."""
    contestant = Contestant("file", LIBRARY, "file")
    first = run_child(contestant, task_for(contestant, folder, tmp_path / "home", QUESTIONS))
    (folder / "late.txt").write_text("A file that came later.", encoding="utf-8")
    second = run_child(contestant, task_for(contestant, folder, tmp_path / "home", QUESTIONS))
    assert first["facts"]["parsed"] == 3
    assert second["facts"]["parsed"] == 1 and 0 < second["facts"]["embedded"] < first["facts"]["embedded"]
    assert second["nodes"] == first["nodes"] + 1


def test_edit_and_delete_finds_no_stale_text(folder, tmp_path):
    report = Report("startup", "ragcourse bench startup")
    edit_and_delete(report, "file", folder, tmp_path / "edit", QUESTIONS[:1])
    assert not report.failed, report.notes
    assert report.rows[0].ours == [0] and report.rows[0].ratio == 1.0


def test_a_peer_that_cannot_be_installed_is_reported_and_the_others_run(folder, tmp_path, monkeypatch):
    blocked = tmp_path / "a file where the cache should be"
    blocked.write_text("", encoding="utf-8")
    monkeypatch.setenv("RAGCOURSE_CACHE", str(blocked))
    report = Report("startup-peers", "ragcourse bench startup --peers")
    contestants, failures = assemble(report, progress=lambda line: None)
    assert [contestant.name for contestant in contestants] == list(OURS.values())
    assert set(failures) == {entry.name for entry in ENTRIES}
    assert "cannot make the folder" in failures["LazyLLM, map"]

    outcome = Race({OURS["file"]: [[_result(nodes)] for nodes in (7, 7, 7)]}, failures)
    outcome.starts["LangChain + Chroma (indexing API)"] = [[_result(nodes)] for nodes in (7, 14, 21)]
    del outcome.errors["LangChain + Chroma (indexing API)"]
    table = markdown(outcome)
    assert "| ragcourse, file | 0.50 s | 1.000 s | 1.000 s | 1.100 s | 100.0 / 2.00 ms | 7 each |" in table
    assert "| 7 → 14 → 21 |" in table
    assert "| LazyLLM, map | failed: not installed: cannot make" in table
    assert "| ragcourse, map | not run |" in table


def test_peers_get_the_texts_that_our_readers_see(folder, tmp_path):
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 nothing else")
    assert write_texts(folder, tmp_path / "texts") == 3
    found = dict(texts(str(tmp_path / "texts")))
    assert set(found) == {"cold.txt.txt", "deep/query.html.txt", "warm.md.txt"}
    assert sentences(found["deep/query.html.txt"])[-1] == "Then passages are looked up."
    assert found["cold.txt.txt"] == TEXTS["cold.txt"]


def test_query_overhead_is_what_embedding_and_search_leave(folder):
    with KnowledgeBase(folder) as kb:
        kb.start()
        samples = Samples()
        ask(samples, kb, QUESTIONS)
        plain = Retriever(kb)(QUESTIONS[0])
    assert len(samples.overhead) == len(QUESTIONS) and plain
    for whole, embed, search, overhead in zip(
        samples.whole, samples.embed, samples.search, samples.overhead, strict=True
    ):
        assert embed > 0 and search > 0 and overhead > 0
        assert whole == pytest.approx(embed + search + overhead)


def test_a_child_that_dies_says_why(folder, tmp_path):
    contestant = Contestant("x", "ragcourse.no_such_module", "map")
    with pytest.raises(ChildFailed, match="no_such_module"):
        run_child(contestant, task_for(contestant, folder, tmp_path / "home", QUESTIONS))
    with pytest.raises(ChildFailed, match="could not be started"):
        missing = Contestant("x", LIBRARY, "map", python=tmp_path / "no-python")
        run_child(missing, Task(LIBRARY, str(folder), str(tmp_path / "home"), QUESTIONS))


def test_peak_memory_is_this_process_not_its_parent():
    ballast = bytearray(200_000_000)
    ballast[::4096] = b"x" * len(ballast[::4096])
    script = "from ragcourse.bench.memory import peak_memory_mb; print(peak_memory_mb())"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=_environment(), check=True
    )
    assert peak_memory_mb() > 200
    assert 2 < float(done.stdout) < 150


def node(text: str) -> Hit:
    return Hit(Node.make(text, document="a.md", group="sentence"), 1.0)


def test_recall_counts_quotes_across_line_breaks_and_leaves_out_the_unanswerable():
    questions = [
        Question("1", "direct", "first?", "a.md", "the first\n  answer", "1"),
        Question("2", "paraphrase", "second?", "a.md", "the second answer", "2"),
        Question("3", "paraphrase", "third?", "a.md", "the third answer", "3"),
        Question("4", "unanswerable", "fourth?", None, None, None),
    ]
    answers = {
        "first?": [node("noise"), node("Here is the  first answer.")],
        "second?": [node("noise"), node("noise"), node("the second answer")],
        "third?": [node("the third"), node("answer")],
        "fourth?": [node("the first answer")],
    }
    at_2 = recall_at_k(answers.__getitem__, questions, k=2)
    assert (at_2.found, at_2.answerable, at_2.unanswerable) == (1, 3, 1)
    assert [question.id for question in at_2.missed] == ["2", "3"]
    at_3 = recall_at_k(answers.__getitem__, questions, k=3)
    assert at_3.recall == pytest.approx(2 / 3)
    assert at_3.by_kind == {"direct": (1, 1), "paraphrase": (1, 2)}


def test_recall_refuses_what_has_no_meaning():
    with pytest.raises(ValueError, match="k is 0"):
        recall_at_k(lambda question: [], [Question("1", "direct", "q", "a", "b", "c")], k=0)
    with pytest.raises(ValueError, match="none of the questions"):
        recall_at_k(lambda question: [], [Question("1", "unanswerable", "q", None, None, None)])


def test_a_bad_question_names_file_and_line(tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text('{"id": "1"}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"questions\.jsonl, line 1"):
        load_questions(path)


def _result(nodes: int) -> dict[str, object]:
    facts = {"parsed": 0, "embedded": 0, "stages": {"write": 0.5}}
    return {
        "import_s": 0.5,
        "start_s": 1.0,
        "first_query_s": 0.1,
        "first_query_ms": 100.0,
        "warm_query_ms": 2.0,
        "peak_mb": 100.0,
        "nodes": nodes,
        "facts": facts,
    }


def _environment(**extra: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(bench.__file__).parents[2]), "PYTHONUTF8": "1", **extra}


def test_bench_grading_finds_the_answer_to_every_exercise() -> None:
    found = {name: answer for master in load_masters().values() for name, answer in answers(master).items()}
    assert found.keys() == contracts().keys()
    for exercise, answer in found.items():
        assert run(contract_of(exercise), answer, 5).passed
