"""The peers' side of a measured process: one module each, run in that peer's own environment.

These modules may import their peer, the standard library, ``bench.child`` and ``peers.common``;
nothing else of ragcourse is sure to import there.
"""
