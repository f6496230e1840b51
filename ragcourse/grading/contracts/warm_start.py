"""Exercise 1.1: which files of a folder a start has to read again, and which it may believe unseen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ragcourse.documents import content_hash
from ragcourse.grading.cases import for_each
from ragcourse.grading.contract import Contract
from ragcourse.grading.expect import Mismatch, expect_equal, expect_error, expect_true
from ragcourse.grading.plain import plain

contract = Contract("1.1", task="plan a start: which files to add, change, remove and keep")

_SEEN = 1_700_000_000_000_000_000  # ns: when the manifest's writer looked at the folder
_SECOND = 1_000_000_000
_MARGIN = 2 * _SECOND  # the lesson's MARGIN_NS

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

    def __str__(self) -> str:
        lines = []
        for name in sorted(self.files.keys() | self.records.keys()):
            recorded = _relative(self.records[name]["stamp"]) if name in self.records else "nothing"
            lines.append(f"{name}: recorded {recorded}; now {self._now(name)}")
        return "\n".join([*lines, "(stamp: size, modified, changed; times relative to seen_ns)"])

    def _now(self, name: str) -> str:
        if name not in self.files:
            return "no such file"
        file, record = self.files[name], self.records.get(name)
        if record is None:
            return _relative(file.stamp)
        stamp = "the same stamp" if file.stamp == record["stamp"] else _relative(file.stamp)
        return f"{stamp}, {'the same' if content_hash(file.data) == record['hash'] else 'other'} bytes"

    def manifest(self, splitter: str = "sentences", embedder: str = "static") -> dict[str, Any]:
        return {"splitter": splitter, "embedder": embedder, "files": self.records}


_AGED = -90 * _SECOND  # relative to _SEEN, as all times below
_OTHER_BYTES: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {  # (modified, changed): recorded, now
    "edited, same size": ((_AGED, _AGED), (60 * _SECOND, 60 * _SECOND)),
    "replaced by an older file": ((_AGED, _AGED), (_AGED - 500 * _SECOND, 60 * _SECOND)),
    "edited, modified earlier": ((_AGED, _AGED), (_AGED - 500 * _SECOND, _AGED)),
    "edited, modified set back": ((_AGED, _AGED), (_AGED, 60 * _SECOND)),
    "edited, changed alone is later": ((_AGED, _AGED), (_AGED, _AGED + 20 * _SECOND)),
    "edited, changed alone is earlier": ((_AGED, _AGED), (_AGED, _AGED - 20 * _SECOND)),
    "young, edited": ((-_SECOND // 1000,) * 2, (-_SECOND // 1000,) * 2),
    "modified young, edited": ((-_SECOND // 1000, _AGED), (-_SECOND // 1000, _AGED)),
    "changed young, edited": ((_AGED, -_SECOND // 1000), (_AGED, -_SECOND // 1000)),
    "at the margin, edited": ((-_MARGIN, -_MARGIN), (-_MARGIN, -_MARGIN)),
    "modified at the margin, edited": ((-_MARGIN, _AGED), (-_MARGIN, _AGED)),
    "changed at the margin, edited": ((_AGED, -_MARGIN), (_AGED, -_MARGIN)),
    "from the future, edited": ((999 * _SECOND,) * 2, (999 * _SECOND,) * 2),
}
_SAME_BYTES: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {
    "untouched": ((_AGED, _AGED), (_AGED, _AGED)),
    "untouched, just old enough": ((-_MARGIN - 1,) * 2, (-_MARGIN - 1,) * 2),
    "touched": ((_AGED, _AGED), (60 * _SECOND, 60 * _SECOND)),
    "young, not edited": ((-_SECOND // 1000,) * 2, (-_SECOND // 1000,) * 2),
    "new": ((_AGED, _AGED), (_AGED, _AGED)),
    "deleted": ((_AGED, _AGED), (_AGED, _AGED)),
}


def _relative(stamp: Stamp) -> str:
    modified, changed = ((time - _SEEN) / _SECOND for time in stamp[1:])
    return f"({stamp[0]} bytes, {modified:+.10g} s, {changed:+.10g} s)"


def _world(case: Case, *, recut: bool = False) -> _World:
    world = _World()
    for name, fate, text in case:
        before = after = text.encode()
        verdict = {"new": "add", "deleted": "remove"}.get(fate, "keep")
        if fate == "edited":
            after, verdict = before + b" and more", "change"
            times = _OTHER_BYTES["edited, same size"]
        elif fate in _OTHER_BYTES:
            after, verdict = before[::-1], "change"
            times = _OTHER_BYTES[fate]
        else:
            times = _SAME_BYTES[fate]
        old, now = ((_SEEN + modified, _SEEN + changed) for modified, changed in times)
        if fate != "new":
            stamp = (len(before), *old)
            world.records[name] = {"stamp": stamp, "seen_ns": _SEEN, "hash": content_hash(before)}
        if fate != "deleted":
            world.files[name] = _File((len(after), *now), after, world.read, name)
        world.plan["change" if recut and verdict == "keep" else verdict].append(name)
    world.plan = {verdict: sorted(names) for verdict, names in world.plan.items()}
    return world


def _case(rng: np.random.Generator, fates: list[str]) -> Case:
    numbers = rng.choice(900, size=len(fates), replace=False)
    return [(f"doc-{100 + n}.md", fate, f"text number {n}") for n, fate in zip(numbers, fates, strict=True)]


def _in_order(plan: Any) -> Any:
    """The plan with its lists sorted: one check compares their order, the others do not."""

    def is_names(value: Any) -> bool:
        return isinstance(value, list) and all(isinstance(name, str) for name in value)

    if not isinstance(plan, dict):
        return plan
    return {verdict: sorted(names) if is_names(names) else names for verdict, names in plan.items()}


def _expect_plan(
    implementation: Any, case: Case, cause: str, *, recut: bool = False, ordered: bool = False
) -> _World:
    world = _world(case, recut=recut)
    expected, given = world.plan, str(world)
    manifest = world.manifest(splitter="paragraphs") if recut else world.manifest()
    got = plain(implementation(world.files, manifest, "sentences", "static"))
    try:
        expect_equal(got if ordered else _in_order(got), expected, cause=cause)
    except Mismatch as mismatch:
        mismatch.given = given
        raise
    return world


def _expect_unread(world: _World, names: set[str], cause: str) -> None:
    read = sorted(names & set(world.read))
    expect_true(not read, "a file was read that need not be", got=read, cause=cause)


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


@contract.check("each of the four lists is sorted", points=1)
def order(implementation: Any, rng: np.random.Generator) -> None:
    cases = [_case(rng, [fate] * 5) for fate in ("new", "deleted", "edited", "untouched")]
    cause = "sort the names; a set has no order"
    for_each(cases, lambda case: _expect_plan(implementation, case, cause, ordered=True))


@contract.check("only a file under suspicion is opened", points=2)
def economy(implementation: Any, rng: np.random.Generator) -> None:
    def test(case: Case) -> None:
        world = _expect_plan(implementation, case, "an untouched file is kept")
        untouched, new = (
            {name for name, fate, _ in case if fate.startswith(start)} for start in ("untouched", "new")
        )
        cause = "an equal stamp that was old enough is proof enough; to hash every file is a full read"
        _expect_unread(world, untouched, cause)
        _expect_unread(world, new, "a name that the manifest does not have is new: no bytes are needed")

    mixed = ["untouched", "edited", "new", "deleted"]
    cases = [["untouched"] * 3, ["untouched, just old enough"], ["new"], mixed]
    for_each([_case(rng, fates) for fates in cases], test, valid=_small)


@contract.check("a touched file with the same bytes is kept", points=1)
def touched(implementation: Any, rng: np.random.Generator) -> None:
    cases = [_case(rng, ["touched"]), _case(rng, ["touched", "edited, same size", "untouched"])]
    cause = "a new stamp is only a suspicion: compare content_hash(file.read()) with the recorded hash"
    for_each(cases, lambda case: _expect_plan(implementation, case, cause), valid=_small)


@contract.check("an edit that leaves size or time as they were is found", points=2)
def disguised(implementation: Any, rng: np.random.Generator) -> None:
    fates = ["replaced by an older file", "edited, modified earlier", "edited, modified set back"]
    fates += ["edited, changed alone is later", "edited, changed alone is earlier"]
    cause = "is any difference in the stamp a suspicion, earlier times and the last field included?"
    for_each([_case(rng, [fate]) for fate in fates], lambda case: _expect_plan(implementation, case, cause))


@contract.check("a stamp too young to be believed is checked by hash", points=3)
def racy(implementation: Any, rng: np.random.Generator) -> None:
    fates = ["young, edited", "modified young, edited", "changed young, edited", "young, not edited"]
    fates += ["at the margin, edited", "modified at the margin, edited", "changed at the margin, edited"]
    fates += ["from the future, edited"]
    cause = "believe an equal stamp only if both its times are more than MARGIN_NS before seen_ns"
    for_each([_case(rng, [fate]) for fate in fates], lambda case: _expect_plan(implementation, case, cause))


@contract.check("another splitter: every file must be cut anew, and none is opened for it", points=2)
def splitter_changed(implementation: Any, rng: np.random.Generator) -> None:
    def test(case: Case) -> None:
        cause = "files still there are all to change; the others as before"
        world = _expect_plan(implementation, case, cause, recut=True)
        cause = "every known file must change whatever its bytes are: nothing need be hashed"
        _expect_unread(world, set(world.files), cause)

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
