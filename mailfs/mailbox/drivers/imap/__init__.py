"""Folders on an IMAP server.

driver    the driver: a folder under the contract of mailbox/driver
account   the folders of an account
link      the connections an account shares, and which folder has which
sync, listings  what changed since the last listing; rows as columns
edit      changes as commands | later  those that wait for the server
store     octets by way of the cache
skeleton  a part tree from BODYSTRUCTURE
"""
