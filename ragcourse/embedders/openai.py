"""Vectors from a server that speaks OpenAI's embeddings API: vLLM, llama.cpp, Ollama, a paid service.

    POST {base_url}/embeddings   {"model": …, "input": [text, …], "encoding_format": "float"}
    200                          {"data": [{"index": 0, "embedding": [float, …]}, …]}

Only the standard library is used: a batch costs far more than the connection that carries it.
"""

from __future__ import annotations

import json
import random
import time
import urllib.parse
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ragcourse.embedders.base import Vectors, check_texts, normalize

_TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_LONGEST_WAIT_S = 30.0
_LARGEST_ANSWER = 256 << 20  # bytes


class OpenAIEmbedder:
    """An embedding model behind HTTP.

    ``base_url`` ends before ``/embeddings`` (``http://127.0.0.1:8000/v1``); one request carries ``batch``
    texts; ``timeout`` is in seconds. A failure that may pass (no connection, time-out, 429, 5xx) is tried
    again ``retries`` times, after 1, 2, 4 … times ``backoff`` seconds with jitter, or after what the server
    asks for in ``Retry-After``, up to 30 s. ``dim``, when not given, is learned by embedding one word.

    Raises ConnectionError when the server cannot be reached or keeps failing, PermissionError for a refused
    key, and ValueError for a request that it rejects or an answer that is not what was asked for.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str | None = None,
        batch: int = 64,
        timeout: float = 30.0,
        retries: int = 3,
        *,
        backoff: float = 0.5,
        dim: int | None = None,
    ) -> None:
        url = urllib.parse.urlsplit(base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"base_url must look like http://127.0.0.1:8000/v1, got {base_url!r}")
        if batch < 1 or retries < 0 or timeout <= 0 or backoff < 0:
            raise ValueError(
                "batch ≥ 1, timeout > 0, retries ≥ 0 and backoff ≥ 0 are needed, "
                f"got batch={batch}, timeout={timeout}, retries={retries}, backoff={backoff}"
            )
        self.name = model
        self.url = base_url.rstrip("/") + "/embeddings"
        self.batch = batch
        self.timeout = timeout
        self.retries = retries
        self.backoff = backoff
        self._api_key = api_key
        self._dim = dim

    def __repr__(self) -> str:
        return f"OpenAIEmbedder({self.url!r}, {self.name!r})"

    @cached_property
    def dim(self) -> int:
        """Length of a vector (asks the server when it was not given)."""
        return self._dim or self._request(["dimension"]).shape[1]

    @property
    def fingerprint(self) -> str:
        """Server and model name. A server that puts another model behind one name goes unnoticed."""
        return f"openai-{self.name}@{self.url}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of unit length a text, (n, dim) float32."""
        texts = check_texts(texts)
        vectors = np.empty((len(texts), self.dim), np.float32)
        for start in range(0, len(texts), self.batch):
            part = texts[start : start + self.batch]
            rows = self._request(part)
            if rows.shape[1] != self.dim:
                raise ValueError(f"{self.url} gave vectors of length {rows.shape[1]}, expected {self.dim}")
            vectors[start : start + len(part)] = rows
        return normalize(vectors, self.name)

    def _request(self, texts: list[str]) -> Vectors:
        payload = {"model": self.name, "input": texts, "encoding_format": "float"}
        answer = self._post(json.dumps(payload).encode())
        try:
            rows = sorted(json.loads(answer)["data"], key=lambda item: item["index"])
            vectors = np.array([row["embedding"] for row in rows], np.float32)
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{self.url} did not answer with embeddings: {_excerpt(answer)}") from error
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise ValueError(f"{self.url} gave {len(vectors)} vectors for {len(texts)} texts")
        return vectors

    def _post(self, body: bytes) -> bytes:
        import urllib.error  # here, not above: they take longer to import than the rest of the package
        import urllib.request
        from http.client import HTTPException

        headers = {"Content-Type": "application/json"}
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        request = urllib.request.Request(self.url, body, headers)
        for attempt in range(self.retries + 1):
            wait = self.backoff * 2**attempt * random.uniform(0.5, 1.0)
            try:
                with urllib.request.urlopen(request, timeout=self.timeout) as response:
                    return _bounded(response, self.url)
            except urllib.error.HTTPError as error:
                problem = f"HTTP {error.code}: {_excerpt(error.read(2000))}"
                if error.code in (401, 403):
                    raise PermissionError(f"{self.url} refused the API key ({problem})") from error
                if error.code not in _TRANSIENT:
                    raise ValueError(f"{self.url} rejected the request ({problem})") from error
                wait = _retry_after(error.headers.get("Retry-After"), wait)
            except (OSError, HTTPException) as error:  # refused, reset, timed out, cut off
                problem = str(getattr(error, "reason", None) or error) or type(error).__name__
            if attempt < self.retries:
                time.sleep(min(wait, _LONGEST_WAIT_S))
        raise ConnectionError(
            f"{self.url} failed {self.retries + 1} times, last with: {problem}. Is the server running there?"
        )


def _bounded(response: Any, url: str) -> bytes:
    answer: bytes = response.read(_LARGEST_ANSWER + 1)
    if len(answer) > _LARGEST_ANSWER:
        raise ValueError(f"{url} answered with more than {_LARGEST_ANSWER >> 20} MiB: lower batch=")
    return answer


def _retry_after(header: str | None, default: float) -> float:
    """Seconds from a ``Retry-After`` header; its other form, a date, counts as absent."""
    return float(header) if header is not None and header.isdigit() else default


def _excerpt(answer: bytes) -> str:
    text = " ".join(answer[:300].decode("utf-8", "replace").split())
    return text or "(empty)"
