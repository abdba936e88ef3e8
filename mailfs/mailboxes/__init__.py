"""The mailboxes that are open, without 9P: what the tree, and servers, stand on.

registry    the mailboxes of one user, by name
folderset, backoff   folders that come and go; when what failed is tried again
tired       sleep for mailboxes that nobody uses
scope       what an attach or a login may see; pure
scoped, scopedset   a mailbox, and all of them, as a scope shows them
entity      a message or one of its MIME parts, with what it takes to render it
events, notify      what listeners are told
watch       what makes a local store look again
retry       once more when a store has changed since it was listed
transfer    move and copy between mailboxes
search, query       finding messages
listed, spec        the list of mailboxes to open, and a line of it
flags       flags as people write them
"""
