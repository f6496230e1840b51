"""What a sandboxed program uses: processes, threads, memory, disk; and the first limit that it exceeds.

Linux tells by /proc. Elsewhere `ps` does, and tells less: no threads and no files that are unlinked but open.
"""

from __future__ import annotations

import os
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

THREADS = 8  # for each process that is allowed
FILES = 100_000  # in the folders to write in
WALK_SECONDS = 0.01  # of each call; a walk over many files is spread over several
OPEN_FILES_EVERY = 3  # calls


@dataclass(frozen=True)
class Limits:
    """What a program and all that it starts may use together; `address_space` and `file_size` are for each
    process and file. Sizes are in bytes.

    Memory is what only RAM can hold: private and shared pages, and files in memory. `output` is what comes
    out of stdout and stderr, `disk` what the folders to write in have grown by.
    """

    seconds: float = 180.0
    memory: int = 4 << 30
    address_space: int | None = None
    processes: int = 256
    output: int = 10 << 20
    file_size: int = 512 << 20
    disk: int = 1 << 30

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and value <= 0:
                raise ValueError(f"the limit {name} is {value}; it must be above 0")


class Usage:
    """Looks at processes through `proc`, an open /proc that is its own from now on (None: by `ps`): those
    that `find` names, or all but process 1. `memory_folders` are open, its own too, and lie in memory;
    `folders` are those to write in.
    """

    def __init__(
        self,
        limits: Limits,
        folders: Sequence[Path],
        proc: int | None,
        memory_folders: Sequence[int] = (),
        find: Callable[[], Sequence[int]] | None = None,
    ) -> None:
        self._limits, self._proc, self._find = limits, proc, find or self._all
        self._memory_folders, self._folders = tuple(memory_folders), tuple(folders)
        self._devices = {folder.stat().st_dev for folder in folders}
        *_, (self._before, self._files) = _walk(self._folders) if folders else [(0, 0)]
        self._walk = _walk(self._folders)
        self._calls = self._unlinked_memory = self._unlinked_disk = 0

    def excess(self) -> str:
        """The first limit that is exceeded, for the person to read, or ""."""
        limits = self._limits
        processes = self._find()
        if len(processes) > limits.processes:
            return f"started more than {limits.processes} processes"
        memory, threads = self._quick(processes)
        if threads > limits.processes * THREADS:
            return f"started more than {limits.processes * THREADS} threads"
        if self._calls % OPEN_FILES_EVERY == 0:
            self._look_at_open_files(processes)
        self._calls += 1
        files = sum(_used(folder) for folder in self._memory_folders) + self._unlinked_memory
        if memory + files > limits.memory and self._shared_once(processes, memory) + files > limits.memory:
            return f"used more than {size(limits.memory)} of memory"
        return self._disk()

    def close(self) -> None:
        """Close what it was given open."""
        for fd in (*self._memory_folders, *([] if self._proc is None else [self._proc])):
            os.close(fd)

    def _all(self) -> list[int]:
        assert self._proc is not None
        return [int(name) for name in os.listdir(self._proc) if name.isdigit() and name != "1"]  # noqa: PTH208

    def _quick(self, processes: Sequence[int]) -> tuple[int, int]:
        """Bytes of memory, pages that processes share counted for each of them; and the number of threads."""
        if self._proc is None:
            return _resident_by_ps(processes), 0
        memory = threads = 0
        for process in processes:
            fields = self._fields(f"{process}/status")
            memory += sum(fields.get(name, 0) for name in ("RssAnon", "RssShmem", "VmSwap"))
            threads += fields.get("Threads", 0)
        return memory * 1024, threads

    def _shared_once(self, processes: Sequence[int], otherwise: int) -> int:
        """The same memory, each page counted once; slow, as the kernel walks over all of them."""
        if self._proc is None:
            return otherwise
        names = ("Pss_Anon", "Pss_Shmem", "SwapPss")
        memory = 0
        for process in processes:
            fields = self._fields(f"{process}/smaps_rollup")
            memory += 1024 * sum(fields.get(name, 0) for name in names)
            if memory > self._limits.memory:
                break
        return memory

    def _fields(self, path: str) -> dict[str, int]:
        """The lines `name: number …` of a file in /proc; none if the process has ended."""
        fields = {}
        with (
            suppress(OSError),
            os.fdopen(os.open(path, os.O_RDONLY, dir_fd=self._proc), "rb") as file,
        ):
            for line in file:
                name, _, rest = line.partition(b":")
                first = rest.split(None, 1)[:1]
                if first and first[0].isdigit():
                    fields[name.decode()] = int(first[0])
        return fields

    def _look_at_open_files(self, processes: Sequence[int]) -> None:
        """Find files that no folder shows: unlinked ones, and those made in memory (memfd)."""
        files: dict[tuple[int, int], int] = {}
        for process in processes:
            if self._proc is None:
                return
            with suppress(OSError):
                folder = os.open(f"{process}/fd", os.O_RDONLY, dir_fd=self._proc)
                try:
                    for name in os.listdir(folder):  # noqa: PTH208 - relative to an open folder
                        with suppress(OSError):
                            found = os.stat(name, dir_fd=folder)
                            if found.st_nlink == 0 and stat.S_ISREG(found.st_mode):
                                files[found.st_dev, found.st_ino] = found.st_blocks * 512
                finally:
                    os.close(folder)
        inside = {os.fstat(folder).st_dev for folder in self._memory_folders}  # counted there
        self._unlinked_disk = sum(used for (device, _), used in files.items() if device in self._devices)
        self._unlinked_memory = sum(
            used for (device, _), used in files.items() if device not in self._devices | inside
        )

    def _disk(self) -> str:
        """Go on with the walk over the folders, for a short while."""
        until = time.monotonic() + WALK_SECONDS
        for used, files in self._walk:
            if used - self._before + self._unlinked_disk > self._limits.disk:
                return f"wrote more than {size(self._limits.disk)} to disk"
            if files - self._files > FILES:
                return f"made more than {FILES:,} files"
            if time.monotonic() > until:
                return ""
        self._walk = _walk(self._folders)
        return ""


def size(count: int) -> str:
    """A number of bytes as a person writes it, such as 1.5 GiB."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit:
            return f"{count / unit:g} {name}"
    return f"{count} bytes"


def _walk(folders: Sequence[Path]) -> Iterator[tuple[int, int]]:
    """After each file: the bytes on disk and the number of files so far, below the folders."""
    used = files = 0
    waiting = [str(folder) for folder in folders]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    found = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    used, files = used + found.st_blocks * 512, files + 1
                    yield used, files
        yield used, files


def _used(folder: int) -> int:
    """Bytes used in the file system in which the open folder lies."""
    found = os.fstatvfs(folder)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def _resident_by_ps(processes: Sequence[int]) -> int:
    """The resident memory of the processes in bytes."""
    if not processes:
        return 0
    command = ["ps", "-o", "rss=", "-p", ",".join(map(str, processes))]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return 1024 * sum(map(int, listed.split()))
