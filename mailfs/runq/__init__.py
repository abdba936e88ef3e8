"""Delivering what is queued; qer(8).

runq       one pass over a queue, or a watch of it
users      other users' directories, with their rights, for root
watch      waking when a message comes
drain      the workers
attempt    one attempt at one message
transport  a program, or our own smtp in this process
prefork, call  mailfs smtp, loaded once for commands that call it
local      deliveries on this machine that failed the first time
hosts, retry  which host may be tried, and when
report     delivery reports, RFC 3464
script     reading options from mail/lib/remotemail
"""
