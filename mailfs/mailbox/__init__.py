"""One mailbox: messages with numbers that stay, over stores of several kinds.

driver, kinds   the contract with a kind of store, and what passes between
drivers     the kinds: a file or a package each
mailbox, worker, pool   where the event loop and the threads meet
folder, view    what the worker keeps: store, index, the messages under their numbers
message, octets, derive   a message read as far as somebody asks
index, build    what can be rebuilt: SQLite in the cache, and the process that fills it
retry       reading once more when the store has changed since it was listed
trash       where deleted messages of local stores go
flagfile    flags of stores that have no place for them
remotebox, remotestate, remote, sparse, gather, net, refused   stores behind a network
"""
