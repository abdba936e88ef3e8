"""The tree /mail/fs as 9P files; upasfs(4).

files       the files of a message's directory, a row each (keyed/files: the other's)
names, codes    the fixed names of directories, a row each; what tells nodes in qids
root, boxdir, messagedir   the directories of the upas dialect
keyed       the dialect of plan9port's mail programs
outbox      letters written into the tree
rootctl, boxctl, ctl, eventfile   what is written to be done, what is read to be told
aname, users    which tree an attach sees, and whose
biff, plumb     news for terminals and the plumber
"""
