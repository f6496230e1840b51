"""The start-up race: what it measures in real processes, and what it shows of made-up runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ragcourse.bench import crash
from ragcourse.bench.process import ChildFailed
from ragcourse.bench.startup_sizes import (
    SIZES,
    STAGES,
    STORES,
    StartRun,
    find,
    measure_sizes,
    measure_starts,
    stage_table,
    start_table,
    to_json,
)
from ragcourse.bench.storage_ladder import Ladder, measure_ladder
from ragcourse.manifest import Change
from ragcourse.widgets.base import pack
from ragcourse.widgets.commit_picture import CommitWatch, draw_commit, node
from ragcourse.widgets.startup_race import STARTS, StartupRace
from ragcourse.widgets.storage_pictures import draw_ladder, draw_starts

WRITES_AT_THE_END = """
import sys
try:
    print("ready", flush=True)
    input()
finally:
    open(sys.argv[1], "w").write("x")
"""
WRITES_ALL_THE_TIME = """
import sys
file = open(sys.argv[1], "ab", buffering=0)
print("ready", flush=True)
while True:
    file.write(b"x")
"""
SPEED = {"map": 1.0, "file": 1.25, "chroma": 3.0, "milvus": 2.0}  # how slow a made-up store is


def made_up(store: str, documents: int, warm: bool) -> StartRun:
    works = not warm or store == "map"
    stages = dict.fromkeys((*STAGES, "other"), 0.0) | {"open": 0.01 * SPEED[store]}
    if works:
        stages |= dict.fromkeys(("read", "split", "embed", "write"), 0.01 * documents * SPEED[store])
    work = documents if works else 0
    return StartRun(store, documents, warm, 40 * documents, work, 40 * work, stages, 0.1, [1.0])


RUNS = [made_up(store, size, warm) for store in STORES for size in SIZES for warm in (False, True)]


def show(**params: Any) -> dict[str, Any]:
    return StartupRace.run({"documents": 75, "start": STARTS[0], "runs": RUNS} | params)


def test_a_measured_size_shows_the_measured_times_on_one_clock() -> None:
    result = show()
    assert result["measured"] and [row["store"] for row in result["rows"]] == list(STORES)
    for row in result["rows"]:
        run = find(RUNS, row["store"], 75, warm=False)
        assert row["answer_s"] == pytest.approx(run.answer_s)
        names = [stage["name"] for stage in row["stages"]]
        assert names == ["open", "read", "split", "embed", "write", "first query"]
        ends = [stage["start"] + stage["length"] for stage in row["stages"]]
        assert [stage["start"] for stage in row["stages"][1:]] == pytest.approx(ends[:-1])
        assert ends[-1] == pytest.approx(row["answer_s"])
    assert [row["place"] for row in result["rows"]] == [1, 2, 4, 3]
    assert "map answers first" in result["summary"] and "Chroma last" in result["summary"]


def test_between_two_sizes_it_interpolates_and_says_so() -> None:
    result = show(documents=50)
    low, high = (find(RUNS, "chroma", size, warm=False).answer_s for size in (40, 75))
    assert result["rows"][2]["answer_s"] == pytest.approx(low + (high - low) * 10 / 35)
    assert not result["measured"] and "interpolated" in result["summary"]
    assert "interpolated" not in show(documents=40)["summary"]


def test_a_warm_race_shows_the_cold_time_behind_on_the_same_axis() -> None:
    cold, warm = show(), show(start=STARTS[1])
    assert warm["end"] == cold["end"]
    assert warm["duration"] < cold["duration"]
    assert [row["cold_s"] for row in warm["rows"]] == [row["answer_s"] for row in cold["rows"]]
    assert all(row["cold_s"] is None for row in cold["rows"])
    spared = 1 - warm["rows"][2]["answer_s"] / cold["rows"][2]["answer_s"]
    assert f"Chroma {spared:.0%}" in warm["summary"] and "map 0%" in warm["summary"]


def test_every_segment_has_its_name_in_the_legend() -> None:
    result = show()
    named = {stage["colour"]: stage["name"] for stage in result["legend"]}
    assert list(named.values()) == ["open", "read", "split", "embed", "write", "first query"]
    for row in result["rows"]:
        assert all(named[stage["colour"]] == stage["name"] for stage in row["stages"])
    assert "embed" in [stage["name"] for stage in show(start=STARTS[1])["legend"]]  # map embeds again


def test_what_was_not_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="outside of what was measured, 15 to 75"):
        show(documents=80)
    with pytest.raises(ValueError, match="no warm start of the map store"):
        show(start=STARTS[1], runs=[run for run in RUNS if not run.warm])
    with pytest.raises(KeyError, match="started warm with 16 documents"):
        find(RUNS, "map", 16, warm=True)


def test_a_view_of_it_answers_to_its_controls_and_keeps_a_picture() -> None:
    race = StartupRace(runs=RUNS, documents=40)
    assert repr(race) == f"StartupRace(documents=40, start={STARTS[0]!r})"
    before = race.png()
    race.set_state({"start": STARTS[1]})  # what a choice sends
    assert race.result["rows"][1]["cold_s"] is not None
    assert race.png() != before and before.startswith(b"\x89PNG")
    assert "runs" not in race.get_state()
    json.dumps(pack(race.result))


def test_the_tables_and_pictures_of_the_lesson() -> None:
    assert "chroma" in start_table(RUNS, 75) and "0 / 0" in start_table(RUNS, 75)
    assert stage_table(RUNS, 75).count("–") >= 3 * 4
    assert len(json.dumps(to_json(RUNS))) > 0
    left, right = draw_starts(RUNS, 75, {"map": (2.0, 1.0)}).axes
    assert "50%" in [text.get_text() for text in right.texts] and len(left.texts) == 8
    (axes,) = draw_ladder({"memory": 1e-7}, {"HDD": 4.2e-3}).axes
    assert [text.get_text() for text in axes.texts] == ["100 ns", "4.2 ms"]


def test_real_starts_in_real_processes(tmp_path: Path) -> None:
    told: list[str] = []
    runs = [
        run
        for warm in (False, True)
        for run in measure_starts(tmp_path, stores=("file",), sizes=(2, 4), warm=warm, progress=told.append)
    ]
    assert [(run.documents, run.warm) for run in runs] == [(2, False), (4, False), (2, True), (4, True)]
    for documents in (2, 4):
        cold, warm = (find(runs, "file", documents, warm=warm) for warm in (False, True))
        assert cold.parsed == documents and cold.embedded >= cold.nodes > 0
        assert (warm.parsed, warm.embedded, warm.nodes) == (0, 0, cold.nodes)
        assert warm.stages["embed"] == warm.stages["read"] == 0 < cold.stages["embed"]
        assert len(warm.samples) == 3 and warm.answer_s in [pytest.approx(sample) for sample in warm.samples]
    assert told == [f"{kind} starts, process 1 of 1: file" for kind in ("cold", "warm")]
    assert list((tmp_path / "file" / "4").glob("*.log"))


def test_the_libraries_of_a_whole_race_are_thrown_away() -> None:
    runs = measure_sizes(stores=("map",), sizes=(2,))
    assert [run.warm for run in runs] == [False, True]
    assert runs[0].parsed == runs[1].parsed == 2


def test_a_killed_script_has_no_last_words(tmp_path: Path) -> None:
    note = tmp_path / "note"
    child = crash.start(WRITES_AT_THE_END, note)
    crash.kill(child)
    assert child.returncode != 0 and not note.exists()
    crash.kill_when(crash.start(WRITES_ALL_THE_TIME, note), lambda: note.stat().st_size > 100)
    assert note.stat().st_size > 100
    with pytest.raises(ChildFailed, match="ended with status"):
        crash.start("raise SystemExit(3)")


def test_the_ladder_names_what_it_could_measure(tmp_path: Path) -> None:
    ladder = measure_ladder(tmp_path, size=1 << 20, reads=20, writes=2)
    assert ("device" in ladder.seconds) == ladder.evicted
    assert all(seconds > 0 for seconds in ladder.seconds.values())
    assert not list(tmp_path.iterdir())
    assert "write + fsync" in str(ladder)
    assert "not timed" in str(Ladder({"memory": 1e-7, "page cache": 1e-6}))
    assert "in memory" in str(Ladder({"memory": 1e-7, "page cache": 1e-6, "device": 2e-6}, evicted=True))


def test_the_commit_picture_shows_what_a_crash_would_leave() -> None:
    watch = CommitWatch(store={"a1", "a2"})
    watch.manifest.commit([Change("a.md", None, [node("a1"), node("a2")])], {"sentence"})
    watch.manifest.announce([node("a3")])
    watch.store.add("a3")
    watch.look("added")
    replaced = watch.manifest.commit([Change("a.md", None, [node("a1"), node("a3")])], {"sentence"})
    watch.look("committed")
    watch.store -= replaced.keys()
    watch.manifest.settle(replaced)
    watch.look("settled")
    added, committed, settled = watch.moments
    assert added.committed == added.after_crash == {"a1", "a2"} and added.next_start_deletes == {"a3"}
    assert committed.committed == committed.after_crash == {"a1", "a3"} and committed.pending == {"a2"}
    assert settled.stored == settled.committed == {"a1", "a3"} and not settled.pending
    assert len(draw_commit(watch.moments).axes[0].patches) > 10
