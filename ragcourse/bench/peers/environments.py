"""A virtual environment of its own for each peer, kept between runs, with current releases.

LangChain's record manager imports greenlet and does not ask for it: hence ``sqlalchemy[asyncio]``.
LazyLLM cannot import ``Document`` until a long list is installed that its metadata do not name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

OURS = ("numpy", "tokenizers", "safetensors")  # what the shared embedder needs


@dataclass(frozen=True)
class Peer:
    """A library to compare with: what to install, and which versions to record."""

    name: str
    packages: tuple[str, ...]
    record: tuple[str, ...]


_LAZYLLM_WANTS = (
    "pypdf docx2txt ebooklib html2text olefile openpyxl python-pptx python-docx beautifulsoup4 tiktoken "
    "spacy bm25s pystemmer nltk jieba sentencepiece psycopg2-binary sqlalchemy python-multipart json_repair"
)
_LANGCHAIN = ("langchain", "langchain-chroma", "langchain-text-splitters", "chromadb")
_LLAMA_INDEX = ("llama-index-core", "llama-index-vector-stores-chroma", "chromadb")
_LAZYLLM = ("lazyllm", "chromadb", "pymilvus", "milvus-lite")

PEERS = (
    Peer(
        "langchain",
        (*_LANGCHAIN, "langchain-classic", "sqlalchemy[asyncio]"),
        (*_LANGCHAIN, "langchain-core"),
    ),
    Peer("llama_index", _LLAMA_INDEX, _LLAMA_INDEX),
    Peer("lazyllm", (*_LAZYLLM, *_LAZYLLM_WANTS.split()), _LAZYLLM),
)


class InstallFailed(RuntimeError):
    """A peer could not be installed; the message says where and why."""


def cache_folder() -> Path:
    """Where the environments are kept: ``$RAGCOURSE_CACHE`` or the user's cache folder."""
    if chosen := os.environ.get("RAGCOURSE_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "ragcourse"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ragcourse"


def python_of(environment: Path) -> Path:
    """The interpreter of a virtual environment."""
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def prepare(peer: Peer) -> Path:
    """Make or update the environment of a peer and return its Python. Raises `InstallFailed`.

    Without a network, an environment that is complete is used as it is.
    """
    folder = _make(cache_folder() / "peers") / peer.name
    python = python_of(folder)
    complete = folder / "complete"
    packages = [*peer.packages, *OURS]
    uv = shutil.which("uv")
    if not python.exists():
        create = [uv, "venv", "--quiet", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
        _run([*create, str(folder)])
    install = [uv, "pip", "install", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
    try:
        _run([*install, "--quiet", "--upgrade", *packages])
    except InstallFailed as error:
        if not complete.exists() or complete.read_text("utf-8").split() != packages:
            raise InstallFailed(f"{error} (in {folder}; delete it to begin anew)") from error
    complete.write_text("\n".join(packages), "utf-8")
    return python


def versions(peer: Peer, python: Path) -> dict[str, str]:
    """The recorded packages of a peer with their installed versions, as ``peer/package``."""
    script = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    found = _run([str(python), "-c", script, *peer.record]).split()
    return {f"{peer.name}/{package}": version for package, version in zip(peer.record, found, strict=True)}


def environment(peer: Peer) -> dict[str, str]:
    """Variables that keep a peer from writing into the user's home."""
    home = str(_make(cache_folder() / "peers" / f"{peer.name}-home"))
    return {"HOME": home, "USERPROFILE": home}


def _make(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InstallFailed(f"cannot make the folder {folder}: {error.strerror}") from error
    return folder


def _run(words: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            words, capture_output=True, encoding="utf-8", errors="replace", timeout=900, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallFailed(str(error)) from error
    if done.returncode != 0:
        said = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise InstallFailed(said[-1] if said else f"{words[0]} ended with exit status {done.returncode}")
    return done.stdout
