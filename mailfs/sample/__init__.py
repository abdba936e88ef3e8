"""A sample mailbox, for the demo and for a first look: the file mbox beside this.

It is read as any other mailbox is, so whatever the tree can show has an example in it.
"""
