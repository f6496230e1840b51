"""A question becomes an answer with its source, and a trace of where the time went."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ragcourse.documents import Hit
from ragcourse.embedders import Embedder
from ragcourse.recall import Retriever
from ragcourse.splitters.spans import count_tokens, sentence_spans
from ragcourse.timing import Trace, span, tracing

_MIN_TOKENS = 4  # what is shorter is a heading (of a format without marks) or a cell
_HEADING = re.compile(r"#{1,6}\s")
_LINE_START = re.compile(r"^(?:(?:#{1,6}|[-*+>]|\d+[.)])\s+)+")
_EMPHASIS = re.compile(r"(\*\*|__|(?<!\w)[*_]|`)(?=\S)(.+?)(?<=\S)\1(?!\w)")
NO_ANSWER = "The documents do not answer this question."


@dataclass(frozen=True, slots=True)
class Answer:
    """``source`` is the hit that the text was taken from, or None if there is no answer."""

    question: str
    text: str
    source: Hit | None
    hits: list[Hit]
    trace: Trace = field(repr=False)

    def __str__(self) -> str:
        return f"{self.text} [{self.source.node.document}]" if self.source else self.text


Answerer = Callable[[str, Sequence[Hit]], tuple[str, Hit | None]]
"""(question, hits) → (text, the hit it came from)."""


class ExtractiveAnswerer:
    """Answers with the sentence of the hits that is nearest to the question: it cannot invent.

    Below ``threshold`` (cosine) it says that the documents do not answer. The default suits the static
    embedder: of the handbook's 224 questions with an answer it refuses 3. Of the 20 without one it refuses
    1 only: they are of the same field, and nearness to a sentence is no answer to a question.
    """

    def __init__(self, embedder: Embedder, threshold: float = 0.33) -> None:
        self.embedder, self.threshold = embedder, threshold

    def __call__(self, question: str, hits: Sequence[Hit]) -> tuple[str, Hit | None]:
        """The sentence and the hit it stands in, or ``NO_ANSWER`` and None."""
        sentences = [
            (_plain(sentence), hit)
            for hit in hits
            for start, end in sentence_spans(hit.node.text)
            if count_tokens(sentence := hit.node.text[start:end]) >= _MIN_TOKENS
            and not _HEADING.match(sentence)
        ]
        if not sentences:
            return NO_ANSWER, None
        vectors = self.embedder.embed([question, *(text for text, _ in sentences)])  # (1 + n, dim)
        scores = vectors[1:] @ vectors[0]  # (n,)
        best = int(np.argmax(scores))
        if scores[best] < self.threshold:
            return NO_ANSWER, None
        return sentences[best]


def _plain(text: str) -> str:
    """A sentence without the marks of Markdown."""
    return " ".join(_EMPHASIS.sub(r"\2", _LINE_START.sub("", text)).split())


class RAG:
    """Recall, then generate; ``answer`` never fails for want of a model, since extraction needs none."""

    def __init__(self, retriever: Retriever, answerer: Answerer | None = None) -> None:
        self.retriever = retriever
        self.answerer: Answerer = answerer or ExtractiveAnswerer(retriever.kb.embedder)

    def answer(self, question: str) -> Answer:
        """Raises ``ValueError`` for an empty question."""
        with tracing() as trace, span("request"):
            with span("recall"):
                hits = self.retriever(question)
            with span("generate"):
                text, source = self.answerer(question, hits)
        return Answer(question, text, source, hits, trace)
