"""The default embedder: look up a vector for each token, average, normalise.

A transformer spends milliseconds on a sentence because every token looks at every other. A *static*
model keeps only the result of that work for each token alone: a table of 29,524 rows, distilled from
all-MiniLM-L6-v2 by ``data/build/distill_embedder.py``. To embed is then

    v = Σ_t  scale[t] · codes[t, :]        v / ‖v‖

(the mean and the sum have one direction). Frequent tokens have short rows, so that "the" weighs little.

=========  =================  ===============================================================
codes      (vocab, 256) int8  token vectors, one step size a row
scales     (vocab,) float32   that step: row = scale · codes
=========  =================  ===============================================================

Cost: O(tokens · 256) additions; tokenising takes most of the time. What is lost is word order and
context: "dog bites man" and "man bites dog" have one vector, and "bank" has one sense.

Source: model2vec (Tulkens and van Dongen, 2024) for the idea; SIF weights from Arora et al., 2017.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ragcourse.embedders.base import Vectors, check_texts, normalize
from ragcourse.paths import MODELS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

STATIC_MINILM = MODELS / "static-minilm"
FILES = ("model.safetensors", "tokenizer.json")

_BATCH = 1024  # texts tokenised at a time: bounds the memory held by their encodings
_LONG = 4096  # tokens: above this, count tokens and multiply instead of gathering their rows


class _Model(NamedTuple):
    tokenizer: Tokenizer
    table: Vectors  # (vocab, dim)
    unknown: int  # token id for what the vocabulary cannot spell


class StaticEmbedder:
    """Mean of static token vectors; ~30,000 short texts a second on one core, with no torch.

    The constructor reads ``config.json`` only; tokenizer and weights (8 MB) are loaded, and compared with
    the SHA-256 in the config, by the first `embed`.

    Raises FileNotFoundError for a missing file and ValueError for a damaged one; both name it.
    """

    def __init__(self, path: Path | str = STATIC_MINILM) -> None:
        self.path = Path(path)
        config = _read_config(self.path)
        self.name: str = config["name"]
        self.dim: int = config["dim"]
        self._sha256: dict[str, str] = config["sha256"]
        digest = hashlib.sha256("".join(self._sha256[file] for file in FILES).encode()).hexdigest()
        self.fingerprint = f"{self.name}-{digest[:16]}"
        self._model: _Model | None = None
        self._loading = threading.Lock()

    def __repr__(self) -> str:
        return f"StaticEmbedder({self.name!r}, dim={self.dim})"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of unit length a text, (n, dim) float32.

        Characters that the vocabulary cannot spell count as one *unknown* token, so that text made of
        nothing else still has a (meaningless, but defined) vector. Raises ValueError for a blank text.
        """
        texts = check_texts(texts)
        tokenizer, table, unknown = self._model or self._load()
        sums = np.empty((len(texts), self.dim), np.float32)
        for start in range(0, len(texts), _BATCH):
            batch = texts[start : start + _BATCH]
            if len(batch) == 1:  # a query: no thread pool, no batch
                encodings = [tokenizer.encode(batch[0], add_special_tokens=False)]
            else:
                encodings = tokenizer.encode_batch_fast(batch, add_special_tokens=False)
            for row, encoding in zip(sums[start : start + _BATCH], encodings, strict=True):
                ids = encoding.ids or [unknown]
                if len(ids) <= _LONG:
                    np.add.reduce(table.take(ids, axis=0), axis=0, out=row)  # (tokens, dim) → (dim,)
                else:
                    counts = np.bincount(ids, minlength=len(table)).astype(np.float32)  # (vocab,)
                    np.matmul(counts, table, out=row)
        return normalize(sums, self.name)

    def _load(self) -> _Model:
        with self._loading:
            if self._model is None:
                self._model = _read_model(self.path, self._sha256, self.dim)
            return self._model


def _read_config(path: Path) -> dict[str, Any]:
    file = path / "config.json"
    try:
        config = json.loads(_read(file))
        valid = (
            isinstance(config["name"], str)
            and isinstance(config["dim"], int)
            and all(isinstance(config["sha256"][name], str) for name in FILES)
        )
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(_damaged(file)) from error
    if not valid:
        raise ValueError(_damaged(file))
    return config  # type: ignore[no-any-return]


def _read_model(path: Path, sha256: dict[str, str], dim: int) -> _Model:
    import safetensors.numpy  # here, not above: reading a fingerprint should not wait for them
    from tokenizers import Tokenizer

    files = {name: _read(path / name) for name in FILES}
    for name, data in files.items():
        if hashlib.sha256(data).hexdigest() != sha256[name]:
            raise ValueError(_damaged(path / name))
    tensors = safetensors.numpy.load(files["model.safetensors"])
    codes, scales = tensors["codes"], tensors["scales"]  # (vocab, dim) int8, (vocab,) float32
    tokenizer = Tokenizer.from_buffer(files["tokenizer.json"])
    unknown = tokenizer.token_to_id("[UNK]")
    if codes.shape != (tokenizer.get_vocab_size(), dim) or unknown is None:
        raise ValueError(
            f"{path}: weights of shape {codes.shape} do not fit a tokenizer of {tokenizer.get_vocab_size()} "
            f"tokens and vectors of length {dim}"
        )
    table = np.multiply(
        codes, scales[:, None], dtype=np.float32
    )  # (vocab, dim), 30 MB: gathering is then a copy
    return _Model(tokenizer, table, unknown)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{file} is missing: a static model is a folder with config.json, {' and '.join(FILES)} "
            "(build one with data/build/distill_embedder.py)"
        ) from error


def _damaged(file: Path) -> str:
    return f"{file} is damaged or not the file its config.json describes: restore it from the repository"
