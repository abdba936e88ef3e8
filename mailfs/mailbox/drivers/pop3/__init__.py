"""A maildrop on a POP3 server; RFC 1939.

driver    the driver
link      the connection, held as short as may be
lock      one process a maildrop
roster    the UIDLs that were seen, on disk
listings, store  rows as columns; octets by way of the cache
"""
