"""A question becomes an answer with its source and a trace, or an honest no."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ragcourse.documents import Hit, Node
from ragcourse.embedders import StaticEmbedder
from ragcourse.evaluate import load_questions
from ragcourse.knowledge_base import KnowledgeBase
from ragcourse.paths import HANDBOOK
from ragcourse.rag import NO_ANSWER, RAG, Answer, ExtractiveAnswerer
from ragcourse.recall import Retriever
from ragcourse.timing import tracing


@pytest.fixture(scope="module")
def embedder() -> StaticEmbedder:
    return StaticEmbedder()


@pytest.fixture(scope="module")
def handbook(embedder: StaticEmbedder) -> Iterator[KnowledgeBase]:
    with KnowledgeBase(HANDBOOK, embedder=embedder) as kb:
        kb.start()
        yield kb


def hit(text: str, document: str = "a.md") -> Hit:
    return Hit(Node.make(text, document=document, group="g"), 1.0)


def test_an_answer_is_a_sentence_of_a_hit(handbook: KnowledgeBase) -> None:
    rag = RAG(Retriever(handbook))
    for question in load_questions()[:15]:
        answer = rag.answer(question.question)
        assert answer.question == question.question
        assert answer.source in answer.hits
        assert answer.source is not None
        plain = "".join(filter(str.isalnum, answer.source.node.text))
        assert "".join(filter(str.isalnum, answer.text)) in plain
        assert str(answer) == f"{answer.text} [{answer.source.node.document}]"


def test_the_stages_of_a_request_are_in_its_trace(handbook: KnowledgeBase) -> None:
    with tracing() as around:
        answer = RAG(Retriever(handbook)).answer("What does a warm start skip?")
    names = [(span.name, span.depth) for span in answer.trace.spans]
    assert names[0] == ("request", 0)
    assert [name for name, depth in names if depth == 1] == ["recall", "generate"]
    assert {"embed query", "search", "parents"} <= {name for name, depth in names if depth == 2}
    assert [span.name for span in around.spans] == [name for name, _ in names]
    request, stages = answer.trace.spans[0], [span for span in answer.trace.spans if span.depth == 1]
    assert sum(span.seconds for span in stages) <= request.seconds


@pytest.mark.parametrize(
    "question", ["What is the capital of Peru?", "How tall is Mount Everest?", "When was Mozart born?"]
)
def test_a_question_on_something_else_is_not_answered(handbook: KnowledgeBase, question: str) -> None:
    answer = RAG(Retriever(handbook)).answer(question)
    assert (answer.text, answer.source) == (NO_ANSWER, None)
    assert str(answer) == NO_ANSWER
    assert answer.hits  # what it was looked for in


def test_nearly_every_question_of_the_handbook_is_answered(handbook: KnowledgeBase) -> None:
    rag = RAG(Retriever(handbook))
    asked = [question for question in load_questions() if question.answerable][::2]
    refused = [question.id for question in asked if rag.answer(question.question).source is None]
    assert len(refused) <= 0.03 * len(asked), refused


def test_the_nearest_sentence_answers_wherever_it_stands(embedder: StaticEmbedder) -> None:
    hits = [
        hit("# Bread\n\nYeast makes dough rise. The oven must be hot."),
        hit("A cache keeps answers. A write-ahead log makes a commit durable. Trees are green.", "log.md"),
    ]
    text, source = ExtractiveAnswerer(embedder)("What makes a commit durable?", hits)
    assert text == "A write-ahead log makes a commit durable."
    assert source is hits[1]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("- **Never** sleep in a `test` of time.", "Never sleep in a test of time."),
        ("> 1. The *log* is __always__ flushed first", "The log is always flushed first"),
        ("* Why the log_file is flushed first", "Why the log_file is flushed first"),
        ("The cost is 64 * 8 * 2 bytes for the log", "The cost is 64 * 8 * 2 bytes for the log"),
        ("-5 degrees is what the log says", "-5 degrees is what the log says"),
        ("The `a * b` of the log\nis   **2*3**", "The a * b of the log is 2*3"),
        ("Both my_log_file and _log_ are names", "Both my_log_file and log are names"),
    ],
)
def test_marks_of_markdown_go_and_the_rest_stays(embedder: StaticEmbedder, written: str, read: str) -> None:
    text, _ = ExtractiveAnswerer(embedder, threshold=-1)("What about the log?", [hit(written)])
    assert text == read


def test_short_sentences_can_answer_and_headings_do_not(embedder: StaticEmbedder) -> None:
    answerer = ExtractiveAnswerer(embedder, threshold=-1)
    assert answerer("Where is Paris?", [hit("Paris\n\nIt is in France.")])[0] == "It is in France."
    marked = hit("### Why is the log flushed first\n\nIt must reach the disk before the data.")
    assert answerer("Why is the log flushed first?", [marked])[0] == "It must reach the disk before the data."
    assert answerer("什么是缓存？", [hit("缓存\n\n缓存保存答案。")])[0] == "缓存保存答案。"


@pytest.mark.parametrize("hits", [[], [hit("Heading")], [hit("***")]], ids=["none", "heading", "marks"])
def test_without_a_sentence_there_is_no_answer(embedder: StaticEmbedder, hits: list[Hit]) -> None:
    assert ExtractiveAnswerer(embedder, threshold=-1)("Anything?", hits) == (NO_ANSWER, None)


def test_any_function_can_answer(handbook: KnowledgeBase) -> None:
    seen: list[tuple[str, int]] = []

    def answerer(question: str, hits: Sequence[Hit]) -> tuple[str, Hit | None]:
        seen.append((question, len(hits)))
        return "Because.", hits[2]

    answer = RAG(Retriever(handbook, k=3), answerer).answer("Why is it slow?")
    assert isinstance(answer, Answer)
    assert (answer.text, answer.source) == ("Because.", answer.hits[2])
    assert seen == [("Why is it slow?", 3)]


def test_an_empty_question_is_refused(handbook: KnowledgeBase) -> None:
    for question in ("", " \n"):
        with pytest.raises(ValueError, match="the query is empty; ask something"):
            RAG(Retriever(handbook)).answer(question)


def test_an_empty_library_answers_no(tmp_path: Path, embedder: StaticEmbedder) -> None:
    with KnowledgeBase(tmp_path, embedder=embedder) as kb:
        kb.start()
        answer = RAG(Retriever(kb)).answer("Is anybody there?")
    assert (answer.text, answer.source, answer.hits) == (NO_ANSWER, None, [])
