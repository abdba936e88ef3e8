"""The client side of IMAP4rev1 and what servers add to it; RFC 3501, RFC 9051, others.

grammar     octets of responses as values, pure
account     where an account is: the SPEC of upasfs(4)
line, reader, wire   the socket, octets cut into responses, commands and literals
greet, login, ident, connection   from a name to a connection in use, and its end
session, window, idle, quirks   all that can be asked; in flights; waiting; oddities
folder, folders, changes   the selected one, the account's, what comes unasked
columns, fetched, heads, bodies, transfer   rows, headers, octets, what COPY tells
error       what a server refused
"""
