"""Ways to cut a text, and what tells two of them apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from types import CodeType

from ragcourse.documents import content_hash
from ragcourse.splitters.spans import Span, TokenCounter, pack, sentence_spans, strip_span

Splitter = Callable[[str], Sequence[Span] | Sequence[str]]


@dataclass(frozen=True)
class _Chunker:
    chunk_size: int = 256
    chunk_overlap: int = 25

    def __post_init__(self) -> None:
        if self.chunk_size < 1:
            raise ValueError(f"chunk_size is {self.chunk_size}; a chunk needs at least 1 token")
        if not 0 <= self.chunk_overlap < self.chunk_size:
            raise ValueError(
                f"chunk_overlap is {self.chunk_overlap}; "
                f"it must be at least 0 and below chunk_size ({self.chunk_size})"
            )


@dataclass(frozen=True)
class TokenSplitter(_Chunker):
    """Windows of ``chunk_size`` tokens, wherever they fall."""

    def __call__(self, text: str) -> list[Span]:
        counter = TokenCounter(text)
        return pack(counter.tokens, counter, self.chunk_size, self.chunk_overlap)


@dataclass(frozen=True)
class SentenceSplitter(_Chunker):
    """As many whole sentences as fit into ``chunk_size`` tokens."""

    def __call__(self, text: str) -> list[Span]:
        return pack(sentence_spans(text), TokenCounter(text), self.chunk_size, self.chunk_overlap)


@dataclass(frozen=True)
class RecursiveSplitter(_Chunker):
    """Cut at the first separator; cut what is still too long at the next one, and so on."""

    separators: tuple[str, ...] = ("\n\n", "\n", ". ", " ")

    def __call__(self, text: str) -> list[Span]:
        counter = TokenCounter(text)
        atoms = self._atoms(text, (0, len(text)), counter, 0)
        return [strip_span(text, span) for span in pack(atoms, counter, self.chunk_size, self.chunk_overlap)]

    def _atoms(self, text: str, span: Span, counter: TokenCounter, level: int) -> Iterator[Span]:
        if counter.count(span) <= self.chunk_size or level == len(self.separators):
            if counter.count(span):
                yield span
            return
        start, end = span
        separator = self.separators[level]
        while start < end:
            at = text.find(separator, start, end)
            stop = end if at < 0 else at + len(separator)
            yield from self._atoms(text, (start, stop), counter, level + 1)
            start = stop


@dataclass(frozen=True)
class Sentences:
    """One node a sentence. Shorter ones (headings, list heads) join the sentence that follows."""

    min_tokens: int = 8

    def __call__(self, text: str) -> list[Span]:
        counter = TokenCounter(text)
        joined: list[Span] = []
        start: int | None = None
        for span in sentence_spans(text):
            start = span[0] if start is None else start
            if counter.count((start, span[1])) >= self.min_tokens:
                joined.append((start, span[1]))
                start = None
        if start is not None:  # what is left at the end joins the sentence before it
            joined[-1:] = [(joined[-1][0] if joined else start, len(text.rstrip()))]
        return joined


def fingerprint(function: Callable[..., object]) -> str:
    """A string that changes when a splitter (or another step of ingest) would give other results.

    Settings of the built-in splitters, the byte code of a function with its constants and
    defaults. One with hidden state can carry an attribute ``fingerprint`` of its own.
    """
    own = getattr(function, "fingerprint", None)
    if isinstance(own, str):
        return own
    name = f"{type(function).__module__}.{type(function).__qualname__}"
    if is_dataclass(function):
        settings = {field.name: getattr(function, field.name) for field in fields(function)}
        return f"{name}({settings})"
    code = getattr(function, "__code__", None)
    if isinstance(code, CodeType):
        closure = [repr(cell.cell_contents) for cell in getattr(function, "__closure__", None) or ()]
        return f"function({_code_hash(code)}, {getattr(function, '__defaults__', None)!r}, {closure})"
    return name


def _code_hash(code: CodeType) -> str:
    constants = [
        _code_hash(value) if isinstance(value, CodeType) else repr(value) for value in code.co_consts
    ]
    return content_hash(code.co_code, *code.co_names, *constants)
