"""IMAP4rev1 and rev2 over the open mailboxes; RFC 3501, RFC 9051.

reader     a client's octets cut into commands, literals bounded or streamed
cursor     the words of one command
command    commands as values, and the table of them
criteria   the tree of a SEARCH
items      what FETCH asks for
render     values as they are sent
address, envelope, structure   ENVELOPE and BODYSTRUCTURE of a message
section    the octets of BODY[...]
names      patterns of LIST, names of folders
folders    a user's folders on disk, what they are for, subscriptions
selected   the messages of an open folder as one client counts them
session    a connection: states, capabilities, replies; commands go to
           login, manage, fetch, store, search, append
"""
