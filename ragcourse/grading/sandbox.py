"""Run a program that is not trusted: no network, no files but those it is given, limits on all that it uses.

    ended = run([sys.executable, "answer.py"], cwd=work, writable=[work], hidden=[solutions])
    ended.reason  # "", or "ran longer than 180 s"

On Linux the program gets namespaces of its own (`jail`): it sees no process but its own, reaches only itself
over 127.0.0.1, and reads the machine's files but writes only in the folders named. The home, /run and what
`hidden` names are empty to it; /tmp and /dev/shm are its own, in memory, and gone with it. When it ends, is
stopped, or the grader dies, all that it started is killed. Where a system does not allow this (macOS, most
containers) the limits hold all the same, and `Ended.protections` says what is missing.

It is as strong as the Linux kernel: a program that breaks the kernel breaks out. Where that matters, grade as
an ordinary user, in a virtual machine.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import site
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ragcourse
from ragcourse.grading.jail import below
from ragcourse.grading.running import PATIENCE, Ended, Running
from ragcourse.grading.usage import THREADS, Limits, Usage

__all__ = ["Ended", "Limits", "Protection", "Running", "available", "run", "start"]

ISOLATION = ("network", "files", "processes")  # from Linux namespaces
LIMITED = ("time", "memory", "number of processes", "output", "disk")  # enforced by watching
USUAL = Limits()
OPEN_FILES = 4096  # for each process
COVERED = (Path("/run"), Path("/tmp"))  # and the home: nothing of the machine's shows there

# The launcher's packages without their __init__, which would import numpy.
LAUNCHER = """
import socket, sys, types
for name, folder in ("ragcourse", sys.argv[2]), ("ragcourse.grading", sys.argv[3]):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
from ragcourse.grading import jail
jail.main(socket.socket(fileno=int(sys.argv[1])))
"""


@dataclass(frozen=True)
class Protection:
    """One thing the sandbox protects from, and why it cannot here ("" if it can)."""

    name: str
    missing: str = ""


def available() -> list[Protection]:
    """What the sandbox can protect from on this machine, and the reason for what it cannot."""
    missing = _why_no_jail()
    return [*(Protection(name, missing) for name in ISOLATION), *map(Protection, LIMITED)]


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    writable: Sequence[Path],
    hidden: Sequence[Path] = (),
    env: Mapping[str, str] | None = None,
    limits: Limits = USUAL,
    started: Callable[[int], None] | None = None,
) -> Ended:
    """Run a program to its end, or until it exceeds a limit, and return what came of it.

    It may write in the folders `writable`; the first of them gets its home, `.home`. Files and folders in
    `hidden` are empty to it. Its environment is clean: PATH, HOME, LANG, TMPDIR, folders for Jupyter, and
    `env`. `started` gets the process id of the launcher. Raises OSError when the program cannot be started,
    FileNotFoundError for a folder that is missing and ValueError for one that cannot be made writable.
    """
    with _start(argv, cwd, writable, hidden, env, limits, jailed=_jailed(), merged=True) as running:
        if started is not None:
            started(running.pid)
        return running.wait()


def start(
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    writable: Sequence[Path],
    hidden: Sequence[Path] = (),
    env: Mapping[str, str] | None = None,
    limits: Limits = USUAL,
) -> Running:
    """Start a program as `run` does and return at once, to read its lines while it runs. Its limits hold
    whether anyone reads or not; leaving a `with` block stops it.
    """
    return _start(argv, cwd, writable, hidden, env, limits, jailed=_jailed(), merged=False)


# ---- how it is started ----


def _start(
    argv: Sequence[str | Path],
    cwd: Path,
    writable: Sequence[Path],
    hidden: Sequence[Path],
    env: Mapping[str, str] | None,
    limits: Limits,
    jailed: bool,
    merged: bool,
) -> Running:
    order = _places(cwd, writable, hidden)
    own = None if jailed else Path(tempfile.mkdtemp(prefix="ragcourse-"))
    try:
        temporary = own or Path("/tmp")
        home = temporary
        if order["writable"]:
            home = Path(order["writable"][0]) / ".home"
            home.mkdir(exist_ok=True)
        order |= {
            "jailed": jailed,
            "argv": [str(part) for part in argv],
            "env": _environment(home, temporary) | dict(env or {}),
            "rlimits": _rlimits(limits, jailed),
            "sysctl": _sysctl(limits),
            "scratch": {"/tmp": limits.memory // 2, "/dev/shm": limits.memory // 2},
        }
        launcher, master, init, shown = _launch(order, merged)
    except OSError:
        if own is not None:
            shutil.rmtree(own)
        raise
    folders = [Path(path) for path in order["writable"]]
    if jailed:
        usage = Usage(limits, folders, shown[0], shown[1:])
        return Running(launcher, master, usage, limits, ISOLATION + LIMITED)
    proc = os.open("/proc", os.O_RDONLY) if sys.platform == "linux" else None
    usage = Usage(limits, [*folders, temporary], proc, find=lambda: list(below(init)))
    return Running(launcher, master, usage, limits, LIMITED, own)


def _launch(
    order: Mapping[str, Any], merged: bool
) -> tuple[subprocess.Popen[bytes], socket.socket, int, list[int]]:
    """Start the launcher, give it its order, and wait until the program runs. Returns the launcher, the
    socket to it, the process id of the init as the init sees it, and the folders that the jail shows.
    """
    master, theirs = socket.socketpair()
    here = Path(__file__).parent
    with theirs:
        launcher = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", LAUNCHER, str(theirs.fileno()), here.parent, here],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            env={},
            cwd="/",
        )
    try:
        master.settimeout(PATIENCE)
        master.sendall(json.dumps(order).encode() + b"\n")
        answer, shown = _first_line(master)
    except OSError as error:
        answer, shown = f"error it did not answer: {error}".encode(), []
    kind, _, text = answer.decode().strip().partition(" ")
    if kind == "ready":
        master.setblocking(True)
        return launcher, master, int(text), shown
    master.close()
    try:
        said = launcher.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        launcher.kill()
        said = launcher.communicate()
    trace = b"".join(filter(None, said)).decode(errors="replace")
    raise OSError(text if kind == "error" else f"the sandbox did not start: {trace}")


def _first_line(master: socket.socket) -> tuple[bytes, list[int]]:
    """A line and the files sent with it. Byte by byte: a program that ends at once has sent more by now."""
    line, files = b"", list[int]()
    while not line.endswith(b"\n"):
        byte, sent, *_ = socket.recv_fds(master, 1, 8)
        if not byte:
            break
        line, files = line + byte, files + sent
    return line, files


def _environment(home: Path, temporary: Path) -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"])
    return {
        "PATH": path,
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "jupyter" / "config"),
        "JUPYTER_DATA_DIR": str(home / "jupyter" / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "jupyter" / "runtime"),
    }


def _rlimits(limits: Limits, jailed: bool) -> dict[str, int]:
    rlimits = {"RLIMIT_FSIZE": limits.file_size, "RLIMIT_CORE": 0, "RLIMIT_NOFILE": OPEN_FILES}
    if limits.address_space is not None:
        rlimits["RLIMIT_AS"] = limits.address_space
    if jailed:  # outside it would count what else the user runs; it does not bind root
        rlimits["RLIMIT_NPROC"] = limits.processes * THREADS
    return rlimits


def _sysctl(limits: Limits) -> dict[str, int]:
    """Settings of the jail's own namespaces: the second line of defence, where the kernel is new enough."""
    return {
        "user/max_user_namespaces": 0,
        "kernel/shmall": limits.memory // 4096,
        "kernel/pid_max": max(limits.processes * THREADS, 400),  # of all processes and threads
    }


def _jailed() -> bool:
    """Are there namespaces?"""
    if sys.platform == "win32":
        raise OSError("the sandbox needs Linux or macOS: grade there, or in a Linux container")
    return not _why_no_jail()


@functools.cache
def _why_no_jail() -> str:
    """Why there are no namespaces here; "" if there are."""
    if sys.platform != "linux":
        return "it needs the namespaces of Linux: grade there, or in a virtual machine"
    try:
        nothing = [sys.executable, "-I", "-S", "-c", ""]
        _start(nothing, Path("/"), [], [], None, USUAL, jailed=True, merged=True).wait()
    except OSError as error:
        return (
            f"the system refuses it ({error}). It needs Linux 5.12 and user namespaces: on Ubuntu sysctl "
            "kernel.apparmor_restrict_unprivileged_userns=0, in Docker the options --security-opt "
            "seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined"
        )
    return ""


# ---- what it sees ----


def _places(cwd: Path, writable: Sequence[Path], hidden: Sequence[Path]) -> dict[str, Any]:
    """The part of the order that says what is written, covered, and kept in sight inside what is covered."""
    given = [*map(Path, (cwd, *writable))]
    work, *written = (path.resolve(strict=True) for path in given)
    for path in (work, *written):
        if not path.is_dir():
            raise NotADirectoryError(f"{path} is not a folder")
    covered = {path.resolve() for path in hidden}
    if wrong := [path for path in written if path in covered or path == Path("/")]:
        raise ValueError(f"{wrong[0]} cannot be made writable: it is hidden as well, or is the whole machine")

    python = [Path(sys.prefix), Path(sys.base_prefix), Path(ragcourse.__file__).parents[1]]
    if site.ENABLE_USER_SITE:
        python.append(Path(site.getusersitepackages()))
    needed = {path.resolve() for path in python if path.is_dir()}
    empty = {*COVERED, Path("~").expanduser().resolve()}
    empty = {path for path in empty if not any(path.is_relative_to(need) for need in needed)}
    if not any(path.is_relative_to(work) for path in empty) and not any(map(work.is_relative_to, covered)):
        needed.add(work)
    kept = {path for path in needed if any(map(path.is_relative_to, empty))} - covered - {*written}
    links = [link for path in (*given, *python, Path(sys.executable)) for link in _links(path.absolute())]
    return {
        "cwd": str(work),
        "writable": [str(path) for path in written],
        "covers": [str(path) for path in (empty | covered) - {Path("/tmp")}],
        "kept": [str(path) for path in kept],
        "links": [(str(link), target) for link, target in links],
    }


def _links(path: Path) -> list[tuple[Path, str]]:
    """The symbolic links on the way to `path`, and what each points to."""
    found: list[tuple[Path, str]] = []
    here, todo = Path("/"), [*reversed(path.parts[1:])]
    while todo and len(found) < 40:
        part = todo.pop()
        step = here.parent if part == ".." else here / part
        if step.is_symlink():
            target = step.readlink()
            found.append((step, str(target)))
            here = Path("/") if target.is_absolute() else here
            todo.extend(reversed(target.parts[1:] if target.is_absolute() else target.parts))
        else:
            here = step
    return found
