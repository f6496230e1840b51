"""What a check says with: `expect_equal`, `expect_true` and `expect_error`; `when_raised` explains an error.

Each `expect` raises `Mismatch` with what was given, expected and got, and a likely cause. Compute the
expected value before you call the learner's code, from your own oracle: never from the learner's code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ragcourse.grading.plain import Opaque, Rules, difference, plain, show

NOTHING: Any = Opaque("nothing")  # told apart from None, which may be a value


class Mismatch(AssertionError):
    """The learner's code did not do what the contract asks; carries the parts that the table shows."""

    def __init__(
        self, message: str, *, given: str = "", expected: str = "", got: str = "", cause: str = ""
    ) -> None:
        super().__init__(message)
        self.message, self.given, self.expected, self.got, self.cause = message, given, expected, got, cause


def _text(value: object) -> str:
    return "" if value is NOTHING else show(value)


def expect_equal(
    got: object,
    expected: object,
    *,
    given: object = NOTHING,
    cause: str = "",
    rel: float = 1e-9,
    abs_: float = 1e-12,
) -> None:
    """Raise `Mismatch` unless `got` equals `expected`, both first turned into plain data.

    `given` is the input that led here, `cause` a likely cause in the learner's words. Numbers, also inside
    arrays and containers, are compared within `rel` and `abs_`.
    """
    wanted = plain(expected)
    if isinstance(wanted, Opaque):
        raise TypeError(f"a contract cannot compare with {wanted}: compare its parts")
    found = plain(got)
    where = difference(found, wanted, Rules(rel, abs_))
    if where is not None:
        raise Mismatch(where, given=_text(given), expected=show(wanted), got=show(found), cause=cause)


def expect_true(
    condition: bool, message: str, *, given: object = NOTHING, got: object = NOTHING, cause: str = ""
) -> None:
    """Raise `Mismatch` with `message` unless `condition` is True itself, not an object that says so."""
    if plain(condition) is not True:
        raise Mismatch(message, given=_text(given), got=_text(got), cause=cause)


def expect_error(
    kind: type[Exception],
    call: Callable[[], object],
    *,
    mentions: str = "",
    given: object = NOTHING,
    cause: str = "",
) -> None:
    """Raise `Mismatch` unless `call()` raises `kind`, with `mentions` somewhere in its text."""
    wanted = kind.__name__ + (f" whose text mentions {mentions!r}" if mentions else "")
    try:
        got = call()
    except NotImplementedError:
        raise
    except kind as error:
        text = str(plain(error_text(error)))
        if mentions.lower() in text.lower():
            return
        raise Mismatch(
            "the right kind of error, but its text does not say enough",
            given=_text(given),
            expected=wanted,
            got=f"{kind.__name__}: {text}",
            cause=cause,
        ) from None
    except Exception as error:
        raise Mismatch(
            "another error was raised",
            given=_text(given),
            expected=wanted,
            got=f"{type(error).__name__}: {error_text(error)}",
            cause=cause,
        ) from error
    raise Mismatch("no error was raised", given=_text(given), expected=wanted, got=show(got), cause=cause)


@contextmanager
def when_raised(kind: type[Exception], cause: str, *, given: object = NOTHING) -> Iterator[None]:
    """Give an error of this `kind` that the learner's code raises inside a likely cause, and the input.

    The error goes on, and is shown as one of the learner's, with its place.
    """
    try:
        yield
    except kind as error:
        error.__dict__.setdefault("likely_cause", cause)
        if given is not NOTHING:
            error.__dict__.setdefault("failing_input", _text(given))
        raise


def error_text(error: BaseException) -> str:
    """Return an exception's message, also when its `__str__` itself fails."""
    try:
        return str.__str__(str(error))
    except Exception as second:  # noqa: BLE001  it is the learner's
        return f"(its text cannot be read: {type(second).__name__})"
