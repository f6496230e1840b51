"""``python -m ragcourse`` is the ``ragcourse`` command."""

from ragcourse.cli import main

if __name__ == "__main__":
    main()
