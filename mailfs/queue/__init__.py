"""The queue of mail that leaves this machine: its files; qer(8).

place       a user's directory in it: whose it is, and whose files count there
control     the control file: the words of a command, and who still waits
spool       putting a message in, holding it, taking it out
retry       when a message is tried again, and when no more
status      a row for each message
runq, a package of its own, delivers what is here.
"""
