"""Reaching and entering servers, once for IMAP, POP3 and SMTP.

backoff   the times between attempts at what fails
binding   the channel binding a TLS connection offers to SCRAM-PLUS
deadline  total time and octets of one answer
hidden    secrets that were sent, kept out of errors
keys      which of the factotum's keys is meant for a server
limit     how many connections the mailboxes of an account may have
login     SASL and the older commands, best first, over one protocol's LoginCommands
stream    dialling, TLS, and ending a connection from another thread

What a server's greeting and capabilities look like stays with each protocol.
"""
