"""Whose notebook is it? A label from the names of its folders and its file."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePath

_MOODLE = re.compile(r"(?P<name>.+?)_\d+_assignsubmission_[a-z]+_?")  # then the file's own name, or the end
_COPY = re.compile(r"(?:-Copy\d*|\s*\(\d+\)|\s*- Copy)+$")
_NOBODY = re.compile(
    r"\d+|lessons?|notebooks?|solutions?|submissions?|submitted|exercises?|homework|downloads?|tmp|src|work"
    r"|copy\d*|final|done|new|v\d+|",
    re.IGNORECASE,
)
_BETWEEN = "-_. ,"


def printable(text: str, limit: int = 100) -> str:
    """Return the text fit for a table: no control characters, no halves of characters, not too long."""
    composed = unicodedata.normalize("NFC", text)
    shown = "".join(c if c.isprintable() else "�" for c in composed).strip() or "unnamed"
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


class Lessons:
    """The file names of the lessons, without their ending: "01_storage_that_survives_a_restart"."""

    def __init__(self, names: Iterable[str]) -> None:
        known = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
        self._name = re.compile(f"(?<![^{_BETWEEN}])(?:{known})(?![^{_BETWEEN}])") if known else None

    def split(self, file: str) -> tuple[str, str]:
        """Return the lesson's number and what else the file's name says: ("01", "ada"), or ("", the stem)."""
        stem = _COPY.sub("", PurePath(file).stem if file.lower().endswith(".ipynb") else file)
        if self._name is None or not (found := self._name.search(stem)):
            return "", stem
        rest = (stem[: found.start()].strip(_BETWEEN), stem[found.end() :].strip(_BETWEEN))
        return found[0][:2], " ".join(part for part in rest if not _NOBODY.fullmatch(part))

    def unique(self, learners: Sequence[str], files: Sequence[str]) -> list[str]:
        """Return the labels with the lesson's number where a learner has several, else with a count."""
        often = Counter(learners)
        made: list[str] = []
        taken: set[str] = set()
        for learner, file in zip(learners, files, strict=True):
            number = self.split(_own_name(file))[0]
            label = f"{learner} ({number})" if often[learner] > 1 and number else learner
            shown, count = label, 1
            while shown in taken:
                count += 1
                shown = f"{label} ({count})"
            made.append(shown)
            taken.add(shown)
        return made


def labels(paths: Sequence[tuple[str, ...]], home: str, lessons: Lessons) -> list[str]:
    """Return the learner of each file; `paths` are its folders and its name below `home`.

    The first of: the name that Moodle puts in front, the folder, what stands beside the lesson's name in the
    file's name, `home` for a file named as the lesson, the file's name.
    """
    files = [lessons.split(_own_name(path[-1])) for path in paths]
    folders = _learner_folders(
        [[part for part in path[:-1] if not _NOBODY.fullmatch(part)] for path in paths], files
    )
    found = []
    for path, folder, (number, rest) in zip(paths, folders, files, strict=True):
        moodle = next((match["name"] for part in path if (match := _MOODLE.match(part))), "")
        at_home = home if number and not _NOBODY.fullmatch(home) else ""
        stem = PurePath(path[-1]).stem
        found.append(printable(moodle or folder or (rest if number else "") or at_home or stem))
    return found


def _own_name(file: str) -> str:
    """Without what Moodle puts in front."""
    moodle = _MOODLE.match(file)
    return file[moodle.end() :] if moodle else file


def _learner_folders(folders: list[list[str]], files: Sequence[tuple[str, str]]) -> list[str]:
    """Return the folder that stands for the learner, or ""."""
    pure = any(number and not rest for number, rest in files)
    while len(folders) > 1 and all(folders) and len({parts[0] for parts in folders}) == 1:
        if pure and not all(parts[1:] for parts in folders):
            break  # the lessons of one learner
        folders = [parts[1:] for parts in folders]
    named: dict[tuple[str, str], set[str]] = {}
    for parts, (number, rest) in zip(folders, files, strict=True):
        if parts and number and rest:
            named.setdefault((parts[0], number), set()).add(rest)
    of_many = {folder for (folder, _), rests in named.items() if len(rests) > 1}
    return [parts[0] if parts and parts[0] not in of_many else "" for parts in folders]
