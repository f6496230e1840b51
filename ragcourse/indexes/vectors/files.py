"""One file for one index: the safetensors format, with its settings as JSON and a checksum over all of it.

Other tools can read the arrays; nothing in the file is ever executed. The SHA-256 covers the settings
and each array's name, type, shape and bytes, so that a file that was cut, overwritten or changed
anywhere is refused by name.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

FORMAT = "ragcourse index 1"


class IndexFileError(ValueError):
    """A file that holds no index that can be used; the message names it."""


def write_index(path: Path, head: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write one index; the file appears whole, under its name, or not at all."""
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    text = json.dumps(head, sort_keys=True, default=_plain)
    metadata = {"format": FORMAT, "head": text, "sha256": _checksum(text, arrays)}
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} into; make it first")
    new = path.with_name(path.name + ".new")
    try:
        save_file(arrays, new, metadata)
        with new.open("rb+") as file:
            os.fsync(file.fileno())
        new.replace(path)
    except SafetensorError as error:
        raise OSError(f"{new} cannot be written: {error}") from error
    finally:
        new.unlink(missing_ok=True)


def read_index(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Head and arrays of an index. ``FileNotFoundError``; ``IndexFileError`` for what is no index."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no index file {path}")
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise IndexFileError(f"{path} is no index file, or it is damaged: {error}") from error
    if metadata.get("format") != FORMAT:
        raise IndexFileError(f"{path} is not of the format {FORMAT!r}; build the index anew and save it")
    text = metadata.get("head", "")
    if metadata.get("sha256") != _checksum(text, arrays):
        raise IndexFileError(
            f"{path} is damaged, its checksum does not fit; build the index anew and save it"
        )
    head: dict[str, Any] = json.loads(text)
    return head, arrays


def _plain(value: object) -> object:
    if isinstance(value, np.generic):  # a seed that is an np.int64, say
        return value.item()
    raise TypeError(f"{value!r} ({type(value).__name__}) cannot be written to an index file as JSON")


def _checksum(head: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256(head.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data.cast("B") if array.size else b"")
    return digest.hexdigest()
