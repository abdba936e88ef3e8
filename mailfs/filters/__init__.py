"""Filters that a user's pipeto runs: where a message goes, and whose mail is let in.

patterns    addresses accepted and refused, a line each; list in upas' filter(1) page
token       words by which strangers show that they have read an answer
sorting     the mailbox that a message's sender or text chooses
"""
