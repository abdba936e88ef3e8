"""Servers over the same mailboxes and queue: mail in, and mail for other programs.

wire    a connection's octets, in and out, plain or TLS, with deadlines
login   who a client is: SASL by way of the factotum
limits  what one network may do at once and in a minute
door    listening, TLS contexts, one conversation per connection, the end of all
mailstore, folders   a user's folders, open and on disk, for the sessions of that user
description   what clients are told of a message, kept in the index
smtpd   SMTP and LMTP: grammar and session pure, policy as tables, intake to send
imapd   IMAP: grammar pure, a user's folders as 9P shows them
pop3d   POP3: session pure, a mailbox as it was at the login
"""
