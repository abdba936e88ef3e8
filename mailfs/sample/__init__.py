"""A sample mailbox, for the demo and for a first look: mailfs/sample/mbox."""
