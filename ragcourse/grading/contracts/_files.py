"""Files that a learner's code writes and a check reads: it may have put anything at all there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ragcourse.grading.expect import Mismatch

LIMIT = 16 * 2**20
_FLAGS = sum(getattr(os, name, 0) for name in ("O_RDONLY", "O_BINARY", "O_NOFOLLOW", "O_NONBLOCK"))


def read_bytes(path: Path) -> bytes:
    """Return a file's bytes; Mismatch if it is not there, no plain file (a link, a pipe) or above 16 MB."""
    try:
        number = os.open(path, _FLAGS)
    except FileNotFoundError:
        raise Mismatch("there is no file at `path`") from None
    except OSError as error:
        raise Mismatch(f"what is at `path` cannot be read: {error.strerror}") from None
    with os.fdopen(number, "rb") as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise Mismatch("what is at `path` is no plain file")
        data = file.read(LIMIT + 1)
    if len(data) > LIMIT:
        raise Mismatch(f"the file is larger than {LIMIT >> 20} MB")
    return data
