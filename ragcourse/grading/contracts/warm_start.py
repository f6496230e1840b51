"""Exercise 1.1: which files of a folder a start has to read again, and which it may believe unseen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ragcourse.documents import content_hash
from ragcourse.grading.cases import for_each
from ragcourse.grading.contract import Contract
from ragcourse.grading.expect import expect_equal, expect_error, expect_true

contract = Contract("1.1", task="plan a start: which files to add, change, remove and keep")

_SEEN = 1_700_000_000_000_000_000  # ns: when the manifest's writer looked at the folder
_SECOND = 1_000_000_000

Stamp = tuple[int, int, int]
Case = list[tuple[str, str, str]]  # (name, what happened to the file, its text when it was ingested)
Plan = dict[str, list[str]]


@dataclass
class _File:
    """A file as one look at the folder shows it: a stamp, and its bytes only when asked for."""

    stamp: Stamp  # size, modified ns, status changed ns
    data: bytes
    names_read: list[str]
    name: str

    def read(self) -> bytes:
        self.names_read.append(self.name)
        return self.data


@dataclass
class _World:
    """A folder and the manifest of an earlier start, made from a case; `plan` is what must come out."""

    files: dict[str, _File] = field(default_factory=dict)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    plan: Plan = field(default_factory=lambda: {"add": [], "change": [], "remove": [], "keep": []})
    read: list[str] = field(default_factory=list)

    def manifest(self, splitter: str = "sentences", embedder: str = "static") -> dict[str, Any]:
        return {"splitter": splitter, "embedder": embedder, "files": self.records}


def _world(case: Case, *, recut: bool = False) -> _World:
    world = _World()
    for name, fate, text in case:
        before, after = text.encode(), text.encode()
        old = (len(before), _SEEN - 90 * _SECOND, _SEEN - 90 * _SECOND)
        now, verdict = old, "keep"
        match fate:
            case "edited":
                after += b" and more"
                now, verdict = (len(after), _SEEN + 60 * _SECOND, _SEEN + 60 * _SECOND), "change"
            case "edited, same size":
                after = after[::-1]
                now, verdict = (old[0], _SEEN + 60 * _SECOND, _SEEN + 60 * _SECOND), "change"
            case "replaced by an older file":
                after = after[::-1]
                now, verdict = (old[0], old[1] - 500 * _SECOND, _SEEN + 60 * _SECOND), "change"
            case "edited, times set back":  # the modification time can be forged, the change time cannot
                after = after[::-1]
                now, verdict = (old[0], old[1], _SEEN + 60 * _SECOND), "change"
            case "touched":
                now = (old[0], _SEEN + 60 * _SECOND, _SEEN + 60 * _SECOND)
            case "young, edited within one tick":
                old = (len(before), _SEEN - _SECOND // 1000, _SEEN - _SECOND // 1000)
                after = after[::-1]
                now, verdict = old, "change"
            case "young, not edited":
                old = now = (len(before), _SEEN - _SECOND // 1000, _SEEN - _SECOND // 1000)
            case "from the future, edited":
                old = now = (len(before), _SEEN + 999 * _SECOND, _SEEN + 999 * _SECOND)
                after, verdict = after[::-1], "change"
            case "new":
                verdict = "add"
            case "deleted":
                verdict = "remove"
            case _:
                assert fate == "untouched", fate
        if fate != "new":
            world.records[name] = {"stamp": old, "seen_ns": _SEEN, "hash": content_hash(before)}
        if fate != "deleted":
            world.files[name] = _File(now, after, world.read, name)
        world.plan["change" if recut and verdict == "keep" else verdict].append(name)
    world.plan = {verdict: sorted(names) for verdict, names in world.plan.items()}
    return world


def _case(rng: np.random.Generator, fates: list[str]) -> Case:
    numbers = rng.choice(900, size=len(fates), replace=False)
    return [(f"doc-{100 + n}.md", fate, f"text number {n}") for n, fate in zip(numbers, fates, strict=True)]


def _expect_plan(implementation: Any, case: Case, cause: str) -> _World:
    world = _world(case)
    expected = world.plan
    got = implementation(world.files, world.manifest(), "sentences", "static")
    expect_equal(got, expected, cause=cause)
    return world


def _small(case: Case) -> bool:
    return len(case) > 0


@contract.check("an empty library adds every file", points=1)
def first_start(implementation: Any, rng: np.random.Generator) -> None:
    cases = [_case(rng, ["new"] * size) for size in (1, 4)]
    cause = 'the plan has four keys, "add", "change", "remove" and "keep", each with a sorted list of names'
    for_each(cases, lambda case: _expect_plan(implementation, case, cause), valid=_small)


@contract.check("new, edited and deleted files are found, renamed ones are both", points=2)
def changes(implementation: Any, rng: np.random.Generator) -> None:
    fates = ["new", "edited", "edited, same size", "deleted", "untouched"]
    cases = [_case(rng, [fate]) for fate in fates]
    cases += [_case(rng, list(rng.choice(fates, size=size))) for size in (3, 8)]
    cause = "compare names first (new or deleted), then stamps, then hashes"
    for_each(cases, lambda case: _expect_plan(implementation, case, cause), valid=_small)
    old, new = _case(rng, ["deleted", "new"])
    renamed = [(old[0], "deleted", old[2]), (new[0], "new", old[2])]
    cause = "a renamed file is one to remove and one to add: its nodes carry the document's name"
    _expect_plan(implementation, renamed, cause)


@contract.check("an untouched file is not opened", points=2)
def economy(implementation: Any, rng: np.random.Generator) -> None:
    def test(case: Case) -> None:
        world = _expect_plan(implementation, case, "an untouched file is kept")
        untouched = {name for name, fate, _ in case if fate == "untouched"}
        opened = sorted(untouched & set(world.read))
        cause = "an equal stamp that was old enough is proof enough; to hash every file is a full read"
        expect_true(
            not opened, "a file was read though its stamp is the recorded one", got=opened, cause=cause
        )

    for_each([_case(rng, ["untouched"] * 3), _case(rng, ["untouched", "edited", "new"])], test, valid=_small)


@contract.check("a touched file with the same bytes is kept", points=1)
def touched(implementation: Any, rng: np.random.Generator) -> None:
    cases = [_case(rng, ["touched"]), _case(rng, ["touched", "edited, same size", "untouched"])]
    cause = "a new stamp is only a suspicion: compare content_hash(file.read()) with the recorded hash"
    for_each(cases, lambda case: _expect_plan(implementation, case, cause), valid=_small)


@contract.check("an edit that leaves size or time as they were is found", points=2)
def disguised(implementation: Any, rng: np.random.Generator) -> None:
    cases = [_case(rng, [fate]) for fate in ("replaced by an older file", "edited, times set back")]
    cause = "is any difference in the stamp a suspicion, earlier times and the last field included?"
    for_each(cases, lambda case: _expect_plan(implementation, case, cause))


@contract.check("a stamp too young to be believed is checked by hash", points=3)
def racy(implementation: Any, rng: np.random.Generator) -> None:
    fates = ["young, edited within one tick", "from the future, edited", "young, not edited"]
    cause = "believe an equal stamp only if both its times are more than MARGIN_NS before seen_ns"
    for_each([_case(rng, [fate]) for fate in fates], lambda case: _expect_plan(implementation, case, cause))


@contract.check("another splitter: every file must be cut anew", points=1)
def splitter_changed(implementation: Any, rng: np.random.Generator) -> None:
    def test(case: Case) -> None:
        world = _world(case, recut=True)
        expected = world.plan
        got = implementation(world.files, world.manifest(splitter="paragraphs"), "sentences", "static")
        expect_equal(got, expected, cause="files still there are all to change; the others as before")

    mixed = ["untouched", "new", "deleted", "touched", "edited"]
    for_each([_case(rng, ["untouched"]), _case(rng, mixed)], test)


@contract.check("another embedder is refused", points=1)
def embedder_changed(implementation: Any, rng: np.random.Generator) -> None:
    world = _world(_case(rng, ["untouched", "new"]))
    expect_error(
        ValueError,
        lambda: implementation(world.files, world.manifest(embedder="minilm"), "sentences", "static"),
        mentions="embedder",
        given='manifest["embedder"] is "minilm", embedder is "static"',
        cause="vectors of two embedders cannot be compared: say so, and change nothing",
    )
