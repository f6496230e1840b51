"""``ragcourse doctor``: what is installed and what runs on this machine, each part tried, not guessed.

A part is tried by a *probe*: a function that uses it for real (a store keeps a vector and finds it, a
kernel computes, a Redis answers) and returns what it saw in a few words. Each probe runs in a process of
its own, with a deadline: an engine that crashes or hangs costs its own line and nothing else.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

from ragcourse import index_probes, probes, remedies
from ragcourse.bench.host import describe_host

if TYPE_CHECKING:
    from rich.console import RenderableType

Status = Literal["ok", "missing", "broken"]

DEADLINE_S = 60.0


@dataclass(frozen=True)
class Part:
    """Something to try. ``command`` gets it; the course cannot do without what is ``needed``."""

    name: str
    probe: Callable[[], str]
    needed: bool
    command: str


@dataclass(frozen=True)
class Finding:
    """What a probe found. ``seconds`` counts from the probe's first import to its answer."""

    part: str
    status: Status
    detail: str
    needed: bool
    command: str
    seconds: float | None = None


def parts() -> list[Part]:
    """All parts, the needed ones first."""
    lab = remedies.install_command("lab")
    return [
        Part("Python", probes.python, True, "install Python 3.11 to 3.14, then: make clean lab"),
        Part("handbook", probes.handbook, True, "git checkout -- data"),
        Part("embedder", probes.embedder, True, "git checkout -- data"),
        Part("store: map", probes.map_store, True, lab),
        Part("store: file", probes.file_store, True, lab),
        Part("store: chroma", probes.chroma_store, True, lab),
        Part("store: milvus", probes.milvus_store, True, lab),
        Part("compiler", index_probes.compiler, True, lab),
        Part("JupyterLab", probes.jupyterlab, True, lab),
        Part("kernel python3", probes.kernel, True, lab),
        Part("widgets", probes.widgets, True, lab),
        Part("words", index_probes.words, True, lab),
        Part("hnswlib", index_probes.hnswlib, False, remedies.install_command("lab,hnswlib")),
        Part("peers of bench", index_probes.peers, False, remedies.install_command("lab,bench")),
        Part("Chromium", probes.chromium, False, remedies.system_command("chromium")),
        Part("Redis", probes.redis, False, remedies.redis_command()),
        Part("vLLM", probes.vllm, False, remedies.vllm_command()),
    ]


def examine(part: Part, deadline_s: float = DEADLINE_S) -> Finding:
    """Try one part in a process of its own."""
    status, detail, seconds = _ask(part.probe, deadline_s)
    return Finding(part.name, status, detail, part.needed, "" if status == "ok" else part.command, seconds)


def is_fit(findings: list[Finding]) -> bool:
    """Whether all that the course needs is there and works."""
    return all(finding.status == "ok" for finding in findings if finding.needed)


def to_json(findings: list[Finding]) -> dict[str, Any]:
    """The answer of ``ragcourse doctor --json``."""
    found = [asdict(finding) for finding in findings]
    return {"ok": is_fit(findings), "host": describe_host(), "parts": found}


def render(findings: list[Finding]) -> RenderableType:
    """The machine, a table, and the commands that get what is missing."""
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    host = describe_host()
    title = f"{host['cpu']}, {host['cores']} cores, {host['memory_gb']} GB\n{host['os']}"
    table = Table(title=title, title_justify="left")
    table.add_column("part", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("what was seen", overflow="fold")
    table.add_column("seconds", justify="right", no_wrap=True)
    for finding in findings:
        style = "green" if finding.status == "ok" else "red" if finding.needed else "yellow"
        table.add_row(
            finding.part,
            Text(finding.status, style),
            escape(finding.detail),
            "" if finding.seconds is None else f"{finding.seconds:.2f}",
        )
    lines: list[RenderableType] = [table]
    for finding in findings:
        if finding.command:
            need = "needed" if finding.needed else "optional"
            lines.append(Text.assemble(("\n" + finding.part, "bold"), f" ({need})\n  {finding.command}"))
    return Group(*lines)


def _ask(probe: Callable[[], str], deadline_s: float) -> tuple[Status, str, float | None]:
    """Run ``probe`` in a child. Its output goes to files: a grandchild that survives holds no pipe open."""
    command = [sys.executable, "-m", "ragcourse.doctor", f"{probe.__module__}:{probe.__name__}"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(str(Path(path).resolve()) for path in sys.path)}
    with (
        tempfile.TemporaryDirectory(prefix="ragcourse-doctor-", ignore_cleanup_errors=True) as scratch,
        tempfile.TemporaryFile("w+", encoding="utf-8") as answer,
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as noise,
    ):
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=answer,
            stderr=noise,
            cwd=scratch,
            env=environment,
            start_new_session=True,
        )
        try:
            code = child.wait(deadline_s)
        except subprocess.TimeoutExpired:
            return "broken", f"no answer within {deadline_s:g} s", None
        finally:
            _end(child)
        answer.seek(0)
        noise.seek(0)
        lines, complaints = answer.read().splitlines(), noise.read().strip().splitlines()
    if code == 0 and lines:
        status, detail, seconds = json.loads(lines[-1])
        return status, detail, seconds
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return "broken", f"the probe {how}: {complaints[-1] if complaints else 'it said nothing'}", None


def _end(child: subprocess.Popen[bytes]) -> None:
    """Leave no process of the probe behind."""
    if sys.platform == "win32":
        child.kill()
    else:
        with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _child(place: str) -> None:
    """The inside of the child: run the probe ``module:function``, print one line of JSON."""
    module, name = place.split(":")
    probe = getattr(import_module(module), name)
    start = perf_counter()
    try:
        status, detail = "ok", probe()
    except probes.Missing as error:
        status, detail = "missing", str(error)
    except Exception as error:  # noqa: BLE001 - whatever an engine throws is the finding
        status, detail = "broken", f"{type(error).__name__}: {error}"
    print("\n" + json.dumps([status, detail, round(perf_counter() - start, 3)]), flush=True)
    os._exit(0)  # an engine's own clean-up must not spoil the answer


if __name__ == "__main__":
    _child(sys.argv[1])
