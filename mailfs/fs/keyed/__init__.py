"""The keyed dialect: the tree as plan9port's mailfs shows it, for its clients.

The mailboxes are those of the other dialect.  ``info`` has a key before each value,
addresses are pairs of a name and an address, and each mailbox has a ``ctl`` that
takes its commands and a ``search``.
"""
