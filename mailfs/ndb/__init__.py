"""The network database: lists of attr=value in entries; ndb(6)."""
