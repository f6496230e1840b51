"""The one error that a reader raises."""


class ReadError(ValueError):
    """A file that cannot be turned into text; the message is the reason, without the name."""
