"""Checking and grading: contracts that an answer must satisfy, and the notebooks that learners get."""

from ragcourse.grading.contract import Contract, check, run
from ragcourse.grading.result import Outcome, Result

__all__ = ["Contract", "Outcome", "Result", "check", "run"]
