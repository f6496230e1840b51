"""Ways to cut a text, and what tells two of them apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, is_dataclass
from functools import partial
from types import BuiltinMethodType, CodeType, FunctionType, MethodType

from ragcourse.documents import content_hash
from ragcourse.splitters.spans import Span, TokenCounter, pack, sentence_spans, strip_span, token_spans

Splitter = Callable[[str], Sequence[Span] | Sequence[str]]
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")


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
        """The spans of the parts, in order."""
        return pack(token_spans(text), TokenCounter(text), self.chunk_size, self.chunk_overlap)


@dataclass(frozen=True)
class SentenceSplitter(_Chunker):
    """As many whole sentences as fit into ``chunk_size`` tokens."""

    def __call__(self, text: str) -> list[Span]:
        """The spans of the parts, in order."""
        return pack(sentence_spans(text), TokenCounter(text), self.chunk_size, self.chunk_overlap)


@dataclass(frozen=True)
class RecursiveSplitter(_Chunker):
    """Cut at the first separator; cut what is still too long at the next one, and so on."""

    separators: tuple[str, ...] = ("\n\n", "\n", "。", ". ", " ")

    def __call__(self, text: str) -> list[Span]:
        """The spans of the parts, in order."""
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
        """The spans of the parts, in order."""
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

    Settings of an object, byte code of a function with its constants, defaults and what it encloses;
    the same in every process. What it cannot see: global variables and the functions that are called.
    A step with other hidden state can carry an attribute ``fingerprint`` of its own.
    """
    return _describe(function, depth=0)


def _describe(value: object, depth: int) -> str:
    own = getattr(value, "fingerprint", None)
    if isinstance(own, str):
        return own
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if depth > 6:  # a function that encloses itself
        return kind

    def all_of(parts: Iterable[object]) -> str:
        return ", ".join(_describe(part, depth + 1) for part in parts)

    if isinstance(value, CodeType):
        return content_hash(value.co_code, *value.co_names, all_of(value.co_consts))
    if isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return f"function({all_of([value.__code__, value.__defaults__, value.__kwdefaults__, *cells])})"
    if isinstance(value, MethodType):
        return f"method({all_of([value.__func__, value.__self__])})"
    if isinstance(value, BuiltinMethodType):
        return f"{value.__qualname__}({all_of([value.__self__])})"
    if isinstance(value, partial):
        return f"partial({all_of([value.func, *value.args, value.keywords])})"
    if isinstance(value, (set, frozenset)):  # whose order is another one in each process
        return f"set({', '.join(sorted(_describe(part, depth + 1) for part in value))})"
    if isinstance(value, (tuple, list)):
        return f"[{all_of(value)}]"
    if isinstance(value, dict):
        return f"{{{all_of(value.items())}}}"
    if is_dataclass(value) or type(value).__repr__ is object.__repr__:
        settings = dict(sorted(getattr(value, "__dict__", {}).items())) if depth < 3 else {}
        call = getattr(type(value), "__call__", None)  # noqa: B004 - its code, not whether there is one
        return f"{kind}({all_of([call, settings])})"
    return _ADDRESS.sub("", repr(value))
