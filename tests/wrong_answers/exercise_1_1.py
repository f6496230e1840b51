"""Exercise 1.1, ``plan_start``: the solution, and plausible wrong answers with what their check must say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ragcourse.documents import content_hash

MARGIN_NS = 2_000_000_000

Plan = dict[str, list[str]]
Same = Callable[[Any, Mapping[str, Any]], bool]


def same(file: Any, record: Mapping[str, Any]) -> bool:
    settled = max(file.stamp[1:]) < record["seen_ns"] - MARGIN_NS
    return bool((settled and file.stamp == record["stamp"]) or content_hash(file.read()) == record["hash"])


def _plan(files: Any, manifest: Any, splitter: str, embedder: str, same: Same = same) -> Plan:
    if manifest["embedder"] != embedder:
        raise ValueError(f"the library was written with another embedder, {manifest['embedder']}")
    known, recut = manifest["files"], manifest["splitter"] != splitter
    plan: Plan = {"add": [], "change": [], "remove": sorted(known.keys() - files.keys()), "keep": []}
    for name in sorted(files):
        if name not in known:
            plan["add"].append(name)
        else:
            plan["change" if recut or not same(files[name], known[name]) else "keep"].append(name)
    return plan


def right(files: Any, manifest: Any, splitter: str, embedder: str) -> Plan:
    return _plan(files, manifest, splitter, embedder)


def stub(files: Any, manifest: Any, splitter: str, embedder: str) -> Plan:
    raise NotImplementedError("Exercise 1.1: compare the folder with the manifest")


def _with(same: Same) -> Callable[..., Plan]:
    return lambda files, manifest, splitter, embedder: _plan(files, manifest, splitter, embedder, same)


def _by_hash(file: Any, record: Mapping[str, Any]) -> bool:
    return bool(content_hash(file.read()) == record["hash"])


def _by_stamp(file: Any, record: Mapping[str, Any]) -> bool:
    return bool(file.stamp == record["stamp"])


def _by_size(file: Any, record: Mapping[str, Any]) -> bool:
    return bool(file.stamp[0] == record["stamp"][0])


def _if_later(file: Any, record: Mapping[str, Any]) -> bool:
    later = file.stamp[0] != record["stamp"][0] or file.stamp[1] > record["stamp"][1]
    young = file.stamp[1] >= record["seen_ns"] - MARGIN_NS
    return not (later or young) or _by_hash(file, record)


def _without_change_time(file: Any, record: Mapping[str, Any]) -> bool:
    settled = file.stamp[1] < record["seen_ns"] - MARGIN_NS
    return (settled and file.stamp[:2] == record["stamp"][:2]) or _by_hash(file, record)


def _settled_by(newest: Callable[[tuple[int, int, int]], int]) -> Same:
    """Right but for the time that is compared with the margin."""

    def same(file: Any, record: Mapping[str, Any]) -> bool:
        settled = newest(file.stamp) < record["seen_ns"] - MARGIN_NS
        return bool(settled and file.stamp == record["stamp"]) or _by_hash(file, record)

    return same


def _at_the_margin(file: Any, record: Mapping[str, Any]) -> bool:
    settled = max(file.stamp[1:]) <= record["seen_ns"] - MARGIN_NS
    return bool(settled and file.stamp == record["stamp"]) or _by_hash(file, record)


def _equal_but_for_change_time(file: Any, record: Mapping[str, Any]) -> bool:
    settled = max(file.stamp[1:]) < record["seen_ns"] - MARGIN_NS
    return bool(settled and file.stamp[:2] == record["stamp"][:2]) or _by_hash(file, record)


def _not_later(file: Any, record: Mapping[str, Any]) -> bool:
    settled = max(file.stamp[1:]) < record["seen_ns"] - MARGIN_NS
    old, now = record["stamp"], file.stamp
    equal = (now[0], now[2]) == (old[0], old[2]) and now[1] <= old[1]
    return bool(settled and equal) or _by_hash(file, record)


def _believes_young_stamps(file: Any, record: Mapping[str, Any]) -> bool:
    return bool(file.stamp == record["stamp"]) or _by_hash(file, record)


def _young_is_changed(file: Any, record: Mapping[str, Any]) -> bool:
    if max(file.stamp[1:]) >= record["seen_ns"] - MARGIN_NS and file.stamp == record["stamp"]:
        return False
    return same(file, record)


def _forgets_deleted(files: Any, manifest: Any, splitter: str, embedder: str) -> Plan:
    return _plan(files, manifest, splitter, embedder) | {"remove": []}


def _follows_renames(files: Any, manifest: Any, splitter: str, embedder: str) -> Plan:
    plan = right(files, manifest, splitter, embedder)
    hashes = {content_hash(files[name].read()): name for name in plan["add"]}
    for name in list(plan["remove"]):
        new = hashes.get(manifest["files"][name]["hash"])
        if new:
            plan["remove"].remove(name)
            plan["add"].remove(new)
            plan["keep"].append(new)
    return plan


def _reads_new_files(files: Any, manifest: Any, splitter: str, embedder: str) -> Plan:
    plan = right(files, manifest, splitter, embedder)
    for name in plan["add"]:
        content_hash(files[name].read())
    return plan


def _reads_all_for_splitter(files: Any, manifest: Any, splitter: str, embedder: str) -> Plan:
    if manifest["splitter"] != splitter:
        for file in files.values():
            file.read()
    return right(files, manifest, splitter, embedder)


def _unsorted(files: Any, manifest: Any, splitter: str, embedder: str) -> Plan:
    plan = right(files, manifest, splitter, embedder)
    return {verdict: names[::-1] for verdict, names in plan.items()}


def _ignores_splitter(files: Any, manifest: Any, splitter: str, embedder: str) -> Plan:
    return right(files, {**manifest, "splitter": splitter}, splitter, embedder)


def _recuts_deleted(files: Any, manifest: Any, splitter: str, embedder: str) -> Plan:
    plan = right(files, manifest, splitter, embedder)
    if manifest["splitter"] != splitter:
        plan |= {"change": sorted(manifest["files"]), "remove": []}
    return plan


def _changes_all_for_embedder(files: Any, manifest: Any, splitter: str, embedder: str) -> Plan:
    if manifest["embedder"] != embedder:
        manifest = {**manifest, "splitter": "", "embedder": embedder}
    return right(files, manifest, splitter, embedder)


def _forgets_the_old(files: Any, manifest: Any, splitter: str, embedder: str) -> Plan:
    plan = right(files, manifest, splitter, embedder)
    for name in plan["remove"]:
        del manifest["files"][name]
    return {**plan, "remove": []}


WRONG: dict[str, tuple[Callable[..., Any], str]] = {
    "hashes every file": (_with(_by_hash), "proof enough"),
    "believes every stamp": (_with(_by_stamp), "a new stamp is only a suspicion"),
    "compares sizes": (_with(_by_size), "then stamps, then hashes"),
    "asks whether it is later": (_with(_if_later), "earlier times"),
    "leaves out the change time": (_with(_without_change_time), "the last field included"),
    "only the modification time settles": (_with(_settled_by(lambda stamp: stamp[1])), "both its times"),
    "only the change time settles": (_with(_settled_by(lambda stamp: stamp[2])), "both its times"),
    "the older time settles": (_with(_settled_by(lambda stamp: min(stamp[1:]))), "both its times"),
    "believes at the margin": (_with(_at_the_margin), "more than MARGIN_NS"),
    "equal but for the change time": (_with(_equal_but_for_change_time), "the last field included"),
    "not later is equal": (_with(_not_later), "earlier times"),
    "reads new files": (_reads_new_files, "no bytes are needed"),
    "reads all for the splitter": (_reads_all_for_splitter, "nothing need be hashed"),
    "believes young stamps": (_with(_believes_young_stamps), "MARGIN_NS"),
    "young means changed": (_with(_young_is_changed), "MARGIN_NS"),
    "deleted files stay": (_forgets_deleted, "compare names first"),
    "deletes in the manifest": (_forgets_the_old, "compare names first"),
    "a renamed file is kept": (_follows_renames, "a renamed file is one to remove and one to add"),
    "not sorted": (_unsorted, "a set has no order"),
    "ignores the splitter": (_ignores_splitter, "all to change"),
    "cuts deleted files anew": (_recuts_deleted, "the others as before"),
    "another embedder changes all": (_changes_all_for_embedder, "vectors of two embedders"),
}
