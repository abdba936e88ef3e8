"""A file of messages, each after a ``From `` line; mbox(6), RFC 4155.

driver    the driver
file      the file as open, and its identity
scan      finding the separators, in helper processes when it is large
flags     flags over Status lines
addition, journal, leftover  appending and rewriting so that a kill loses nothing
"""
