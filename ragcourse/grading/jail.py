"""The launcher of a sandboxed program, a process of its own. `sandbox` starts it and is its master.

    sandbox ── launcher ── init ── the program ── whatever it starts

The launcher reads one order (a line of JSON) and moves the init into namespaces of its own. The init is
process 1 there: it arranges the files, gives up every privilege, starts the program and dies with it, and
with process 1 the kernel ends every process of the namespace. The launcher stays outside. It kills the init
when its master says so or is gone. Where namespaces are not allowed the same three processes run without
them, and the launcher kills what it finds below itself.

It imports only the standard library, and little of it (no pathlib): that is the time that each start costs.
"""

# ruff: noqa: PTH123, PTH208

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

from ragcourse.grading import namespaces

NICE = 10  # so that a thousand busy processes do not keep the launcher and the master from a core


def main(master: socket.socket) -> None:
    """Carry out the order that comes from `master`; returns when no process of the program is left."""
    master.set_inheritable(False)
    order: dict[str, Any] = json.loads(master.makefile("rb").readline() or b"null") or sys.exit(1)
    alive, lives = os.pipe()
    try:
        if order["jailed"]:
            namespaces.enter()
        elif sys.platform == "linux":
            namespaces.prctl(namespaces.ADOPT_ORPHANS, 1)
        init = os.fork()
        if init == 0:
            _init(order, master, lives)
    except OSError as error:
        master.sendall(f"error {error}\n".encode())
        return
    os.close(lives)
    watched = select.poll()
    watched.register(master, select.POLLIN)  # its end, as the master sends nothing more
    watched.register(alive, select.POLLIN)
    watched.poll()
    if order["jailed"]:
        os.kill(init, signal.SIGKILL)  # the kernel ends its namespace before it lets go of it
        os.waitpid(init, 0)
    else:
        kill_below(os.getpid())
    with contextlib.suppress(OSError):  # the master may be gone
        master.sendall(b"ended " + os.read(alive, 16) + b"\n")


def below(root: int) -> set[int]:
    """The processes that descend from `root`, without it. Says nothing of one whose parents have died,
    unless the system gave it to a process below `root`, as the launcher has Linux do.
    """
    children: dict[int, list[int]] = {}
    for process, parent in _parents():
        children.setdefault(parent, []).append(process)
    found: set[int] = set()
    waiting = [root]
    while waiting:
        for process in children.get(waiting.pop(), ()):
            if process not in found:
                found.add(process)
                waiting.append(process)
    return found


def kill_below(root: int) -> None:
    """Kill what descends from `root`, which is the caller: stop all first, as they may be starting more."""
    for _ in range(1_000):
        stopped: set[int] = set()
        while new := below(root) - stopped:
            _signal(new, signal.SIGSTOP)
            stopped |= new
        if not stopped:
            return
        _signal(stopped, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            continue
        time.sleep(0.01)  # one that was just being started is stopped in the next round


def _signal(processes: set[int], number: int) -> None:
    for process in processes:
        try:
            os.kill(process, number)
        except (ProcessLookupError, PermissionError):
            continue


def _parents() -> list[tuple[int, int]]:
    """(process, parent) of every process on the machine."""
    if sys.platform != "linux":
        lines = os.popen("ps -axo pid=,ppid=").read().split("\n")
        return [(int(process), int(parent)) for process, parent in (line.split() for line in lines if line)]
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    found.append((int(name), int(file.read().rpartition(b")")[2].split()[1])))
            except (OSError, IndexError):
                continue  # it has just ended
    return found


# ---- the init, and the program ----


def _init(order: Mapping[str, Any], master: socket.socket, lives: int) -> None:
    """Start the program, tell the master, reap what ends, and end with the program. Never returns."""
    try:
        shown = namespaces.isolate(order) if order["jailed"] else []
        if sys.platform == "linux":
            namespaces.prctl(namespaces.ADOPT_ORPHANS, 1)
            namespaces.prctl(namespaces.DIE_WITH_PARENT, signal.SIGKILL)
        failure, failed = os.pipe()
        program = os.fork()
        if program == 0:
            _exec(order, failed)
        os.close(failed)
        problem = os.read(failure, 2_000)
        if problem:
            raise OSError(problem.decode())
        socket.send_fds(master, [b"ready %d\n" % os.getpid()], shown)
    except OSError as error:
        master.sendall(f"error {error}\n".encode())
        os._exit(1)
    master.close()
    for fd in shown:
        os.close(fd)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # process 1 does not get signals that it does not handle
    while True:
        process, status = os.wait()
        if process == program:
            os.write(lives, str(os.waitstatus_to_exitcode(status)).encode())
            os._exit(0)


def _exec(order: Mapping[str, Any], failed: int) -> None:
    """Become the program, or say in `failed` why not. Never returns."""
    import resource

    try:
        if sys.platform == "linux":
            namespaces.prctl(namespaces.DIE_WITH_PARENT, signal.SIGKILL)
        os.setsid()
        os.nice(NICE)
        os.chdir(order["cwd"])
        for name, value in order["rlimits"].items():
            kind = getattr(resource, name)
            most = resource.getrlimit(kind)[1]
            value = value if most == resource.RLIM_INFINITY else min(value, most)
            resource.setrlimit(kind, (value, value))
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)  # Python ignores two of them, and a child would inherit it
        os.execvpe(order["argv"][0], order["argv"], order["env"])
    except OSError as error:
        os.write(failed, f"cannot start {order['argv'][0]} in {order['cwd']}: {error.strerror}".encode())
    os._exit(127)
