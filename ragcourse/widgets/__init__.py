"""The interactive pictures of the lessons: one file each, on the base class in `base.py`."""
