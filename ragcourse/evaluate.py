"""How good the answers of a retriever are, on questions whose passages are known.

A question names its passage by document and quoted span, not by node, so that one set of questions
judges every way of cutting the documents. It counts as found when one of the k hits contains the
quote; runs of white space are equal, since readers and splitters may break lines differently.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ragcourse.documents import Hit
from ragcourse.paths import QUESTIONS


@dataclass(frozen=True, slots=True)
class Question:
    """``quote`` is the passage of ``document`` that answers; both are None where nothing does."""

    id: str
    kind: str
    question: str
    document: str | None
    quote: str | None
    answer: str | None

    @property
    def answerable(self) -> bool:
        """False for a question that the documents do not answer."""
        return self.quote is not None


@dataclass(frozen=True, slots=True)
class Recall:
    """Of ``answerable`` questions ``found`` had their passage among the first ``k`` hits.

    ``missed`` are the others; ``unanswerable`` counts those left out; ``by_kind`` has (found, of)
    for each kind of question.
    """

    k: int
    found: int
    answerable: int
    unanswerable: int
    missed: tuple[Question, ...]
    by_kind: dict[str, tuple[int, int]]

    @property
    def recall(self) -> float:
        """The share of answerable questions that were found."""
        return self.found / self.answerable

    def __float__(self) -> float:
        return self.recall

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {found / of:.3f}" for kind, (found, of) in self.by_kind.items())
        return (
            f"recall@{self.k} {self.recall:.3f}: {self.found} of {self.answerable} ({kinds}); "
            f"{self.unanswerable} without an answer left out"
        )


def load_questions(path: Path = QUESTIONS) -> list[Question]:
    """The questions of a JSON-lines file. Raises ``ValueError`` that names file and line."""
    questions = []
    for number, line in enumerate(path.read_text("utf-8").split("\n"), start=1):
        if line.strip():
            try:
                questions.append(Question(**json.loads(line)))
            except (json.JSONDecodeError, TypeError) as error:
                raise ValueError(f"{path}, line {number}: not a question: {error}") from error
    return questions


def recall_at_k(
    retriever: Callable[[str], Sequence[Hit]], questions: Iterable[Question], k: int = 5
) -> Recall:
    """The share of answerable questions whose quote is in one of the first ``k`` hits.

    Raises ``ValueError`` for k < 1 or when no question has an answer.
    """
    if k < 1:
        raise ValueError(f"k is {k}; look at one hit at least")
    asked = list(questions)
    answerable = [question for question in asked if question.quote is not None]
    if not answerable:
        raise ValueError("none of the questions has an answer: there is nothing to recall")
    missed = []
    by_kind: dict[str, tuple[int, int]] = {}
    for question in answerable:
        hits = retriever(question.question)[:k]
        hit = contains_quote([hit.node.text for hit in hits], question.quote or "")
        if not hit:
            missed.append(question)
        found, of = by_kind.get(question.kind, (0, 0))
        by_kind[question.kind] = (found + hit, of + 1)
    found, unanswerable = len(answerable) - len(missed), len(asked) - len(answerable)
    return Recall(k, found, len(answerable), unanswerable, tuple(missed), by_kind)


def contains_quote(texts: Iterable[str], quote: str) -> bool:
    """True if one of the texts contains ``quote``, white space apart."""
    wanted = " ".join(quote.split())
    return any(wanted in " ".join(text.split()) for text in texts)
