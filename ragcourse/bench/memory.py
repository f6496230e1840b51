"""Peak memory of this process."""

from __future__ import annotations

import ctypes
import re
import sys
from pathlib import Path


def peak_memory_mb() -> float:
    """Largest resident size of this process so far, in MB (10^6 bytes).

    Linux is asked through ``/proc``: its ``ru_maxrss`` starts at the size of the parent process.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)
        if found:
            return int(found.group(1)) * 1024 / 1e6
    if sys.platform == "win32":
        return _windows_peak_bytes() / 1e6
    import resource  # does not exist on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


class _ProcessMemory(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS of the Windows API."""

    _fields_ = [
        ("size", ctypes.c_ulong),
        ("page_faults", ctypes.c_ulong),
        ("peak_working_set", ctypes.c_size_t),
        *((f"unused{i}", ctypes.c_size_t) for i in range(7)),
    ]


def _windows_peak_bytes() -> int:
    counters = _ProcessMemory(size=ctypes.sizeof(_ProcessMemory))
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009  (absent from the stubs elsewhere)
    process = ctypes.c_void_p(kernel.GetCurrentProcess())
    kernel.K32GetProcessMemoryInfo(process, ctypes.byref(counters), counters.size)
    return int(counters.peak_working_set)
