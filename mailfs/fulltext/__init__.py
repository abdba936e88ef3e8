"""The words of a mailbox's messages, in SQLite FTS5 beside its index.

document  what of a message can be sought, read from its octets
store     the file: words by message, and what is known of each
"""
