"""Linux namespaces for the launcher of a sandboxed program: who it is, what it sees, and what it may do.

Needs no rights where the system lets an ordinary user make a user namespace, and Linux 5.12. Every function
raises OSError, which names the step, where the system refuses.
"""

# The launcher does not import pathlib.
# ruff: noqa: PTH102, PTH103, PTH110, PTH112, PTH120, PTH123, PTH211

from __future__ import annotations

import ctypes
import os
import socket
import sys
from collections.abc import Mapping
from typing import Any

# <linux/sched.h>, <linux/mount.h>, <linux/prctl.h>, <linux/sockios.h>. These system calls have the same
# numbers on x86-64 and ARM.
NEW_NAMESPACES = 0x10000000 | 0x00020000 | 0x20000000 | 0x08000000 | 0x40000000  # user mount pid ipc net
READ_ONLY, NO_SUID, NO_DEVICES, NO_EXEC = 1, 2, 4, 8
PRIVATE = 1 << 18
RECURSIVE, EMPTY_PATH, HERE = 0x8000, 0x1000, -100
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
DIE_WITH_PARENT, DUMPABLE, DROP_BOUNDING, ADOPT_ORPHANS, NO_NEW_PRIVILEGES = 1, 4, 24, 36, 38
INTERFACE_UP = 0x8914
DEVICES = ("null", "zero", "full", "random", "urandom")


def enter() -> None:
    """Leave the machine's users, mounts, IPC and network at once; the next child leaves its processes."""
    user, group = os.getuid(), os.getgid()
    if user == 0:
        os.setgroups([])  # another user may not, and keeps the groups, seen as `nobody`
    _done("new namespaces", _libc().unshare(NEW_NAMESPACES))
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        _write(f"/proc/self/{name}", text)


def isolate(order: Mapping[str, Any]) -> list[int]:
    """Arrange files and network, then give up all privileges. Returns folders of the jail, open, that say
    what is used in it: /proc, and those that lie in memory.
    """
    _write("/proc/self/oom_score_adj", "1000")  # if the machine runs out of memory, the jail goes first
    _bring_up_loopback()
    _arrange(order)
    shown = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in ("/proc", *order["scratch"])]
    for capability in range(64):
        if _libc().prctl(DROP_BOUNDING, capability, 0, 0, 0) < 0:
            break  # the kernel knows no more of them
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    _done("no capabilities", _libc().capset(header, none))
    prctl(NO_NEW_PRIVILEGES, 1)
    prctl(DUMPABLE, 0)  # so that the program cannot trace the init
    return shown


def _bring_up_loopback() -> None:
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
        up = (0x1 | 0x40).to_bytes(2, sys.byteorder)
        fcntl.ioctl(anything, INTERFACE_UP, b"lo".ljust(16, b"\0") + up + bytes(22))


def _arrange(order: Mapping[str, Any]) -> None:
    """Make everything read-only, cover what is to be hidden, and put back what is to be seen or written.

    `scratch` (path: bytes) and `covers` get an empty file system in memory, the first to write in. Deeper
    paths come later, so that each of these may lie inside another. `links` (path, target) are made anew
    where one on the way to something kept was covered.
    """
    _attributes(HERE, b"/", 0, propagation=PRIVATE)
    seen = {path: _clone(path) for path in order["kept"]}
    writable = {path: _clone(path) for path in order["writable"]}
    devices = {name: _clone(f"/dev/{name}") for name in DEVICES}
    hide_file = _clone("/dev/null")

    _mount("proc", "/proc", "proc", NO_SUID | NO_DEVICES | NO_EXEC)
    for name, number in order["sysctl"].items():
        try:
            _write(f"/proc/sys/{name}", str(number))
        except OSError:
            continue  # a second line of defence, not to be had with older kernels
    _attributes(HERE, b"/", READ_ONLY | NO_SUID | NO_DEVICES)
    for tree in seen.values():
        _attributes(tree, b"", READ_ONLY | NO_SUID | NO_DEVICES)
    for tree in writable.values():
        _attributes(tree, b"", NO_SUID | NO_DEVICES)

    trees, scratch = seen | writable, order["scratch"]
    sealed = []
    for path in sorted({*trees, *scratch, *order["covers"], "/dev"}, key=lambda path: path.count("/")):
        if path in trees:
            os.makedirs(path, exist_ok=True)
            _attach(trees[path], path)
        elif path in scratch:
            _mount("tmpfs", path, "tmpfs", NO_SUID | NO_DEVICES, f"mode=1777,size={scratch[path]}")
        elif os.path.isdir(path):
            _mount("tmpfs", path, "tmpfs", NO_SUID | NO_DEVICES, "mode=755,size=1m")
            sealed.append(path)
            if path == "/dev":
                _fill_dev(devices)
        elif os.path.exists(path):
            _attach(hide_file, path)
            hide_file = _clone("/dev/null")
    for link, target in order["links"]:
        if not os.path.lexists(link):
            os.makedirs(os.path.dirname(link), exist_ok=True)
            os.symlink(target, link)
    for path in sealed:
        _attributes(HERE, path.encode(), READ_ONLY, flags=0)


def _fill_dev(devices: Mapping[str, int]) -> None:
    for name, device in devices.items():
        os.close(os.open(f"/dev/{name}", os.O_CREAT | os.O_WRONLY))
        _attach(device, f"/dev/{name}")
    os.mkdir("/dev/shm")
    os.mkdir("/dev/pts")
    _mount("devpts", "/dev/pts", "devpts", NO_SUID | NO_EXEC, "newinstance,ptmxmode=0666,mode=620")
    os.symlink("pts/ptmx", "/dev/ptmx")
    os.symlink("/proc/self/fd", "/dev/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.symlink(f"/proc/self/fd/{number}", f"/dev/{name}")


# ---- system calls that Python 3.11 does not have ----


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _done(what: str, result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def prctl(option: int, value: int) -> None:
    """Set one attribute of this process."""
    _done(f"prctl {option}", _libc().prctl(option, value, 0, 0, 0))


def _mount(source: str, path: str, kind: str, flags: int, options: str = "") -> None:
    result = _libc().mount(source.encode(), path.encode(), kind.encode(), flags, options.encode())
    _done(f"mount {kind} at {path}", result)


def _clone(path: str) -> int:
    """A second mount of what lies at `path`, not yet attached anywhere: a file descriptor."""
    flags = 1 | RECURSIVE | os.O_CLOEXEC
    return _done(f"clone of {path}", _libc().syscall(OPEN_TREE, HERE, path.encode(), flags))


def _attach(tree: int, path: str) -> None:
    _done(f"mount at {path}", _libc().syscall(MOVE_MOUNT, tree, b"", HERE, path.encode(), 4))
    os.close(tree)


def _attributes(
    tree: int, path: bytes, attributes: int, flags: int = RECURSIVE | EMPTY_PATH, propagation: int = 0
) -> None:
    settings = (ctypes.c_uint64 * 4)(attributes, 0, propagation, 0)
    result = _libc().syscall(MOUNT_SETATTR, tree, path, flags, settings, ctypes.sizeof(settings))
    _done(f"mount attributes {attributes} of {path.decode() or 'a folder'}", result)
