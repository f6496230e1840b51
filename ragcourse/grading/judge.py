"""`python -m ragcourse.grading.judge SOCKET --seed N`: runs the contracts, away from the learner's code.

Each connection to the unix socket is one hand-in of one exercise (see `hand_in`). What came of it is one line
of JSON on stdout: exercise, seed, result (`Result.to_dict`), origin (`origin.read_origin`). The first line is
{"ready": SOCKET}. Whatever a connection does, the judge goes on with the next.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import socket
import sys
import tempfile
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ragcourse.grading.contract import Contract, run
from ragcourse.grading.contracts import contracts
from ragcourse.grading.judge_link import JudgeLink
from ragcourse.grading.origin import read_origin
from ragcourse.grading.result import Outcome, Result
from ragcourse.grading.wire import MAX_TEXT

HELLO_SECONDS = 5.0
HELLO_BYTES = 256 * 1024
CONNECTIONS = 8


def seeds_of(seed: int, exercise: str, more: int) -> list[int]:
    """Return the seed itself and `more` others that follow from it and the exercise."""
    sequence = np.random.SeedSequence([seed, zlib.crc32(exercise.encode())])
    return [seed, *(int(number) for number in sequence.generate_state(more))]


def run_with_seeds(
    contract: Contract, implementation: object, seeds: Sequence[int], alive: Callable[[], bool]
) -> Result:
    """Run the checks with the first seed, those that passed with the next, and so on.

    Of each check the first outcome that is no pass is kept. After a check that ran out of time, or when the
    process with the implementation is not `alive` any more, no other seed is used.
    """
    outcomes: dict[str, Outcome] = {}
    for seed in seeds:
        left = [check for check in contract.checks if outcomes.get(check.name, _PASS).state == "passed"]
        if not left:
            break
        result = run(Contract(contract.exercise, contract.task, left), implementation, seed)
        for outcome in result.outcomes:
            first = outcomes.get(outcome.name)
            outcomes[outcome.name] = first if first and outcome.state == "passed" else outcome
        if not alive() or any(outcome.state == "too slow" for outcome in result.outcomes):
            break
    return Result(contract.exercise, contract.task, seeds[0], tuple(map(_bounded, outcomes.values())))


def _bounded(outcome: Outcome) -> Outcome:
    """The outcome with texts that can be written anywhere: a learner's code had a part in them."""
    texts = {name: value for name, value in vars(outcome).items() if isinstance(value, str)}
    sound: dict[str, Any] = {
        name: text[:MAX_TEXT].encode("utf-8", "replace").decode() for name, text in texts.items()
    }
    return dataclasses.replace(outcome, **sound)


_PASS = Outcome("", "passed", 0)


@dataclass
class Judge:
    """Takes hand-ins of the given exercises and writes what came of them to `out`."""

    exercises: Mapping[str, Contract]
    seed: int
    out: TextIO
    more_seeds: int = 2
    hand_ins: int = 20  # of each exercise
    _received: Counter[str] = field(default_factory=Counter)
    _running: threading.Lock = field(default_factory=threading.Lock)  # prints are caught one run at a time
    _places: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(CONNECTIONS))

    def listen(self, path: str) -> None:
        """Take hand-ins until the process is ended."""
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(CONNECTIONS)
            self._write({"ready": path})
            while True:
                with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: no more threads
                    sock, _ = listener.accept()
                    if self._places.acquire(blocking=False):
                        threading.Thread(target=self._serve, args=(sock,), daemon=True).start()
                    else:
                        sock.close()

    def _serve(self, sock: socket.socket) -> None:
        end = JudgeLink(sock, self._handed_in, HELLO_BYTES)
        timer = threading.Timer(HELLO_SECONDS, self._too_late, args=(end,))
        timer.daemon = True
        timer.start()
        try:
            end.read()
        finally:
            end.close("the connection failed")
            timer.cancel()
            self._places.release()

    @staticmethod
    def _too_late(end: JudgeLink) -> None:
        if not end.begun:
            end.close("nothing was handed in")

    def _handed_in(self, end: JudgeLink, request: Any) -> str:
        """Run the contract on what was handed in; the answer tells the learner nothing about it."""
        exercise, implementation, origin = request
        if type(exercise) is not str or exercise not in self.exercises:
            return "refused: there is no such exercise to hand in"
        with self._running:
            self._received[exercise] += 1
            if self._received[exercise] > self.hand_ins:
                return f"refused: it was handed in {self.hand_ins} times already"
            out, err = sys.stdout, sys.stderr
            try:
                seeds = seeds_of(self.seed, exercise, self.more_seeds)
                result = run_with_seeds(self.exercises[exercise], implementation, seeds, lambda: not end.over)
            finally:
                sys.stdout, sys.stderr = out, err  # a stuck check leaves its own
            self._write({"exercise": exercise, "seed": self.seed, "result": result.to_dict(),
                         "origin": read_origin(origin)})  # fmt: skip
        slow = any(outcome.state == "too slow" for outcome in result.outcomes)
        return "a check ran out of time and was stopped" if slow else ""

    def _write(self, line: dict[str, Any]) -> None:
        self.out.write(json.dumps(line) + "\n")
        self.out.flush()


def main(argv: Sequence[str] | None = None, known: Mapping[str, Contract] | None = None) -> None:
    """Read the command line and listen."""
    parser = argparse.ArgumentParser(prog="python -m ragcourse.grading.judge", description=__doc__)
    parser.add_argument("socket", help="path of the unix socket to create")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--more-seeds", type=int, default=2, help="hidden seeds beyond it (2)")
    parser.add_argument("--exercise", action="append", help="take hand-ins of this one; else of all")
    parser.add_argument("--hand-ins", type=int, default=20, help="of each exercise; then refuse (20)")
    parser.add_argument("--shared", type=Path, help="folder for the contracts' files (the temporary folder)")
    options = parser.parse_args(argv)
    known = contracts() if known is None else known
    wanted = options.exercise or list(known)
    if unknown := [exercise for exercise in wanted if exercise not in known]:
        parser.error(f"there is no exercise {unknown[0]}; there are {', '.join(known)}")
    if options.shared:
        tempfile.tempdir = str(options.shared.resolve())
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stdout = sys.stderr  # what a contract prints is no result
    judge = Judge(
        {name: known[name] for name in wanted}, options.seed, out, options.more_seeds, options.hand_ins
    )
    with contextlib.suppress(KeyboardInterrupt):
        judge.listen(options.socket)


if __name__ == "__main__":
    main()
