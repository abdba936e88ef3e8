"""The client side of IMAP4rev1 and what servers add to it; RFC 3501 and others."""
