"""`ragcourse doctor`: each part is tried in a process of its own, whatever that process does."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ragcourse import probes
from ragcourse.doctor import Finding, Part, examine, is_fit, parts, render, to_json


def works() -> str:
    print("an engine that talks too much")
    return "did its work"


def is_not_there() -> str:
    raise probes.Missing("no such thing")


def throws() -> str:
    raise KeyError("dimension")


def dies() -> str:
    print("first\nillegal instruction in the engine", file=sys.stderr, flush=True)
    os._exit(3)


def is_killed() -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


def hangs_with_a_child() -> str:
    port = os.environ["PROBE_PORT"]
    wait = f"import socket; socket.create_connection(('127.0.0.1', {port})).recv(1)"
    subprocess.run([sys.executable, "-c", wait], check=True)
    return "never"


@pytest.mark.parametrize(
    ("probe", "status", "detail"),
    [
        (works, "ok", "did its work"),
        (is_not_there, "missing", "no such thing"),
        (throws, "broken", "KeyError: 'dimension'"),
        (dies, "broken", "the probe ended with code 3: illegal instruction in the engine"),
        pytest.param(
            is_killed, "broken", "the probe was killed by SIGKILL: it said nothing",
            marks=pytest.mark.skipif(os.name != "posix", reason="signals"),
        ),
    ],
)  # fmt: skip
def test_what_a_probe_does_becomes_a_finding(probe, status, detail) -> None:
    finding = examine(Part("part", probe, needed=True, command="make it"))
    assert (finding.status, finding.detail) == (status, detail)
    assert finding.command == ("" if status == "ok" else "make it")


@pytest.mark.skipif(os.name != "posix", reason="process groups")
def test_a_probe_that_hangs_is_ended_with_its_children(monkeypatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        monkeypatch.setenv("PROBE_PORT", str(listener.getsockname()[1]))
        finding = examine(Part("part", hangs_with_a_child, needed=True, command=""), deadline_s=6)
        assert (finding.status, finding.detail) == ("broken", "no answer within 6 s")
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(60)
            assert connection.recv(1) == b"", "a socket closes when the process that holds it ends"


@pytest.mark.parametrize("name", ["store: map", "store: file", "store: chroma", "store: milvus"])
def test_every_store_works_here(name: str) -> None:
    finding = examine(next(part for part in parts() if part.name == name))
    assert finding.status == "ok", finding.detail
    assert finding.detail.endswith("kept 2 vectors, found the right one")


def test_redis_is_started_and_asked(monkeypatch) -> None:
    finding = examine(next(part for part in parts() if part.name == "Redis"))
    if finding.status == "missing":
        assert "redis" in finding.command
        pytest.skip(finding.detail)
    assert finding.detail.endswith("answered PING")


def test_a_kernel_of_another_environment_is_noticed(tmp_path, monkeypatch) -> None:
    other = tmp_path / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", other], check=True)
    python = shutil.which("python", path=str(other / ("Scripts" if os.name == "nt" else "bin")))
    spec = {"argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"], "language": "python"}
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(spec | {"display_name": "python3"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    packages = Path(probes.__file__).parent.parent, *map(Path, sys.path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(str(path) for path in packages))
    finding = examine(next(part for part in parts() if part.name == "kernel python3"))
    assert finding.status == "broken"
    assert f"runs in {other}" in finding.detail


def findings(needed: str, optional: str) -> list[Finding]:
    return [
        Finding("Python", needed, "CPython [3.11]", True, "" if needed == "ok" else "install Python", 0.5),
        Finding("Redis", optional, "none", False, "" if optional == "ok" else "install Redis"),
    ]


@pytest.mark.parametrize("optional", ["ok", "missing", "broken"])
def test_only_what_the_course_needs_decides(optional: str) -> None:
    assert is_fit(findings("ok", optional))
    assert not is_fit(findings("missing", optional))
    assert not is_fit(findings("broken", optional))


def test_the_report_says_how_to_get_the_rest() -> None:
    from rich.console import Console

    console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    console.print(render(findings("ok", "missing")))
    text = console.export_text()
    assert "CPython [3.11]" in text
    assert "Redis (optional)\n  install Redis" in text
    document = json.loads(json.dumps(to_json(findings("ok", "missing"))))
    assert document["ok"] is True
    assert [part["status"] for part in document["parts"]] == ["ok", "missing"]
    assert document["host"]["cores"] >= 1
