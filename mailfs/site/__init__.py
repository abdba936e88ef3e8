"""The world of a sender.

site        root, user, names from ndb, clock
log         lines in sys/log: who was sent what, and what went wrong
"""
