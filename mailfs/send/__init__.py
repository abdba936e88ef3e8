"""Sending: from a message and its recipients to mailboxes, programs and the queue.

submit      the whole of send(8) as a function: what becomes of each recipient
rewrite, regexp   the rules of mail/lib/rewrite, pure; rewrite(6)
route       addresses to destinations: rules, aliases, forward files
address, owner, preview, refusal   names as users write them; who may; bad ones refused
alias       alias files; aliasmail(8)
bounce, complaint, deadletter, result, outward   what comes back, and what is kept
local       delivery into a mailbox, with forward and pipeto
command     programs that rules name, run without a shell
queue, smtp, marshal  are packages of their own
"""
