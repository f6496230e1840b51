"""Hypothesis for every test: the same examples in each run, and no limit of time for one of them.

A busy machine must not turn a test red; new examples are one setting away:
``HYPOTHESIS_PROFILE=explore make test``.
"""

import os

from hypothesis import settings

settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
