"""Any 9P server as a FUSE file system, by /dev/fuse itself.

abi, device     the kernel's messages, one at a time in and out
session, serve  the life of a mount; mountpoint has fusermount3 make it
upstream, private   the server behind it, dialled again when lost; one of our own
news        what the server tells of changes, so that the rest is believed
ops         what the kernel asks, answered from a tree
tree, node, entry   the 9P side: fids walked, files remembered, attributes
handles, opening, openfile, waiting, opendir   what processes have open
ahead, relist, recursion   what is guessed of readers, so that they wait less
moving      a message that gets another mailbox
errstr, failures   texts of 9P servers as errnos of Linux, and kept to be read
"""
