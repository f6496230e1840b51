"""A sentence-transformers model in this process: the quality to measure the static model against."""

from __future__ import annotations

import hashlib
import importlib
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ragcourse.embedders.base import Vectors, check_texts, normalize


class SentenceTransformerEmbedder:
    """Any model that ``sentence_transformers.SentenceTransformer`` can load, by folder or by hub name.

    The model is loaded at the first `embed` or `dim`; a hub name may then be downloaded by that library.
    A folder is fingerprinted by its files' contents, a hub name by itself and ``revision``.

    Raises ImportError, with the command that mends it, when sentence-transformers is not installed.
    """

    def __init__(
        self, model: str | Path, *, revision: str | None = None, device: str | None = None, batch: int = 32
    ) -> None:
        if batch < 1:
            raise ValueError(f"batch must be at least 1, got {batch}")
        self.model = str(model)
        self.name = Path(model).name
        self.revision = revision
        self.device = device
        self.batch = batch
        self._loading = threading.Lock()
        self._loaded: Any = None  # SentenceTransformer

    def __repr__(self) -> str:
        return f"SentenceTransformerEmbedder({self.model!r})"

    @cached_property
    def dim(self) -> int:
        """Length of a vector (loads the model)."""
        return len(self._load().encode("dimension"))  # its name as an attribute changes between versions

    @cached_property
    def fingerprint(self) -> str:
        """Name and content of a model folder, or name and revision on the hub."""
        folder = Path(self.model)
        digest = hashlib.sha256()
        if folder.is_dir():
            for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
                with file.open("rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
        else:
            digest.update(f"{self.model}@{self.revision}".encode())
        return f"{self.name}-{digest.hexdigest()[:16]}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of unit length a text, (n, dim) float32. The model cuts off text beyond its window."""
        texts = check_texts(texts)
        model = self._load()
        if not texts:
            return np.empty((0, self.dim), np.float32)
        vectors = model.encode(texts, batch_size=self.batch, convert_to_numpy=True, show_progress_bar=False)
        return normalize(np.asarray(vectors, np.float32), self.name)

    def _load(self) -> Any:
        with self._loading:
            if self._loaded is None:
                try:
                    library = importlib.import_module("sentence_transformers")
                except ImportError as error:
                    raise ImportError(
                        "SentenceTransformerEmbedder needs a package that the course does not install "
                        "by itself (it brings PyTorch): pip install sentence-transformers"
                    ) from error
                self._loaded = library.SentenceTransformer(
                    self.model, revision=self.revision, device=self.device
                )
            return self._loaded
