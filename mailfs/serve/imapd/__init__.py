"""IMAP4rev1 and rev2 over the open mailboxes; RFC 3501, RFC 9051.

reader     a client's octets cut into commands, literals bounded or streamed
cursor     the words of one command
command    commands as values, and the table of them
criteria   the tree of a SEARCH
items      what FETCH asks for
render     values as they are sent
section    the octets of BODY[...]
listing    patterns of LIST, names of folders
selected   the messages of an open folder as one client counts them
session    a connection: states, capabilities, replies; commands go to
           login, manage, fetch, store, search, append
"""
