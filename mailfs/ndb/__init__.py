"""The network database: lists of attr=value in entries; ndb(6).

parse    text to entries
db       ``open_ndb(root)``, an ``Ndb`` to search
ipinfo   attributes inherited from the networks of a machine
sysname  what this machine is called, and its own attributes (``smtp=``)
shipped  the files that come with mailfs
install  a new root's first files
"""
