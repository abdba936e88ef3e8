"""The grammar of IMAP4, both ways and pure; RFC 9051 section 9.

tokens     values of a response line
ranges     sets of numbers
names      mailbox names, modified UTF-7
date       INTERNALDATE
flags      flags and keywords
search     what SEARCH answers
structure  BODYSTRUCTURE
"""
