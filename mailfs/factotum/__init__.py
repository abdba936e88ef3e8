"""The key agent; factotum(4).

proto       the protocols, one file each, as generators
agent, conv, step   the ring with its questions to people; one run of a protocol
tree, feed, attach  the files of factotum(4), and how a 9P server is attached to
key, keyfile, keeper   keys, where they come from and go back to
client, local, getkey, sasl   what programs ask for
oauth, consent, fetch   tokens
authsrv, authpak, ticket, deskey   Plan 9's authentication servers
guard       no core, no debugger, no swap
"""
