"""What a correct answer must do, one module a structure; every `Contract` in this package is found by its id.

How to write one
----------------
A module makes a `Contract` with the exercise's id and its task in one line, and decorates functions with
`contract.check(name, points=…)`. A check function takes the implementation under test (whatever the check
cell passes: a class, a function, a value) and a seeded `numpy.random.Generator`, and raises when something is
wrong; returning is passing. The name is a fact about a correct answer ("a value written last wins"), since
that is what the learner reads beside the tick. Order the checks from the simplest to the hardest.

Say what is wrong with the helpers, not with a bare assert: they show what was given, expected and got, and
never trust the learner's objects (`__eq__`, `__repr__` and so on are not called).

- `expect_equal(got, expected, given=…, cause=…)`: deep comparison; numbers within `rel` and `abs_`.
- `expect_true(condition, message, given=…, got=…, cause=…)`: a property.
- `expect_error(ValueError, lambda: …, mentions="k", given=…)`: bad input is refused with a text that helps.
- `with when_raised(IndexError, cause, given=…):` around a call: a likely cause for an error of the learner's.
- `for_each(cases, test, valid=…)`: many cases, smallest first; the learner sees the smallest that fails, and
  learns when an argument was changed. `valid` allows it to make the case smaller still by dropping items.

Rules: compute `expected` with an oracle of your own, before you call the learner's code; draw all data from
`rng` (the grader runs other seeds); import heavy packages inside the check; keep a check under a second
(limit: 10 s, `seconds=…`); write files only to a `tempfile.TemporaryDirectory`; give `cause` in words that
lead to the fault without giving the answer away. Beside it in `tests/` stand the reference, which must pass
with several seeds, and at least five plausible wrong answers, which must not: `assert not run(contract,
Wrong, seed=1).passed`.

A complete example, for the exercise "write a counter that forgets nothing"::

    from collections import Counter

    import numpy as np

    from ragcourse.grading.cases import for_each
    from ragcourse.grading.contract import Contract
    from ragcourse.grading.expect import expect_equal, expect_error

    contract = Contract("9.9", task="count how often each word was added")


    @contract.check("an empty counter has seen nothing", points=1)
    def empty(Tally: type, rng: np.random.Generator) -> None:
        expect_equal(Tally().count("a"), 0, given="a", cause="a word that was never added has the count 0")


    @contract.check("every addition counts", points=2, cause="does add() overwrite the earlier count?")
    def additions(Tally: type, rng: np.random.Generator) -> None:
        def test(words: list[str]) -> None:
            expected = Counter(words)
            tally = Tally()
            for word in words:
                tally.add(word)
            expect_equal({word: tally.count(word) for word in expected}, dict(expected))

        cases = [rng.choice(["to", "be", "or"], size=n).tolist() for n in (1, 2, 5, 20)]
        for_each(cases, test, valid=lambda words: len(words) > 0)


    @contract.check("an empty word is refused", points=1)
    def refused(Tally: type, rng: np.random.Generator) -> None:
        expect_error(ValueError, lambda: Tally().add(""), mentions="empty", given="")

The check cell of the lesson is then one line, `check("9.9", Tally)`, after `from ragcourse.grading import
check`.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil

from ragcourse.grading.contract import Contract


@functools.cache
def contracts() -> dict[str, Contract]:
    """Return every contract of this package by exercise id, in the order of the course."""
    found: dict[str, tuple[str, Contract]] = {}
    for module in pkgutil.iter_modules(__path__):
        for value in vars(importlib.import_module(f"{__name__}.{module.name}")).values():
            if isinstance(value, Contract):
                other = found.setdefault(value.exercise, (module.name, value))
                if other[1] is not value:
                    raise ValueError(
                        f"exercise {value.exercise} has two contracts, in {other[0]} and {module.name}"
                    )
    order = sorted(found, key=lambda exercise: tuple(map(int, exercise.split("."))))
    return {exercise: found[exercise][1] for exercise in order}


def contract_of(exercise: str) -> Contract:
    """Return the contract of one exercise; an unknown id is a ValueError that lists the known ones."""
    known = contracts()
    if exercise not in known:
        ids = ", ".join(known) or "none yet"
        raise ValueError(f"there is no exercise {exercise!r}; the exercises that can be checked are: {ids}")
    return known[exercise]
