"""The tree /mail/fs and its control files."""
