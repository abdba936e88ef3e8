"""mailfs: mail as files, after Plan 9's upas/fs."""

__version__ = "0.1.0"
