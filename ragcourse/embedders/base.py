"""What an embedder promises, and the two checks that every one of them makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]  # (n, dim), rows of unit length


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors whose inner product says how close in meaning the texts are."""

    @property
    def name(self) -> str:
        """For people: the model's name."""
        ...

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    @property
    def fingerprint(self) -> str:
        """For manifests and caches: equal fingerprints mean equal vectors for equal texts."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of unit length a text, in order, as (n, dim) float32.

        Raises ValueError for an empty or blank text: it has no meaning to be near to.
        """
        ...


def check_texts(texts: Sequence[str]) -> list[str]:
    """The texts as a list, or an error that says which of them cannot be embedded."""
    if isinstance(texts, str):
        raise TypeError(f"embed() takes a sequence of texts; for one text write embed([{texts[:20]!r}])")
    texts = list(texts)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"texts[{i}] is a {type(text).__name__}, not a str")
        if not text or text.isspace():
            raise ValueError(f"texts[{i}] is empty or blank: there is nothing to embed; leave it out")
        try:
            text.encode()
        except UnicodeEncodeError:  # half a surrogate pair, as broken JSON or file names bring
            texts[i] = text.encode("utf-8", "replace").decode()
    return texts


def normalize(vectors: Vectors, source: str) -> Vectors:
    """Rows scaled to unit length. ``source`` names the model in the error for a row without direction."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)  # (n, 1)
    bad = np.flatnonzero(~(norms > 0) | ~np.isfinite(norms))
    if bad.size:
        raise ValueError(f"{source} gave a zero or non-finite vector for texts[{bad[0]}]")
    unit: Vectors = vectors / norms
    return unit
