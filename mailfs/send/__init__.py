"""Sending: from a message and its recipients to mailboxes, programs and the queue.

submit    the whole of send(8) as a function: what becomes of each recipient
rewrite   the rules of mail/lib/rewrite, pure; rewrite(6)
route     addresses to destinations: rules, aliases, forward files
alias     alias files; aliasmail(8)
local     delivery into a mailbox, with forward and pipeto
command   programs that rules name, run without a shell
log       lines in sys/log
site      the world of a sender: root, names, clock
queue, smtp, marshal  are packages of their own
"""
