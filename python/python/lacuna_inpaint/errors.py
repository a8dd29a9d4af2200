"""The errors of this package. Their texts name the subject and, if two values disagree, both.

Files that cannot be read or written raise ``OSError``, as everywhere in Python.
"""


class Error(ValueError):
    """An argument that cannot be used, a fill that failed, or one of the errors below."""


class PictureError(Error):
    """The image or the mask: unreadable, of an unknown kind, or of different sizes."""


class TooLarge(Error):
    """An image or a file exceeds a limit; nothing was decoded."""


class MemoryBudget(Error, MemoryError):
    """The fill needs more memory than ``max_memory``; nothing was allocated."""


class CheckpointError(Error):
    """The weights of a network cannot be used: unknown, truncated, or not installed."""


class Stopped(Error):
    """The fill took longer than ``timeout`` and was cancelled."""
